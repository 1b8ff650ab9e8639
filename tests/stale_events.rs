//! Events of readiness that mean nothing: of a socket that had the same number, of an error that nobody takes.

mod common;

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::pin;

use camshaft::net::{TcpStream, UdpSocket};
use camshaft::time::{Duration, sleep, timeout};
use common::{alone, half_std, poll_once, runtime, turn};
use socket2::{Domain, SockRef, Socket, Type};

fn stream() -> Socket {
    Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket")
}

/// A listener whose queue is full, so that further connection attempts stay under way, and what fills it.
fn full_listener() -> (Socket, SocketAddr, [Socket; 4]) {
    let listener = stream();
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    listener.bind(&any.into()).expect("a free port");
    listener.listen(0).expect("a bound socket");
    let address = listener.local_addr().expect("a bound socket");
    let fillers = [(); 4].map(|()| {
        let filler = stream();
        filler.set_nonblocking(true).expect("a socket");
        let _ = filler.connect(&address); // the first are accepted, the others wait
        filler
    });
    (listener, address.as_socket().expect("IPv4"), fillers)
}

#[test]
fn the_event_of_a_former_owner_of_the_number_connects_nobody() {
    let _alone = alone();
    runtime().block_on(async {
        let (_listener, address, _fillers) = full_listener();
        let (client, server) = half_std();
        {
            let mut reading = pin!(server.read(Vec::with_capacity(8)));
            assert!(poll_once(reading.as_mut()).await.is_pending());
            turn().await;
        }
        // The same open file under another number, while whoever watched the old one may not know.
        let given = server.into_std().expect("nothing is stashed");
        let mut connecting = pin!(TcpStream::connect(address)); // gets the old number
        assert!(poll_once(connecting.as_mut()).await.is_pending());
        turn().await;
        let reset = SockRef::from(&client).set_linger(Some(Duration::ZERO));
        reset.expect("a socket");
        drop(client);
        sleep(Duration::from_millis(50)).await;
        let connected = poll_once(connecting.as_mut()).await;
        assert!(connected.is_pending(), "{connected:?}");
        drop(given);
    });
}

/// Has errors of a socket queue up, apart from the one that the next call reports.
fn queue_errors(socket: &UdpSocket) {
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads one integer.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_IP,
            libc::IP_RECVERR,
            (&raw const on).cast(),
            size_of_val(&on).try_into().expect("fits"),
        )
    };
    assert_eq!(set, 0);
}

#[test]
fn an_error_that_nobody_takes_does_not_spin() {
    let _alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let closed = peer.local_addr().expect("a bound socket");
        drop(peer);
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        socket.connect(closed).await.expect("no name");
        queue_errors(&socket);
        let _ = socket.send(b"x").await;
        sleep(Duration::from_millis(20)).await;
        let (refused, buf) = socket.recv(Vec::with_capacity(8)).await;
        refused.expect_err("nobody is there");
        let before = runtime.metrics().enters;
        let waited = timeout(Duration::from_millis(200), socket.recv(buf)).await;
        waited.expect_err("nobody sends");
        let enters = runtime.metrics().enters - before;
        assert!(enters < 100, "{enters} enters in 200 ms");
    });
}

#[test]
fn what_comes_after_events_in_vain_is_received() {
    let _alone = alone();
    runtime().block_on(async {
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = peer.local_addr().expect("a bound socket");
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        queue_errors(&socket);
        // An error for somebody else stays in the queue.
        let closed = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let nobody = closed.local_addr().expect("a bound socket");
        drop(closed);
        let _ = socket.send_to(b"x", nobody).await;
        sleep(Duration::from_millis(20)).await;
        let own = socket.local_addr().expect("a bound socket");
        // It is told once, and then reported without end.
        let (refused, mut buf) = socket.recv_from(Vec::with_capacity(8)).await;
        refused.expect_err("nobody is there");
        for _ in 0..5 {
            let mut receiving = pin!(socket.recv_from(buf));
            let early = timeout(Duration::from_millis(30), receiving.as_mut()).await;
            assert!(early.is_err(), "nobody has sent anything: {early:?}");
            peer.send_to(b"late", own).expect("sent");
            let (received, mut back) = receiving.await;
            assert_eq!(received.expect("received"), (4, address));
            assert_eq!(back, b"late");
            back.clear();
            buf = back;
        }
    });
}
