//! What the scenarios of sockets share: names for Unix sockets, and receives of whole messages by every kind of socket.

use std::fs;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use camshaft::net::{UdpSocket, UnixDatagram, UnixSeqpacket};

/// A number that no other call in this process gives.
fn unique() -> usize {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// A directory for socket files, which goes with what is in it.
#[derive(Debug)]
pub struct SocketDir(PathBuf);

impl SocketDir {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("camshaft-{}-{}", process::id(), unique()));
        fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for SocketDir {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// An abstract address that nobody uses.
pub fn abstract_addr() -> UnixAddr {
    let name = format!("camshaft-{}-{}", process::id(), unique());
    UnixAddr::from_abstract_name(name).expect("a short name")
}

/// The room of the buffers that [`Kind::begin`] receives into.
pub const ROOM: usize = 64;

/// A socket of whole messages, of any kind, and one of std that sends to it.
#[derive(Debug)]
pub enum Messages {
    Udp(UdpSocket, std::net::UdpSocket),
    Datagram(UnixDatagram, std::os::unix::net::UnixDatagram),
    Seqpacket(UnixSeqpacket, socket2::Socket),
}

pub type Receiving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<u8>>> + 'a>>;

/// A way to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Recv,
    RecvFrom,
    RecvSegmented,
    Peek,
    PeekFrom,
    Readable,
}

impl Way {
    pub const ALL: [Self; 6] = [
        Self::Recv,
        Self::RecvFrom,
        Self::RecvSegmented,
        Self::Peek,
        Self::PeekFrom,
        Self::Readable,
    ];

    /// Whether it takes what it returns.
    pub fn takes(self) -> bool {
        matches!(self, Self::Recv | Self::RecvFrom | Self::RecvSegmented)
    }
}

fn v4(address: SocketAddr) -> u16 {
    address.port()
}

impl Messages {
    pub fn udp() -> Self {
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
        peer.connect(socket.local_addr().expect("bound"))
            .expect("a route");
        Self::Udp(UdpSocket::from_std(socket).expect("a socket"), peer)
    }

    pub fn all() -> [Self; 3] {
        let (a, b) = std::os::unix::net::UnixDatagram::pair().expect("a pair");
        let datagram = Self::Datagram(UnixDatagram::from_std(a).expect("a socket"), b);
        let kind = (socket2::Domain::UNIX, socket2::Type::SEQPACKET);
        let (a, b) = socket2::Socket::pair(kind.0, kind.1, None).expect("a pair");
        let seqpacket = Self::Seqpacket(UnixSeqpacket::from_fd(a.into()).expect("a socket"), b);
        [Self::udp(), datagram, seqpacket]
    }

    /// Sends a message to it.
    pub fn send(&self, message: &[u8]) {
        let sent = match self {
            Self::Udp(_, peer) => peer.send(message),
            Self::Datagram(_, peer) => peer.send(message),
            Self::Seqpacket(_, peer) => peer.send(message),
        };
        assert_eq!(sent.expect("the other end lives"), message.len());
    }

    /// Receives, checks the sender where the way tells it, and gives what came.
    pub fn begin(&self, way: Way) -> Receiving<'_> {
        match self {
            Self::Udp(socket, peer) => Box::pin(udp(socket, peer, way)),
            Self::Datagram(socket, _) => Box::pin(datagram(socket, way)),
            Self::Seqpacket(socket, _) => Box::pin(seqpacket(socket, way)),
        }
    }

    /// Receives messages until there is none.
    pub async fn rest(&self) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        while let Poll::Ready(message) = patiently(self.begin(Way::RecvFrom)).await {
            messages.push(message.expect("a message"));
        }
        messages
    }
}

/// The next item of a stream.
pub async fn next<S: futures_core::Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}

/// The next item of a stream, if it is there after some turns of the loop.
pub async fn soon<S: futures_core::Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    patiently(Box::pin(next(stream))).await
}

/// Polls a receive until it is ready, or would stay pending: it may have to wait for its turn, for the submission, and for the
/// answer.
pub async fn patiently<T>(mut receiving: Pin<Box<dyn Future<Output = T> + '_>>) -> Poll<T> {
    for _ in 0..4 {
        let polled = super::poll_once(receiving.as_mut()).await;
        if polled.is_ready() {
            return polled;
        }
        super::turn().await;
    }
    super::poll_once(receiving.as_mut()).await
}

fn buffer() -> Vec<u8> {
    Vec::with_capacity(ROOM)
}

async fn udp(socket: &UdpSocket, peer: &std::net::UdpSocket, way: Way) -> io::Result<Vec<u8>> {
    let expected = peer.local_addr()?;
    let checked = |(n, sender): (usize, SocketAddr)| {
        assert_eq!(v4(sender), v4(expected));
        n
    };
    let (result, buf) = match way {
        Way::Recv => socket.recv(buffer()).await,
        Way::RecvFrom => {
            let (result, buf) = socket.recv_from(buffer()).await;
            (result.map(checked), buf)
        }
        Way::RecvSegmented => {
            let (result, buf) = socket.recv_segmented(buffer()).await;
            (result.map(|it| checked((it.len, it.sender))), buf)
        }
        Way::Peek => socket.peek(buffer()).await,
        Way::PeekFrom => {
            let (result, buf) = socket.peek_from(buffer()).await;
            (result.map(checked), buf)
        }
        Way::Readable => (socket.readable().await.map(|()| 0), Vec::new()),
    };
    assert_eq!(result?, buf.len());
    Ok(buf)
}

async fn datagram(socket: &UnixDatagram, way: Way) -> io::Result<Vec<u8>> {
    let checked = |(n, sender): (usize, UnixAddr)| {
        assert!(sender.is_unnamed());
        n
    };
    let (result, buf) = match way {
        Way::Recv | Way::RecvSegmented => socket.recv(buffer()).await,
        Way::RecvFrom => {
            let (result, buf) = socket.recv_from(buffer()).await;
            (result.map(checked), buf)
        }
        Way::Peek => socket.peek(buffer()).await,
        Way::PeekFrom => {
            let (result, buf) = socket.peek_from(buffer()).await;
            (result.map(checked), buf)
        }
        Way::Readable => (socket.readable().await.map(|()| 0), Vec::new()),
    };
    assert_eq!(result?, buf.len());
    Ok(buf)
}

async fn seqpacket(socket: &UnixSeqpacket, way: Way) -> io::Result<Vec<u8>> {
    let (result, buf) = match way {
        Way::Recv | Way::RecvFrom | Way::RecvSegmented => socket.recv(buffer()).await,
        Way::Peek | Way::PeekFrom => socket.peek(buffer()).await,
        Way::Readable => (socket.readable().await.map(|()| 0), Vec::new()),
    };
    assert_eq!(result?, buf.len());
    Ok(buf)
}

/// Whether a path exists that [`fs::metadata`] can see.
pub fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
