//! Options of TCP sockets, before and after they are connected, checked against the system's own answers.

mod common;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use camshaft::net::{TcpListener, TcpSocket, TcpStream};
use common::{alone, fds, listener, pair, poll_once, runtime, turn, until};
use socket2::SockRef;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[test]
fn a_socket_listens_and_another_connects_to_it() {
    let _alone = alone();
    runtime().block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(ANY).unwrap();
        let address = socket.local_addr().unwrap();
        let listener = socket.listen(16).unwrap();
        assert_eq!(listener.local_addr().unwrap(), address);
        let client = TcpSocket::new_v4().unwrap();
        client.bind(ANY).unwrap();
        let from = client.local_addr().unwrap();
        let client = client.connect(address).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert_eq!((peer, server.peer_addr().unwrap()), (from, from));
        client.write_all(b"word").await.0.unwrap();
        assert_eq!(common::read_exactly(&server, 4).await, b"word");
    });
}

#[test]
fn sockets_share_a_port_if_all_want_to() {
    let _alone = alone();
    let bound = |share: bool, address| {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseport(share)?;
        assert_eq!(socket.reuseport()?, share);
        socket.bind(address)?;
        let address = socket.local_addr()?;
        socket.listen(16).map(|listener| (listener, address))
    };
    let (first, address) = bound(true, ANY).unwrap();
    let (_second, _) = bound(true, address).unwrap();
    assert_eq!(
        bound(false, address).unwrap_err().kind(),
        ErrorKind::AddrInUse
    );
    drop(first);
}

#[test]
fn options_are_those_of_the_system() {
    let _alone = alone();
    let socket = TcpSocket::new_v4().unwrap();
    let raw = SockRef::from(&socket);
    assert!(!raw.nonblocking().unwrap());
    for on in [true, false] {
        socket.set_reuseaddr(on).unwrap();
        socket.set_keepalive(on).unwrap();
        socket.set_nodelay(on).unwrap();
        assert_eq!(
            (socket.reuseaddr().unwrap(), raw.reuse_address().unwrap()),
            (on, on)
        );
        assert_eq!(
            (socket.keepalive().unwrap(), raw.keepalive().unwrap()),
            (on, on)
        );
        assert_eq!(
            (socket.nodelay().unwrap(), raw.tcp_nodelay().unwrap()),
            (on, on)
        );
    }
    for size in [8192, 65_536] {
        socket.set_send_buffer_size(size).unwrap();
        socket.set_recv_buffer_size(size).unwrap();
        assert_eq!(
            socket.send_buffer_size().unwrap() as usize,
            raw.send_buffer_size().unwrap()
        );
        assert_eq!(
            socket.recv_buffer_size().unwrap() as usize,
            raw.recv_buffer_size().unwrap()
        );
        assert!(
            socket.recv_buffer_size().unwrap() >= size,
            "the system doubles it"
        );
    }
    for linger in [Some(Duration::from_secs(3)), Some(Duration::ZERO), None] {
        socket.set_linger(linger).unwrap();
        assert_eq!(
            (socket.linger().unwrap(), raw.linger().unwrap()),
            (linger, linger)
        );
    }
    socket.set_ttl(9).unwrap();
    socket.set_tos(16).unwrap();
    assert_eq!((socket.ttl().unwrap(), raw.ttl_v4().unwrap()), (9, 9));
    assert_eq!((socket.tos().unwrap(), raw.tos_v4().unwrap()), (16, 16));
    assert!(socket.take_error().unwrap().is_none());
    // Wrong values are the system's errors.
    assert_eq!(
        socket.set_ttl(0).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn a_stream_has_options_too() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = pair().await;
        let raw = SockRef::from(&client);
        for on in [true, false] {
            client.set_nodelay(on).unwrap();
            client.set_keepalive(on).unwrap();
            assert_eq!(
                (client.nodelay().unwrap(), raw.tcp_nodelay().unwrap()),
                (on, on)
            );
            assert_eq!(
                (client.keepalive().unwrap(), raw.keepalive().unwrap()),
                (on, on)
            );
        }
        client.set_quickack(false).unwrap();
        assert_eq!(client.quickack().unwrap(), raw.tcp_quickack().unwrap());
        client.set_tos(8).unwrap();
        assert_eq!(raw.tos_v4().unwrap(), 8);
        // Without lingering the peer gets a reset.
        client.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let (read, _) = server.read(Vec::with_capacity(8)).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn over_ipv6_too() {
    let _alone = alone();
    runtime().block_on(async {
        let Ok(socket) = TcpSocket::new_v6() else {
            return eprintln!("this machine has no IPv6");
        };
        if socket.bind("[::1]:0".parse().unwrap()).is_err() {
            return eprintln!("this machine has no IPv6");
        }
        socket.set_tos(32).unwrap();
        assert_eq!(SockRef::from(&socket).tclass_v6().unwrap(), 32);
        assert_eq!(socket.tos().unwrap(), 32);
        socket.set_ttl(11).unwrap();
        assert_eq!(socket.ttl().unwrap(), 11);
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpSocket::new_v6().unwrap().connect(address).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        let error = TcpSocket::new_v4()
            .unwrap()
            .connect(address)
            .await
            .unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EAFNOSUPPORT));
    });
}

#[test]
fn errors_close_the_socket() {
    let _alone = alone();
    runtime().block_on(async {
        let (taken, address) = listener().await;
        let before = fds();
        let socket = TcpSocket::new_v4().unwrap();
        assert_eq!(
            socket.bind(address).unwrap_err().kind(),
            ErrorKind::AddrInUse
        );
        drop(socket);
        drop(taken);
        let refused = TcpSocket::new_v4()
            .unwrap()
            .connect(address)
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        until(|| fds() == before - 1).await;
        // A connection that is given up, too: nobody answers there.
        let nowhere = "192.0.2.1:9".parse().unwrap();
        let mut connecting = Box::pin(TcpSocket::new_v4().unwrap().connect(nowhere));
        if poll_once(connecting.as_mut()).await.is_pending() {
            turn().await;
        }
        drop(connecting);
        until(|| fds() == before - 1).await;
    });
}

#[test]
fn a_socket_of_std_may_be_configured_first() {
    let _alone = alone();
    runtime().block_on(async {
        let (listener, address) = listener().await;
        let raw = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        raw.set_nonblocking(true).unwrap();
        let socket = TcpSocket::from_std_stream(raw.into()).unwrap();
        let client: TcpStream = socket.connect(address).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        let client = client.into_std().unwrap();
        assert!(!SockRef::from(&client).nonblocking().unwrap());
    });
}

/// Used on a readiness backend, whose listeners are non-blocking, and then on another one.
#[test]
fn a_listener_goes_from_one_runtime_to_the_next() {
    let _alone = alone();
    let build = |backend| {
        camshaft::runtime::Builder::new()
            .backend(backend)
            .build()
            .ok()
    };
    use camshaft::runtime::Backend;
    let runtimes = [Backend::Epoll, Backend::IoUring, Backend::Epoll].map(build);
    let mut listener = None;
    for runtime in runtimes.iter().flatten() {
        runtime.block_on(async {
            let listener = match listener.take() {
                None => TcpListener::bind(ANY).await.unwrap(),
                Some(listener) => listener,
            };
            let address = listener.local_addr().unwrap();
            let mut accepting = Box::pin(listener.accept());
            assert!(poll_once(accepting.as_mut()).await.is_pending());
            turn().await;
            let client = TcpStream::connect(address).await.unwrap();
            let (server, _) = accepting.as_mut().await.unwrap();
            client.write_all(b"word").await.0.unwrap();
            assert_eq!(common::read_exactly(&server, 4).await, b"word");
        });
    }
    drop(listener);
}
