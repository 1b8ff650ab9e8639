//! The operation that accepts a connection.
//!
//! Accepts of one listener happen one after the other (see [`crate::lane`]). One whose future was dropped keeps its turn
//! until the kernel has answered; a connection that it took all the same goes to the stash, where the next one looks first.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::task::Context;

use socket2::{SockAddr, SockAddrStorage};

use super::TcpStream;
use crate::driver::{self, Completion, Request, Timespec};
use crate::lane::{Direction, Lane, Lanes, Turn};
use crate::op::{Operation, Prepare, Step};
use crate::socket::{new_fd, to_inet};

/// How long an accept waits before it tries again after there was no descriptor or memory for a connection.
static PAUSE: Timespec = Timespec {
    seconds: 0,
    nanoseconds: 20_000_000,
};

/// A listening socket, shared by its handle and by the operations on it.
pub(super) struct Listener {
    pub(super) fd: OwnedFd,
    lane: Lane,
    /// Connections that were accepted for a future that had been dropped.
    stash: RefCell<VecDeque<Accepted>>,
    /// The last accept found no descriptor or no memory.
    starved: Cell<bool>,
}

type Accepted = io::Result<(OwnedFd, SocketAddr)>;

impl Lanes for Listener {
    fn lane(&self, _: Direction) -> &Lane {
        &self.lane
    }
}

impl Listener {
    pub(super) fn new(fd: OwnedFd) -> Rc<Self> {
        Rc::new(Self {
            fd,
            lane: Lane::default(),
            stash: RefCell::default(),
            starved: Cell::new(false),
        })
    }

    pub(super) fn is_stash_empty(&self) -> bool {
        self.stash.borrow().is_empty()
    }

    /// Has a cancelled accept settle now, for a handle that is about to go.
    pub(super) fn settle(&self) {
        if !self.lane.is_free()
            && let Some(driver) = driver::current()
        {
            driver.settle(|| self.lane.is_free());
        }
    }
}

/// Where the kernel puts the address of the peer.
struct Peer {
    storage: SockAddrStorage,
    len: libc::socklen_t,
}

impl Peer {
    fn address(self) -> io::Result<SocketAddr> {
        // SAFETY: the kernel wrote an address of this length; the rest is zero.
        to_inet(unsafe { SockAddr::new(self.storage, self.len) })
    }
}

pub(super) struct Accept {
    turn: Turn<Listener>,
    peer: Box<Peer>,
    /// The request in flight is the pause, not the accept.
    pausing: bool,
}

impl Accept {
    pub(super) fn new(listener: &Rc<Listener>) -> Self {
        Self {
            turn: Turn::new(listener, Direction::Read),
            peer: Box::new(Peer {
                storage: SockAddrStorage::zeroed(),
                len: 0,
            }),
            pausing: false,
        }
    }

    fn accepted(self, completion: Completion) -> Accepted {
        let fd = new_fd(completion)?;
        Ok((fd, self.peer.address()?))
    }
}

fn into_stream(accepted: Accepted) -> io::Result<(TcpStream, SocketAddr)> {
    accepted.map(|(fd, peer)| (TcpStream::new(fd), peer))
}

// SAFETY: OWNED: the request points into `peer`, which lies in a box, or to a static.
unsafe impl Operation for Accept {
    type Output = io::Result<(TcpStream, SocketAddr)>;

    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.turn.poll(cx).is_pending() {
            return Prepare::Wait(self);
        }
        let listener = self.turn.socket();
        let stashed = listener.stash.borrow_mut().pop_front();
        if let Some(accepted) = stashed {
            return Prepare::Served(into_stream(accepted));
        }
        self.pausing = listener.starved.replace(false);
        Prepare::Submit(self)
    }

    fn request(&mut self) -> Request {
        if self.pausing {
            return Request::Pause { span: &PAUSE };
        }
        self.peer.len = self.peer.storage.size_of();
        let peer = &raw mut *self.peer;
        Request::Accept {
            fd: self.turn.socket().fd.as_raw_fd(),
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
        match completion.value().err().and_then(|e| e.raw_os_error()) {
            // The peer was gone before it was accepted, or a signal came: that concerns nobody.
            Some(libc::EINTR | libc::ECONNABORTED | libc::EPROTO) => Step::Again(self),
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                self.turn.socket().starved.set(true);
                Step::Done(into_stream(self.accepted(completion)))
            }
            _ => Step::Done(into_stream(self.accepted(completion))),
        }
    }

    fn inherit(self, completion: Completion) {
        if self.pausing || completion.value().is_err() {
            return;
        }
        let listener = self.turn.socket().clone();
        let Self { turn, peer, .. } = self;
        let accepted = new_fd(completion).and_then(|fd| Ok((fd, peer.address()?)));
        listener.stash.borrow_mut().push_back(accepted);
        // After the stash, where whoever comes next looks.
        drop(turn);
    }
}
