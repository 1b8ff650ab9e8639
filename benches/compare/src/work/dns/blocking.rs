//! Sockets for datagrams that wait inside of a call: the thread waits, or the fiber.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::{Duration, Instant};

use camshaft_probe::poller::or_later;

use crate::models::native::{Epoll, Interest, Policy, Watched};

/// What a look-up needs.
pub(super) trait Datagrams {
    /// Talks to one peer only from now on.
    fn connect(&self, peer: SocketAddr) -> io::Result<()>;

    /// Sends a datagram.
    fn send(&self, message: &[u8]) -> io::Result<()>;

    /// Waits for a datagram; `None` if none comes in time.
    fn recv(&self, buffer: &mut [u8], patience: Duration) -> io::Result<Option<usize>>;
}

/// The thread waits.
pub(super) struct Blocking(UdpSocket);

impl Blocking {
    pub(super) fn new() -> io::Result<Self> {
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map(Self)
    }
}

impl Datagrams for Blocking {
    fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.0.connect(peer)
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        self.0.send(message).map(drop)
    }

    fn recv(&self, buffer: &mut [u8], patience: Duration) -> io::Result<Option<usize>> {
        self.0.set_read_timeout(Some(patience))?;
        or_later(self.0.recv(buffer))
    }
}

/// The native fiber waits.
pub(super) struct Waiting(Watched<UdpSocket>);

impl Waiting {
    pub(super) fn new(epoll: &Rc<Epoll>) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        Ok(Self(Watched::new(epoll, Policy::OneShot, socket)))
    }
}

impl Datagrams for Waiting {
    fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.0.source().connect(peer)
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        let send = |socket: &UdpSocket| socket.send(message).map(drop);
        self.0.retry(Interest::Write, send)
    }

    fn recv(&self, buffer: &mut [u8], patience: Duration) -> io::Result<Option<usize>> {
        let deadline = Instant::now() + patience;
        while self.0.wait(Interest::Read, Some(deadline))? {
            if let Some(count) = or_later(self.0.source().recv(buffer))? {
                return Ok(Some(count));
            }
        }
        Ok(None)
    }
}
