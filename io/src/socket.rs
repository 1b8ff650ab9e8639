//! A connected socket, and what its cancelled receives brought.
//!
//! A receive whose future was dropped is cancelled, but the kernel may have done it already. What it received is put into
//! the **stash**, where the next receive of any kind looks first.
//!
//! Invariants:
//!
//! - **ORDER**: bytes in the stash come before all bytes that the kernel still holds. It is looked at, and added to, only
//!   by the operation that holds the reading lane (see [`crate::lane`]).
//! - **FD-LAST**: the descriptor is closed when the last operation on it has completed: each holds the `Rc`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use socket2::{SockAddr, SockRef};

use crate::driver::{self, BufGuard, Completion};
use crate::lane::{Direction, Lane, Lanes};

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
///
/// It fits in one cache line with the counts of its `Rc`.
pub(crate) struct Socket {
    fd: OwnedFd,
    /// Whether the last receive left the socket empty: then the kernel need not try before it is readable.
    drained: Cell<bool>,
    lanes: [Lane; 2],
    /// Allocated by the first receive that is cancelled too late.
    #[expect(
        clippy::box_collection,
        reason = "a pointer keeps the socket in one line"
    )]
    stash: RefCell<Option<Box<VecDeque<Stashed>>>>,
}

const _: () = assert!(size_of::<Socket>() <= 64);

/// The internet address that a socket's address is.
pub(crate) fn to_inet(address: SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "the socket's address is neither IPv4 nor IPv6",
        )
    })
}

/// The descriptor that the kernel made for an operation.
pub(crate) fn new_fd(completion: Completion) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(completion.value()?).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: a descriptor that was just made for whoever has the completion, and that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl Lanes for Socket {
    #[inline]
    fn lane(&self, direction: Direction) -> &Lane {
        &self.lanes[direction as usize]
    }
}

impl Socket {
    pub(crate) fn new(fd: OwnedFd) -> Rc<Self> {
        Rc::new(Self {
            fd,
            drained: Cell::new(false),
            lanes: Default::default(),
            stash: RefCell::new(None),
        })
    }

    /// The address of the other side.
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        to_inet(SockRef::from(&self.fd).peer_addr()?)
    }

    /// The address of this side.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        to_inet(SockRef::from(&self.fd).local_addr()?)
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

    /// Has cancelled operations settle now, for a handle that is about to go. No future of it is left, so whoever still holds
    /// its lanes has been cancelled.
    pub(crate) fn settle(&self, directions: &[Direction]) {
        let settled = || directions.iter().all(|it| self.lane(*it).is_free());
        if !settled()
            && let Some(driver) = driver::current()
        {
            driver.settle(settled);
        }
    }

    /// Adds what a cancelled receive brought.
    pub(crate) fn stash(&self, stashed: Stashed) {
        let mut stash = self.stash.borrow_mut();
        stash.get_or_insert_default().push_back(stashed);
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
        let stash = self.stash.borrow();
        stash.as_ref().is_none_or(|stash| stash.is_empty())
    }

    /// Takes the first thing in the stash.
    #[inline]
    pub(crate) fn unstash(&self) -> Option<Stashed> {
        self.stash.borrow_mut().as_mut()?.pop_front()
    }

    /// Puts something back to the front of the stash.
    pub(crate) fn restash(&self, stashed: Stashed) {
        let mut stash = self.stash.borrow_mut();
        stash.get_or_insert_default().push_front(stashed);
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
                let seen = match error.raw_os_error() {
                    Some(errno) => io::Error::from_raw_os_error(errno),
                    None => error.kind().into(),
                };
                let error = mem::replace(error, seen);
                if peek {
                    self.restash(first);
                }
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
