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

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::driver::{self, BufGuard, Completion};

/// What a cancelled receive brought.
pub(crate) enum Stashed {
    /// Bytes, of which the first `taken` have been read.
    Bytes { bytes: Vec<u8>, taken: usize },
    /// A lent buffer, untouched.
    Lent(BufGuard),
    /// The error that it consumed from the socket.
    Failed(io::Error),
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// A connected socket, shared by its handles and by the operations on it.
///
/// It fits in one cache line with its counts; what only cancellations need is allocated by the first of them.
pub(crate) struct Socket {
    fd: OwnedFd,
    /// Whether the last receive left the socket empty: then the kernel need not try before it is readable.
    drained: Cell<bool>,
    /// Operations in each direction whose future is gone and whose completion is not there yet.
    unsettled: [Cell<u32>; 2],
    cold: RefCell<Option<Box<Cold>>>,
}

const _: () = assert!(size_of::<Socket>() <= 48);

#[derive(Default)]
struct Cold {
    stash: VecDeque<Stashed>,
    /// Whoever waits for a direction to settle.
    waiters: [Vec<Waker>; 2],
}

impl Socket {
    pub(crate) fn new(fd: OwnedFd) -> Rc<Self> {
        Rc::new(Self {
            fd,
            drained: Cell::new(false),
            unsettled: [Cell::new(0), Cell::new(0)],
            cold: RefCell::new(None),
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
        self.drained.get()
    }

    /// Learns from a completed receive whether more is there.
    #[inline]
    pub(crate) fn note(&self, completion: Completion) {
        self.drained
            .set(!io_uring::cqueue::sock_nonempty(completion.flags));
    }

    /// Waits until cancelled operations in this direction have settled.
    #[inline]
    pub(crate) fn poll_settled(&self, direction: Direction, cx: &Context<'_>) -> Poll<()> {
        if self.unsettled(direction).get() == 0 {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        self.cold(|cold| cold.waiters[direction as usize].push(waker));
        Poll::Pending
    }

    /// An operation in this direction lost its future while in flight.
    pub(crate) fn unsettle(&self, direction: Direction) {
        self.unsettled(direction).update(|n| n + 1);
    }

    /// It completed, and whatever it brought is in the stash.
    pub(crate) fn settle(&self, direction: Direction) {
        self.unsettled(direction).update(|n| n - 1);
        if self.unsettled(direction).get() == 0 {
            let waiters = self.cold(|cold| mem::take(&mut cold.waiters[direction as usize]));
            driver::wake_all(waiters);
        }
    }

    /// Has cancelled operations settle now, for a socket that is about to be closed or handed out.
    pub(crate) fn settle_now(&self) {
        let settled = || self.unsettled.iter().all(|n| n.get() == 0);
        if !settled()
            && let Some(driver) = driver::current()
        {
            driver.settle(settled);
        }
    }

    #[inline]
    fn unsettled(&self, direction: Direction) -> &Cell<u32> {
        &self.unsettled[direction as usize]
    }

    fn cold<R>(&self, f: impl FnOnce(&mut Cold) -> R) -> R {
        f(self.cold.borrow_mut().get_or_insert_default())
    }

    /// Adds what a cancelled receive brought.
    pub(crate) fn stash(&self, stashed: Stashed) {
        self.cold(|cold| cold.stash.push_back(stashed));
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
        self.cold
            .borrow()
            .as_ref()
            .is_none_or(|cold| cold.stash.is_empty())
    }

    /// Takes the first thing in the stash.
    #[inline]
    pub(crate) fn unstash(&self) -> Option<Stashed> {
        self.cold.borrow_mut().as_mut()?.stash.pop_front()
    }

    /// Puts something back to the front of the stash.
    pub(crate) fn restash(&self, stashed: Stashed) {
        self.cold(|cold| cold.stash.push_front(stashed));
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
