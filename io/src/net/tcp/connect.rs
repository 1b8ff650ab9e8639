//! The operation that connects a socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use socket2::{Domain, Protocol, SockAddr, Socket as Raw, Type};

use crate::driver::{Completion, Request};
use crate::op::{Op, Operation, Step};

/// Connects a new socket to an address.
pub(super) async fn connect(address: SocketAddr) -> io::Result<OwnedFd> {
    let fd = socket(address)?;
    Op::new(Connect {
        fd,
        address: Box::new(address.into()),
    })
    .await
}

/// A new TCP socket of the family of an address, blocking, as the ring wants it, and close-on-exec.
pub(super) fn socket(address: SocketAddr) -> io::Result<OwnedFd> {
    Raw::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )
    .map(OwnedFd::from)
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
