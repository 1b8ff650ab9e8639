//! A Unix socket that listens.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use socket2::Type;

use super::UnixStream;
use crate::net::handle::{self, handle, std_conversions};
use crate::net::incoming::incoming;
use crate::net::listen::{Accept, Family, Listening, listen};
use crate::net::name::{bound, path_addr, unix_to_system};
use crate::net::options::options;
use crate::op::Op;
use crate::socket::Socket;

/// A Unix socket that listens for connections.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # async fn serve() -> std::io::Result<()> {
/// use camshaft::net::UnixListener;
///
/// let listener = UnixListener::bind("/run/example.socket")?;
/// loop {
///     match listener.accept().await {
///         Ok((stream, _)) => println!("{:?} is here", stream.peer_cred()?),
///         Err(error) => eprintln!("a connection was not accepted: {error}"),
///     }
/// }
/// # }
/// ```
pub struct UnixListener {
    socket: Rc<Socket<Listening>>,
}

/// The family of Unix streams.
struct Unix;

impl Family for Unix {
    type Stream = UnixStream;
    type Address = SocketAddr;

    fn stream(fd: OwnedFd) -> UnixStream {
        UnixStream::new(fd)
    }
}

impl UnixListener {
    /// Makes a socket file and listens. The file stays when the listener goes: remove it, before or after.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if the file exists, be it that of a program that is gone; `InvalidInput` for a path of more than 107 bytes;
    /// `NotFound` and `PermissionDenied` for its directory.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&path_addr(path.as_ref())?)
    }

    /// Binds to an address, which may be abstract, and listens.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        let fd = bound(listen(&unix_to_system(address)?, Type::STREAM), address)?;
        Ok(Self::new(fd))
    }

    fn new(fd: OwnedFd) -> Self {
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
    pub fn accept(&self) -> impl Future<Output = io::Result<(UnixStream, SocketAddr)>> + use<'_> {
        Op::new(Accept::<Unix>::new(&self.socket))
    }
}

incoming!(UnixListener, UnixStream);
handle!(UnixListener: settle);
handle::addresses!(UnixListener, SocketAddr);
std_conversions!(UnixListener, std::os::unix::net::UnixListener);
options!(UnixListener: take_error);
