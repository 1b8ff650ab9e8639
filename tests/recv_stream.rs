//! The bytes of a connection as a stream of lent buffers: all come, in order, and a dropped stream loses none.

mod common;

use std::io::{ErrorKind, Write};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use camshaft::net::{RecvStream, TcpStream, UnixStream};
use camshaft::runtime::Backend;
use common::sockets::{next, soon};
use common::{alone, half_std, poll_once, read_exactly, read_rest, runtime, small_runtime, turn};

/// Reads to the end.
async fn rest(stream: &mut RecvStream<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(guard) = next(stream).await {
        let guard = guard.expect("bytes");
        assert!(!guard.is_empty());
        bytes.extend_from_slice(&guard);
    }
    assert!(next(stream).await.is_none(), "the end is the end");
    bytes
}

fn pattern(len: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..251).collect();
    let mut bytes = period.repeat(len / 251 + 1);
    bytes.truncate(len);
    bytes
}

#[test]
fn bytes_arrive_in_order_until_the_end() {
    let _alone = alone();
    for runtime in [runtime(), small_runtime()] {
        runtime.block_on(async {
            for len in [0, 1, 100, 70_000, 3_000_000] {
                let (mut peer, stream) = half_std();
                let sent = pattern(len);
                let sending = std::thread::spawn({
                    let sent = sent.clone();
                    move || peer.write_all(&sent)
                });
                assert!(rest(&mut stream.recv_stream()).await == sent, "{len}");
                sending.join().unwrap().unwrap();
            }
        });
    }
}

#[test]
fn a_unix_stream_and_a_half_have_it_too() {
    let _alone = alone();
    runtime().block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        a.write_all(b"over unix").await.0.unwrap();
        drop(a);
        let (read, _write) = b.into_split();
        assert_eq!(rest(&mut read.recv_stream()).await, b"over unix");
    });
}

#[test]
fn the_ring_receives_many_times_with_one_request() {
    let _alone = alone();
    let runtime = runtime();
    if runtime.backend() != Backend::IoUring || std::env::var_os("CAMSHAFT_BEST_RUNG").is_some() {
        return;
    }
    runtime.block_on(async {
        let (mut peer, stream) = half_std();
        let mut receiving = stream.recv_stream();
        assert!(soon(&mut receiving).await.is_pending());
        let before = runtime.metrics().ops_submitted;
        for n in 0..100_u8 {
            peer.write_all(&[n]).unwrap();
            assert_eq!(*next(&mut receiving).await.unwrap().unwrap(), [n]);
        }
        let repeated = runtime.metrics().ops_submitted - before;
        // Kernels before 6.16 do it one by one.
        assert!(repeated == 0 || repeated >= 100, "{repeated}");
    });
}

/// When a stream is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Unpolled,
    Queued,
    Running,
    Prefetched,
    Partly,
}

const STAGES: [Stage; 5] = [
    Stage::Unpolled,
    Stage::Queued,
    Stage::Running,
    Stage::Prefetched,
    Stage::Partly,
];

#[test]
fn a_stream_dropped_at_any_stage_loses_nothing() {
    let _alone = alone();
    for runtime in [runtime(), small_runtime()] {
        runtime.block_on(async {
            for stage in STAGES {
                for next_read in 0..3 {
                    let (mut peer, stream) = half_std();
                    let mut receiving = stream.recv_stream();
                    if stage != Stage::Unpolled {
                        assert!(
                            poll_once(std::pin::pin!(next(&mut receiving)))
                                .await
                                .is_pending()
                        );
                    }
                    if !matches!(stage, Stage::Unpolled | Stage::Queued) {
                        turn().await;
                    }
                    peer.write_all(b"one ").unwrap();
                    if matches!(stage, Stage::Prefetched | Stage::Partly) {
                        turn().await;
                        peer.write_all(b"two ").unwrap();
                        turn().await;
                    } else {
                        peer.write_all(b"two ").unwrap();
                    }
                    let mut seen = Vec::new();
                    if stage == Stage::Partly {
                        seen.extend_from_slice(&next(&mut receiving).await.unwrap().unwrap());
                    }
                    drop(receiving);
                    peer.write_all(b"three").unwrap();
                    drop(peer);
                    match next_read {
                        0 => seen.extend(read_rest(&stream).await),
                        1 => {
                            seen.extend(read_exactly(&stream, 3).await);
                            seen.extend(rest(&mut stream.recv_stream()).await);
                        }
                        _ => seen.extend(rest(&mut stream.recv_stream()).await),
                    }
                    assert_eq!(String::from_utf8_lossy(&seen), "one two three", "{stage:?}");
                }
            }
        });
    }
}

#[test]
fn a_reset_is_an_item_and_then_comes_the_end() {
    let _alone = alone();
    runtime().block_on(async {
        let (peer, stream) = half_std();
        let mut receiving = stream.recv_stream();
        assert!(soon(&mut receiving).await.is_pending());
        socket2::SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
        let error = next(&mut receiving).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(next(&mut receiving).await.is_none());
    });
}

#[test]
fn who_does_not_take_is_not_flooded() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut peer, stream) = half_std();
        peer.set_nonblocking(true).unwrap();
        let mut receiving = stream.recv_stream();
        assert!(soon(&mut receiving).await.is_pending());
        let bytes = pattern(1 << 16);
        let mut sent = 0;
        let mut idle = 0;
        while idle < 50 {
            match peer.write(&bytes[sent % 251..]) {
                Ok(n) => {
                    sent += n;
                    idle = 0;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    idle += 1;
                    turn().await;
                }
            }
            assert!(sent < 32 << 20, "the peer is slowed down");
        }
        drop(peer);
        let mut received = 0;
        while let Some(guard) = next(&mut receiving).await {
            let guard = guard.unwrap();
            let mut expected = (received..).map(|n| n % 251);
            assert!(
                guard
                    .iter()
                    .all(|byte| expected.next() == Some(usize::from(*byte)))
            );
            received += guard.len();
        }
        assert_eq!(received, sent);
    });
}

#[test]
fn guards_that_are_kept_do_not_stop_it() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut peer, stream) = half_std();
        let sent = pattern(20 << 20);
        let sending = std::thread::spawn({
            let sent = sent.clone();
            move || peer.write_all(&sent)
        });
        // More than all buffers of the runtime.
        let mut guards = Vec::new();
        let mut receiving = stream.recv_stream();
        while let Some(guard) = next(&mut receiving).await {
            guards.push(guard.unwrap());
        }
        sending.join().unwrap().unwrap();
        let received: Vec<&[u8]> = guards.iter().map(|it| &**it).collect();
        assert!(received.concat() == sent);
    });
}

#[test]
fn reads_beside_it_have_their_turn() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut peer, stream) = half_std();
        let mut receiving = stream.recv_stream();
        for _ in 0..20 {
            assert!(soon(&mut receiving).await.is_pending());
            let mut reading = Box::pin(stream.read(Vec::with_capacity(8)));
            assert!(poll_once(reading.as_mut()).await.is_pending());
            peer.write_all(b"a").unwrap();
            assert_eq!(*next(&mut receiving).await.unwrap().unwrap(), *b"a");
            peer.write_all(b"b").unwrap();
            assert_eq!(reading.await.1, b"b");
        }
    });
}

#[test]
fn reads_beside_a_stream_that_nobody_polls_have_their_turn() {
    let _alone = alone();
    runtime().block_on(async {
        for received in [false, true] {
            let (mut peer, stream) = half_std();
            let mut receiving = stream.recv_stream();
            let mut beside = 0;
            for kind in 0..4 {
                peer.write_all(b"one").unwrap();
                assert_eq!(*next(&mut receiving).await.unwrap().unwrap(), *b"one");
                peer.write_all(b"two").unwrap();
                if received {
                    turn().await;
                }
                match kind {
                    0 => assert_eq!(stream.peek(Vec::with_capacity(8)).await.1, b"two"),
                    1 => stream.readable().await.unwrap(),
                    2 => assert_eq!(read_exactly(&stream, 1).await, b"t"),
                    _ => beside = stream.read(vec![0; 8].into_boxed_slice()).await.0.unwrap(),
                }
                // The stream goes on behind it.
                let rest: &[u8] = [b"two", b"two", &b"wo"[..], b""][kind];
                if !rest.is_empty() {
                    assert_eq!(*next(&mut receiving).await.unwrap().unwrap(), *rest);
                }
            }
            assert_eq!(beside, 3);
            drop(peer);
            assert!(rest(&mut receiving).await.is_empty());
        }
    });
}

#[test]
fn a_read_that_waits_beside_an_idle_stream_gets_what_comes_later() {
    let _alone = alone();
    runtime().block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        let mut receiving = b.recv_stream();
        a.write_all(b"one").await.0.unwrap();
        assert_eq!(*next(&mut receiving).await.unwrap().unwrap(), *b"one");
        let mut reading = Box::pin(b.recv_with_fds(Vec::with_capacity(8)));
        assert!(poll_once(reading.as_mut()).await.is_pending());
        turn().await;
        a.send_with_fds(b"two", [std::io::stdin()]).await.0.unwrap();
        let (received, bytes) = reading.await;
        assert_eq!((&bytes[..], received.unwrap().1.len()), (&b"two"[..], 1));
        a.write_all(b"three").await.0.unwrap();
        assert_eq!(*next(&mut receiving).await.unwrap().unwrap(), *b"three");
    });
}

#[test]
fn teardown_loses_nothing() {
    let _alone = alone();
    for prefetched in [false, true] {
        let first = runtime();
        let (mut peer, stream) = half_std();
        let stream = Rc::new(stream);
        first.spawn({
            let stream = stream.clone();
            async move {
                let mut receiving = stream.recv_stream();
                drop(poll_once(std::pin::pin!(next(&mut receiving))).await);
                std::future::pending::<()>().await;
            }
        });
        first.block_on(turn());
        peer.write_all(b"one ").unwrap();
        if prefetched {
            first.block_on(turn());
        }
        drop(first);
        peer.write_all(b"two").unwrap();
        drop(peer);
        assert_eq!(runtime().block_on(read_rest(&stream)), b"one two");
    }
}

#[test]
fn a_stream_outlives_its_runtime() {
    let _alone = alone();
    let (mut peer, stream) = half_std();
    let mut receiving = stream.recv_stream();
    for round in 0..5_u8 {
        runtime().block_on(async {
            if round > 0 {
                assert_eq!(*next(&mut receiving).await.unwrap().unwrap(), [round - 1]);
            }
            assert!(soon(&mut receiving).await.is_pending());
        });
        peer.write_all(&[round]).unwrap();
    }
    drop(peer);
    assert_eq!(runtime().block_on(rest(&mut receiving)), [4]);
}

#[test]
fn a_connection_ends_when_the_stream_and_its_handle_are_dropped() {
    let _alone = alone();
    runtime().block_on(async {
        for _ in 0..20 {
            let (peer, stream) = half_std();
            let peer = TcpStream::from_std(peer).unwrap();
            let mut receiving = stream.recv_stream();
            assert!(soon(&mut receiving).await.is_pending());
            drop(receiving);
            drop(stream);
            assert!(matches!(
                soon(&mut peer.recv_stream()).await,
                Poll::Ready(None)
            ));
        }
    });
}
