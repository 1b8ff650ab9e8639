//! A socket that listens.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use socket2::Type;

use super::TcpStream;
use crate::net::ToSocketAddrs;
use crate::net::addr::{addresses, first};
use crate::net::handle::{self, handle, std_conversions};
use crate::net::incoming::incoming;
use crate::net::listen::{Accept, Family, Listening, listen};
use crate::net::options::options;
use crate::op::Op;
use crate::socket::Socket;

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
    socket: Rc<Socket<Listening>>,
}

/// The family of TCP.
struct Tcp;

impl Family for Tcp {
    type Stream = TcpStream;
    type Address = SocketAddr;

    fn stream(fd: OwnedFd) -> TcpStream {
        TcpStream::new(fd)
    }
}

impl TcpListener {
    /// Binds to the first address that can be bound, and listens. Sets `SO_REUSEADDR`, as std does.
    ///
    /// For other options, or another length of the queue, see [`TcpSocket`](crate::net::TcpSocket).
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
            listen(&address.into(), Type::STREAM)
        });
        async move { bound.await.map(Self::new) }
    }

    pub(super) fn new(fd: OwnedFd) -> Self {
        Self {
            socket: Socket::new(fd),
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
        Op::new(Accept::<Tcp>::new(&self.socket))
    }
}

incoming!(TcpListener, TcpStream);
handle!(TcpListener: settle);
handle::addresses!(TcpListener, SocketAddr);
std_conversions!(TcpListener, std::net::TcpListener);
options!(TcpListener: ttl, take_error);
