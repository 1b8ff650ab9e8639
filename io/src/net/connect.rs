//! The operation that connects a socket.

use std::io;
use std::mem;
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
    Op::new(Connect::new(fd, address))
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
    /// The request in flight is the wait for a connection that is already being made.
    waiting: bool,
}

impl Connect {
    fn new(fd: OwnedFd, address: SockAddr) -> Self {
        Self {
            fd,
            address: Box::new(address),
            waiting: false,
        }
    }
}

// SAFETY: OWNED: the request points to the address, which lies in a box.
unsafe impl Operation for Connect {
    type Output = io::Result<OwnedFd>;

    fn request(&mut self) -> Request {
        let fd = self.fd.as_raw_fd();
        if self.waiting {
            let events = libc::POLLOUT;
            return Request::Poll { fd, events };
        }
        Request::Connect {
            fd,
            address: self.address.as_ptr().cast(),
            len: self.address.len(),
        }
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let waited = mem::take(&mut self.waiting);
        match completion.value() {
            // The next call tells what became of it.
            Ok(_) if waited => Step::Again(self),
            Ok(_) => Step::Done(Ok(self.fd)),
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => Step::Again(self),
            // A signal interrupted the call; the connection goes on.
            Err(error) if error.raw_os_error() == Some(libc::EALREADY) => {
                self.waiting = true;
                Step::Again(self)
            }
            Err(error) if error.raw_os_error() == Some(libc::EISCONN) => Step::Done(Ok(self.fd)),
            Err(error) => Step::Done(Err(error)),
        }
    }

    /// Nobody wants the connection: dropping the descriptor closes it.
    fn inherit(self, _: Completion) {}
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn a_connection_that_is_being_made_is_waited_for() {
        let fd = socket(Domain::IPV4, Type::STREAM).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut connect = Connect::new(fd, address.into());
        for _ in 0..2 {
            assert!(matches!(connect.request(), Request::Connect { .. }));
            let under_way = Completion::new(-libc::EALREADY, 0);
            let Step::Again(mut wait) = connect.complete(under_way) else {
                panic!("it goes on");
            };
            assert!(matches!(wait.request(), Request::Poll { .. }), "a wait");
            let ready = Completion::new(libc::POLLOUT.into(), 0);
            let Step::Again(again) = wait.complete(ready) else {
                panic!("a wait does not tell what became of it");
            };
            connect = again;
        }
        let connected = Completion::new(-libc::EISCONN, 0);
        assert!(matches!(connect.complete(connected), Step::Done(Ok(_))));
    }
}
