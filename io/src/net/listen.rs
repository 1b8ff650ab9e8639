//! Listening sockets of any family, and the operation that accepts a connection.
//!
//! Accepts of one listener happen one after the other (see [`crate::lane`]). One whose future was dropped keeps its turn
//! until the kernel has answered; a connection that it took all the same goes to the stash, where the next one looks first.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Context;

use socket2::{Domain, SockAddr, SockAddrStorage, SockRef, Type};

use super::connect::socket;
use super::name::Name;
use crate::driver::{Completion, Inner, Request};
use crate::flow::Source;
use crate::lane::{Direction, Turn};
use crate::op::{Operation, Prepare, Step};
use crate::pause;
use crate::socket::{Kind, Socket, new_fd};

/// The longest queue of connections that wait to be accepted; the system may cut it (`net.core.somaxconn`).
pub(super) const BACKLOG: i32 = 4096;

/// The kind of a listening socket.
#[derive(Default)]
pub(super) struct Listening {
    /// The last accept found no descriptor or no memory.
    starved: Cell<bool>,
}

impl Listening {
    /// Remembers an error after which the next accept has to wait for a while.
    fn note(&self, errno: Option<i32>) {
        if let Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) = errno {
            self.starved.set(true);
        }
    }
}

impl Kind for Listening {
    type Stashed = io::Result<Connection>;
    const STASHED: &'static str = "accepted connections are stashed; accept them first";
}

/// An accepted connection, and the address of its peer, if the kernel was asked for it.
pub(super) type Connection = (OwnedFd, Option<SockAddr>);

/// Whose connections are accepted.
pub(super) trait Family: 'static {
    type Stream;
    type Address: Name;

    fn stream(fd: OwnedFd) -> Self::Stream;
}

/// Binds a new socket and listens.
pub(super) fn listen(address: &SockAddr, kind: Type) -> io::Result<OwnedFd> {
    let fd = socket(address.domain(), kind)?;
    let socket = SockRef::from(&fd);
    if address.domain() != Domain::UNIX {
        socket.set_reuse_address(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)?;
    Ok(fd)
}

/// Where the kernel puts the address of the peer.
struct Peer {
    storage: SockAddrStorage,
    len: libc::socklen_t,
}

/// Accepts a connection.
pub(super) struct Accept<F> {
    turn: Turn<Socket<Listening>>,
    peer: Box<Peer>,
    /// The request in flight is the pause, not the accept.
    pausing: bool,
    family: PhantomData<F>,
}

impl<F: Family> Accept<F> {
    pub(super) fn new(listener: &Rc<Socket<Listening>>) -> Self {
        Self {
            turn: Turn::new(listener, Direction::Read),
            peer: Box::new(Peer {
                storage: SockAddrStorage::zeroed(),
                len: 0,
            }),
            pausing: false,
            family: PhantomData,
        }
    }

    fn finish(accepted: io::Result<Connection>) -> io::Result<(F::Stream, F::Address)> {
        let (fd, peer) = accepted?;
        Ok((F::stream(fd), F::Address::from_system(peer)?))
    }

    /// Takes a connection from the stash. One whose peer is unknown, and gone by now, concerns nobody.
    fn take_stashed(listener: &Socket<Listening>) -> Option<io::Result<Connection>> {
        loop {
            let (fd, peer) = match listener.unstash()? {
                Ok((fd, None)) if F::Address::IS_KNOWN => match SockRef::from(&fd).peer_addr() {
                    Ok(peer) => (fd, Some(peer)),
                    Err(_) => continue,
                },
                accepted => return Some(accepted),
            };
            return Some(Ok((fd, peer)));
        }
    }
}

/// Rings of old kernels do not wait for a socket that a readiness backend has used before. Makes it one that is waited for;
/// `false`: it was.
fn have_waiting(listener: &Socket<Listening>) -> io::Result<bool> {
    let socket = SockRef::from(listener.fd());
    let did_not_wait = socket.nonblocking()?;
    if did_not_wait {
        socket.set_nonblocking(false)?;
    }
    Ok(did_not_wait)
}

/// What a completion brought.
fn accepted(completion: Completion, peer: Peer) -> io::Result<Connection> {
    let fd = new_fd(completion)?;
    // SAFETY: the kernel wrote an address of this length; the rest is zero.
    let peer = unsafe { SockAddr::new(peer.storage, peer.len) };
    Ok((fd, Some(peer)))
}

// SAFETY: OWNED: the request points into `peer`, which lies in a box, or to a static.
unsafe impl<F: Family> Operation for Accept<F> {
    type Output = io::Result<(F::Stream, F::Address)>;

    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.turn.poll(cx).is_pending() {
            return Prepare::Wait(self);
        }
        let listener = self.turn.socket();
        if let Some(accepted) = Self::take_stashed(listener) {
            return Prepare::Served(Self::finish(accepted));
        }
        self.pausing = listener.kind.starved.replace(false);
        Prepare::Submit(self)
    }

    fn request(&mut self) -> Request {
        if self.pausing {
            return Request::Pause { span: &pause::LONG };
        }
        self.peer.len = self.peer.storage.size_of();
        let peer = &raw mut *self.peer;
        Request::Accept {
            fd: self.turn.socket().raw(),
            // SAFETY: a field of a valid box.
            address: unsafe { &raw mut (*peer).storage }.cast(),
            // SAFETY: a field of a valid box.
            len: unsafe { &raw mut (*peer).len },
        }
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if mem::take(&mut self.pausing) {
            return Step::Again(self);
        }
        let listener = self.turn.socket();
        match completion.value().err().and_then(|e| e.raw_os_error()) {
            // The peer was gone before it was accepted, or a signal came: that concerns nobody.
            Some(libc::EINTR | libc::ECONNABORTED | libc::EPROTO) => return Step::Again(self),
            Some(libc::EAGAIN) => match have_waiting(listener) {
                Ok(true) => return Step::Again(self),
                Ok(false) => {}
                Err(error) => return Step::Done(Err(error)),
            },
            errno => listener.kind.note(errno),
        }
        Step::Done(Self::finish(accepted(completion, *self.peer)))
    }

    fn inherit(self, completion: Completion) {
        if self.pausing || completion.value().is_err() {
            return;
        }
        let listener = self.turn.socket().clone();
        listener.stash(accepted(completion, *self.peer));
        // After the stash, where whoever comes next looks.
        drop(self.turn);
    }
}

/// Accepts that the kernel repeats.
#[derive(Default)]
pub(super) struct AcceptMany {
    /// The kernel does not know of it.
    unsupported: Cell<bool>,
}

// SAFETY: the request points to no memory.
unsafe impl Source for AcceptMany {
    type Kind = Listening;
    const MOST: usize = 128;

    fn request(&self, driver: &Inner, listener: &Socket<Listening>) -> Option<Request> {
        let request = Request::AcceptMany { fd: listener.raw() };
        let plain = self.unsupported.get() || listener.kind.starved.get();
        (!plain && driver.supports(&request)).then_some(request)
    }

    fn keep(&self, listener: &Socket<Listening>, completion: Completion) -> bool {
        let Err(error) = completion.value() else {
            listener.stash(new_fd(completion).map(|fd| (fd, None)));
            return false;
        };
        match error.raw_os_error() {
            Some(libc::EINVAL | libc::EOPNOTSUPP) => self.unsupported.set(true),
            Some(libc::ECANCELED | libc::EINTR | libc::ECONNABORTED | libc::EPROTO) => {}
            Some(libc::EAGAIN) => match have_waiting(listener) {
                Ok(true) => {}
                // Again and again it would be the same.
                Ok(false) => self.unsupported.set(true),
                Err(error) => listener.stash(Err(error)),
            },
            errno => {
                listener.kind.note(errno);
                listener.stash(Err(error));
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_that_the_kernel_does_not_wait_for_is_made_one_that_it_does() {
        let name = SockAddr::unix("").expect("no name");
        let listener = Socket::<Listening>::new(listen(&name, Type::STREAM).expect("a listener"));
        let is_nonblocking = || {
            SockRef::from(listener.fd())
                .nonblocking()
                .expect("a socket")
        };
        SockRef::from(listener.fd())
            .set_nonblocking(true)
            .expect("a socket");
        let many = AcceptMany::default();
        let again = Completion::new(-libc::EAGAIN, 0);
        assert!(!many.keep(&listener, again));
        assert!(!is_nonblocking() && !many.unsupported.get());
        // It has to stop where that does not help.
        assert!(!many.keep(&listener, again));
        assert!(many.unsupported.get());
        assert!(listener.is_stash_empty());
    }
}
