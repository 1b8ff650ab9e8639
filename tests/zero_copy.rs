//! Sends without a copy: the buffer comes back when it is free, everything arrives, and nothing is freed too early.

mod common;

use std::io::{ErrorKind, Read};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::thread::JoinHandle;

use camshaft::net::TcpStream;
use common::{alone, fds, half_std, poll_once, runtime, small_runtime, turn};

fn pattern(len: usize, seed: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..251_u8).cycle().skip(seed % 251).take(251).collect();
    let mut bytes = period.repeat(len / 251 + 1);
    bytes.truncate(len);
    bytes
}

fn read_all(mut peer: std::net::TcpStream) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).expect("an end");
        bytes
    })
}

#[test]
fn what_is_written_over_a_buffer_that_came_back_does_not_arrive() {
    let _alone = alone();
    for runtime in [runtime(), small_runtime()] {
        runtime.block_on(async {
            let (peer, stream) = half_std();
            let reader = read_all(peer);
            let mut expected = Vec::new();
            let mut buf = Vec::new();
            for round in 0..50 {
                buf = pattern(100 + round * 3000, round);
                expected.extend_from_slice(&buf);
                let (written, back) = stream.write_all_zero_copy(buf).await;
                written.unwrap();
                buf = back;
                buf.fill(0xaa);
            }
            drop(buf);
            drop(stream);
            assert!(reader.join().unwrap() == expected);
        });
    }
}

#[test]
fn it_keeps_its_place_among_other_writes() {
    let _alone = alone();
    runtime().block_on(async {
        let (peer, stream) = half_std();
        let reader = read_all(peer);
        let (read, write) = stream.into_split();
        let mut expected = Vec::new();
        for round in 0..30 {
            let bytes = pattern(20_000, round);
            match round % 3 {
                0 => write.write_all_zero_copy(bytes.clone()).await.0.unwrap(),
                1 => write.write_all(bytes.clone()).await.0.unwrap(),
                _ => {
                    let (sent, back) = write.send_zero_copy(bytes.clone()).await;
                    let sent = sent.unwrap();
                    assert_eq!(back, bytes);
                    write.write_all(back[sent..].to_vec()).await.0.unwrap();
                }
            }
            expected.extend(bytes);
        }
        drop((read, write));
        assert!(reader.join().unwrap() == expected);
    });
}

#[test]
fn an_empty_buffer_and_a_peer_that_is_gone() {
    let _alone = alone();
    runtime().block_on(async {
        let (peer, stream) = half_std();
        assert_eq!(stream.send_zero_copy(Vec::new()).await.0.unwrap(), 0);
        drop(peer);
        let mut result = Ok(());
        while result.is_ok() {
            result = stream.write_all_zero_copy(vec![0; 10_000]).await.0;
        }
        let kind = result.unwrap_err().kind();
        assert!(
            matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
            "{kind}"
        );
    });
}

/// Begins a send that can't be done, drops it at a stage, and sees that what arrives is a prefix and what comes after it.
async fn drop_at(stage: usize) {
    let (peer, stream) = half_std();
    let len = 16 << 20;
    let mut writing = Box::pin(stream.write_all_zero_copy(pattern(len, 1)));
    if stage > 0 {
        assert!(poll_once(writing.as_mut()).await.is_pending());
    }
    if stage > 1 {
        turn().await;
    }
    drop(writing);
    let reader = read_all(peer);
    stream.write_all(vec![0xff; 1000]).await.0.unwrap();
    drop(stream);
    let bytes = reader.join().unwrap();
    let (prefix, rest) = bytes.split_at(bytes.len() - 1000);
    assert!(rest.iter().all(|byte| *byte == 0xff));
    assert!(prefix == &pattern(len, 1)[..prefix.len()], "{stage}");
    assert!(stage > 0 || prefix.is_empty());
}

#[test]
fn a_dropped_one_sent_a_prefix() {
    let _alone = alone();
    runtime().block_on(async {
        for stage in 0..3 {
            drop_at(stage).await;
        }
    });
}

#[test]
fn one_in_flight_at_teardown_sent_a_prefix() {
    let _alone = alone();
    let (peer, stream) = half_std();
    let runtime = runtime();
    runtime.spawn(async move {
        let stream: TcpStream = stream;
        drop(stream.write_all_zero_copy(pattern(16 << 20, 2)).await);
    });
    runtime.block_on(turn());
    let reader = read_all(peer);
    drop(runtime);
    let bytes = reader.join().unwrap();
    assert!(bytes == pattern(bytes.len(), 2));
}

/// Its memory is in use until the peer has taken everything. Who does not read holds up neither the end of the runtime nor the
/// close of the connection; and what he reads later is what was sent.
#[test]
fn one_whose_peer_does_not_read_is_left_to_itself_at_teardown() {
    let _alone = alone();
    // Where a sanitizer finds what is leaked here.
    static KEPT: [AtomicPtr<u8>; 2] = [const { AtomicPtr::new(ptr::null_mut()) }; 2];
    let before = fds();
    for (runtime, kept) in [runtime(), small_runtime()].into_iter().zip(&KEPT) {
        let (peer, stream) = half_std();
        let mut bytes = pattern(64 << 20, 3);
        kept.store(bytes.as_mut_ptr(), Ordering::Relaxed);
        runtime.spawn(async move {
            let stream: TcpStream = stream;
            drop(stream.write_all_zero_copy(bytes).await);
        });
        runtime.block_on(turn());
        drop(runtime);
        // Hangs if the connection is not closed.
        let bytes = read_all(peer).join().unwrap();
        assert!(bytes == pattern(bytes.len(), 3));
    }
    while fds() > before {
        std::thread::yield_now();
    }
}
