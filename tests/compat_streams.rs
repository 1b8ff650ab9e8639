//! Streams behind the adapters to futures-io and to tokio's traits: what is read and written, ended, reset, dropped midway,
//! and given back. Both adapters pass the same scenarios.

#![cfg(all(feature = "futures-io", feature = "tokio-io"))]

mod common;
use common::*;

use std::io::{self, IoSlice, Read, Write};
use std::pin::pin;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use camshaft::compat::{FuturesIo, TokioIo};
use camshaft::net::TcpStream;
use camshaft::runtime::{Builder, Rung};
use camshaft::time::advance;
use socket2::SockRef;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sends until the kernel takes no more, and returns how much that was.
fn fill(stream: &TcpStream) -> usize {
    let mut sent = 0;
    loop {
        match SockRef::from(stream).send_with_flags(&[b'-'; 4096], libc::MSG_DONTWAIT) {
            Ok(n) => sent += n,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                return sent;
            }
        }
    }
}

/// Reads all that a peer sends, in a thread.
fn reader(mut client: std::net::TcpStream) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut received = Vec::new();
        client.read_to_end(&mut received).expect("bytes and an end");
        received
    })
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| i.to_le_bytes()[0] % 251).collect()
}

macro_rules! scenarios {
    ($name:ident, $adapter:ident, $library:path, $split:path, $shutdown:ident) => {
        mod $name {
            use super::*;
            use $library::{AsyncBufReadExt as _, AsyncReadExt, AsyncWriteExt};

            #[test]
            fn bytes_of_any_number_go_there_and_back() {
                let _alone = alone();
                runtime().block_on(async {
                    for len in [1, 7, 8192, 8193, 65_536, 65_537, 3 << 20] {
                        let (client, server) = pair().await;
                        let echo = camshaft::spawn(async move {
                            let mut server = $adapter::new(server);
                            let mut buf = vec![0; 30_000];
                            loop {
                                match server.read(&mut buf).await? {
                                    0 => return server.$shutdown().await,
                                    n => server.write_all(&buf[..n]).await?,
                                }
                            }
                        });
                        let sent = pattern(len);
                        let expected = sent.clone();
                        let (mut read, mut write) = $split($adapter::new(client));
                        let sender = camshaft::spawn(async move {
                            write.write_all(&sent).await?;
                            write.$shutdown().await
                        });
                        let mut received = Vec::new();
                        read.read_to_end(&mut received).await.unwrap();
                        assert!(received == expected, "{len} bytes");
                        sender.await.unwrap().unwrap();
                        echo.await.unwrap().unwrap();
                    }
                });
            }

            #[test]
            fn small_reads_take_what_was_received_in_order() {
                let _alone = alone();
                runtime().block_on(async {
                    let (mut client, server) = half_std();
                    let sent = pattern(20_000);
                    let expected = sent.clone();
                    let sender = thread::spawn(move || client.write_all(&sent));
                    let mut server = $adapter::new(server);
                    let (mut received, mut random) = (Vec::new(), Random::new(1));
                    while received.len() < expected.len() {
                        let mut buf = vec![0; 1 + random.below(999)];
                        let n = server.read(&mut buf).await.unwrap();
                        assert!(n > 0);
                        received.extend_from_slice(&buf[..n]);
                    }
                    assert!(received == expected);
                    sender.join().unwrap().unwrap();
                    assert_eq!(server.read(&mut [0; 9]).await.unwrap(), 0);
                    assert_eq!(server.read(&mut [0; 9]).await.unwrap(), 0, "and still");
                });
            }

            #[test]
            fn lines_are_read_from_the_buffer_of_the_kernel() {
                let _alone = alone();
                runtime().block_on(async {
                    let (mut client, server) = half_std();
                    client.write_all(b"one\ntwo\nthr").unwrap();
                    let mut server = $adapter::new(server);
                    let mut line = String::new();
                    server.read_line(&mut line).await.unwrap();
                    assert_eq!(line, "one\n");
                    line.clear();
                    server.read_line(&mut line).await.unwrap();
                    assert_eq!(line, "two\n");
                    line.clear();
                    client.write_all(b"ee").unwrap();
                    drop(client);
                    server.read_line(&mut line).await.unwrap();
                    assert_eq!(line, "three");
                });
            }

            #[test]
            fn an_empty_buffer_neither_reads_nor_writes() {
                let _alone = alone();
                runtime().block_on(async {
                    let (_client, server) = half_std();
                    let mut server = $adapter::new(server);
                    assert_eq!(server.read(&mut []).await.unwrap(), 0);
                    assert_eq!(server.write(&[]).await.unwrap(), 0);
                });
            }

            #[test]
            fn several_buffers_are_written_as_one() {
                let _alone = alone();
                runtime().block_on(async {
                    let (mut client, server) = half_std();
                    let mut server = $adapter::new(server);
                    let bufs = [b"GET ".as_slice(), b"", b"/ ", b"HTTP"].map(IoSlice::new);
                    assert_eq!(server.write_vectored(&bufs).await.unwrap(), 10);
                    server.flush().await.unwrap();
                    let mut received = [0; 10];
                    client.read_exact(&mut received).unwrap();
                    assert_eq!(&received, b"GET / HTTP");
                });
            }

            #[test]
            fn after_a_shutdown_the_peer_reads_the_end_and_may_still_answer() {
                let _alone = alone();
                runtime().block_on(async {
                    let (mut client, server) = half_std();
                    let peer = thread::spawn(move || {
                        let mut request = Vec::new();
                        client.read_to_end(&mut request)?;
                        client.write_all(b"answer")?;
                        io::Result::Ok(request)
                    });
                    let mut server = $adapter::new(server);
                    server.write_all(b"request").await.unwrap();
                    server.$shutdown().await.unwrap();
                    server.$shutdown().await.expect("once more does no harm");
                    let mut answer = String::new();
                    server.read_to_string(&mut answer).await.unwrap();
                    assert_eq!(answer, "answer");
                    assert_eq!(peer.join().unwrap().unwrap(), b"request");
                });
            }

            #[test]
            fn a_reset_shows_in_reads_and_in_writes() {
                let _alone = alone();
                runtime().block_on(async {
                    let (client, server) = half_std();
                    let mut server = $adapter::new(server);
                    SockRef::from(&client)
                        .set_linger(Some(Duration::ZERO))
                        .unwrap();
                    drop(client);
                    let error = server.read(&mut [0; 9]).await.unwrap_err();
                    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                    // Accepted, and refused later.
                    server.write_all(b"late").await.unwrap();
                    let error = server.flush().await.unwrap_err();
                    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
                    server.flush().await.expect("an error is told once");
                    server.write_all(b"late").await.unwrap();
                    let error = server.write_all(b"later").await.unwrap_err();
                    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
                    let _ = server.flush().await;
                    server
                        .$shutdown()
                        .await
                        .expect("nothing is left to shut down");
                });
            }

            #[test]
            fn a_peer_who_does_not_read_holds_up_the_second_write_and_the_flush() {
                let _alone = alone();
                runtime().block_on(async {
                    let (client, server) = half_std();
                    let filler = fill(&server);
                    let mut server = $adapter::new(server);
                    server.write_all(b"first").await.unwrap();
                    turn().await;
                    assert!(poll_and_drop(server.flush()).await.is_pending());
                    assert!(poll_and_drop(server.write(b"second")).await.is_pending());
                    assert!(poll_and_drop(server.$shutdown()).await.is_pending());
                    let reader = reader(client);
                    server.flush().await.unwrap();
                    server.$shutdown().await.unwrap();
                    let received = reader.join().unwrap();
                    assert_eq!(&received[filler..], b"first", "nothing of the second");
                });
            }

            #[test]
            fn a_read_that_is_dropped_loses_nothing() {
                let _alone = alone();
                runtime().block_on(async {
                    let (mut client, server) = half_std();
                    let mut server = $adapter::new(server);
                    assert!(poll_and_drop(server.read(&mut [0; 9])).await.is_pending());
                    client.write_all(b"hello").unwrap();
                    turn().await;
                    let mut buf = [0; 9];
                    assert_eq!(server.read(&mut buf).await.unwrap(), 5);
                    assert_eq!(&buf[..5], b"hello");
                });
            }

            #[test]
            fn the_stream_comes_back_with_what_was_received_and_not_read() {
                let _alone = alone();
                runtime().block_on(async {
                    let (mut client, server) = half_std();
                    let mut server = $adapter::new(server);
                    client.write_all(b"one, two, ").unwrap();
                    server.read_exact(&mut [0; 5]).await.unwrap();
                    // The rest of a buffer.
                    let server = server.into_inner();
                    client.write_all(b"three, ").unwrap();
                    assert_eq!(read_exactly(&server, 12).await, b"two, three, ");
                    // A receive in flight, and one that has completed.
                    let mut server = $adapter::new(server);
                    assert!(poll_and_drop(server.read(&mut [0; 9])).await.is_pending());
                    turn().await;
                    let mut server = $adapter::new(server.into_inner());
                    assert!(poll_and_drop(server.read(&mut [0; 9])).await.is_pending());
                    client.write_all(b"four").unwrap();
                    turn().await;
                    let server = server.into_inner();
                    drop(client);
                    assert_eq!(read_rest(&server).await, b"four");
                });
            }

            #[test]
            fn the_stream_comes_back_and_writes_after_what_was_accepted() {
                let _alone = alone();
                runtime().block_on(async {
                    let (client, server) = half_std();
                    let filler = fill(&server);
                    let mut server = $adapter::new(server);
                    server.write_all(b"before, ").await.unwrap();
                    let server = server.into_inner();
                    let reader = reader(client);
                    server.write_all("after").await.0.unwrap();
                    server.shutdown().await.unwrap();
                    let received = reader.join().unwrap();
                    assert_eq!(&received[filler..], b"before, after");
                });
            }

            #[test]
            fn what_was_accepted_arrives_although_the_adapter_is_dropped() {
                let _alone = alone();
                let fds_before = fds();
                runtime().block_on(async {
                    let (client, server) = half_std();
                    let filler = fill(&server);
                    let mut server = $adapter::new(server);
                    server.write_all(&pattern(60_000)).await.unwrap();
                    drop(server);
                    let read = camshaft::task::spawn_blocking(move || reader(client).join());
                    let received = read.await.unwrap().unwrap();
                    assert!(received[filler..] == pattern(60_000));
                });
                assert_eq!(fds(), fds_before);
            }

            #[test]
            fn a_peer_who_never_reads_is_given_up() {
                let _alone = alone();
                let runtime = Builder::new().paused_clock(true).build().unwrap();
                runtime.block_on(async {
                    let (client, server) = half_std();
                    fill(&server);
                    let fds_before = fds();
                    let mut server = $adapter::new(server);
                    server.write_all(b"never").await.unwrap();
                    drop(server);
                    turn().await;
                    advance(Duration::from_secs(9)).await;
                    turn().await;
                    assert_eq!(fds(), fds_before, "it still tries");
                    advance(Duration::from_secs(2)).await;
                    until(|| fds() == fds_before - 1).await;
                    drop(client);
                });
            }

            #[test]
            fn a_round_trip_allocates_nothing() {
                let _alone = alone();
                let runtime = runtime();
                if runtime.backend_report().chosen() == Some(Rung::Plain) {
                    eprintln!(
                        "skipped: this kernel neither lends buffers nor goes on with short sends"
                    );
                    return;
                }
                runtime.block_on(async {
                    let (client, server) = pair().await;
                    let echo = camshaft::spawn(async move {
                        let mut server = $adapter::new(server);
                        let mut buf = [0; 64];
                        while server.read_exact(&mut buf).await.is_ok() {
                            server.write_all(&buf).await?;
                            server.flush().await?;
                        }
                        io::Result::Ok(())
                    });
                    let mut client = $adapter::new(client);
                    let mut buf = [7; 64];
                    let mut before = 0;
                    for round in 0..300 {
                        if round == 200 {
                            before = allocations();
                        }
                        client.write_all(&buf).await.unwrap();
                        client.read_exact(&mut buf).await.unwrap();
                    }
                    assert_eq!(allocations(), before);
                    drop(client);
                    echo.await.unwrap().unwrap();
                });
            }

            #[test]
            fn polling_outside_of_a_runtime_says_what_to_do() {
                let _alone = alone();
                let server = runtime().block_on(async { pair().await.1 });
                let mut server = $adapter::new(server);
                let message = panic_of(|| poll_outside(pin!(server.read(&mut [0; 9]))));
                assert!(message.contains("camshaft::block_on"), "{message}");
                let message = panic_of(|| poll_outside(pin!(server.write(&[0; 9]))));
                assert!(message.contains("camshaft::block_on"), "{message}");
            }

            #[test]
            fn halves_are_read_or_written() {
                let _alone = alone();
                runtime().block_on(async {
                    let (mut client, server) = half_std();
                    let (read, write) = TcpStream::into_split(server);
                    let (mut read, mut write) = ($adapter::new(read), $adapter::new(write));
                    client.write_all(b"ping").unwrap();
                    let mut buf = [0; 4];
                    read.read_exact(&mut buf).await.unwrap();
                    write.write_all(&buf).await.unwrap();
                    write.flush().await.unwrap();
                    client.read_exact(&mut buf).unwrap();
                    assert_eq!(&buf, b"ping");
                    let stream = read.into_inner().reunite(write.into_inner());
                    assert!(stream.is_ok());
                });
            }

            #[test]
            fn a_dropped_adapter_of_a_borrowed_half_gives_back_what_was_not_read() {
                let _alone = alone();
                runtime().block_on(async {
                    let (mut client, mut server) = half_std();
                    client.write_all(b"abcdef").unwrap();
                    let (read, _) = server.split();
                    let mut two = [0; 2];
                    $adapter::new(read).read_exact(&mut two).await.unwrap();
                    client.shutdown(std::net::Shutdown::Write).unwrap();
                    let (result, rest) = server.read_to_end(Vec::new()).await;
                    result.unwrap();
                    assert_eq!((&two, &rest[..]), (b"ab", &b"cdef"[..]));
                });
            }
        }
    };
}

scenarios!(
    futures_io,
    FuturesIo,
    futures_lite,
    futures_lite::io::split,
    close
);
scenarios!(tokio_io, TokioIo, tokio::io, tokio::io::split, shutdown);
