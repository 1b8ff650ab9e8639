//! A connected TCP socket.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use socket2::Type;

use crate::net::ToSocketAddrs;
use crate::net::addr::{addresses, first};
use crate::net::connect::connect;
use crate::net::handle::{self, handle, std_conversions};
use crate::net::options::options;
use crate::net::ready::readiness;
use crate::net::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::socket::Socket;
use crate::stream::{Stream, transfers_read, transfers_write, zero_copy};

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
    socket: Rc<Socket<Stream>>,
}

impl TcpStream {
    pub(in crate::net) fn new(fd: OwnedFd) -> Self {
        Self::of(Socket::new(fd))
    }

    pub(in crate::net) fn of(socket: Rc<Socket<Stream>>) -> Self {
        Self { socket }
    }

    pub(crate) fn socket(&self) -> &Rc<Socket<Stream>> {
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
        let connected = first(addresses(address), async |address| {
            connect(address, Type::STREAM).await
        });
        async move { connected.await.map(Self::new) }
    }

    /// Splits the stream into halves that borrow it.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::borrowed(&self.socket)
    }

    /// Splits the stream into halves that own it together, for two tasks. Dropping the write half shuts writing down;
    /// [`OwnedReadHalf::reunite`] makes a stream of them again.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split::owned(&self.socket)
    }
}

transfers_read!(TcpStream);
transfers_write!(TcpStream);
zero_copy!(TcpStream);
readiness!(TcpStream);
handle!(TcpStream: settle);
handle::addresses!(TcpStream, SocketAddr, peer_addr);
std_conversions!(TcpStream, std::net::TcpStream);
options!(TcpStream: nodelay, quickack, keepalive, linger, ttl, tos, take_error);
