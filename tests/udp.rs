//! UDP: who gets which datagram, what is cut off, what an error is, and the options.

mod common;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use camshaft::net::UdpSocket;
use camshaft::task::JoinSet;
use common::{alone, poll_once, runtime, small_runtime, turn};
use socket2::SockRef;

async fn bound() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}

/// Two sockets that are connected to each other.
async fn connected() -> (UdpSocket, UdpSocket) {
    let (a, address) = bound().await;
    let (b, peer) = bound().await;
    a.connect(peer).await.expect("a route");
    b.connect(address).await.expect("a route");
    (a, b)
}

async fn recv(socket: &UdpSocket) -> Vec<u8> {
    let (result, buf) = socket.recv(Vec::with_capacity(2048)).await;
    assert_eq!(result.expect("a datagram"), buf.len());
    buf
}

async fn send(socket: &UdpSocket, bytes: &[u8]) {
    let (result, _) = socket.send(bytes.to_vec()).await;
    assert_eq!(result.expect("sent"), bytes.len());
}

#[test]
fn datagrams_are_answered() {
    let _alone = alone();
    runtime().block_on(async {
        let (server, address) = bound().await;
        let (client, from) = bound().await;
        let (sent, _) = client.send_to(b"ping", address).await;
        assert_eq!(sent.unwrap(), 4);
        let (received, buf) = server.recv_from(Vec::with_capacity(16)).await;
        assert_eq!((received.unwrap(), &buf[..]), ((4, from), &b"ping"[..]));
        // To whatever an address can be written as; a name is looked up.
        for _ in 0..2 {
            server
                .send_to(buf.clone(), ("localhost", from.port()))
                .await
                .0
                .unwrap();
            server
                .send_to(buf.clone(), from.to_string())
                .await
                .0
                .unwrap();
            assert_eq!(recv(&client).await, b"ping");
            assert_eq!(recv(&client).await, b"ping");
        }
    });
}

#[test]
fn a_connected_socket_hears_only_its_peer() {
    let _alone = alone();
    runtime().block_on(async {
        let (a, b) = connected().await;
        let (stranger, _) = bound().await;
        let here = b.local_addr().unwrap();
        assert_eq!(a.peer_addr().unwrap(), here);
        stranger.send_to(b"noise", here).await.0.unwrap();
        send(&a, b"one").await;
        let (peeked, buf) = b.peek_from(Vec::with_capacity(2)).await;
        assert_eq!(
            (peeked.unwrap(), &buf[..]),
            ((2, a.local_addr().unwrap()), &b"on"[..])
        );
        assert_eq!(recv(&b).await, b"one");
        // Without a peer there is nowhere to send to.
        let (sent, buf) = stranger.send(b"who?").await;
        assert_eq!(sent.unwrap_err().raw_os_error(), Some(libc::EDESTADDRREQ));
        assert_eq!(buf, b"who?");
        assert_eq!(
            stranger.peer_addr().unwrap_err().kind(),
            ErrorKind::NotConnected
        );
    });
}

#[test]
fn what_does_not_fit_is_dropped_and_an_empty_one_is_no_end() {
    let _alone = alone();
    runtime().block_on(async {
        let (a, b) = connected().await;
        send(&a, b"abcdef").await;
        send(&a, b"").await;
        send(&a, b"ghi").await;
        let (cut, buf) = b.recv(vec![0; 4].into_boxed_slice()).await;
        assert_eq!((cut.unwrap(), &buf[..]), (4, &b"abcd"[..]));
        assert_eq!(recv(&b).await, b"");
        assert_eq!(recv(&b).await, b"ghi");
        let (refused, _) = b.recv(Vec::new()).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
        let (too_long, _) = a.send(vec![0; 70_000]).await;
        assert_eq!(too_long.unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
    });
}

#[test]
fn a_refusal_reaches_whoever_is_connected() {
    let _alone = alone();
    runtime().block_on(async {
        let (a, b) = connected().await;
        drop(b);
        send(&a, b"anybody?").await;
        let (received, _) = a.recv(Vec::with_capacity(16)).await;
        assert_eq!(received.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        // A receive that waits hears it, too, and so does the next one if it is dropped.
        for dropped in [false, true] {
            let mut receiving = Box::pin(a.recv(Vec::with_capacity(16)));
            assert!(poll_once(receiving.as_mut()).await.is_pending());
            turn().await;
            send(&a, b"anybody?").await;
            turn().await;
            if dropped {
                drop(receiving);
                receiving = Box::pin(a.recv(Vec::with_capacity(16)));
            }
            let (received, _) = receiving.await;
            assert_eq!(received.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        }
        send(&a, b"anybody?").await;
        turn().await;
        let (sent, _) = a.send(b"anybody?").await;
        assert_eq!(sent.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn thousands_of_datagrams_arrive_in_order() {
    let _alone = alone();
    for runtime in [runtime(), small_runtime()] {
        runtime.block_on(async {
            let (a, b) = connected().await;
            let a = Rc::new(a);
            for batch in 0..100_u32 {
                let sender = a.clone();
                let sending = camshaft::spawn(async move {
                    for n in batch * 50..(batch + 1) * 50 {
                        send(&sender, &n.to_be_bytes()).await;
                    }
                });
                for n in batch * 50..(batch + 1) * 50 {
                    assert_eq!(recv(&b).await, n.to_be_bytes());
                }
                sending.await.unwrap();
            }
        });
    }
}

#[test]
fn receives_at_once_are_served_in_the_order_of_asking() {
    let _alone = alone();
    runtime().block_on(async {
        let (a, b) = connected().await;
        let mut receiving: Vec<_> = (0..5).map(|_| Box::pin(recv(&b))).collect();
        for receiving in &mut receiving {
            assert!(poll_once(receiving.as_mut()).await.is_pending());
        }
        // One in the middle leaves the line.
        drop(receiving.remove(2));
        for n in 0..4_u8 {
            send(&a, &[n]).await;
        }
        for (n, receiving) in (0..).zip(receiving) {
            assert_eq!(receiving.await, [n]);
        }
    });
}

#[test]
fn tasks_send_at_the_same_time() {
    let _alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (a, b) = connected().await;
        let a = Rc::new(a);
        let mut senders = JoinSet::new();
        for n in 0..100_u8 {
            let a = a.clone();
            senders.spawn(async move { send(&a, &[n]).await });
        }
        let mut seen = Vec::new();
        for _ in 0..100 {
            seen.extend(recv(&b).await);
        }
        while let Some(sent) = senders.join_next().await {
            sent.unwrap();
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..100));
    });
}

#[test]
fn a_socket_goes_from_one_runtime_to_the_next_and_to_std() {
    let _alone = alone();
    let (a, b) = runtime().block_on(connected());
    runtime().block_on(async {
        send(&a, b"one").await;
        assert_eq!(recv(&b).await, b"one");
        // It becomes one of std only without a stash.
        let mut receiving = Box::pin(recv(&b));
        assert!(poll_once(receiving.as_mut()).await.is_pending());
        send(&a, b"two").await;
        turn().await;
        drop(receiving);
    });
    let error = b.into_std().expect_err("a datagram is stashed");
    assert!(error.to_string().contains("receive it first"), "{error}");
    let b = error.inner;
    assert_eq!(runtime().block_on(recv(&b)), b"two");
    let (a, b) = (a.into_std().unwrap(), b.into_std().unwrap());
    a.set_nonblocking(true).unwrap();
    let b = UdpSocket::from_std(b).unwrap();
    let a = UdpSocket::from_std(a).unwrap();
    runtime().block_on(async {
        send(&a, b"three").await;
        assert_eq!(recv(&b).await, b"three");
    });
    let b = b.into_std().unwrap();
    assert!(!SockRef::from(&b).nonblocking().unwrap(), "std waits again");
}

#[test]
fn readiness_takes_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        let (a, b) = connected().await;
        a.writable().await.unwrap();
        let mut readable = pin!(b.readable());
        assert!(poll_once(readable.as_mut()).await.is_pending());
        send(&a, b"one").await;
        readable.await.unwrap();
        b.readable().await.unwrap();
        assert_eq!(recv(&b).await, b"one");
        turn().await;
        assert_eq!(
            common::poll_and_drop(b.readable()).await.map(drop),
            Poll::Pending
        );
    });
}

#[test]
fn options_are_those_of_the_system() {
    let _alone = alone();
    runtime().block_on(async {
        let (socket, address) = bound().await;
        let (error, _) = socket.send_to(b"all", "255.255.255.255:9").await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::PermissionDenied);
        let raw = SockRef::from(&socket);
        socket.set_broadcast(true).unwrap();
        assert!(socket.broadcast().unwrap() && raw.broadcast().unwrap());
        socket.set_ttl(7).unwrap();
        assert_eq!((socket.ttl().unwrap(), raw.ttl_v4().unwrap()), (7, 7));
        socket.set_tos(16).unwrap();
        assert_eq!((socket.tos().unwrap(), raw.tos_v4().unwrap()), (16, 16));
        socket.set_multicast_ttl_v4(3).unwrap();
        assert_eq!(
            (
                socket.multicast_ttl_v4().unwrap(),
                raw.multicast_ttl_v4().unwrap()
            ),
            (3, 3)
        );
        socket.set_multicast_loop_v4(false).unwrap();
        assert!(!socket.multicast_loop_v4().unwrap() && !raw.multicast_loop_v4().unwrap());
        socket.set_recv_buffer_size(8192).unwrap();
        assert_eq!(
            socket.recv_buffer_size().unwrap() as usize,
            raw.recv_buffer_size().unwrap()
        );
        socket.set_reuseport(true).unwrap();
        let other =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        other.set_reuse_port(true).unwrap();
        other.bind(&address.into()).unwrap();
        assert!(socket.take_error().unwrap().is_none());
        let taken = UdpSocket::bind(address).await.unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn over_ipv6_too() {
    let _alone = alone();
    runtime().block_on(async {
        let Ok(a) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await else {
            return eprintln!("this machine has no IPv6");
        };
        let b = UdpSocket::bind("[::1]:0").await.unwrap();
        a.set_tos(32).unwrap();
        assert_eq!(SockRef::from(&a).tclass_v6().unwrap(), a.tos().unwrap());
        a.send_to(b"six", b.local_addr().unwrap()).await.0.unwrap();
        let (received, buf) = b.recv_from(Vec::with_capacity(8)).await;
        assert_eq!(
            (received.unwrap(), &buf[..]),
            ((3, a.local_addr().unwrap()), &b"six"[..])
        );
        b.set_multicast_loop_v6(true).unwrap();
        assert!(b.multicast_loop_v6().unwrap());
        // The interface of the loopback is the first.
        let group = Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 0x1234);
        b.join_multicast_v6(group, 1).unwrap();
        b.leave_multicast_v6(group, 1).unwrap();
    });
}

#[test]
fn a_group_hears_what_is_sent_to_it() {
    let _alone = alone();
    runtime().block_on(async {
        let group = Ipv4Addr::new(239, 255, 7, 7);
        let listener = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        listener
            .join_multicast_v4(group, Ipv4Addr::LOCALHOST)
            .unwrap();
        let again = listener.join_multicast_v4(group, Ipv4Addr::LOCALHOST);
        assert_eq!(again.unwrap_err().kind(), ErrorKind::AddrInUse);
        let (sender, _) = bound().await;
        SockRef::from(&sender)
            .set_multicast_if_v4(&Ipv4Addr::LOCALHOST)
            .unwrap();
        sender
            .send_to(b"all of you", (group, port))
            .await
            .0
            .unwrap();
        assert_eq!(recv(&listener).await, b"all of you");
        listener
            .leave_multicast_v4(group, Ipv4Addr::LOCALHOST)
            .unwrap();
    });
}
