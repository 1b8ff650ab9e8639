//! The operation that connects a socket.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use socket2::{Domain, Protocol, SockAddr, Socket as Raw, Type};

use super::listen::PAUSE;
use crate::driver::{Completion, Request};
use crate::op::{Op, Operation, Step};

/// Connects a new socket to an address.
pub(super) async fn connect(address: impl Into<SockAddr>, kind: Type) -> io::Result<OwnedFd> {
    let address = address.into();
    let fd = socket(address.domain(), kind)?;
    connect_socket(fd, address).await
}

/// Connects a socket to an address.
pub(super) fn connect_socket(
    fd: OwnedFd,
    address: SockAddr,
) -> impl Future<Output = io::Result<OwnedFd>> {
    Op::new(Connect {
        fd,
        address: Box::new(address),
        pausing: false,
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
    /// The request in flight is the pause, not the connection.
    pausing: bool,
}

// SAFETY: OWNED: the request points to the address, which lies in a box, or to a static.
unsafe impl Operation for Connect {
    type Output = io::Result<OwnedFd>;

    fn request(&mut self) -> Request {
        if self.pausing {
            return Request::Pause { span: &PAUSE };
        }
        Request::Connect {
            fd: self.fd.as_raw_fd(),
            address: self.address.as_ptr().cast(),
            len: self.address.len(),
        }
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if mem::take(&mut self.pausing) {
            return Step::Again(self);
        }
        match completion.value() {
            Ok(_) => Step::Done(Ok(self.fd)),
            // A signal interrupted the wait; the connection goes on and is waited for again.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EALREADY)) => {
                Step::Again(self)
            }
            Err(error) if error.raw_os_error() == Some(libc::EISCONN) => Step::Done(Ok(self.fd)),
            // The queue of a Unix listener is full, and no event will tell when it is not.
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) && self.address.is_unix() => {
                self.pausing = true;
                Step::Again(self)
            }
            Err(error) => Step::Done(Err(error)),
        }
    }

    /// Nobody wants the connection: dropping the descriptor closes it.
    fn inherit(self, _: Completion) {}
}
