//! A socket of any kind, and what its cancelled receives brought.
//!
//! A receive whose future was dropped is cancelled, but the kernel may have done it already. What it received is put into
//! the **stash**, where the next receive of any kind looks first. What that is depends on the [`Kind`] of socket: bytes of a
//! stream, a datagram with its sender, an accepted connection.
//!
//! Invariants:
//!
//! - **ORDER**: what is in the stash comes before all that the kernel still holds. It is looked at, and added to, only
//!   by the operation that holds the reading lane (see [`crate::lane`]).
//! - **FD-LAST**: the descriptor is closed when the last operation on it has completed: each holds the `Rc`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use socket2::SockRef;

use crate::driver::{self, Completion};
use crate::lane::{Direction, Lane, Lanes};

/// What sets one kind of socket apart: its own state, and what is stashed.
pub(crate) trait Kind: Default + 'static {
    /// What a cancelled receive brought.
    type Stashed;

    /// Why a socket with a stash does not become one of std, and what to do.
    const STASHED: &'static str;
}

/// A socket, shared by its handles and by the operations on it.
///
/// That of a stream fits in one cache line with the counts of its `Rc`.
pub(crate) struct Socket<K: Kind> {
    pub(crate) kind: K,
    fd: OwnedFd,
    lanes: [Lane; 2],
    /// Allocated by the first receive that is cancelled too late.
    #[expect(
        clippy::box_collection,
        reason = "a pointer keeps the socket in one line"
    )]
    stash: RefCell<Option<Box<VecDeque<K::Stashed>>>>,
}

/// The descriptor that the kernel made for an operation.
pub(crate) fn new_fd(completion: Completion) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(completion.value()?).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: a descriptor that was just made for whoever has the completion, and that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The error of a receive, unless it is only that of its cancellation, which concerns nobody.
pub(crate) fn lasting_error(outcome: io::Result<usize>) -> Option<io::Error> {
    outcome.err().filter(|error| {
        !matches!(
            error.raw_os_error(),
            Some(libc::ECANCELED | libc::EINTR | libc::EAGAIN | libc::ENOBUFS)
        )
    })
}

impl<K: Kind> Lanes for Socket<K> {
    #[inline]
    fn lane(&self, direction: Direction) -> &Lane {
        &self.lanes[direction as usize]
    }
}

impl<K: Kind> Socket<K> {
    pub(crate) fn new(fd: OwnedFd) -> Rc<Self> {
        Rc::new(Self {
            kind: K::default(),
            fd,
            lanes: Default::default(),
            stash: RefCell::new(None),
        })
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    #[inline]
    pub(crate) fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Has cancelled operations settle now, for a handle that is about to go. No future of it is left, so whoever still holds
    /// its lanes has been cancelled.
    pub(crate) fn settle(&self) {
        settle_until(|| self.lanes.iter().all(Lane::is_free));
    }

    /// [`settle`](Self::settle) for a handle of one direction.
    pub(crate) fn settle_lane(&self, direction: Direction) {
        settle_until(|| self.lane(direction).is_free());
    }

    /// Has all cancelled operations settle now, also those that hold no lane, for the only handle, which is about to go.
    pub(crate) fn settle_all(self: &Rc<Self>) {
        settle_until(|| Rc::strong_count(self) == 1);
    }

    /// The descriptor for a socket of std, which is blocking.
    ///
    /// It is shared with cancelled operations until they settle, so it is duplicated, not moved.
    pub(crate) fn duplicate(self: &Rc<Self>) -> io::Result<OwnedFd> {
        self.settle_all();
        if Rc::strong_count(self) > 1 {
            return Err(io::Error::other(
                "an operation on it that was dropped, or an adapter, is not done with it yet; run its runtime, and try again",
            ));
        }
        if !self.is_stash_empty() {
            return Err(io::Error::other(K::STASHED));
        }
        let fd = self.fd.try_clone()?;
        SockRef::from(&fd).set_nonblocking(false)?;
        Ok(fd)
    }

    /// Whether an operation waits for its turn in a direction.
    pub(crate) fn is_awaited(&self, direction: Direction) -> bool {
        self.lane(direction).is_awaited()
    }

    /// How much is stashed.
    pub(crate) fn stashed(&self) -> usize {
        self.stash.borrow().as_ref().map_or(0, |stash| stash.len())
    }

    /// Whether the stash is empty.
    #[inline]
    pub(crate) fn is_stash_empty(&self) -> bool {
        let stash = self.stash.borrow();
        stash.as_ref().is_none_or(|stash| stash.is_empty())
    }

    /// Adds what a cancelled receive brought.
    pub(crate) fn stash(&self, stashed: K::Stashed) {
        let mut stash = self.stash.borrow_mut();
        stash.get_or_insert_default().push_back(stashed);
    }

    /// Takes the first thing in the stash.
    #[inline]
    pub(crate) fn unstash(&self) -> Option<K::Stashed> {
        self.stash.borrow_mut().as_mut()?.pop_front()
    }

    /// Puts something back to the front of the stash.
    pub(crate) fn restash(&self, stashed: K::Stashed) {
        let mut stash = self.stash.borrow_mut();
        stash.get_or_insert_default().push_front(stashed);
    }
}

fn settle_until(settled: impl Fn() -> bool) {
    if !settled()
        && let Some(driver) = driver::current()
    {
        driver.settle(settled);
    }
}

impl<K: Kind> fmt::Debug for Socket<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("fd", &self.raw())
            .finish_non_exhaustive()
    }
}
