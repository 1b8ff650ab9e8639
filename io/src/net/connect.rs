//! The operation that connects a socket.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::SocketAddr as UnixAddr;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket as Raw, Type};

use super::name::unix_to_system;
use crate::driver::{Completion, Request};
use crate::op::{Op, Operation, Step};
use crate::pause::{SHORT, pause};

/// Connects a new internet socket to an address.
pub(super) async fn connect(address: impl Into<SockAddr>, kind: Type) -> io::Result<OwnedFd> {
    let address = address.into();
    let fd = socket(address.domain(), kind)?;
    connect_socket(fd, address).await
}

/// Connects a new Unix socket to an address.
///
/// That is done at once, or has to wait because the listener's queue is full, of which no event tells the end. Asked to wait
/// for it, the ring tries a hundred times and then keeps a thread waiting, and a cancellation in between gets lost. So the
/// system call is made here, and repeated after a pause.
pub(super) async fn connect_unix(address: &UnixAddr, kind: Type) -> io::Result<OwnedFd> {
    let address = unix_to_system(address)?;
    let fd = socket(Domain::UNIX, kind.nonblocking())?;
    let socket = SockRef::from(&fd);
    while let Err(error) = socket.connect(&address) {
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EAGAIN) => pause(&SHORT).await?,
            _ => return Err(error),
        }
    }
    socket.set_nonblocking(false)?;
    Ok(fd)
}

/// Connects a socket to an address.
pub(super) fn connect_socket(
    fd: OwnedFd,
    address: SockAddr,
) -> impl Future<Output = io::Result<OwnedFd>> {
    Op::new(Connect {
        fd,
        address: Box::new(address),
    })
}

/// A new socket: blocking, as the ring wants it, and close-on-exec.
pub(super) fn socket(domain: Domain, kind: Type) -> io::Result<OwnedFd> {
    let protocol = match (domain, kind) {
        (Domain::UNIX, _) => None,
        (_, Type::STREAM) => Some(Protocol::TCP),
        _ => Some(Protocol::UDP),
    };
    Raw::new(domain, kind, protocol).map(OwnedFd::from)
}

struct Connect {
    fd: OwnedFd,
    address: Box<SockAddr>,
}

// SAFETY: OWNED: the request points to the address, which lies in a box.
unsafe impl Operation for Connect {
    type Output = io::Result<OwnedFd>;

    fn request(&mut self) -> Request {
        Request::Connect {
            fd: self.fd.as_raw_fd(),
            address: self.address.as_ptr().cast(),
            len: self.address.len(),
        }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        match completion.value() {
            Ok(_) => Step::Done(Ok(self.fd)),
            // A signal interrupted the wait; the connection goes on and is waited for again.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EALREADY)) => {
                Step::Again(self)
            }
            Err(error) if error.raw_os_error() == Some(libc::EISCONN) => Step::Done(Ok(self.fd)),
            Err(error) => Step::Done(Err(error)),
        }
    }

    /// Nobody wants the connection: dropping the descriptor closes it.
    fn inherit(self, _: Completion) {}
}
