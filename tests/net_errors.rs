//! Sockets that go wrong: resets, ends, exhausted descriptors, refused and unanswered connects, lengths above 32 bits.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use camshaft::net::{TcpListener, TcpStream};
use camshaft::task::{JoinSet, yield_now};
use camshaft::time::timeout;
use common::{
    alone, fds, half_std, isolated, limit_fds, listener, pair, poll_and_drop, poll_once,
    read_exactly, read_rest, runtime, turn, until,
};

fn is_gone(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
    )
}

/// Resets the connection.
fn reset(stream: TcpStream) {
    stream.set_linger(Some(Duration::ZERO)).expect("a socket");
    drop(stream);
}

#[test]
fn a_peer_resets_while_one_reads() {
    let _alone = alone();
    runtime().block_on(async {
        for lent in [true, false] {
            let (client, server) = pair().await;
            let reading = camshaft::spawn(async move {
                if lent {
                    server.recv().await.map(|guard| guard.len())
                } else {
                    server.read(Vec::with_capacity(8)).await.0
                }
            });
            yield_now().await;
            turn().await;
            reset(client);
            let error = reading.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    });
}

#[test]
fn a_peer_resets_while_one_writes() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = pair().await;
        let writing = camshaft::spawn(async move {
            let (result, buf) = server.write_all(vec![1; 32 << 20]).await;
            assert_eq!(buf.len(), 32 << 20, "the buffer comes back");
            result
        });
        yield_now().await;
        turn().await;
        reset(client);
        let error = writing.await.unwrap().unwrap_err();
        assert!(is_gone(&error), "{error}");
    });
}

#[test]
fn writing_to_a_closed_peer_is_an_error_and_no_signal() {
    let _alone = alone();
    isolated("writing_to_a_closed_peer_is_an_error_and_no_signal", || {
        // SAFETY: no handler is installed. Rust programs start with the signal ignored.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        runtime().block_on(async {
            for kind in 0..3 {
                let (client, server) = pair().await;
                drop(client);
                let mut writes = 0;
                let error = loop {
                    let result = match kind {
                        0 => server.write(b"x").await.0.map(drop),
                        1 => server.write_all(b"x").await.0,
                        _ => server.write_vectored(vec![b"x"]).await.0.map(drop),
                    };
                    writes += 1;
                    assert!(writes < 1000, "the reset has come long ago");
                    if let Err(error) = result {
                        break error;
                    }
                };
                assert!(is_gone(&error), "{error}");
                let error = server.write_all(b"x").await.0.unwrap_err();
                assert!(is_gone(&error), "{error}");
            }
        });
    });
}

#[test]
fn each_direction_ends_by_itself() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = pair().await;
        client.write_all(b"request").await.0.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read_rest(&server).await, b"request");
        assert_eq!(
            server.read(Vec::with_capacity(1)).await.0.unwrap(),
            0,
            "again"
        );
        let error = client.write_all(b"x").await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        server.write_all(b"answer").await.0.unwrap();
        assert_eq!(read_exactly(&client, 6).await, b"answer");
        server.shutdown().await.unwrap();
        assert!(read_rest(&client).await.is_empty());
    });
}

#[test]
fn a_write_half_shuts_down_when_dropped() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = pair().await;
        let (read, write) = server.into_split();
        write.write_all(b"last words").await.0.unwrap();
        drop(write);
        assert_eq!(read_rest(&client).await, b"last words");
        client.write_all(b"heard").await.0.unwrap();
        let (result, _) = read.read_exact(vec![0; 5].into_boxed_slice()).await;
        assert_eq!(result.unwrap(), 5);
        // Put together again it does not.
        let (client, server) = pair().await;
        let (read, write) = server.into_split();
        let server = read.reunite(write).unwrap();
        server.write_all(b"x").await.0.unwrap();
        assert_eq!(read_exactly(&client, 1).await, b"x");
        let mut server = server;
        let _ = server.split();
        server.write_all(b"y").await.0.unwrap();
        assert_eq!(read_exactly(&client, 1).await, b"y");
    });
}

#[test]
fn shutting_down_from_outside_ends_a_read_in_flight() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = half_std();
        let mut reading = Box::pin(server.read(Vec::with_capacity(8)));
        assert!(poll_once(reading.as_mut()).await.is_pending());
        turn().await;
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(reading.await.0.unwrap(), 0);
    });
}

#[test]
fn an_accept_without_descriptors() {
    let _alone = alone();
    isolated("an_accept_without_descriptors", || {
        let runtime = runtime();
        runtime.block_on(async {
            let (listener, address) = listener().await;
            let client = std::net::TcpStream::connect(address).unwrap();
            turn().await;
            let mut held = vec![std::fs::File::open("/dev/null").unwrap()];
            while std::os::fd::AsRawFd::as_raw_fd(&held[held.len() - 1]) + 1
                < i32::try_from(fds()).unwrap()
            {
                held.push(std::fs::File::open("/dev/null").unwrap());
            }
            let former = limit_fds(fds() as u64);
            let before = runtime.metrics();
            for _ in 0..5 {
                let error = listener.accept().await.unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            }
            let after = runtime.metrics();
            // Each try but the first waits out a pause before: nothing spins.
            assert_eq!(after.ops_submitted - before.ops_submitted, 5 + 4);
            assert!(after.enters - before.enters <= 40);
            // An accept that waits out its pause may be dropped.
            assert!(poll_and_drop(listener.accept()).await.is_pending());
            limit_fds(former);
            let (_stream, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        });
    });
}

#[test]
fn a_port_in_use_and_a_port_where_nobody_listens() {
    let _alone = alone();
    runtime().block_on(async {
        let (listener, address) = listener().await;
        let error = TcpListener::bind(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        drop(listener);
        let before = fds();
        let error = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(fds(), before);
        let again = TcpListener::bind(address).await.unwrap();
        // With several addresses the first that answers is taken.
        let refused = "127.0.0.1:1".parse().unwrap();
        let (_stream, accepted) = {
            let connecting = camshaft::spawn(async move {
                TcpStream::connect(&[refused, address][..]).await.unwrap()
            });
            (again.accept().await.unwrap(), connecting.await.unwrap())
        };
        assert_eq!(accepted.peer_addr().unwrap(), address);
    });
}

/// Reads what comes until `n` bytes have come, on a thread.
fn read_some(mut client: std::net::TcpStream, n: usize) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut some = vec![9; n];
        client.read_exact(&mut some).expect("that much comes");
        some
    })
}

#[test]
fn a_write_of_more_than_four_gigabytes_is_not_cut_to_the_rest() {
    let _alone = alone();
    runtime().block_on(async {
        // Cut to 32 bits, the lengths would be 0 and 5. The memory is mapped but never touched.
        for len in [1_usize << 32, (1 << 32) + 5] {
            let (client, server) = half_std();
            let reader = read_some(client, 1 << 20);
            let mut writing = Box::pin(server.write_all(vec![0; len]));
            assert!(poll_once(writing.as_mut()).await.is_pending());
            until(|| reader.is_finished()).await;
            assert!(reader.join().unwrap().iter().all(|byte| *byte == 0));
            assert!(
                poll_once(writing.as_mut()).await.is_pending(),
                "the rest waits"
            );
            drop(writing);

            let (client, server) = half_std();
            let reader = read_some(client, 1 << 20);
            let mut buf = vec![0; len];
            let mut sent = 0;
            while sent < 1 << 20 {
                let (result, back) = server.write(buf).await;
                buf = back;
                sent += result.unwrap();
            }
            assert!(sent > 5);
            reader.join().unwrap();
        }
    });
}

#[test]
fn a_read_into_more_than_four_gigabytes_has_room() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = half_std();
        client.write_all(b"word").unwrap();
        let (result, buf) = server.read(vec![0; 1 << 32].into_boxed_slice()).await;
        assert_eq!(result.unwrap(), 4);
        assert_eq!(&buf[..5], b"word\0");
        client.write_all(b"more").unwrap();
        let (result, bufs) = server.read_vectored(vec![buf]).await;
        assert_eq!(result.unwrap(), 4);
        assert_eq!(&bufs[0][..5], b"more\0");
        let file = camshaft::fs::File::open("/proc/self/stat").await.unwrap();
        let (result, _) = file.read_at(vec![0; 1 << 32].into_boxed_slice(), 0).await;
        assert!(result.unwrap() > 0);
    });
}

#[test]
fn more_buffers_than_the_system_takes_is_a_short_transfer() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = pair().await;
        let (result, bufs) = server.write_vectored(vec![b"ab"; 3000]).await;
        let sent = result.unwrap();
        assert_eq!((bufs.len(), sent), (3000, 2048));
        let bufs: Vec<Vec<u8>> = (0..3000).map(|_| Vec::with_capacity(1)).collect();
        let (result, bufs) = client.read_vectored(bufs).await;
        let read = result.unwrap();
        assert!(read <= 1024 && bufs.concat().len() == read);
        assert_eq!(read_exactly(&client, sent - read).await.len(), sent - read);
    });
}

#[test]
fn a_timeout_around_a_read_may_be_repeated_for_ever() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = half_std();
        for round in 0..200_u8 {
            let waited = timeout(Duration::from_micros(50), server.recv()).await;
            assert!(waited.is_err());
            client.write_all(&[round]).unwrap();
            assert_eq!(read_exactly(&server, 1).await, [round]);
        }
    });
}

#[test]
fn many_connections_come_and_go() {
    let _alone = alone();
    runtime().block_on(async {
        let (listener, address) = listener().await;
        let before = fds();
        for _ in 0..10 {
            let mut clients = JoinSet::new();
            for n in 0..50_u8 {
                clients.spawn(async move {
                    let client = TcpStream::connect(address).await.unwrap();
                    client.write_all(vec![n]).await.0.unwrap();
                    assert_eq!(read_rest(&client).await, [n]);
                });
            }
            for _ in 0..50 {
                let (server, _) = listener.accept().await.unwrap();
                camshaft::spawn(async move {
                    let word = read_exactly(&server, 1).await;
                    server.write_all(word).await.0.unwrap();
                });
            }
            while let Some(client) = clients.join_next().await {
                client.unwrap();
            }
        }
        until(|| fds() == before).await;
    });
}
