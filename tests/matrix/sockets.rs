//! Whole messages, accepts, connects and what else makes sockets.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use camshaft::net::{
    TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixSeqpacket,
    UnixSeqpacketListener, UnixStream, lookup_host,
};

use crate::common::arrive;
use crate::common::sockets::{Messages, SocketDir, Way, abstract_addr, next};
use crate::common::tracked::Tracked;
use crate::{Case, Doing, Receiving, Row, rows};

/// Receiving by a way, on a kind of socket: all messages that were sent arrive.
fn receiving(kind: usize, way: Way) -> Case {
    let [a, b, c] = Messages::all();
    let messages = Rc::new(match kind {
        0 => a,
        1 => b,
        _ => c,
    });
    let sent = Rc::new(RefCell::new(Vec::new()));
    let send = {
        let (messages, sent) = (messages.clone(), sent.clone());
        move || {
            let message = format!("message {}", sent.borrow().len()).into_bytes();
            messages.send(&message);
            // Before the next one: UDP promises no order.
            arrive();
            sent.borrow_mut().push(message);
        }
    };
    let begun = messages.clone();
    let last = send.clone();
    Case {
        begin: Box::new(move || {
            let messages = begun.clone();
            Box::pin(async move { drop(messages.begin(way).await) })
        }),
        provoke: Box::new(send),
        check: Box::new(move || {
            last();
            drop(last);
            Box::pin(async move {
                let sent = sent.take();
                let mut received = Vec::new();
                while received.len() < sent.len() {
                    received.push(messages.begin(Way::RecvFrom).await.expect("a message"));
                }
                received.extend(messages.rest().await);
                assert_eq!(received, sent);
            })
        }),
    }
}

macro_rules! receives {
    ($($name:literal, $kind:literal, $way:ident;)+) => {
        vec![$(($name, (|| receiving($kind, Way::$way)) as fn() -> Case)),+]
    };
}

/// Sending: the last message arrives after those that were dropped, of which each came once or not at all.
fn sending<S: 'static>(
    (from, to): (S, S),
    begin: fn(Rc<S>) -> Doing,
    end: fn(Rc<S>) -> Doing,
    receive: fn(Rc<S>) -> Receiving,
) -> Case {
    let (from, to) = (Rc::new(from), Rc::new(to));
    let begun = from.clone();
    Case {
        begin: Box::new(move || begin(begun.clone())),
        provoke: Box::new(|| {}),
        check: Box::new(move || {
            Box::pin(async move {
                end(from).await;
                let mut others = 0;
                loop {
                    let message = receive(to.clone()).await;
                    if message == b"END" {
                        break;
                    }
                    assert!(message.iter().all(|byte| *byte == b'x'));
                    others += 1;
                }
                assert!(others <= 4, "two of two segments at most");
            })
        }),
    }
}

fn message() -> Tracked {
    Tracked::full(vec![b'x'; 300])
}

macro_rules! senders {
    ($make:ident, $type:ty, $pair:expr) => {
        fn $make(begin: fn(Rc<$type>) -> Doing) -> Case {
            sending(
                $pair,
                begin,
                |from| {
                    Box::pin(async move {
                        from.send(Tracked::full(*b"END")).await.0.expect("sent");
                    })
                },
                |to| {
                    Box::pin(async move {
                        let (result, buf) = to.recv(Vec::with_capacity(1000)).await;
                        result.expect("a message");
                        buf
                    })
                },
            )
        }
    };
}

senders!(udp, UdpSocket, {
    let [a, b] = [(); 2].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").expect("a port"));
    let address = |it: &std::net::UdpSocket| it.local_addr().expect("bound");
    a.connect(address(&b)).expect("a route");
    b.connect(address(&a)).expect("a route");
    let socket = |it| UdpSocket::from_std(it).expect("a socket");
    (socket(a), socket(b))
});
senders!(
    datagram,
    UnixDatagram,
    UnixDatagram::pair().expect("a pair")
);
senders!(
    seqpacket,
    UnixSeqpacket,
    UnixSeqpacket::pair().expect("a pair")
);

/// A bound datagram socket that sends to itself: for the sends that name their target.
fn own(begin: fn(Rc<(UnixDatagram, SocketDir)>) -> Doing) -> Case {
    let directory = SocketDir::new();
    let socket = UnixDatagram::bind(directory.path("own")).expect("a socket");
    let own = Rc::new((socket, directory));
    let begun = own.clone();
    Case {
        begin: Box::new(move || begin(begun.clone())),
        provoke: Box::new(|| {}),
        check: Box::new(move || {
            Box::pin(async move {
                let sent = own
                    .0
                    .send_to(Tracked::full(*b"END"), own.1.path("own"))
                    .await;
                sent.0.expect("sent");
                while own.0.recv(Vec::with_capacity(1000)).await.1 != b"END" {}
            })
        }),
    }
}

fn messages() -> Vec<Row> {
    let udp = rows! { udp:
        "net/udp/socket::send" => |it| it.send(message());
        "net/udp/socket::send_to" => |it| {
            let peer = it.peer_addr().expect("connected");
            async move { it.send_to(message(), peer).await }
        };
        "net/udp/segments::send_segmented" => |it| it.send_segmented(message(), 150);
        "net/udp/segments::send_segmented_to" => |it| {
            let peer = it.peer_addr().expect("connected");
            async move { it.send_segmented_to(message(), 300, peer).await }
        };
        "net/ready::writable" => |it| it.writable();
    };
    let datagram = rows! { datagram: "net/unix/datagram::send" => |it| it.send(message()); };
    let seqpacket = rows! { seqpacket: "net/unix/seqpacket::send" => |it| it.send(message()); };
    let own = rows! { own:
        "net/unix/datagram::send_to" => |it| it.0.send_to(message(), it.1.path("own"));
        "net/unix/datagram::send_to_addr" => |it| {
            let address = it.0.local_addr().expect("bound");
            async move { it.0.send_to_addr(message(), &address).await }
        };
    };
    let receives: Vec<Row> = receives! {
        "net/udp/socket::recv", 0, Recv;
        "net/udp/socket::recv_from", 0, RecvFrom;
        "net/udp/socket::peek", 0, Peek;
        "net/udp/socket::peek_from", 0, PeekFrom;
        "net/udp/segments::recv_segmented", 0, RecvSegmented;
        "net/ready::readable", 0, Readable;
        "net/unix/datagram::recv", 1, Recv;
        "net/unix/datagram::recv_from", 1, RecvFrom;
        "net/unix/datagram::peek", 1, Peek;
        "net/unix/datagram::peek_from", 1, PeekFrom;
        "net/unix/seqpacket::recv", 2, Recv;
        "net/unix/seqpacket::peek", 2, Peek;
    };
    [udp, datagram, seqpacket, own, receives].concat()
}

/// Accepting: whoever connects is accepted.
fn accepting<L: 'static>(
    listener: L,
    connect: impl Fn(&L) + 'static,
    begin: fn(Rc<L>) -> Doing,
    accept: fn(Rc<L>) -> Doing,
) -> Case {
    let listener = Rc::new(listener);
    let count = Rc::new(std::cell::Cell::new(0));
    let connect = Rc::new({
        let (listener, count) = (listener.clone(), count.clone());
        move || {
            connect(&listener);
            count.set(count.get() + 1);
        }
    });
    let (last, begun) = (connect.clone(), listener.clone());
    Case {
        begin: Box::new(move || begin(begun.clone())),
        provoke: Box::new(move || connect()),
        check: Box::new(move || {
            last();
            drop(last);
            Box::pin(async move {
                for _ in 0..count.get() {
                    accept(listener.clone()).await;
                }
            })
        }),
    }
}

macro_rules! listeners {
    ($make:ident, $type:ty, $listener:expr, |$it:ident| $connect:expr) => {
        fn $make(begin: fn(Rc<$type>) -> Doing) -> Case {
            let kept = RefCell::new(Vec::new());
            let connect = move |$it: &$type| kept.borrow_mut().push($connect);
            accepting($listener, connect, begin, |listener| {
                Box::pin(async move { drop(listener.accept().await.expect("a connection")) })
            })
        }
    };
}

listeners!(
    tcp,
    TcpListener,
    TcpListener::from_std(std::net::TcpListener::bind("127.0.0.1:0").expect("a port"))
        .expect("a socket"),
    |it| std::net::TcpStream::connect(it.local_addr().expect("bound")).expect("a listener")
);
listeners!(
    unix,
    UnixListener,
    UnixListener::bind_addr(&abstract_addr()).expect("a name"),
    |it| {
        let address = it.local_addr().expect("bound");
        std::os::unix::net::UnixStream::connect_addr(&address).expect("a listener")
    }
);
listeners!(
    packets,
    UnixSeqpacketListener,
    UnixSeqpacketListener::bind_addr(&abstract_addr()).expect("a name"),
    |it| {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::SEQPACKET, None);
        let socket = socket.expect("a socket");
        let fd: &std::os::fd::OwnedFd = &std::os::fd::AsFd::as_fd(it)
            .try_clone_to_owned()
            .expect("a number");
        let address = socket2::SockRef::from(fd).local_addr().expect("bound");
        socket.connect(&address).expect("a listener");
        socket
    }
);

/// What makes a socket of its own.
fn making(begin: fn(SocketAddr) -> Doing) -> Case {
    let listener = Rc::new(std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
    let address = listener.local_addr().expect("bound");
    Case {
        begin: Box::new(move || begin(address)),
        provoke: Box::new(|| {}),
        check: Box::new(move || {
            Box::pin(async move {
                drop(TcpStream::connect(address).await.expect("it listens"));
                drop(listener);
            })
        }),
    }
}

/// A Unix listener beside the operation that connects to it.
async fn with_unix<F: Future>(
    connect: impl FnOnce(std::os::unix::net::SocketAddr, std::path::PathBuf) -> F,
) {
    let directory = SocketDir::new();
    let path = directory.path("socket");
    let listener = UnixListener::bind(&path).expect("a name");
    let address = listener.local_addr().expect("bound");
    drop(connect(address, path).await);
}

async fn with_packets<F: Future>(
    connect: impl FnOnce(std::os::unix::net::SocketAddr, std::path::PathBuf) -> F,
) {
    let directory = SocketDir::new();
    let path = directory.path("socket");
    let _listener = UnixSeqpacketListener::bind(&path).expect("a name");
    let address = std::os::unix::net::SocketAddr::from_pathname(&path).expect("short");
    drop(connect(address, path).await);
}

pub(crate) fn rows() -> Vec<Row> {
    let accepts = [
        rows! { tcp:
            "net/tcp/listener::accept" => |it| it.accept();
            "net/incoming::incoming" => |it| async move { drop(next(&mut it.incoming()).await) };
        },
        rows! { unix:
            "net/unix/listener::accept" => |it| it.accept();
            "net/incoming::incoming" => |it| async move { drop(next(&mut it.incoming()).await) };
        },
        rows! { packets: "net/unix/seqpacket::accept" => |it| it.accept(); },
    ]
    .concat();
    let makers = rows! { making:
        "net/tcp/listener::bind" => |_it| TcpListener::bind("localhost:0");
        "net/tcp/stream::connect" => |it| TcpStream::connect(it);
        "net/tcp/socket::connect" => |it| TcpSocket::new_v4().expect("a socket").connect(it);
        "net/udp/socket::bind" => |_it| UdpSocket::bind("localhost:0");
        "net/udp/socket::connect" => |it| async move {
            let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
            socket.connect(("localhost", it.port())).await
        };
        "net/addr::lookup_host" => |_it| async { drop(lookup_host("localhost:1").await) };
        "net/unix/stream::connect" => |_it| with_unix(|_, path| UnixStream::connect(path));
        "net/unix/stream::connect_addr" => |_it| with_unix(|address, _| UnixStream::connect_addr(&address));
        "net/unix/seqpacket::connect" => |_it| with_packets(|_, path| UnixSeqpacket::connect(path));
        "net/unix/seqpacket::connect_addr" => |_it| with_packets(|address, _| UnixSeqpacket::connect_addr(&address));
    };
    [messages(), accepts, makers].concat()
}
