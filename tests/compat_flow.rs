//! Streams of small messages behind an adapter: after the first few, many receives come of one submission. Nothing of what they
//! bring is lost or out of order, however the adapter is used, ended or dropped.

#![cfg(feature = "futures-io")]

mod common;
use common::*;

use std::io::{self, Write};
use std::pin::pin;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use camshaft::compat::FuturesIo;
use camshaft::net::TcpStream;
use camshaft::runtime::{Rung, Runtime};
use futures_lite::AsyncReadExt;

/// Whether the backend can receive many times from one submission: a ring of Linux 6.16 or later.
fn flows(runtime: &Runtime) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release
        .split('.')
        .map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap(), numbers.next().unwrap());
    let rung = runtime.backend_report().chosen();
    version >= (6, 16) && rung.is_some_and(|rung| rung != Rung::Plain)
}

/// A connection that has received a few small messages, and waits for the next.
async fn flowing() -> (std::net::TcpStream, FuturesIo<TcpStream>) {
    let (mut client, server) = half_std();
    let mut server = FuturesIo::new(server);
    for _ in 0..3 {
        client.write_all(b"some").unwrap();
        server.read_exact(&mut [0; 4]).await.unwrap();
    }
    assert!(poll_and_drop(server.read(&mut [0; 4])).await.is_pending());
    turn().await;
    (client, server)
}

#[test]
fn a_message_costs_no_submission() {
    let _alone = alone();
    let runtime = runtime();
    if !flows(&runtime) {
        return eprintln!("skipped: it takes a ring of Linux 6.16");
    }
    runtime.block_on(async {
        let (mut client, mut server) = flowing().await;
        let before = runtime.metrics().ops_submitted;
        for _ in 0..100 {
            client.write_all(b"some").unwrap();
            server.read_exact(&mut [0; 4]).await.unwrap();
        }
        assert_eq!(runtime.metrics().ops_submitted, before);
    });
}

#[test]
fn what_nobody_asked_for_is_what_the_stream_reads_next() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, mut server) = flowing().await;
        for part in ["one, ", "two, ", "three, "] {
            client.write_all(part.as_bytes()).unwrap();
            turn().await;
        }
        server.read_exact(&mut [0; 3]).await.unwrap();
        // The kernel has these, and reports them after the adapter is gone.
        client.write_all(b"four, ").unwrap();
        let server = server.into_inner();
        turn().await;
        client.write_all(b"five").unwrap();
        drop(client);
        assert_eq!(read_rest(&server).await, b", two, three, four, five");
    });
}

#[test]
fn a_read_of_the_stream_itself_comes_after_that_of_the_adapter() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = flowing().await;
        let stream = server.into_inner();
        let mut server = FuturesIo::new(&stream);
        for _ in 0..3 {
            client.write_all(b"some").unwrap();
            server.read_exact(&mut [0; 4]).await.unwrap();
        }
        assert!(poll_and_drop(server.read(&mut [0; 4])).await.is_pending());
        let mut direct = pin!(stream.read(Vec::with_capacity(99)));
        assert!(poll_once(direct.as_mut()).await.is_pending());
        client
            .write_all(b"for the adapter, or for the stream")
            .unwrap();
        server.read_exact(&mut [0; 15]).await.unwrap();
        let _: &TcpStream = server.into_inner();
        let (read, bytes) = direct.await;
        assert_eq!(read.unwrap(), bytes.len());
        assert_eq!(bytes, b", or for the stream");
    });
}

#[test]
fn a_read_of_the_stream_itself_gets_what_an_adapter_leaves() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = flowing().await;
        let stream = server.into_inner();
        let mut server = FuturesIo::new(&stream);
        assert!(poll_and_drop(server.read(&mut [0; 4])).await.is_pending());
        client.write_all(b"for the stream").unwrap();
        turn().await;
        let mut direct = pin!(stream.read(Vec::with_capacity(99)));
        let early = poll_once(direct.as_mut()).await;
        let _: &TcpStream = server.into_inner();
        let (read, bytes) = match early {
            Poll::Ready(read) => read,
            Poll::Pending => direct.await,
        };
        assert_eq!(read.unwrap(), bytes.len());
        assert_eq!(bytes, b"for the stream");
    });
}

#[test]
fn the_end_and_a_reset_come_after_what_was_sent_before() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, mut server) = flowing().await;
        client.write_all(b"last").unwrap();
        drop(client);
        turn().await;
        let mut rest = String::new();
        server.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "last");
        assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 0, "and still");

        let (mut client, mut server) = flowing().await;
        client.write_all(b"last").unwrap();
        turn().await;
        socket2::SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(client);
        turn().await;
        server.read_exact(&mut [0; 4]).await.unwrap();
        let error = server.read(&mut [0; 4]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_flood_that_nobody_reads_stays_in_the_socket() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, mut server) = flowing().await;
        let (mut other, mut calm) = flowing().await;
        client.set_nonblocking(true).unwrap();
        let flood = [b'~'; 65_536];
        let mut sent = 0;
        let mut refused = 0;
        // Until the peer's socket and this one are full, although the loop turns all the time.
        while refused < 50 {
            match (&client).write(&flood) {
                Ok(n) => (sent, refused) = (sent + n, 0),
                Err(_) => refused += 1,
            }
            turn().await;
            // The sockets hold some megabytes, and all lent buffers sixteen.
            assert!(sent < 16 << 20, "somebody takes it all");
        }
        other.write_all(b"some").unwrap();
        calm.read_exact(&mut [0; 4]).await.unwrap();
        let mut received = vec![0; sent];
        server.read_exact(&mut received).await.unwrap();
        assert!(received.iter().all(|byte| *byte == b'~'));
        (&client).write_all(b"calm").unwrap();
        let mut last = [0; 4];
        server.read_exact(&mut last).await.unwrap();
        assert_eq!(&last, b"calm");
    });
}

#[test]
fn a_drop_closes_the_connection_at_once() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = flowing().await;
        let before = fds();
        drop(server);
        assert_eq!(fds(), before - 1);
        client
            .set_read_timeout(Some(Duration::from_secs(50)))
            .unwrap();
        assert_eq!(io::Read::read(&mut client, &mut [0; 4]).unwrap(), 0);
    });
}

#[test]
fn a_runtime_ends_under_a_flow() {
    let _alone = alone();
    let before = fds();
    let mut kept = None;
    runtime().block_on(async {
        let (client, mut server) = flowing().await;
        camshaft::spawn(async move { server.read(&mut [0; 4]).await });
        turn().await;
        kept = Some((client, flowing().await));
    });
    drop(kept);
    assert_eq!(fds(), before);
}

/// What is read, by whatever way, is what was sent.
#[test]
fn any_mixture_of_reads_loses_nothing() {
    let _alone = alone();
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let sent: Vec<u8> = (0..200_000)
            .map(|_| random.next().to_le_bytes()[0])
            .collect();
        let expected = sent.clone();
        runtime().block_on(async {
            let (mut client, server) = half_std();
            let mut sizes = random.clone();
            let sender = thread::spawn(move || {
                let mut rest = &sent[..];
                while !rest.is_empty() {
                    let most = if sizes.one_in(20) { 60_000 } else { 300 };
                    let (now, later) = rest.split_at(rest.len().min(1 + sizes.below(most)));
                    client.write_all(now)?;
                    rest = later;
                }
                io::Result::Ok(())
            });
            let mut received = Vec::new();
            let mut server = FuturesIo::new(server);
            while received.len() < expected.len() {
                let mut buf = vec![0; 1 + random.below(2000)];
                let n = match random.below(8) {
                    0 => match poll_once(pin!(server.read(&mut buf))).await {
                        Poll::Ready(read) => read.unwrap(),
                        Poll::Pending => 0,
                    },
                    1 => {
                        turn().await;
                        0
                    }
                    2 => {
                        let stream = server.into_inner();
                        let (read, back) = stream.read(buf.into_boxed_slice()).await;
                        buf = back.into_vec();
                        server = FuturesIo::new(stream);
                        read.unwrap()
                    }
                    _ => server.read(&mut buf).await.unwrap(),
                };
                received.extend_from_slice(&buf[..n]);
            }
            assert!(received == expected, "seed {seed}");
            sender.join().unwrap().unwrap();
        });
    }
}
