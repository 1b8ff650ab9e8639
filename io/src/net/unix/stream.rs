//! A connected Unix stream.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use socket2::Type;

use super::credentials::credentials;
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::net::connect::connect_unix;
use crate::net::handle::{self, handle, std_conversions};
use crate::net::name::path_addr;
use crate::net::options::options;
use crate::net::ready::readiness;
use crate::net::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::op::Op;
use crate::socket::Socket;
use crate::stream::{ReceiveRights, SendRights, Stream, transfers_read, transfers_write};

/// A Unix stream: a connection between two processes of one machine, or within one.
///
/// Its transfers behave as those of a [`TcpStream`](crate::net::TcpStream). It can carry descriptors, too.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # async fn request() -> std::io::Result<()> {
/// use camshaft::net::UnixStream;
///
/// let stream = UnixStream::connect("/run/example.socket").await?;
/// let (written, _) = stream.write_all(b"ping").await;
/// written?;
/// let (read, buf) = stream.read(Vec::with_capacity(1024)).await;
/// println!("{} bytes: {:?}", read?, buf);
/// # Ok(())
/// # }
/// ```
pub struct UnixStream {
    socket: Rc<Socket<Stream>>,
}

impl UnixStream {
    pub(in crate::net) fn new(fd: OwnedFd) -> Self {
        Self::of(Socket::new(fd))
    }

    pub(in crate::net) fn of(socket: Rc<Socket<Stream>>) -> Self {
        Self { socket }
    }

    fn socket(&self) -> &Rc<Socket<Stream>> {
        &self.socket
    }

    /// Connects to the socket file of a listener. Waits if the listener's queue is full.
    ///
    /// # Errors
    ///
    /// `NotFound`; `ConnectionRefused` if nobody listens; `PermissionDenied`; `InvalidInput` for a path of more than 107
    /// bytes.
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
        let fd = connect_unix(address, Type::STREAM).await?;
        Ok(Self::new(fd))
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// What `socketpair` reports: no descriptor is left, for example.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = socket2::Socket::pair(socket2::Domain::UNIX, Type::STREAM, None)?;
        Ok((Self::new(a.into()), Self::new(b.into())))
    }

    /// Writes some bytes, and descriptors with the first of them. Returns how many bytes were written.
    ///
    /// The descriptors are duplicated now, so the caller may close his. The peer gets them with
    /// [`recv_with_fds`](Self::recv_with_fds), and opened for whatever they are opened here.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a buffer without bytes, or for more than 253 descriptors; that the process has no number left to
    /// duplicate them; that too many are on their way and not received (`ETOOMANYREFS`). And as [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Weak: some of the bytes, and then all of the descriptors, may have been sent. Nothing more is sent once the next
    /// write has begun.
    pub fn send_with_fds<B: IoBuf>(
        &self,
        buf: B,
        fds: impl IntoIterator<Item: AsFd>,
    ) -> impl Future<Output = BufResult<usize, B>> {
        Op::new(SendRights::new(&self.socket, buf, fds))
    }

    /// Reads some bytes into the room of a buffer, and takes the descriptors that came with them, at most 253. They are
    /// closed on exec.
    ///
    /// Descriptors come with the byte that they were sent with; a read of another kind that takes this byte closes them.
    ///
    /// # Errors
    ///
    /// If the process has no number left for all of the descriptors: those of this message are closed, and its bytes come with
    /// the next read. And as [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: what a dropped receive brought, bytes and descriptors, comes first in the next one.
    pub fn recv_with_fds<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<(usize, Vec<OwnedFd>), B>> + use<'_, B> {
        Op::new(ReceiveRights::new(&self.socket, buf))
    }

    /// Splits the stream into halves that borrow it.
    pub fn split(&mut self) -> (ReadHalf<'_, Self>, WriteHalf<'_, Self>) {
        split::borrowed(&self.socket)
    }

    /// Splits the stream into halves that own it together, for two tasks. Dropping the write half shuts writing down;
    /// [`OwnedReadHalf::reunite`] makes a stream of them again.
    pub fn into_split(self) -> (OwnedReadHalf<Self>, OwnedWriteHalf<Self>) {
        split::owned(&self.socket)
    }
}

transfers_read!(UnixStream);
transfers_write!(UnixStream);
readiness!(UnixStream);
credentials!(UnixStream);
handle!(UnixStream: settle);
handle::addresses!(UnixStream, SocketAddr, peer_addr);
std_conversions!(UnixStream, std::os::unix::net::UnixStream);
options!(UnixStream: take_error);
