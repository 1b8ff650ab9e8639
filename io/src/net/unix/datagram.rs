//! A Unix datagram socket.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use socket2::{Domain, SockAddr, SockRef, Type};

use super::credentials::credentials;
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::net::connect::socket;
use crate::net::datagram::{Datagrams, Length, Receive, Room, Send, WithSender};
use crate::net::handle::{self, handle, std_conversions};
use crate::net::name::{bound, path_addr, unix_to_system};
use crate::net::options::options;
use crate::net::ready::readiness;
use crate::op::Op;
use crate::socket::Socket;

/// A Unix datagram socket: whole messages between processes of one machine, in order, none lost.
///
/// A receive takes one datagram. What does not fit into its buffer is dropped, as with std; a datagram may also be empty, and
/// then `Ok(0)` says so. Receives happen one after the other, first come, first served; sends do not wait for each other.
///
/// Descriptors can't be sent along. Those that come with a datagram of somebody else are closed; a
/// [`UnixStream`](crate::net::UnixStream) takes them.
///
/// # Examples
///
/// ```
/// # use camshaft_io as camshaft;
/// # async fn both() -> std::io::Result<()> {
/// use camshaft::net::UnixDatagram;
///
/// let (a, b) = UnixDatagram::pair()?;
/// let (sent, _) = a.send(b"ping").await;
/// assert_eq!(sent?, 4);
/// let (received, buf) = b.recv(Vec::with_capacity(64)).await;
/// assert_eq!((received?, &buf[..]), (4, &b"ping"[..]));
/// # Ok(())
/// # }
/// ```
pub struct UnixDatagram {
    socket: Rc<Socket<Datagrams>>,
}

impl UnixDatagram {
    /// Makes a socket file and binds to it. The file stays when the socket goes: remove it, before or after.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if the file exists, be it that of a program that is gone; `InvalidInput` for a path of more than 107 bytes;
    /// `NotFound` and `PermissionDenied` for its directory.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&path_addr(path.as_ref())?)
    }

    /// Binds a new socket to an address, which may be abstract.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        let socket = Self::unbound()?;
        let result = SockRef::from(&socket).bind(&unix_to_system(address)?);
        bound(result, address)?;
        Ok(socket)
    }

    /// A socket without an address. It can send, and receives only what a peer sends that it is connected to.
    ///
    /// # Errors
    ///
    /// What `socket` reports: no descriptor is left, for example.
    pub fn unbound() -> io::Result<Self> {
        socket(Domain::UNIX, Type::DGRAM).map(Self::new)
    }

    /// Two sockets without addresses that are connected to each other.
    ///
    /// # Errors
    ///
    /// What `socketpair` reports: no descriptor is left, for example.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = socket2::Socket::pair(Domain::UNIX, Type::DGRAM, None)?;
        Ok((Self::new(a.into()), Self::new(b.into())))
    }

    fn new(fd: OwnedFd) -> Self {
        Self {
            socket: Socket::new(fd),
        }
    }

    /// Connects it to the socket file of a peer: [`send`](Self::send) goes there, and only his datagrams are received.
    ///
    /// # Errors
    ///
    /// `NotFound`; `ConnectionRefused` if nobody has that address any more; `PermissionDenied`; `InvalidInput` for a path of
    /// more than 107 bytes.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.connect_addr(&path_addr(path.as_ref())?)
    }

    /// Connects it to the address of a peer, which may be abstract.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        SockRef::from(self).connect(&unix_to_system(address)?)
    }

    /// Sends a datagram to the peer that the socket is connected to, and waits while his queue is full. Returns its length.
    ///
    /// # Errors
    ///
    /// `NotConnected`; `EMSGSIZE` if it is too long; `ConnectionRefused` or `ConnectionReset` if the peer is gone.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Weak: the datagram may have been sent, whole.
    pub fn send<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<'_, B> {
        Op::new(Send::new(&self.socket, buf, None, Room::Connected))
    }

    /// Sends a datagram to a socket file, and waits while its queue is full. Returns its length.
    ///
    /// # Errors
    ///
    /// `NotFound`; `ConnectionRefused` if nobody has that address any more; `PermissionDenied`; `EMSGSIZE`; `InvalidInput` for
    /// a path of more than 107 bytes.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Weak: the datagram may have been sent, whole.
    pub fn send_to<B: IoBuf>(
        &self,
        buf: B,
        path: impl AsRef<Path>,
    ) -> impl Future<Output = BufResult<usize, B>> {
        let target = path_addr(path.as_ref()).and_then(|address| unix_to_system(&address));
        self.send_to_system(buf, target)
    }

    /// Sends a datagram to an address, which may be abstract.
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// As [`send_to`](Self::send_to).
    pub fn send_to_addr<B: IoBuf>(
        &self,
        buf: B,
        address: &SocketAddr,
    ) -> impl Future<Output = BufResult<usize, B>> + use<'_, B> {
        self.send_to_system(buf, unix_to_system(address))
    }

    async fn send_to_system<B: IoBuf>(
        &self,
        buf: B,
        target: io::Result<SockAddr>,
    ) -> BufResult<usize, B> {
        match target {
            Ok(target) => {
                Op::new(Send::new(&self.socket, buf, Some(&target), Room::Elsewhere)).await
            }
            Err(error) => (Err(error), buf),
        }
    }

    /// Receives a datagram into the room of a buffer: the spare capacity of a `Vec`, all of a `Box<[u8]>` or a slice. Returns
    /// how much of it that is.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a buffer without room; `ConnectionReset` if the peer of a connected socket is gone.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: a datagram that a dropped receive took is what the next receive of any kind gets, with its sender, as far as
    /// it fitted into the buffer of the dropped one.
    pub fn recv<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<usize, B>> + use<'_, B> {
        Op::new(Receive::<B, Length>::new(&self.socket, buf, false))
    }

    /// Receives a datagram as [`recv`](Self::recv) does, and tells who sent it: an address without a name, if he has none.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancellation
    ///
    /// Strict, as [`recv`](Self::recv).
    pub fn recv_from<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<(usize, SocketAddr), B>> + use<'_, B> {
        Op::new(Receive::<B, WithSender<_>>::new(&self.socket, buf, false))
    }

    /// Receives a datagram as [`recv`](Self::recv) does, and leaves it to the next receive.
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

    /// Receives a datagram as [`recv_from`](Self::recv_from) does, and leaves it to the next receive.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancellation
    ///
    /// Strict.
    pub fn peek_from<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<(usize, SocketAddr), B>> + use<'_, B> {
        Op::new(Receive::<B, WithSender<_>>::new(&self.socket, buf, true))
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

readiness!(UnixDatagram);
credentials!(UnixDatagram);
handle!(UnixDatagram: settle_all);
handle::addresses!(UnixDatagram, SocketAddr, peer_addr);
std_conversions!(UnixDatagram, std::os::unix::net::UnixDatagram);
options!(UnixDatagram: send_buffer_size, recv_buffer_size, take_error);
