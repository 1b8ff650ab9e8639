//! Connects dropped at every stage: the socket is closed, and the peer sees that it is.

mod common;

use std::io::Read;
use std::net::TcpListener as Listener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::pin::pin;

use camshaft::net::TcpStream;
use camshaft::time::{Duration, timeout};
use common::{alone, fds, poll_and_drop, poll_once, runtime, turn, until};

fn std_listener() -> (Listener, std::net::SocketAddr) {
    let listener = Listener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// A listener whose queue is full: connecting to it waits.
fn full_listener() -> (Listener, Vec<OwnedFd>) {
    let (listener, address) = std_listener();
    // SAFETY: no memory is passed. The queue now holds one connection.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let mut held = Vec::new();
    for _ in 0..4 {
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0) };
        assert!(fd >= 0);
        // SAFETY: a new descriptor that nobody else owns.
        held.push(unsafe { OwnedFd::from_raw_fd(fd) });
        let address = libc::sockaddr_in {
            sin_family: libc::AF_INET.try_into().expect("fits"),
            sin_port: address.port().to_be(),
            sin_addr: libc::in_addr {
                s_addr: u32::from_ne_bytes([127, 0, 0, 1]),
            },
            sin_zero: [0; 8],
        };
        // SAFETY: the kernel reads one address.
        unsafe {
            libc::connect(
                fd,
                (&raw const address).cast(),
                size_of_val(&address).try_into().expect("fits"),
            )
        };
    }
    (listener, held)
}

#[test]
fn a_connect_that_was_never_polled_makes_no_socket() {
    let _alone = alone();
    runtime().block_on(async {
        let (listener, address) = std_listener();
        listener.set_nonblocking(true).expect("a socket");
        let before = fds();
        let connecting = TcpStream::connect(address);
        assert_eq!(fds(), before);
        drop(connecting);
        turn().await;
        assert!(listener.accept().is_err());
    });
}

#[test]
fn a_connect_dropped_before_it_was_submitted_closes_its_socket() {
    let _alone = alone();
    runtime().block_on(async {
        let (_listener, address) = std_listener();
        let before = fds();
        assert!(
            poll_and_drop(TcpStream::connect(address))
                .await
                .is_pending()
        );
        assert!(
            poll_and_drop(TcpStream::connect(address))
                .await
                .is_pending()
        );
        until(|| fds() == before).await;
    });
}

#[test]
fn a_connect_that_completed_unseen_closes_its_socket() {
    let _alone = alone();
    runtime().block_on(async {
        let (listener, address) = std_listener();
        turn().await;
        let before = fds();
        {
            let mut connecting = pin!(TcpStream::connect(address));
            assert!(poll_once(connecting.as_mut()).await.is_pending());
            until(|| {
                listener.set_nonblocking(true).expect("a socket");
                let accepted = listener.accept();
                listener.set_nonblocking(false).expect("a socket");
                accepted.is_ok()
            })
            .await;
        }
        until(|| fds() == before).await;
        // Once more, with the peer's end kept: it sees that the connection is closed.
        let peer = {
            let mut connecting = pin!(TcpStream::connect(address));
            assert!(poll_once(connecting.as_mut()).await.is_pending());
            turn().await;
            listener.accept().expect("connected").0
        };
        turn().await;
        assert_eq!((&peer).read(&mut [0; 1]).expect("the end"), 0);
    });
}

#[test]
fn a_connect_dropped_in_flight_closes_its_socket() {
    let _alone = alone();
    runtime().block_on(async {
        let (listener, _held) = full_listener();
        let address = listener.local_addr().expect("bound");
        turn().await;
        let before = fds();
        for round in 0..20 {
            let mut connecting = Box::pin(TcpStream::connect(address));
            assert!(poll_once(connecting.as_mut()).await.is_pending());
            turn().await;
            assert!(poll_once(connecting.as_mut()).await.is_pending());
            assert_eq!(fds(), before + 1);
            drop(connecting);
            until(|| fds() == before).await;
            if round % 2 == 0 {
                assert!(
                    poll_and_drop(TcpStream::connect(address))
                        .await
                        .is_pending()
                );
            }
        }
        until(|| fds() == before).await;
    });
}

#[test]
fn a_connect_that_times_out_closes_its_socket() {
    let _alone = alone();
    runtime().block_on(async {
        let (listener, _held) = full_listener();
        let address = listener.local_addr().expect("bound");
        turn().await;
        let before = fds();
        let limited = timeout(Duration::from_millis(20), TcpStream::connect(address)).await;
        assert!(limited.is_err(), "the queue is full");
        until(|| fds() == before).await;
    });
}

#[test]
fn a_connect_in_flight_at_teardown_closes_its_socket() {
    let _alone = alone();
    let (listener, _held) = full_listener();
    let address = listener.local_addr().expect("bound");
    let before = fds();
    for _ in 0..10 {
        let runtime = runtime();
        let waiting = runtime.spawn(async move { drop(TcpStream::connect(address).await) });
        runtime.block_on(turn());
        drop(runtime);
        assert_eq!(fds(), before, "closed when the runtime is gone");
        assert!(waiting.is_finished());
    }
}
