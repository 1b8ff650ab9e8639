//! The ring: set-up, submission, the one system call, and reaping.
//!
//! The crate `io-uring` maps the queues; the calls into the kernel are our own (see [`super::syscall`]), through the
//! registered descriptor of the ring where the kernel has one.
//!
//! Invariants:
//!
//! - **ONE-THREAD**: a `Ring` is neither `Send` nor `Sync`, and the handles to its queues live only inside one method
//!   here, in which no foreign code runs. So there is never a second handle to the same queue.
//! - **REQUEST-MEMORY**: see [`super::request`]; [`Ring::push`] passes the promise on to its caller.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::time::Duration;

use io_uring::{IoUring, Probe};

use super::backend::Pushed;
use super::completion::Completion;
use super::fixed::Fixed;
use super::ladder::{Report, Rung, explain};
use super::request::{REQUIRED, Request, supports};
use super::syscall::{self, Timespec, WaitArg};

const ENTER_GETEVENTS: u32 = 1;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_REGISTERED_RING: u32 = 1 << 4;
const REGISTER_RING_FDS: u32 = 20;
const UNREGISTER_RING_FDS: u32 = 21;

/// The most kernel threads that work on files for a ring at the same time. More would only queue at the disk.
const BOUNDED_WORKERS: u32 = 64;
/// The most kernel threads that wait for anything else, such as the other end of a pipe that is opened: as many as the blocking
/// pool has. The kernel's own limit is that of processes.
const UNBOUNDED_WORKERS: u32 = 512;

/// So many queued transfers of files are submitted at once. The fewer, the earlier a disk begins; the more, the fewer entries
/// into the kernel. Measured with 32 reads of 4 KiB past the cache, per second, beside 64,600 by fio: all at once 51,000, each 8
/// 62,700, each 4 65,800, each 2 60,700, each on its own 65,400 at a sixth more processor time.
const BATCH: u32 = 4;

/// A set-up ring.
pub(crate) struct Ring {
    ring: IoUring,
    rung: Rung,
    /// What `io_uring_enter` is called with: the registered index or the descriptor.
    enter_fd: RawFd,
    enter_flags: u32,
    registered: bool,
    /// The operations that the kernel has, one bit each.
    known: u64,
    fixed: Fixed,
    capacity: usize,
    enters: Cell<u64>,
    /// Transfers of files that were queued since the kernel was last entered.
    transfers: Cell<u32>,
    one_thread: PhantomData<*mut ()>,
}

/// What a ring is asked to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) entries: u32,
    pub(crate) completions: u32,
    /// The best rung that may be used.
    pub(crate) best: Rung,
}

impl Ring {
    /// Climbs down the ladder until a rung holds.
    pub(crate) fn new(shape: Shape) -> Result<(Self, Report), (io::Error, Report)> {
        let mut report = Report::default();
        let mut kind = io::ErrorKind::Unsupported;
        for rung in Rung::ALL.into_iter().filter(|rung| *rung >= shape.best) {
            match Self::set_up(rung, shape) {
                Ok(ring) => {
                    report.choose(rung);
                    return Ok((ring, report));
                }
                Err(error) => {
                    kind = error.kind();
                    let unknown = error.raw_os_error() == Some(libc::EINVAL);
                    let why = if error.raw_os_error().is_some() {
                        explain(&error)
                    } else {
                        error.to_string()
                    };
                    report.refuse(rung, why);
                    if !unknown {
                        break;
                    }
                }
            }
        }
        Err((report.clone().into_error(kind), report))
    }

    fn set_up(rung: Rung, shape: Shape) -> io::Result<Self> {
        let mut builder = IoUring::builder();
        builder
            .dontfork()
            .setup_clamp()
            .setup_cqsize(shape.completions);
        if rung <= Rung::CooperativeTaskWork {
            builder.setup_submit_all().setup_taskrun_flag();
        }
        match rung {
            Rung::NoIndexArray => builder
                .setup_single_issuer()
                .setup_defer_taskrun()
                .setup_no_sqarray(),
            Rung::DeferredTaskWork => builder.setup_single_issuer().setup_defer_taskrun(),
            Rung::CooperativeTaskWork => builder.setup_coop_taskrun(),
            Rung::Plain => &mut builder,
        };
        let ring = builder.build(shape.entries)?;
        let known = require(&ring).map_err(|error| refused("io_uring_register", error))?;
        // Before 5.15 the kernel's own limits stand.
        let _ = ring
            .submitter()
            .register_iowq_max_workers(&mut [BOUNDED_WORKERS, UNBOUNDED_WORKERS]);
        let registered = register_fd(ring.as_raw_fd());
        let capacity = ring.params().sq_entries() as usize;
        let ring = Self {
            rung,
            enter_fd: registered.unwrap_or(ring.as_raw_fd()),
            enter_flags: if registered.is_some() {
                ENTER_REGISTERED_RING
            } else {
                0
            },
            registered: registered.is_some(),
            ring,
            known,
            fixed: Fixed::default(),
            capacity,
            enters: Cell::new(0),
            transfers: Cell::new(0),
            one_thread: PhantomData,
        };
        // A filter may let a ring be made and not be used.
        ring.enter(0, None)
            .map_err(|error| refused("io_uring_enter", error))?;
        ring.enters.set(0);
        Ok(ring)
    }

    pub(crate) fn rung(&self) -> Rung {
        self.rung
    }

    /// How often the kernel was entered.
    pub(crate) fn enters(&self) -> u64 {
        self.enters.get()
    }

    /// The number of submissions that fit in the queue.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The number of submissions that wait to be taken.
    #[inline(always)]
    pub(crate) fn queued(&self) -> usize {
        // SAFETY: ONE-THREAD.
        unsafe { self.ring.submission_shared() }.len()
    }

    /// Whether it knows a request that has many completions.
    pub(crate) fn supports(&self, request: &Request) -> bool {
        self.rung.has_519() && request.is_among(self.known)
    }

    /// Queues a submission. No system call.
    ///
    /// # Safety
    ///
    /// REQUEST-MEMORY.
    #[inline(always)]
    pub(super) unsafe fn push(&self, user_data: u64, request: &Request) -> Pushed {
        if !request.is_among(self.known) {
            return Pushed::Unsupported;
        }
        let fixed = request
            .memory()
            .and_then(|(at, len)| self.fixed.slot(at, len));
        let entry = request.entry(user_data, self.rung.has_519(), fixed);
        // SAFETY: ONE-THREAD.
        let mut queue = unsafe { self.ring.submission_shared() };
        // SAFETY: the caller's promise.
        match unsafe { queue.push(&entry) } {
            Ok(()) => {
                let transfers = self.transfers.get() + u32::from(request.is_for_disk());
                self.transfers.set(transfers);
                Pushed::Taken
            }
            Err(_) => Pushed::Full,
        }
    }

    /// Whether so many transfers of files wait to be taken that their disk should begin.
    #[inline(always)]
    pub(super) fn has_batch(&self) -> bool {
        self.transfers.get() >= BATCH
    }

    /// Submits what is queued, and looks for no completions. An error shows again at the next [`enter`](Self::enter).
    #[cold]
    pub(super) fn submit(&self) {
        self.transfers.set(0);
        self.enters.set(self.enters.get() + 1);
        let submit = u32::try_from(self.queued()).unwrap_or(u32::MAX);
        // SAFETY: the ring is our own, and there is no argument; what the submissions describe stays valid by REQUEST-MEMORY.
        let _ =
            unsafe { syscall::enter(self.enter_fd, submit, 0, self.enter_flags, ptr::null(), 0) };
    }

    /// Whether completions can be reaped without a system call.
    #[inline(always)]
    pub(crate) fn has_completions(&self) -> bool {
        // SAFETY: ONE-THREAD.
        !unsafe { self.ring.completion_shared() }.is_empty()
    }

    /// Whether the kernel holds completions back until it is entered: task work to run, or an overflown queue.
    #[inline(always)]
    pub(crate) fn wants_enter(&self) -> bool {
        // SAFETY: ONE-THREAD.
        let queue = unsafe { self.ring.submission_shared() };
        queue.taskrun() || queue.cq_overflow()
    }

    /// Submits what is queued and waits for `wait` completions, at most for `limit`.
    ///
    /// `EINTR`, `ETIME`, `EAGAIN` and `EBUSY` are ordinary: a signal came, the time is up, the kernel is short of memory,
    /// or wants its overflown completions to be reaped first. The caller reaps and comes again in each case.
    #[inline(always)]
    pub(crate) fn enter(&self, wait: u32, limit: Option<Duration>) -> io::Result<()> {
        let timespec = limit.map(Timespec::from);
        let argument = WaitArg {
            timespec: timespec.as_ref().map_or(0, |t| ptr::from_ref(t) as u64),
            ..WaitArg::default()
        };
        let (flags, pointer, size) = match timespec {
            Some(_) => (
                ENTER_EXT_ARG,
                ptr::from_ref(&argument),
                size_of::<WaitArg>(),
            ),
            None => (0, ptr::null(), 0),
        };
        self.transfers.set(0);
        self.enters.set(self.enters.get() + 1);
        let submit = u32::try_from(self.queued()).unwrap_or(u32::MAX);
        // SAFETY: the ring is our own; `argument` and `timespec` outlive the call; what the submissions describe stays
        // valid by REQUEST-MEMORY.
        let entered = unsafe {
            syscall::enter(
                self.enter_fd,
                submit,
                wait,
                ENTER_GETEVENTS | flags | self.enter_flags,
                pointer,
                size,
            )
        };
        match entered {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR | libc::ETIME | libc::EAGAIN | libc::EBUSY) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Hands every completion that is there to `each`, which must not use the ring.
    #[inline(always)]
    pub(crate) fn reap(&self, mut each: impl FnMut(u64, Completion)) {
        // SAFETY: ONE-THREAD.
        let queue = unsafe { self.ring.completion_shared() };
        for entry in queue {
            let completion = Completion::new(entry.result(), entry.flags());
            each(entry.user_data(), completion);
        }
    }

    /// Registers memory for transfers of files; `false` if that is not possible.
    ///
    /// # Safety
    ///
    /// The memory stays valid until it has been [unregistered](Self::unregister).
    pub(super) unsafe fn register(&self, memory: Range<usize>) -> bool {
        // SAFETY: the caller's promise.
        self.rung.has_519() && unsafe { self.fixed.add(&self.ring.submitter(), memory) }
    }

    /// Forgets registered memory, by its first address.
    pub(super) fn unregister(&self, start: usize) {
        self.fixed.remove(&self.ring.submitter(), start);
    }

    /// Registers a ring of provided buffers.
    ///
    /// # Safety
    ///
    /// The memory of the buffer ring and of the buffers stays valid until it is unregistered and nothing is in flight.
    pub(crate) unsafe fn register_buffers(
        &self,
        address: u64,
        entries: u16,
        group: u16,
        flags: u16,
    ) -> io::Result<()> {
        // SAFETY: the caller's promise.
        unsafe {
            self.ring
                .submitter()
                .register_buf_ring_with_flags(address, entries, group, flags)
        }
    }

    pub(crate) fn unregister_buffers(&self, group: u16) -> io::Result<()> {
        self.ring.submitter().unregister_buf_ring(group)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.registered {
            let mut update = RingFd {
                offset: u32::try_from(self.enter_fd).unwrap_or(0),
                ..RingFd::default()
            };
            // An index that stays behind is reused or goes with the thread; there is nothing to do about a failure.
            let _ = register(self.ring.as_raw_fd(), UNREGISTER_RING_FDS, &mut update);
        }
    }
}

/// Says which call was refused, for an error of the kernel.
fn refused(call: &str, error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(_) => io::Error::new(
            error.kind(),
            format!("{call} is refused: {}", explain(&error)),
        ),
        None => error,
    }
}

/// Checks what every rung must have, and returns the operations that there are.
fn require(ring: &IoUring) -> io::Result<u64> {
    let params = ring.params();
    let missing = |what: &str| {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("this kernel's io_uring lacks {what}; 5.11 or later is needed"),
        ))
    };
    if !params.is_feature_nodrop() {
        return missing("completions that are never dropped (NODROP)");
    }
    if !params.is_feature_fast_poll() {
        return missing("internal polling (FAST_POLL)");
    }
    if !params.is_feature_ext_arg() {
        return missing("waits with a time limit (EXT_ARG)");
    }
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    match REQUIRED.iter().find(|code| !probe.is_supported(**code)) {
        Some(code) => missing(&format!("operation {code}")),
        None => Ok(supports(&probe)),
    }
}

/// `struct io_uring_rsrc_update`, as the registration of ring descriptors uses it.
#[repr(C)]
#[derive(Default)]
struct RingFd {
    offset: u32,
    reserved: u32,
    data: u64,
}

/// Registers the descriptor of the ring, which spares every enter a look-up. `None` where the kernel has no such thing.
fn register_fd(fd: RawFd) -> Option<RawFd> {
    let mut update = RingFd {
        offset: u32::MAX,
        reserved: 0,
        data: u64::try_from(fd).ok()?,
    };
    match register(fd, REGISTER_RING_FDS, &mut update) {
        Ok(1) => RawFd::try_from(update.offset).ok(),
        _ => None,
    }
}

fn register(fd: RawFd, operation: u32, update: &mut RingFd) -> io::Result<i64> {
    // SAFETY: the kernel reads and writes one `io_uring_rsrc_update`, which outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            fd,
            operation,
            ptr::from_mut(update),
            1,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
