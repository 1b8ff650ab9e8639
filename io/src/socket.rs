//! A connected socket and the order of what happens on it.
//!
//! A read or write whose future was dropped is cancelled, but the kernel may have done it already. What it received is
//! put into the **stash**, and until it has settled, operations in the same direction wait, so that bytes are neither lost
//! nor reordered.
//!
//! Invariants:
//!
//! - **ORDER**: bytes in the stash come before all bytes that the kernel still holds. It is added to only by operations
//!   that were submitted before any that is not yet submitted, and read before anything is submitted.
//! - **FD-LAST**: the descriptor is closed when the last operation on it has completed: each holds the `Rc`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::driver::{self, BufGuard, Completion};

/// One direction of a socket.
#[derive(Default)]
struct Lane {
    /// Operations whose future is gone and whose completion is not there yet.
    unsettled: usize,
    waiters: Vec<Waker>,
}

#[derive(Default)]
struct Reads {
    lane: Lane,
    stash: VecDeque<Stashed>,
    /// Whether the last receive left the socket empty: then the kernel need not try before it is readable.
    drained: bool,
}

/// What a cancelled receive brought.
pub(crate) enum Stashed {
    /// Bytes, of which the first `taken` have been read.
    Bytes { bytes: Vec<u8>, taken: usize },
    /// A lent buffer, untouched.
    Lent(BufGuard),
    /// The error that it consumed from the socket.
    Failed(io::Error),
}

/// A connected socket, shared by its handles and by the operations on it.
pub(crate) struct Socket {
    fd: OwnedFd,
    reads: RefCell<Reads>,
    writes: RefCell<Lane>,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Socket {
    pub(crate) fn new(fd: OwnedFd) -> Rc<Self> {
        Rc::new(Self {
            fd,
            reads: RefCell::default(),
            writes: RefCell::default(),
        })
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Whether the kernel should wait before its first try to receive.
    #[inline]
    pub(crate) fn wait_first(&self) -> bool {
        self.reads.borrow().drained
    }

    /// Learns from a completed receive whether more is there.
    #[inline]
    pub(crate) fn note(&self, completion: Completion) {
        self.reads.borrow_mut().drained = !io_uring::cqueue::sock_nonempty(completion.flags);
    }

    /// Waits until cancelled operations in this direction have settled.
    #[inline]
    pub(crate) fn poll_settled(&self, direction: Direction, cx: &Context<'_>) -> Poll<()> {
        if self.lane(direction, |lane| lane.unsettled) == 0 {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        self.lane(direction, |lane| lane.waiters.push(waker));
        Poll::Pending
    }

    /// An operation in this direction lost its future while in flight.
    pub(crate) fn unsettle(&self, direction: Direction) {
        self.lane(direction, |lane| lane.unsettled += 1);
    }

    /// It completed, and whatever it brought is in the stash.
    pub(crate) fn settle(&self, direction: Direction) {
        let waiters = self.lane(direction, |lane| {
            lane.unsettled -= 1;
            if lane.unsettled == 0 {
                mem::take(&mut lane.waiters)
            } else {
                Vec::new()
            }
        });
        waiters.into_iter().for_each(Waker::wake);
    }

    /// Has cancelled operations settle now, for a socket that is about to be closed or handed out.
    pub(crate) fn settle_now(&self) {
        let settled = || {
            [Direction::Read, Direction::Write]
                .into_iter()
                .all(|direction| self.lane(direction, |lane| lane.unsettled == 0))
        };
        if !settled()
            && let Some(driver) = driver::current()
        {
            driver.settle(settled);
        }
    }

    #[inline]
    fn lane<R>(&self, direction: Direction, f: impl FnOnce(&mut Lane) -> R) -> R {
        match direction {
            Direction::Read => f(&mut self.reads.borrow_mut().lane),
            Direction::Write => f(&mut self.writes.borrow_mut()),
        }
    }

    /// Adds what a cancelled receive brought.
    pub(crate) fn stash(&self, stashed: Stashed) {
        self.reads.borrow_mut().stash.push_back(stashed);
    }

    /// Adds what a receive into plain memory brought before or while it was cancelled: bytes, or an error other than that
    /// of the cancellation itself.
    pub(crate) fn stash_outcome(&self, bytes: Vec<u8>, outcome: io::Result<usize>) {
        if !bytes.is_empty() {
            self.stash(Stashed::Bytes { bytes, taken: 0 });
        }
        if let Err(error) = outcome
            && !matches!(
                error.raw_os_error(),
                Some(libc::ECANCELED | libc::EINTR | libc::EAGAIN | libc::ENOBUFS)
            )
        {
            self.stash(Stashed::Failed(error));
        }
    }

    /// Whether the stash is empty.
    #[inline]
    pub(crate) fn is_stash_empty(&self) -> bool {
        self.reads.borrow().stash.is_empty()
    }

    /// Takes the first thing in the stash.
    pub(crate) fn unstash(&self) -> Option<Stashed> {
        self.reads.borrow_mut().stash.pop_front()
    }

    /// Puts something back to the front of the stash.
    pub(crate) fn restash(&self, stashed: Stashed) {
        self.reads.borrow_mut().stash.push_front(stashed);
    }

    /// Reads from the stash: `copy` gets the first bytes and says how many it took. `None`: the stash is empty.
    pub(crate) fn read_stash(
        &self,
        peek: bool,
        copy: impl FnOnce(&[u8]) -> usize,
    ) -> Option<io::Result<usize>> {
        let mut first = self.unstash()?;
        let taken = match &mut first {
            Stashed::Bytes { bytes, taken } => copy(&bytes[*taken..]),
            Stashed::Lent(guard) => copy(guard),
            Stashed::Failed(error) => {
                let error = mem::replace(error, io::ErrorKind::Other.into());
                return Some(Err(error));
            }
        };
        if let Some(rest) = first.rest_after(if peek { 0 } else { taken }) {
            self.restash(rest);
        }
        Some(Ok(taken))
    }
}

impl Stashed {
    /// What is left after `n` more bytes were read.
    fn rest_after(self, n: usize) -> Option<Self> {
        match self {
            Self::Bytes { bytes, taken } if taken + n < bytes.len() => Some(Self::Bytes {
                bytes,
                taken: taken + n,
            }),
            Self::Lent(guard) if n == 0 && !guard.is_empty() => Some(Self::Lent(guard)),
            Self::Lent(guard) if n < guard.len() => Some(Self::Bytes {
                bytes: guard[n..].to_vec(),
                taken: 0,
            }),
            Self::Bytes { .. } | Self::Lent(_) => None,
            failed @ Self::Failed(_) => Some(failed),
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("fd", &self.raw())
            .finish_non_exhaustive()
    }
}
