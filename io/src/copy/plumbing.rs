//! Pipes that bytes pass through on their way from one socket to another.
//!
//! `splice` needs a pipe at one of its ends. A copy borrows one only while bytes are under way, so that an idle connection
//! holds none. The spare ones live as long as any copy of the thread.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::{Rc, Weak};

use crate::pipe::nonblocking;
use crate::sigpipe::without_sigpipe;

/// How many bytes move at once, and pass through a pipe: as large as anybody may make a pipe.
pub(super) const PORTION: usize = 1024 * 1024;

/// How many pipes are kept for later.
const SPARE: usize = 4;

/// A pipe.
pub(super) struct Plumb {
    read: OwnedFd,
    write: OwnedFd,
    /// The bytes in it.
    pub(super) filled: usize,
}

impl Plumb {
    fn new() -> io::Result<Self> {
        let (read, write) = io::pipe()?;
        nonblocking(&read)?;
        nonblocking(&write)?;
        let size = i32::try_from(PORTION).unwrap_or(i32::MAX);
        // A refusal is no harm: a user may not have many pipes that are larger than usual.
        // SAFETY: no memory is passed.
        unsafe { libc::fcntl(write.as_raw_fd(), libc::F_SETPIPE_SZ, size) };
        Ok(Self {
            read: read.into(),
            write: write.into(),
            filled: 0,
        })
    }

    /// Takes bytes from a socket. Zero: the end of the stream.
    pub(super) fn fill(&mut self, source: &impl AsRawFd) -> io::Result<usize> {
        let n = splice(source, &self.write, PORTION)?;
        self.filled += n;
        Ok(n)
    }

    /// Gives bytes to a socket.
    pub(super) fn drain(&mut self, sink: &impl AsRawFd) -> io::Result<usize> {
        let n = splice(&self.read, sink, self.filled)?;
        self.filled -= n;
        Ok(n)
    }

    /// Takes out what is in it.
    pub(super) fn empty(&mut self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.filled);
        while self.filled > 0 {
            let room = bytes.spare_capacity_mut();
            // SAFETY: the kernel writes into the room, as much as there is at most.
            let read =
                unsafe { libc::read(self.read.as_raw_fd(), room.as_mut_ptr().cast(), room.len()) };
            let Ok(n @ 1..) = usize::try_from(read) else {
                break;
            };
            // SAFETY: the kernel wrote that many bytes.
            unsafe { bytes.set_len(bytes.len() + n) };
            self.filled -= n;
        }
        bytes
    }
}

/// Moves bytes between two descriptors, of which one is that of a pipe, without waiting.
pub(super) fn splice(from: &impl AsRawFd, to: &impl AsRawFd, len: usize) -> io::Result<usize> {
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    let moved = without_sigpipe(|| {
        let nowhere = std::ptr::null_mut();
        // SAFETY: there are no offsets.
        unsafe {
            libc::splice(
                from.as_raw_fd(),
                nowhere,
                to.as_raw_fd(),
                nowhere,
                len,
                flags,
            )
        }
    });
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}

/// The spare pipes of a thread.
pub(super) struct Pool(RefCell<Vec<Plumb>>);

impl Pool {
    /// That of this thread.
    pub(super) fn current() -> Rc<Self> {
        thread_local! {
            static POOL: RefCell<Weak<Pool>> = const { RefCell::new(Weak::new()) };
        }
        POOL.with_borrow_mut(|known| {
            known.upgrade().unwrap_or_else(|| {
                let pool = Rc::new(Self(RefCell::default()));
                *known = Rc::downgrade(&pool);
                pool
            })
        })
    }

    /// A pipe with nothing in it.
    pub(super) fn take(&self) -> io::Result<Plumb> {
        let spare = self.0.borrow_mut().pop();
        spare.map_or_else(Plumb::new, Ok)
    }

    /// Gives one back that has nothing in it.
    pub(super) fn put(&self, plumb: Plumb) {
        let mut spare = self.0.borrow_mut();
        if plumb.filled == 0 && spare.len() < SPARE {
            spare.push(plumb);
        }
    }
}
