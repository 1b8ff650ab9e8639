//! Unix streams and their listeners: names, transfers, halves, credentials, and what goes wrong.

mod common;

use std::io::ErrorKind;
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::pin::pin;
use std::task::Poll;

use camshaft::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use camshaft::net::{OwnedReadHalf, OwnedWriteHalf, UnixListener, UnixStream};
use camshaft::task::JoinSet;
use common::sockets::{SocketDir, abstract_addr};
use common::{alone, fds, poll_and_drop, poll_once, runtime, small_runtime, turn, until};
use futures_core::Stream;

#[test]
fn a_listener_and_a_client_meet_at_a_path() {
    let _alone = alone();
    runtime().block_on(async {
        let dir = SocketDir::new();
        let path = dir.path("socket");
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
        let client = UnixStream::connect(&path).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert!(peer.is_unnamed() && server.peer_addr().unwrap().is_unnamed());
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*path));
        client.write_all(b"ping").await.0.unwrap();
        let (read, buf) = server.read_exact(vec![0; 4].into_boxed_slice()).await;
        assert_eq!((read.unwrap(), &buf[..]), (4, &b"ping"[..]));
        server.write_all(b"pong").await.0.unwrap();
        let guard = client.recv().await.unwrap();
        assert_eq!(*guard, *b"pong");
        client.shutdown().await.unwrap();
        assert_eq!(server.read(Vec::with_capacity(1)).await.0.unwrap(), 0);
    });
}

#[test]
fn an_abstract_name_needs_no_file() {
    let _alone = alone();
    runtime().block_on(async {
        let address = abstract_addr();
        let listener = UnixListener::bind_addr(&address).unwrap();
        let name = |it: &std::os::unix::net::SocketAddr| format!("{it:?}");
        assert_eq!(name(&listener.local_addr().unwrap()), name(&address));
        let client = UnixStream::connect_addr(&address).await.unwrap();
        assert_eq!(name(&client.peer_addr().unwrap()), name(&address));
        let (server, _) = listener.accept().await.unwrap();
        assert_eq!(name(&server.local_addr().unwrap()), name(&address));
        let error = UnixListener::bind_addr(&address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        drop(listener);
        let error = UnixStream::connect_addr(&address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn errors_say_what_to_do() {
    let _alone = alone();
    runtime().block_on(async {
        let dir = SocketDir::new();
        let path = dir.path("socket");
        let error = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        drop(UnixListener::bind(&path).unwrap());
        let error = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let error = UnixListener::bind(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains("remove the file"), "{error}");
        std::fs::remove_file(&path).unwrap();
        UnixListener::bind(&path).unwrap();
        let long = "x".repeat(108);
        let errors = [
            UnixListener::bind(&long).unwrap_err(),
            UnixStream::connect(&long).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("107"), "{error}");
        }
        let error = UnixStream::connect("a\0b").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_connection_waits_for_room_in_the_queue() {
    let _alone = alone();
    runtime().block_on(async {
        let dir = SocketDir::new();
        let path = dir.path("socket");
        let listener = StdListener::bind(&path).unwrap();
        socket2::SockRef::from(&listener).listen(0).unwrap();
        let first = UnixStream::connect(&path).await.unwrap();
        let mut connecting = Box::pin(UnixStream::connect(&path));
        for _ in 0..20 {
            assert!(poll_once(connecting.as_mut()).await.is_pending());
            turn().await;
        }
        // One that is dropped while it waits gives up.
        let before = fds();
        {
            let mut given_up = pin!(UnixStream::connect(&path));
            assert!(poll_once(given_up.as_mut()).await.is_pending());
            turn().await;
        }
        until(|| fds() == before).await;
        listener.accept().unwrap();
        connecting.await.unwrap();
        drop(first);
    });
}

#[test]
fn a_pair_is_connected_and_can_be_split() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut a, b) = UnixStream::pair().unwrap();
        let (read, write) = a.split();
        let (sent, received) = (write.write_all(b"to b"), b.write_all(b"to a"));
        sent.await.0.unwrap();
        received.await.0.unwrap();
        assert_eq!(read.read(Vec::with_capacity(8)).await.1, b"to a");
        let (read, write): (OwnedReadHalf<UnixStream>, OwnedWriteHalf<_>) = a.into_split();
        let (other, _) = UnixStream::pair().unwrap();
        let (_, stranger) = other.into_split();
        let error = read.reunite(stranger).unwrap_err();
        assert!(error.to_string().contains("different"));
        let a = error.read.reunite(write).unwrap();
        let (read, write) = a.into_split();
        drop(write);
        let (rest, buf) = b.read_to_end(Vec::new()).await;
        assert_eq!((rest.unwrap(), &buf[..]), (4, &b"to b"[..]));
        b.write_all(b"still open").await.0.unwrap();
        assert_eq!(*read.recv().await.unwrap(), *b"still open");
    });
}

#[test]
fn the_traits_are_there_by_value_and_by_reference() {
    async fn text(mut reader: impl AsyncRead) -> String {
        let (read, text) = reader.read_to_string(String::new()).await;
        read.unwrap();
        text
    }
    async fn close(mut writer: impl AsyncWrite, bytes: &'static [u8]) {
        writer.write_all(bytes).await.0.unwrap();
        writer.shutdown().await.unwrap();
    }
    let _alone = alone();
    runtime().block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        close(&a, b"by reference").await;
        assert_eq!(text(&b).await, "by reference");
        close(b, b"by value").await;
        assert_eq!(text(a).await, "by value");
    });
}

#[test]
fn the_peer_has_credentials() {
    let _alone = alone();
    let (a, _b) = UnixStream::pair().unwrap();
    let cred = a.peer_cred().unwrap();
    assert_eq!(cred.pid(), i32::try_from(std::process::id()).ok());
    // SAFETY: no memory is passed.
    let uid = unsafe { libc::geteuid() };
    // SAFETY: no memory is passed.
    let gid = unsafe { libc::getegid() };
    assert_eq!((cred.uid(), cred.gid()), (uid, gid));
}

#[test]
fn a_large_write_arrives_whole_through_a_small_socket() {
    let _alone = alone();
    for runtime in [runtime(), small_runtime()] {
        runtime.block_on(async {
            let (a, b) = UnixStream::pair().unwrap();
            common::shrink(&a);
            let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
            let writing = camshaft::spawn({
                let bytes = bytes.clone();
                async move {
                    a.write_all(bytes).await.0.unwrap();
                }
            });
            let (read, received) = b.read_to_end(Vec::new()).await;
            assert_eq!(read.unwrap(), bytes.len());
            assert!(received == bytes);
            writing.await.unwrap();
        });
    }
}

#[test]
fn writing_to_a_closed_peer_is_an_error_and_no_signal() {
    let _alone = alone();
    runtime().block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        drop(b);
        for _ in 0..3 {
            let error = a.write(b"anybody?").await.0.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
        assert_eq!(a.read(Vec::with_capacity(1)).await.0.unwrap(), 0);
        // A peer that closes with bytes unread resets.
        let (a, b) = UnixStream::pair().unwrap();
        a.write_all(b"unread").await.0.unwrap();
        let mut reading = Box::pin(a.read(Vec::with_capacity(1)));
        assert!(poll_once(reading.as_mut()).await.is_pending());
        turn().await;
        drop(b);
        assert_eq!(
            reading.await.0.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
    });
}

#[test]
fn streams_and_listeners_go_over_to_std_and_back() {
    let _alone = alone();
    let dir = SocketDir::new();
    let listener = StdListener::bind(dir.path("socket")).unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = UnixListener::from_std(listener).unwrap();
    let client = StdStream::connect(dir.path("socket")).unwrap();
    client.set_nonblocking(true).unwrap();
    let client = UnixStream::from_std(client).unwrap();
    runtime().block_on(async {
        let (server, _) = listener.accept().await.unwrap();
        client.write_all(b"from std").await.0.unwrap();
        assert_eq!(server.read(Vec::with_capacity(16)).await.1, b"from std");
    });
    let client = client.into_std().unwrap();
    assert!(!socket2::SockRef::from(&client).nonblocking().unwrap());
    let listener = listener.into_std().unwrap();
    let _second = StdStream::connect(dir.path("socket")).unwrap();
    listener.accept().unwrap();
}

#[test]
fn incoming_connections_are_a_stream() {
    let _alone = alone();
    runtime().block_on(async {
        let dir = SocketDir::new();
        let listener = UnixListener::bind(dir.path("socket")).unwrap();
        let mut clients = JoinSet::new();
        for n in 0..20_u8 {
            let path = dir.path("socket");
            clients.spawn(async move {
                let client = UnixStream::connect(path).await.unwrap();
                client.write_all(vec![n]).await.0.unwrap();
            });
        }
        let mut incoming = pin!(listener.incoming());
        let mut seen = Vec::new();
        for _ in 0..20 {
            let next = std::future::poll_fn(|cx| incoming.as_mut().poll_next(cx)).await;
            let stream: UnixStream = next.expect("it never ends").unwrap();
            seen.extend(stream.read(Vec::with_capacity(1)).await.1);
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..20));
    });
}

#[test]
fn readiness_sees_the_stash_and_the_end() {
    let _alone = alone();
    runtime().block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        b.writable().await.unwrap();
        assert_eq!(poll_and_drop(b.readable()).await.map(drop), Poll::Pending);
        let mut reading = Box::pin(b.read(Vec::with_capacity(4)));
        // The first poll waits for its turn, the second submits.
        for _ in 0..2 {
            assert!(poll_once(reading.as_mut()).await.is_pending());
            turn().await;
        }
        a.write_all(b"word").await.0.unwrap();
        turn().await;
        drop(reading);
        // The socket itself is empty now.
        b.readable().await.unwrap();
        assert_eq!(b.read(Vec::with_capacity(4)).await.1, b"word");
        let mut readable = Box::pin(b.readable());
        assert!(poll_once(readable.as_mut()).await.is_pending());
        turn().await;
        drop(a);
        readable.await.unwrap();
        assert_eq!(b.read(Vec::with_capacity(4)).await.0.unwrap(), 0);
    });
}
