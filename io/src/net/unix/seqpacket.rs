//! A connection of whole messages.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use socket2::{Domain, SockRef, Type};

use super::credentials::credentials;
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::net::connect::connect_unix;
use crate::net::datagram::{Datagrams, Length, Receive, Room, Send};
use crate::net::handle::{self, handle, std_conversions};
use crate::net::incoming::incoming;
use crate::net::listen::{Accept, Family, Listening, listen};
use crate::net::name::{bound, path_addr, unix_to_system};
use crate::net::options::options;
use crate::net::ready::readiness;
use crate::op::Op;
use crate::socket::Socket;

/// A Unix connection that keeps the bounds of messages: each receive takes one, in the order in which they were sent.
///
/// What does not fit into the buffer of a receive is dropped. `Ok(0)` means the end of the connection; an empty message looks the
/// same, so send none. Receives happen one after the other, first come, first served, and so do sends.
///
/// Descriptors can't be sent along. Those that come with a message of somebody else are closed; a
/// [`UnixStream`](crate::net::UnixStream) takes them.
///
/// # Examples
///
/// ```
/// # use camshaft_io as camshaft;
/// # async fn both() -> std::io::Result<()> {
/// use camshaft::net::UnixSeqpacket;
///
/// let (a, b) = UnixSeqpacket::pair()?;
/// for message in [&b"one"[..], b"two"] {
///     let (sent, _) = a.send(message).await;
///     sent?;
/// }
/// let (received, buf) = b.recv(Vec::with_capacity(64)).await;
/// assert_eq!((received?, &buf[..]), (3, &b"one"[..]));
/// # Ok(())
/// # }
/// ```
pub struct UnixSeqpacket {
    socket: Rc<Socket<Datagrams>>,
}

impl UnixSeqpacket {
    fn new(fd: OwnedFd) -> Self {
        Self {
            socket: Socket::new(fd),
        }
    }

    /// Connects to the socket file of a [`UnixSeqpacketListener`]. Waits if the listener's queue is full.
    ///
    /// # Errors
    ///
    /// `NotFound`; `ConnectionRefused` if nobody listens; `EPROTOTYPE` if what listens there is of another type;
    /// `PermissionDenied`; `InvalidInput` for a path of more than 107 bytes.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime, and the queue is full.
    ///
    /// # Cancellation
    ///
    /// The connection attempt is given up and the socket closed.
    pub fn connect(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Self>> {
        let address = path_addr(path.as_ref());
        async move { Self::connect_to(&address?).await }
    }

    /// Connects to the address of a listener, which may be abstract.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// As [`connect`](Self::connect).
    pub fn connect_addr(address: &SocketAddr) -> impl Future<Output = io::Result<Self>> + use<> {
        let address = address.clone();
        async move { Self::connect_to(&address).await }
    }

    async fn connect_to(address: &SocketAddr) -> io::Result<Self> {
        let fd = connect_unix(address, Type::SEQPACKET).await?;
        Ok(Self::new(fd))
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// What `socketpair` reports: no descriptor is left, for example.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = socket2::Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
        Ok((Self::new(a.into()), Self::new(b.into())))
    }

    /// Sends a message, and waits while the peer's queue is full. Returns its length.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` or `ConnectionReset` if the peer is gone; `EMSGSIZE` if the message is too long. `SIGPIPE` is never
    /// raised.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Weak: the message may have been sent, whole. If not, it is not sent any more once the next send has begun.
    pub fn send<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<'_, B> {
        Op::new(Send::new(&self.socket, buf, None, Room::Connected).in_order())
    }

    /// Receives a message into the room of a buffer: the spare capacity of a `Vec`, all of a `Box<[u8]>` or a slice. Returns how
    /// much of it that is; 0 at the end of the connection.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a buffer without room; `ConnectionReset` if the peer closed without reading all.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: a message that a dropped receive took is what the next receive gets, as far as it fitted into the buffer of
    /// the dropped one.
    pub fn recv<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<usize, B>> + use<'_, B> {
        Op::new(Receive::<B, Length>::new(&self.socket, buf, false))
    }

    /// Receives a message as [`recv`](Self::recv) does, and leaves it to the next receive.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancellation
    ///
    /// Strict.
    pub fn peek<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<usize, B>> + use<'_, B> {
        Op::new(Receive::<B, Length>::new(&self.socket, buf, true))
    }

    /// Shuts receiving, sending or both down. A system call that never waits.
    ///
    /// # Errors
    ///
    /// What `shutdown` reports.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        SockRef::from(self).shutdown(how)
    }
}

/// A Unix socket that listens for connections of whole messages.
pub struct UnixSeqpacketListener {
    socket: Rc<Socket<Listening>>,
}

/// The family of Unix connections of whole messages.
struct Unix;

impl Family for Unix {
    type Stream = UnixSeqpacket;
    type Address = SocketAddr;

    fn stream(fd: OwnedFd) -> UnixSeqpacket {
        UnixSeqpacket::new(fd)
    }
}

impl UnixSeqpacketListener {
    /// Makes a socket file and listens. The file stays when the listener goes: remove it, before or after.
    ///
    /// # Errors
    ///
    /// As [`UnixListener::bind`](super::UnixListener::bind).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&path_addr(path.as_ref())?)
    }

    /// Binds to an address, which may be abstract, and listens.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        let fd = bound(listen(&unix_to_system(address)?, Type::SEQPACKET), address)?;
        Ok(Self::new(fd))
    }

    fn new(fd: OwnedFd) -> Self {
        Self {
            socket: Socket::new(fd),
        }
    }

    /// Accepts a connection, as [`UnixListener::accept`](super::UnixListener::accept) does.
    ///
    /// # Errors
    ///
    /// What the system reports. With no descriptor left the connection stays in the queue; the next accept then waits 20 ms
    /// first.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: a connection that was accepted all the same is what the next accept returns.
    pub fn accept(
        &self,
    ) -> impl Future<Output = io::Result<(UnixSeqpacket, SocketAddr)>> + use<'_> {
        Op::new(Accept::<Unix>::new(&self.socket))
    }
}

readiness!(UnixSeqpacket);
credentials!(UnixSeqpacket);
handle!(UnixSeqpacket: settle_all);
handle::addresses!(UnixSeqpacket, SocketAddr, peer_addr);
std_conversions!(UnixSeqpacket, OwnedFd, from_fd, into_fd);
options!(UnixSeqpacket: send_buffer_size, recv_buffer_size, take_error);

incoming!(UnixSeqpacketListener, UnixSeqpacket);
handle!(UnixSeqpacketListener: settle);
handle::addresses!(UnixSeqpacketListener, SocketAddr);
std_conversions!(UnixSeqpacketListener, OwnedFd, from_fd, into_fd);
