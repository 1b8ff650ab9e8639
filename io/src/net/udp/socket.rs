//! A UDP socket.

use std::borrow::Borrow;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use socket2::{Domain, SockAddr, SockRef, Type};

use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::net::ToSocketAddrs;
use crate::net::addr::{addresses, first, resolve};
use crate::net::connect::socket;
use crate::net::datagram::{Datagrams, Length, Receive, Room, Send, WithSender};
use crate::net::handle::{self, handle, std_conversions};
use crate::net::options::options;
use crate::net::ready::readiness;
use crate::op::Op;
use crate::socket::Socket;

/// A UDP socket.
///
/// Its transfers take `&self`, so that many tasks can use it. Receives happen one after the other, first come, first served;
/// sends do not wait for each other.
///
/// A receive takes one datagram. What does not fit into its buffer is dropped, as with std; a datagram may also be empty, and
/// then `Ok(0)` says so.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # async fn echo() -> std::io::Result<()> {
/// use camshaft::net::UdpSocket;
///
/// let socket = UdpSocket::bind("127.0.0.1:5353").await?;
/// loop {
///     let (received, buf) = socket.recv_from(Vec::with_capacity(2048)).await;
///     let (_, sender) = received?;
///     let (sent, _) = socket.send_to(buf, sender).await;
///     sent?;
/// }
/// # }
/// ```
pub struct UdpSocket {
    pub(super) socket: Rc<Socket<Datagrams>>,
}

impl UdpSocket {
    /// Makes a socket and binds it to the first address that can be bound. Port 0 means one that is free.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `PermissionDenied` (ports below 1024), `AddrNotAvailable`, and those of
    /// [`lookup_host`](crate::net::lookup_host).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime and the address is a name.
    ///
    /// # Cancellation
    ///
    /// Nothing is bound if the future is dropped.
    pub fn bind(address: impl ToSocketAddrs) -> impl Future<Output = io::Result<Self>> {
        let bound = first(addresses(address), async |address| {
            let fd = socket(Domain::for_address(address), Type::DGRAM)?;
            SockRef::from(&fd).bind(&address.into())?;
            Ok(fd)
        });
        async move { bound.await.map(Self::new) }
    }

    fn new(fd: OwnedFd) -> Self {
        Self {
            socket: Socket::new(fd),
        }
    }

    /// Connects it to the first address that can be routed: from now on only that peer's datagrams are received, and
    /// [`send`](Self::send) goes there. Nothing is sent, and nobody need be there.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable`, and those of [`lookup_host`](crate::net::lookup_host).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime and the address is a name.
    ///
    /// # Cancellation
    ///
    /// Nothing has changed if it is dropped before it is ready.
    pub fn connect(&self, address: impl ToSocketAddrs) -> impl Future<Output = io::Result<()>> {
        let addresses = addresses(address);
        async move {
            let socket = SockRef::from(self);
            first(addresses, async |address| socket.connect(&address.into())).await
        }
    }

    /// Sends a datagram to the peer that the socket is connected to. Returns its length.
    ///
    /// # Errors
    ///
    /// `ENOTCONN` or `EDESTADDRREQ` without a peer; `EMSGSIZE` if it is too long; `ConnectionRefused` if an earlier
    /// datagram found nobody.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Weak: the datagram may have been sent, whole.
    pub fn send<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<'_, B> {
        Op::new(Send::new(&self.socket, buf, None, Room::Driver))
    }

    /// Sends a datagram to an address; to the first, if it stands for several. Returns its length.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` if it is too long; `NetworkUnreachable`; `PermissionDenied` for a broadcast address without
    /// [`set_broadcast`](Self::set_broadcast); and those of [`lookup_host`](crate::net::lookup_host).
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
        target: impl ToSocketAddrs,
    ) -> impl Future<Output = BufResult<usize, B>> {
        let addresses = addresses(target);
        async move {
            let target = match resolve(addresses).await {
                Ok(found) => found.map(SockAddr::from).next(),
                Err(error) => return (Err(error), buf),
            };
            Op::new(Send::new(&self.socket, buf, target.as_ref(), Room::Driver)).await
        }
    }

    /// Receives a datagram into the room of a buffer: the spare capacity of a `Vec`, all of a `Box<[u8]>` or a slice. Returns
    /// how much of it that is.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a buffer without room; `ConnectionRefused` if a datagram that was sent before found nobody, which
    /// only a socket that is connected learns.
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

    /// Receives a datagram as [`recv`](Self::recv) does, and tells who sent it.
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

    /// Joins a group of IPv4, on the interface with an address, or on one that the system picks (`0.0.0.0`).
    ///
    /// # Errors
    ///
    /// What `setsockopt` reports: `AddrInUse` for a group that was joined, for example.
    pub fn join_multicast_v4(
        &self,
        group: impl Borrow<Ipv4Addr>,
        interface: impl Borrow<Ipv4Addr>,
    ) -> io::Result<()> {
        SockRef::from(self).join_multicast_v4(group.borrow(), interface.borrow())
    }

    /// Leaves a group of IPv4.
    ///
    /// # Errors
    ///
    /// What `setsockopt` reports: `AddrNotAvailable` for a group that was not joined.
    pub fn leave_multicast_v4(
        &self,
        group: impl Borrow<Ipv4Addr>,
        interface: impl Borrow<Ipv4Addr>,
    ) -> io::Result<()> {
        SockRef::from(self).leave_multicast_v4(group.borrow(), interface.borrow())
    }

    /// Joins a group of IPv6, on the interface with a number, or on one that the system picks (0).
    ///
    /// # Errors
    ///
    /// What `setsockopt` reports.
    pub fn join_multicast_v6(
        &self,
        group: impl Borrow<Ipv6Addr>,
        interface: u32,
    ) -> io::Result<()> {
        SockRef::from(self).join_multicast_v6(group.borrow(), interface)
    }

    /// Leaves a group of IPv6.
    ///
    /// # Errors
    ///
    /// What `setsockopt` reports.
    pub fn leave_multicast_v6(
        &self,
        group: impl Borrow<Ipv6Addr>,
        interface: u32,
    ) -> io::Result<()> {
        SockRef::from(self).leave_multicast_v6(group.borrow(), interface)
    }
}

readiness!(UdpSocket);
handle!(UdpSocket: settle_all);
handle::addresses!(UdpSocket, SocketAddr, peer_addr);
std_conversions!(UdpSocket, std::net::UdpSocket);
options!(
    UdpSocket: broadcast,
    ttl,
    tos,
    multicast_loop_v4,
    multicast_loop_v6,
    multicast_ttl_v4,
    reuseaddr,
    reuseport,
    send_buffer_size,
    recv_buffer_size,
    take_error
);
