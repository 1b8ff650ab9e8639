//! Datagrams that the kernel splits and joins: all arrive, in their sizes, also where the kernel does neither.

mod common;

use std::io::ErrorKind;
use std::os::fd::AsRawFd;

use camshaft::net::{Segments, UdpSocket};
use common::sockets::{Messages, Way};
use common::{alone, poll_once, runtime, turn};

async fn pair() -> (UdpSocket, UdpSocket) {
    let a = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let b = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    a.connect(b.local_addr().unwrap()).await.expect("a route");
    b.set_recv_buffer_size(4 << 20).expect("a size");
    (a, b)
}

/// Bytes of which each stretch is different.
fn pattern(len: usize) -> Vec<u8> {
    (0..251).cycle().take(len).collect()
}

/// Datagrams over the loopback can't be split by the kernel on this socket: they carry no check sum.
fn forbid_splitting(socket: &UdpSocket) {
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads one integer.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NO_CHECK,
            (&raw const on).cast(),
            4,
        )
    };
    assert_eq!(set, 0);
}

async fn recv_segments(socket: &UdpSocket) -> (Segments, Vec<u8>) {
    let (received, buf) = socket.recv_segmented(Vec::with_capacity(1 << 16)).await;
    let received = received.expect("datagrams");
    assert_eq!(received.len, buf.len());
    (received, buf)
}

#[test]
fn a_buffer_is_sent_as_datagrams_of_a_size() {
    let _alone = alone();
    runtime().block_on(async {
        for forbidden in [false, true] {
            let (a, b) = pair().await;
            if forbidden {
                forbid_splitting(&a);
            }
            for (len, size) in [
                (5000, 1000),
                (5001, 1000),
                (999, 1000),
                (100, 1),
                (1, 1),
                (150_000, 1400),
            ] {
                let (sent, buf) = a.send_segmented(pattern(len), size).await;
                assert_eq!(sent.unwrap(), len, "{len} {size} {forbidden}");
                for piece in buf.chunks(size) {
                    let (received, part) = b.recv(Vec::with_capacity(2000)).await;
                    assert_eq!((received.unwrap(), &part[..]), (piece.len(), piece));
                }
            }
        }
    });
}

#[test]
fn the_kernel_makes_the_datagrams() {
    let _alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (a, b) = pair().await;
        let before = runtime.metrics().ops_submitted;
        a.send_segmented(pattern(60_000), 1200).await.0.unwrap();
        assert_eq!(runtime.metrics().ops_submitted - before, 1, "all in one");
        forbid_splitting(&a);
        let before = runtime.metrics().ops_submitted;
        a.send_segmented_to(pattern(6000), 1200, b.local_addr().unwrap())
            .await
            .0
            .unwrap();
        assert_eq!(
            runtime.metrics().ops_submitted - before,
            6,
            "one in vain, then each"
        );
    });
}

#[test]
fn datagrams_arrive_joined_with_their_size() {
    let _alone = alone();
    runtime().block_on(async {
        let (a, b) = pair().await;
        assert!(!b.gro().unwrap());
        b.set_gro(true).unwrap();
        assert!(b.gro().unwrap());
        let sender = a.local_addr().unwrap();
        for (len, size) in [(10_000, 1000), (9_500, 1000), (700, 1000), (60_000, 1400)] {
            let (_, sent) = a.send_segmented(pattern(len), size).await;
            let mut received = Vec::new();
            while received.len() < len {
                let (segments, part) = recv_segments(&b).await;
                assert_eq!(segments.sender, sender);
                assert_eq!(segments.segment_size, size.min(part.len()));
                received.extend(part);
            }
            assert_eq!(received, sent);
        }
        a.send(b"alone").await.0.unwrap();
        let (segments, part) = recv_segments(&b).await;
        assert_eq!(
            (segments.len, segments.segment_size, &part[..]),
            (5, 5, &b"alone"[..])
        );
        a.send(b"").await.0.unwrap();
        assert_eq!(recv_segments(&b).await.0.len, 0);
    });
}

#[test]
fn a_dropped_receive_keeps_the_size() {
    let _alone = alone();
    runtime().block_on(async {
        let (a, b) = pair().await;
        b.set_gro(true).unwrap();
        let mut receiving = Box::pin(b.recv(Vec::with_capacity(1 << 16)));
        assert!(poll_once(receiving.as_mut()).await.is_pending());
        let (_, sent) = a.send_segmented(pattern(5000), 1000).await;
        turn().await;
        drop(receiving);
        let (segments, part) = recv_segments(&b).await;
        assert_eq!((segments.segment_size, part), (1000, sent));
    });
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    let _alone = alone();
    runtime().block_on(async {
        let (a, b) = pair().await;
        for size in [0, 65_508, usize::MAX] {
            let (refused, buf) = a.send_segmented(pattern(10), size).await;
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(buf.len(), 10);
        }
        assert_eq!(
            a.send_segmented(Vec::new(), 10).await.0.unwrap(),
            0,
            "no bytes, no datagram"
        );
        // One that is longer than a packet is sent in pieces.
        let (sent, buf) = a.send_segmented(pattern(130_000), 65_000).await;
        assert_eq!(sent.unwrap(), 130_000);
        for piece in buf.chunks(65_000) {
            assert_eq!(b.recv(Vec::with_capacity(1 << 16)).await.1, piece);
        }
    });
}

#[test]
fn an_error_after_some_is_a_short_send() {
    let _alone = alone();
    runtime().block_on(async {
        let (a, b) = pair().await;
        drop(b);
        // The first part finds nobody, which the second one hears of.
        let (sent, _) = a.send_segmented(pattern(130_000), 1000).await;
        let sent = sent.unwrap();
        assert!(sent > 0 && sent < 130_000, "{sent}");
    });
}

#[test]
fn a_plain_socket_receives_segments_of_one() {
    let _alone = alone();
    runtime().block_on(async {
        let socket = Messages::udp();
        socket.send(b"one");
        assert_eq!(socket.begin(Way::RecvSegmented).await.unwrap(), b"one");
    });
}
