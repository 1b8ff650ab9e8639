//! Unix datagrams and seqpacket: names, bounds of messages, queues that are full, and what goes wrong.

mod common;

use std::io::ErrorKind;
use std::net::Shutdown;
use std::pin::pin;
use std::rc::Rc;

use camshaft::net::{UnixDatagram, UnixSeqpacket, UnixSeqpacketListener, UnixStream};
use common::sockets::{SocketDir, abstract_addr, patiently};
use common::{alone, fds, poll_once, runtime, small_runtime, turn, until};
use futures_core::Stream;

async fn recv(socket: &UnixDatagram) -> Vec<u8> {
    let (received, buf) = socket.recv(Vec::with_capacity(64)).await;
    assert_eq!(received.expect("a datagram"), buf.len());
    buf
}

async fn message(socket: &UnixSeqpacket) -> Vec<u8> {
    let (received, buf) = socket.recv(Vec::with_capacity(64)).await;
    assert_eq!(received.expect("a message"), buf.len());
    buf
}

#[test]
fn datagrams_go_to_paths_and_names() {
    let _alone = alone();
    runtime().block_on(async {
        let dir = SocketDir::new();
        let server = UnixDatagram::bind(dir.path("server")).unwrap();
        let client = UnixDatagram::bind(dir.path("client")).unwrap();
        let nameless = UnixDatagram::unbound().unwrap();
        client.send_to(b"ping", dir.path("server")).await.0.unwrap();
        let (received, buf) = server.recv_from(Vec::with_capacity(16)).await;
        let (n, sender) = received.unwrap();
        assert_eq!((n, &buf[..]), (4, &b"ping"[..]));
        assert_eq!(sender.as_pathname(), Some(&*dir.path("client")));
        server.send_to_addr(b"pong", &sender).await.0.unwrap();
        assert_eq!(recv(&client).await, b"pong");
        nameless
            .send_to(b"guess who", dir.path("server"))
            .await
            .0
            .unwrap();
        let (received, _) = server.recv_from(Vec::with_capacity(16)).await;
        assert!(received.unwrap().1.is_unnamed());

        let address = abstract_addr();
        let hidden = UnixDatagram::bind_addr(&address).unwrap();
        nameless.connect_addr(&address).unwrap();
        nameless.send(b"psst").await.0.unwrap();
        assert_eq!(recv(&hidden).await, b"psst");
        hidden
            .send_to(b"what?", dir.path("client"))
            .await
            .0
            .unwrap();
        let (received, _) = client.recv_from(Vec::with_capacity(16)).await;
        assert_eq!(format!("{:?}", received.unwrap().1), format!("{address:?}"));
    });
}

#[test]
fn bounds_are_kept_and_excess_is_dropped() {
    let _alone = alone();
    runtime().block_on(async {
        let (a, b) = UnixDatagram::pair().unwrap();
        for bytes in [&b"abcdef"[..], b"", b"ghi"] {
            assert_eq!(a.send(bytes).await.0.unwrap(), bytes.len());
        }
        let (cut, buf) = b.recv(vec![0; 4].into_boxed_slice()).await;
        assert_eq!((cut.unwrap(), &buf[..]), (4, &b"abcd"[..]));
        assert_eq!(recv(&b).await, b"");
        assert_eq!(recv(&b).await, b"ghi");
        a.shutdown(Shutdown::Write).unwrap();
        let error = a.send(b"late").await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn errors_say_what_to_do() {
    let _alone = alone();
    runtime().block_on(async {
        let dir = SocketDir::new();
        let path = dir.path("socket");
        let socket = UnixDatagram::unbound().unwrap();
        let (error, buf) = socket.send_to(b"kept", &path).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(buf, b"kept");
        assert_eq!(
            socket.connect(&path).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        let bound = UnixDatagram::bind(&path).unwrap();
        let error = UnixDatagram::bind(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains("remove the file"), "{error}");
        socket.connect(&path).unwrap();
        drop(bound);
        let error = socket.send(b"gone").await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let long = "x".repeat(200);
        let (error, _) = socket.send_to(b"far", &long).await;
        assert!(error.unwrap_err().to_string().contains("107"));
        // A stream is no datagram socket.
        let error = UnixSeqpacket::connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        std::fs::remove_file(&path).unwrap();
        let _listener = UnixSeqpacketListener::bind(&path).unwrap();
        let error = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPROTOTYPE));
    });
}

/// How a socket sends to another whose queue is full.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Target {
    Paired,
    Connected,
    Named,
}

#[test]
fn a_send_waits_for_room_and_may_be_dropped_meanwhile() {
    let _alone = alone();
    for runtime in [runtime(), small_runtime()] {
        runtime.block_on(async {
            for target in [Target::Paired, Target::Connected, Target::Named] {
                let dir = SocketDir::new();
                let path = dir.path("full");
                let (a, b) = match target {
                    Target::Paired => UnixDatagram::pair().unwrap(),
                    _ => (
                        UnixDatagram::unbound().unwrap(),
                        UnixDatagram::bind(&path).unwrap(),
                    ),
                };
                if target == Target::Connected {
                    a.connect(&path).unwrap();
                }
                let (a, path) = (&a, &path);
                let send = |n: u32| async move {
                    let bytes = n.to_be_bytes().to_vec();
                    let (sent, _) = match target {
                        Target::Named => a.send_to(bytes, path).await,
                        _ => a.send(bytes).await,
                    };
                    assert_eq!(sent.unwrap(), 4);
                };
                let mut sent = 0;
                while patiently(Box::pin(send(sent))).await.is_ready() {
                    sent += 1;
                }
                assert!(sent > 5, "{target:?}");
                // The last one was dropped while it waited. Another one waits, and goes out when there is room.
                let mut waiting = pin!(send(u32::MAX));
                assert!(poll_once(waiting.as_mut()).await.is_pending());
                turn().await;
                assert!(poll_once(waiting.as_mut()).await.is_pending());
                for n in 0..sent {
                    assert_eq!(recv(&b).await, n.to_be_bytes(), "{target:?}");
                }
                waiting.await;
                assert_eq!(recv(&b).await, u32::MAX.to_be_bytes(), "{target:?}");
            }
        });
    }
}

#[test]
fn sockets_dropped_with_a_send_that_waits_are_closed() {
    let _alone = alone();
    runtime().block_on(async {
        turn().await;
        let before = fds();
        for named in [false, true] {
            let dir = SocketDir::new();
            let b = UnixDatagram::bind(dir.path("full")).unwrap();
            let a = UnixDatagram::unbound().unwrap();
            a.connect(dir.path("full")).unwrap();
            let a = Rc::new(a);
            let send = || async {
                if named {
                    a.send_to(b"x", dir.path("full")).await.0.unwrap();
                } else {
                    a.send(b"x").await.0.unwrap();
                }
            };
            while patiently(Box::pin(send())).await.is_ready() {}
            drop(a);
            until(|| fds() == before + 1).await;
            drop(b);
        }
        until(|| fds() == before).await;
    });
}

#[test]
fn a_connection_keeps_the_bounds_of_messages() {
    let _alone = alone();
    runtime().block_on(async {
        let dir = SocketDir::new();
        let listener = UnixSeqpacketListener::bind(dir.path("socket")).unwrap();
        let client = UnixSeqpacket::connect(dir.path("socket")).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert!(peer.is_unnamed());
        assert_eq!(
            server.local_addr().unwrap().as_pathname(),
            Some(&*dir.path("socket"))
        );
        assert_eq!(server.peer_cred().unwrap(), client.peer_cred().unwrap());
        for bytes in ["one", "two", "and the third"] {
            client.send(bytes).await.0.unwrap();
        }
        assert_eq!(server.peek(Vec::with_capacity(2)).await.1, b"on");
        assert_eq!(message(&server).await, b"one");
        let (cut, buf) = server.recv(vec![0; 1].into_boxed_slice()).await;
        assert_eq!((cut.unwrap(), &buf[..]), (1, &b"t"[..]));
        assert_eq!(message(&server).await, b"and the third");
        let mut waiting = Box::pin(message(&server));
        assert!(poll_once(waiting.as_mut()).await.is_pending());
        turn().await;
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(waiting.await, b"", "the end");
        server.send(b"still").await.0.unwrap();
        assert_eq!(message(&client).await, b"still");
        drop(server);
        let error = client.send(b"x").await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn messages_keep_their_order_when_many_are_sent_at_once() {
    let _alone = alone();
    runtime().block_on(async {
        let (a, b) = UnixSeqpacket::pair().unwrap();
        let a = Rc::new(a);
        let sending: Vec<_> = (0..2000_u32)
            .map(|n| {
                let a = a.clone();
                camshaft::spawn(async move { a.send(n.to_be_bytes().to_vec()).await.0.unwrap() })
            })
            .collect();
        for n in 0..2000_u32 {
            assert_eq!(message(&b).await, n.to_be_bytes());
        }
        for sending in sending {
            sending.await.unwrap();
        }
    });
}

#[test]
fn connections_of_messages_are_a_stream_and_change_hands() {
    let _alone = alone();
    let address = abstract_addr();
    let listener = UnixSeqpacketListener::bind_addr(&address).unwrap();
    let listener = UnixSeqpacketListener::from_fd(listener.into_fd().unwrap()).unwrap();
    let client = runtime()
        .block_on(UnixSeqpacket::connect_addr(&address))
        .unwrap();
    let client = UnixSeqpacket::from_fd(client.into_fd().unwrap()).unwrap();
    runtime().block_on(async {
        let mut incoming = pin!(listener.incoming());
        let next = std::future::poll_fn(|cx| incoming.as_mut().poll_next(cx)).await;
        let server = next.expect("it never ends").unwrap();
        client.writable().await.unwrap();
        client.send(b"hello").await.0.unwrap();
        server.readable().await.unwrap();
        assert_eq!(message(&server).await, b"hello");
        assert_eq!(
            format!("{:?}", client.peer_addr().unwrap()),
            format!("{address:?}")
        );
    });
}

#[test]
fn datagram_sockets_go_over_to_std_and_back() {
    let _alone = alone();
    let (a, b) = std::os::unix::net::UnixDatagram::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    let a = UnixDatagram::from_std(a).unwrap();
    runtime().block_on(async { a.send(b"from here").await.0.unwrap() });
    let mut buf = [0; 16];
    assert_eq!(b.recv(&mut buf).unwrap(), 9);
    let a = a.into_std().unwrap();
    b.send(b"back").unwrap();
    assert_eq!(a.recv(&mut buf).unwrap(), 4);
}
