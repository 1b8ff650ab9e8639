//! A TCP socket that neither listens nor is connected yet.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use socket2::{Domain, SockRef, Type};

use super::{TcpListener, TcpStream};
use crate::net::connect::{connect_socket, socket};
use crate::net::name::local_addr;
use crate::net::options::options;

/// A TCP socket before it listens or connects, for options that have to be set by then.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # fn listen() -> std::io::Result<camshaft::net::TcpListener> {
/// use camshaft::net::TcpSocket;
///
/// let socket = TcpSocket::new_v4()?;
/// socket.set_reuseaddr(true)?;
/// socket.set_reuseport(true)?;
/// socket.bind(([127, 0, 0, 1], 8080).into())?;
/// socket.listen(1024)
/// # }
/// ```
pub struct TcpSocket {
    fd: OwnedFd,
}

impl TcpSocket {
    /// A new socket for IPv4.
    ///
    /// # Errors
    ///
    /// What `socket` reports: no descriptor is left, or the family is not supported.
    pub fn new_v4() -> io::Result<Self> {
        Self::new(Domain::IPV4)
    }

    /// A new socket for IPv6.
    ///
    /// # Errors
    ///
    /// As [`new_v4`](Self::new_v4).
    pub fn new_v6() -> io::Result<Self> {
        Self::new(Domain::IPV6)
    }

    fn new(domain: Domain) -> io::Result<Self> {
        let fd = socket(domain, Type::STREAM)?;
        Ok(Self { fd })
    }

    /// Takes over a socket of std, which need not be connected, whatever its type says.
    ///
    /// # Errors
    ///
    /// What `fcntl` reports.
    pub fn from_std_stream(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        Ok(Self { fd: stream.into() })
    }

    /// Binds it to an address. Unlike [`TcpListener::bind`] it does not set `SO_REUSEADDR`.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `PermissionDenied` (ports below 1024), `AddrNotAvailable`.
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        SockRef::from(self).bind(&address.into())
    }

    /// Listens. `backlog` is the longest queue of connections that wait to be accepted; the system may cut it
    /// (`net.core.somaxconn`).
    ///
    /// # Errors
    ///
    /// What `listen` reports: `AddrInUse`, for example.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        SockRef::from(&self).listen(backlog)?;
        Ok(TcpListener::new(self.fd))
    }

    /// Connects to an address.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::connect`].
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// The connection attempt is given up and the socket closed.
    pub fn connect(self, address: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> {
        let connecting = connect_socket(self.fd, address.into());
        async move { connecting.await.map(TcpStream::new) }
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    ///
    /// What `getsockname` reports.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        local_addr(self)
    }
}

options!(
    TcpSocket: reuseaddr,
    reuseport,
    send_buffer_size,
    recv_buffer_size,
    keepalive,
    nodelay,
    linger,
    ttl,
    tos,
    take_error
);

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for TcpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpSocket")
            .field("fd", &self.as_raw_fd())
            .field("local_addr", &self.local_addr().ok())
            .finish()
    }
}
