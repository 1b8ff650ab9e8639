//! A connected TCP socket.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;

use super::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use super::{IntoStdError, connect};
use crate::lane::Direction;
use crate::net::ToSocketAddrs;
use crate::net::addr::{addresses, resolve};
use crate::socket::Socket;
use crate::stream::{transfers_read, transfers_write};

/// A TCP connection.
///
/// Its transfers take `&self`, so that one task can read while another writes. Transfers in the same direction happen one
/// after the other, first come, first served: two `write_all` never mix their bytes, and a read waits for the one before.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # async fn request() -> std::io::Result<()> {
/// use camshaft::net::TcpStream;
///
/// let stream = TcpStream::connect("127.0.0.1:8080").await?;
/// let (written, _) = stream.write_all(b"ping").await;
/// written?;
/// let (read, buf) = stream.read(Vec::with_capacity(1024)).await;
/// println!("{} bytes: {:?}", read?, buf);
/// # Ok(())
/// # }
/// ```
pub struct TcpStream {
    socket: Rc<Socket>,
}

impl TcpStream {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self::of(Socket::new(fd))
    }

    pub(super) fn of(socket: Rc<Socket>) -> Self {
        Self { socket }
    }

    pub(crate) fn socket(&self) -> &Rc<Socket> {
        &self.socket
    }

    /// Connects to the first address that answers.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`, `TimedOut` (after the system's own limit, minutes; wrap it in a `timeout` for less),
    /// `NetworkUnreachable`, and those of [`lookup_host`](crate::net::lookup_host). With several addresses the error of the last.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// The connection attempt is given up and the socket closed.
    pub fn connect(address: impl ToSocketAddrs) -> impl Future<Output = io::Result<Self>> {
        let addresses = addresses(address);
        async move {
            let mut last = io::ErrorKind::InvalidInput.into();
            for address in resolve(addresses).await? {
                match connect::connect(address).await {
                    Ok(fd) => return Ok(Self::new(fd)),
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
    }

    /// Splits the stream into halves that borrow it.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::borrowed(self)
    }

    /// Splits the stream into halves that own it together, for two tasks. Dropping the write half shuts writing down;
    /// [`OwnedReadHalf::reunite`] makes a stream of them again.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split::owned(&self.socket)
    }

    /// The address of this side.
    ///
    /// # Errors
    ///
    /// What `getsockname` reports.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The address of the other side.
    ///
    /// # Errors
    ///
    /// What `getpeername` reports: `NotConnected` after a reset, for example.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Sets `TCP_NODELAY`: small writes go out at once instead of waiting for the acknowledgement of earlier ones.
    ///
    /// # Errors
    ///
    /// What `setsockopt` reports.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        SockRef::from(self).set_tcp_nodelay(nodelay)
    }

    /// Whether `TCP_NODELAY` is set.
    ///
    /// # Errors
    ///
    /// What `getsockopt` reports.
    pub fn nodelay(&self) -> io::Result<bool> {
        SockRef::from(self).tcp_nodelay()
    }

    /// Sets `SO_LINGER`. With a duration of zero the connection is reset when it is closed.
    ///
    /// # Errors
    ///
    /// What `setsockopt` reports.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        SockRef::from(self).set_linger(linger)
    }

    /// The duration of `SO_LINGER`, if it is set.
    ///
    /// # Errors
    ///
    /// What `getsockopt` reports.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(self).linger()
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

    /// Takes the pending error of the socket (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// What `getsockopt` reports.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        SockRef::from(self).take_error()
    }

    /// Takes over a stream of std, and makes it blocking, which is what the ring needs.
    ///
    /// # Errors
    ///
    /// What `fcntl` reports.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        Ok(Self::new(stream.into()))
    }

    /// Turns it into a stream of std, which is blocking.
    ///
    /// # Errors
    ///
    /// If bytes are stashed that a dropped read had received: read them first. The stream comes back with the error.
    pub fn into_std(self) -> Result<std::net::TcpStream, IntoStdError<Self>> {
        self.settle();
        if !self.socket().is_stash_empty() {
            return Err(IntoStdError {
                socket: self,
                error: io::Error::other("received bytes are stashed; read them first"),
            });
        }
        // The descriptor is shared with cancelled operations until they settle, so it is duplicated, not moved.
        match self.socket().fd().try_clone() {
            Ok(fd) => Ok(fd.into()),
            Err(error) => Err(IntoStdError {
                socket: self,
                error,
            }),
        }
    }
}

impl TcpStream {
    fn settle(&self) {
        self.socket.settle(&[Direction::Read, Direction::Write]);
    }
}

impl Drop for TcpStream {
    /// Closes the connection. Transfers that were cancelled are settled first, by entering the kernel without waiting, so
    /// that it is closed now and not some time later.
    fn drop(&mut self) {
        self.settle();
    }
}

transfers_read!(TcpStream);
transfers_write!(TcpStream);

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().fd().as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket().raw()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpStream")
            .field("fd", &self.as_raw_fd())
            .field("local_addr", &self.local_addr().ok())
            .field("peer_addr", &self.peer_addr().ok())
            .finish()
    }
}
