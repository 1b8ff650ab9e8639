//! An open file as its operations see it: the descriptor, its position, and how it is best transferred.
//!
//! Invariants:
//!
//! - **OWN-CURSOR**: the position of a regular file or a block device is [`Cursor::position`], and the kernel's is neither read
//!   nor relied on after it was taken over. So a cancelled operation moves nothing: only the future that returns does.
//! - **FD-LAST**: the descriptor is closed when the last operation on it has completed: each holds the [`Handle`], or the
//!   [`std::fs::File`] in it.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::ffi::c_int;
use std::fs;
use std::future::Future;
use std::io::{self, Seek, SeekFrom};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::inline::{Allowance, Gate, Way};
use super::lock::Locks;
use super::storage::Storage;
use crate::lane::{Direction, Lane, Lanes};

/// An open file.
pub(super) struct Handle {
    /// Shared with worker threads.
    pub(super) file: Arc<fs::File>,
    pub(super) cursor: Rc<Cursor>,
    nature: Cell<Option<Nature>>,
    gates: [Cell<Gate>; 2],
    /// Operations in flight that change the file, and may hold its lock in the kernel.
    changing: Cell<u32>,
}

/// The position of a file, shared by its clones.
#[derive(Default)]
pub(super) struct Cursor {
    /// Unknown until it is needed.
    position: Cell<Option<u64>>,
    lanes: [Lane; 2],
    /// What dropped reads of a stream brought.
    stash: RefCell<VecDeque<u8>>,
    /// The write that another thread makes, of the transfer that holds the lane or of one that was dropped.
    pub(super) elsewhere: Cell<Option<Elsewhere>>,
    locks: OnceCell<Arc<Locks>>,
}

impl Cursor {
    /// The locks of the open file.
    pub(super) fn locks(&self) -> Arc<Locks> {
        self.locks.get_or_init(Arc::default).clone()
    }
}

/// A write by another thread.
pub(super) type Elsewhere = Pin<Box<dyn Future<Output = io::Result<usize>>>>;

impl Lanes for Cursor {
    fn lane(&self, direction: Direction) -> &Lane {
        &self.lanes[direction as usize]
    }
}

/// What is behind a descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nature {
    /// It has a position that is kept here: a regular file, a block device. All others are streams, whatever the kernel does
    /// with their position: pipes, terminals, sockets, devices, descriptors of events.
    pub(super) positioned: bool,
    /// It can be transferred at offsets.
    pub(super) has_offsets: bool,
    /// Writes go to the end.
    pub(super) appends: bool,
    /// Transfers go past the page cache.
    pub(super) direct: bool,
    pub(super) regular: bool,
    pub(super) outlet: Outlet,
    ways: [Way; 2],
}

/// What is to be minded when a descriptor is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlet {
    /// Nothing.
    Plain,
    /// It raises `SIGPIPE` when nobody reads: a pipe or a socket.
    Signals,
    /// It says that there is room when there is little, and waits until there is enough: a terminal.
    Waits,
}

impl Nature {
    /// Whether no transfer in this direction is ever made inline.
    #[inline]
    pub(super) fn is_never_inline(&self, direction: Direction) -> bool {
        self.ways[direction as usize] == Way::Never
    }
}

impl Handle {
    pub(super) fn new(file: fs::File) -> Rc<Self> {
        Self::with_cursor(file, Rc::default())
    }

    /// An opened file begins at its start.
    pub(super) fn opened(file: fs::File) -> Rc<Self> {
        let handle = Self::new(file);
        handle.cursor.position.set(Some(0));
        handle
    }

    pub(super) fn with_cursor(file: fs::File, cursor: Rc<Cursor>) -> Rc<Self> {
        Rc::new(Self {
            file: Arc::new(file),
            cursor,
            nature: Cell::new(None),
            gates: [const { Cell::new(Gate::NEW) }; 2],
            changing: Cell::new(0),
        })
    }

    #[inline]
    pub(super) fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// What the file is; found out at the first call.
    #[inline]
    pub(super) fn nature(&self) -> Nature {
        match self.nature.get() {
            Some(nature) => nature,
            None => self.learn(),
        }
    }

    /// Two or three system calls that look at memory only: `AT_STATX_DONT_SYNC` asks no server.
    #[cold]
    fn learn(&self) -> Nature {
        let fd = self.fd();
        // SAFETY: no memory is passed.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        let has = |flag: c_int| flags >= 0 && flags & flag == flag;
        let status = status_of(fd, libc::STATX_TYPE);
        let kind = status.map_or(0, |status| u32::from(status.stx_mode) & libc::S_IFMT);
        let regular = kind == libc::S_IFREG;
        let positioned = regular || kind == libc::S_IFBLK;
        // SAFETY: no memory is passed.
        let has_offsets = positioned || unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) } >= 0;
        if regular && has(libc::O_NONBLOCK) {
            // It means nothing for a regular file, except to the ring, which would not wait for a disk then.
            // SAFETY: no memory is passed.
            unsafe { libc::fcntl(fd, libc::F_SETFL, flags & !libc::O_NONBLOCK) };
        }
        let direct = has(libc::O_DIRECT);
        let way = |waits: bool| match regular && !direct && !waits {
            true => Way::Nowait,
            false => Way::Never,
        };
        let outlet = match kind {
            libc::S_IFIFO | libc::S_IFSOCK => Outlet::Signals,
            libc::S_IFCHR if !has_offsets => Outlet::Waits,
            _ => Outlet::Plain,
        };
        let nature = Nature {
            outlet,
            positioned,
            has_offsets,
            appends: has(libc::O_APPEND),
            direct,
            regular,
            ways: [way(false), way(has(libc::O_DSYNC))],
        };
        self.nature.set(Some(nature));
        nature
    }

    /// The position of a file that has one.
    pub(super) fn position(&self) -> u64 {
        self.cursor.position.get().unwrap_or_else(|| {
            let position = (&*self.file).stream_position().unwrap_or(0);
            self.cursor.position.set(Some(position));
            position
        })
    }

    pub(super) fn set_position(&self, position: u64) {
        self.cursor.position.set(Some(position));
    }

    /// Takes the kernel's position over, after a write that only the kernel knows the place of.
    pub(super) fn adopt_position(&self) {
        self.cursor.position.set(None);
        self.position();
    }

    /// Hands our position over to the kernel, for whoever uses the descriptor next.
    pub(super) fn publish_position(&self) {
        if let Some(position) = self.cursor.position.get()
            && self.nature.get().is_some_and(|nature| nature.positioned)
        {
            // Any place that was read or written can be gone to.
            let _ = (&*self.file).seek(SeekFrom::Start(position));
        }
    }

    /// Moves the kernel's position of a stream that has one. What dropped reads have left was read elsewhere then.
    pub(super) fn seek_stream(&self, to: SeekFrom) -> io::Result<u64> {
        let place = (&*self.file).seek(to)?;
        self.cursor.stash.borrow_mut().clear();
        Ok(place)
    }

    /// Whether dropped reads have left bytes, which come first in the next read.
    pub(super) fn has_stash(&self) -> bool {
        !self.cursor.stash.borrow().is_empty()
    }

    /// Reads from the stash: `take` gets the bytes, and says how many it took.
    pub(super) fn unstash(&self, take: impl FnOnce(&[u8]) -> usize) {
        let mut stash = self.cursor.stash.borrow_mut();
        let taken = take(stash.make_contiguous());
        stash.drain(..taken);
    }

    /// Puts bytes before all that are in the stash. They were read by whoever held the reading lane.
    pub(super) fn stash(&self, bytes: Vec<u8>) {
        let mut stash = self.cursor.stash.borrow_mut();
        for byte in bytes.into_iter().rev() {
            stash.push_front(byte);
        }
    }

    /// How a transfer may be made inline now.
    #[inline]
    pub(super) fn way(&self, nature: &Nature, direction: Direction) -> Way {
        match nature.ways[direction as usize] {
            // It would wait for those that change the file.
            Way::Plain if self.changing.get() > 0 => Way::Never,
            way => way,
        }
    }

    /// The file does not know `RWF_NOWAIT` in this direction. Returns how it is transferred from now on.
    #[cold]
    pub(super) fn decline(&self, direction: Direction) -> Way {
        let way = match (Storage::of(self.fd()), direction) {
            (Storage::Memory, _) | (Storage::Local, Direction::Write) => Way::Plain,
            _ => Way::Never,
        };
        let mut nature = self.nature();
        nature.ways[direction as usize] = way;
        self.nature.set(Some(nature));
        way
    }

    /// Changes the gate of a direction.
    #[inline]
    pub(super) fn gate<R>(&self, direction: Direction, change: impl FnOnce(&mut Gate) -> R) -> R {
        let cell = &self.gates[direction as usize];
        let mut gate = cell.get();
        let result = change(&mut gate);
        cell.set(gate);
        result
    }

    /// Counts an operation that changes the file while it lives.
    pub(super) fn change(self: &Rc<Self>) -> Changing {
        self.changing.set(self.changing.get() + 1);
        Changing(self.clone())
    }
}

/// An operation in flight that changes a file.
pub(super) struct Changing(Rc<Handle>);

impl Drop for Changing {
    fn drop(&mut self) {
        self.0.changing.set(self.0.changing.get() - 1);
    }
}

/// What the kernel knows of an open file without asking anybody. `None` if it refuses.
pub(super) fn status_of(fd: RawFd, mask: u32) -> Option<libc::statx> {
    let mut status = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the path is a string, and the status is valid for writes.
    let result = unsafe {
        libc::statx(
            fd,
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC,
            mask,
            status.as_mut_ptr(),
        )
    };
    // SAFETY: zeroed, and all-zero is valid for integers; the kernel may have filled it.
    (result == 0).then(|| unsafe { status.assume_init() })
}

/// What was moved inline in this turn of the loop of this thread.
pub(super) fn allowance<R>(change: impl FnOnce(&mut Allowance) -> R) -> R {
    thread_local! {
        static ALLOWANCE: Cell<Allowance> = const { Cell::new(Allowance::NEW) };
    }
    let mut allowance = ALLOWANCE.get();
    let result = change(&mut allowance);
    ALLOWANCE.set(allowance);
    result
}

/// Nanoseconds on a clock that nobody sets.
pub(super) fn now() -> u64 {
    thread_local! {
        static START: Instant = Instant::now();
    }
    let since = START.with(Instant::elapsed);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
