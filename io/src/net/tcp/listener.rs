//! A socket that listens.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

use socket2::SockRef;

use super::accept::{Accept, Listener};
use super::{IntoStdError, TcpStream, connect};
use crate::net::ToSocketAddrs;
use crate::net::addr::{addresses, resolve};
use crate::op::Op;
use crate::socket::to_inet;

/// The longest queue of connections that wait to be accepted; the system may cut it (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// A TCP socket that listens for connections.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # async fn serve() -> std::io::Result<()> {
/// use camshaft::net::TcpListener;
///
/// let listener = TcpListener::bind("127.0.0.1:8080").await?;
/// loop {
///     match listener.accept().await {
///         Ok((stream, peer)) => println!("{peer} is here: {stream:?}"),
///         Err(error) => eprintln!("a connection was not accepted: {error}"),
///     }
/// }
/// # }
/// ```
pub struct TcpListener {
    shared: Rc<Listener>,
}

impl TcpListener {
    /// Binds to the first address that can be bound, and listens. Sets `SO_REUSEADDR`, as std does.
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
        let addresses = addresses(address);
        async move {
            let mut last = io::ErrorKind::InvalidInput.into();
            for address in resolve(addresses).await? {
                match Self::listen(address) {
                    Ok(listener) => return Ok(listener),
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
    }

    fn listen(address: SocketAddr) -> io::Result<Self> {
        let fd = connect::socket(address)?;
        let socket = SockRef::from(&fd);
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self::new(fd))
    }

    fn new(fd: OwnedFd) -> Self {
        Self {
            shared: Listener::new(fd),
        }
    }

    /// Accepts a connection.
    ///
    /// # Errors
    ///
    /// What the system reports. With no descriptor left (`EMFILE`, `ENFILE`) the connection stays in the queue and the
    /// listener lives on; the next accept then waits 20 ms first, so that a loop that ignores the error does not spin.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: a connection that was accepted all the same is what the next accept returns. Accepts of one listener happen one
    /// after the other, first come, first served.
    pub fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + use<'_> {
        Op::new(Accept::new(&self.shared))
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    ///
    /// What `getsockname` reports.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        to_inet(SockRef::from(self).local_addr()?)
    }

    /// Sets the time to live of packets (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// What `setsockopt` reports.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        SockRef::from(self).set_ttl_v4(ttl)
    }

    /// The time to live of packets (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// What `getsockopt` reports.
    pub fn ttl(&self) -> io::Result<u32> {
        SockRef::from(self).ttl_v4()
    }

    /// Takes over a listener of std, and makes it blocking, which is what the ring needs.
    ///
    /// # Errors
    ///
    /// What `fcntl` reports.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(false)?;
        Ok(Self::new(listener.into()))
    }

    /// Turns it into a listener of std, which is blocking.
    ///
    /// # Errors
    ///
    /// If connections are stashed that a dropped accept brought: accept them first. The listener comes back with the
    /// error.
    pub fn into_std(self) -> Result<std::net::TcpListener, IntoStdError<Self>> {
        self.shared.settle();
        if !self.shared.is_stash_empty() {
            return Err(IntoStdError {
                socket: self,
                error: io::Error::other("accepted connections are stashed; accept them first"),
            });
        }
        // The descriptor is shared with cancelled operations until they settle, so it is duplicated, not moved.
        match self.shared.fd.try_clone() {
            Ok(fd) => Ok(fd.into()),
            Err(error) => Err(IntoStdError {
                socket: self,
                error,
            }),
        }
    }
}

impl Drop for TcpListener {
    /// Closes the socket. Accepts that were cancelled but not yet given up by the kernel are settled first, so that the
    /// address is free.
    fn drop(&mut self) {
        self.shared.settle();
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.fd.as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.shared.fd.as_raw_fd()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener")
            .field("fd", &self.as_raw_fd())
            .field("local_addr", &self.local_addr().ok())
            .finish()
    }
}
