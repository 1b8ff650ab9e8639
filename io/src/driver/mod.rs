//! The driver: one ring, or one epoll, the table of operations in flight, and the loop's three calls on them.
//!
//! ```text
//!   Op::poll ──> submit ──> submission queue ──┐
//!                                              ├─ one enter a turn of the loop (`turn`, `park`)
//!   reap: completion ──> table ──> outbox ─────┘
//!   deliver: outbox ──> wakers of tasks, heirs of dropped futures
//! ```
//!
//! Invariants:
//!
//! - **NO-BORROW**: wakers and heirs are called, and dropped, only by `Inner::wake` and `Inner::inherit`, with no `RefCell`
//!   borrowed, for anything may happen in them: a submission, a cancellation, a panic.
//! - **LAST-WORD**: memory of an operation (its buffer, address, message header) belongs to the table, through its heir
//!   or its future, until its completion has been reaped. The driver's end waits for all completions, and if they do not
//!   come, it leaks the table and the ring, and says so.
//!
//! What it does not do: it knows no clock, no timers and no tasks. The loop tells it how long to wait.

mod backend;
mod completion;
mod current;
#[cfg(any(test, fuzzing))]
pub(crate) mod fake;
mod fixed;
mod foreign;
mod inner;
mod ladder;
mod lend;
mod poller;
mod request;
mod ring;
mod syscall;
mod table;
mod unpark;
mod waiters;
mod workers;
mod works;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::mem;
use std::rc::Rc;
use std::sync::{Arc, Once};
use std::time::Duration;

pub use self::backend::Backend;
use self::backend::Port;
pub(crate) use self::completion::Completion;
pub use self::current::Entered;
pub(crate) use self::current::{current, expect_current};
#[cfg(any(test, fuzzing))]
use self::fake::Fake;
pub(crate) use self::inner::{Inner, Job};
pub use self::ladder::{Report, Rung};
pub use self::lend::BufGuard;
pub use self::lend::BufRing;
#[cfg(any(test, fuzzing))]
pub(crate) use self::lend::Ledger;
pub(crate) use self::lend::PRIVATE_LEN;
use self::poller::Poller;
pub(crate) use self::request::{APPEND, CURSOR, Request, transfer_len};
use self::ring::{Ring, Shape};
pub(crate) use self::syscall::Timespec;
pub(crate) use self::table::{Key, Sink};
pub use self::unpark::Unparker;
use self::workers::Workers;
use self::works::Works;
use crate::fork;
use crate::note::note;

/// Runs a closure on some other thread, or drops it if there is none, which its waiter sees as an error. Never runs it on this
/// one: it may wait for ever. See [`Config::offload`].
pub type Offload = Arc<dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync>;

/// What a driver is made of.
#[derive(Clone)]
pub struct Config {
    /// What does the I/O.
    pub backend: Backend,
    /// Submission entries, rounded up to a power of two and clamped to what the kernel allows. 1024 if not set.
    pub entries: u32,
    /// The best rung of the ladder that may be used. The best of all if not set.
    pub best: Rung,
    /// Where blocking work goes that the ring has no operation for, such as name look-ups. A thread each if not set.
    pub offload: Offload,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            entries: 1024,
            best: Rung::NoIndexArray,
            offload: Arc::new(|job| {
                // A thread that can't be started drops the job, which its waiter sees as an error.
                let _ = std::thread::Builder::new().spawn(job);
            }),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("backend", &self.backend)
            .field("entries", &self.entries)
            .field("best", &self.best)
            .finish_non_exhaustive()
    }
}

/// Counts since the driver was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls of `io_uring_enter`. On epoll, where each operation is a call of its own, those that ask what is ready.
    pub enters: u64,
    /// Operations handed to the ring.
    pub submitted: u64,
    /// Operations that ended, in whatever way.
    pub completed: u64,
    /// Operations whose future was dropped while they were in flight.
    pub cancelled: u64,
}

/// Opens what the configuration asks for, or what there is.
fn open_port(config: &Config, unparker: &Arc<Unparker>) -> io::Result<(Port, Report)> {
    let mut report = Report::default();
    if config.backend != Backend::Epoll {
        let shape = Shape {
            entries: config.entries.max(1),
            completions: config.entries.saturating_mul(4).max(LEAST_COMPLETIONS),
            best: config.best,
        };
        match Ring::new(shape) {
            Ok((ring, mut report)) => {
                report.feature("provided-buffer rings", ring.rung().has_519());
                return Ok((Port::Ring(ring), report));
            }
            Err((error, _)) if config.backend == Backend::IoUring => return Err(error),
            Err((error, refused)) => {
                report = refused;
                say_once(&error);
            }
        }
    }
    let poller = Poller::new(unparker, config.entries).map_err(|error| {
        let why = format!(
            "the epoll of the runtime can't be made: {}",
            ladder::explain(&error)
        );
        io::Error::new(error.kind(), why)
    })?;
    report.fall_back();
    Ok((Port::Poller(poller), report))
}

/// Tells once in the life of the process that the faster way is closed.
fn say_once(error: &io::Error) {
    static SAID: Once = Once::new();
    SAID.call_once(|| note(format_args!("{error}; using epoll instead")));
}

/// The least number of completions that fit in the queue before the kernel has to keep some aside.
const LEAST_COMPLETIONS: u32 = 64;

/// A driver: a ring, or an epoll, and what is in flight on it. Cheap to clone; the clones are one driver.
#[derive(Clone)]
pub struct Driver {
    inner: Rc<Inner>,
}

impl Driver {
    /// Sets up a ring on this thread, or an epoll.
    ///
    /// # Errors
    ///
    /// That io_uring was asked for and is not available, with the reason and what to change; or that the descriptors that are
    /// needed can't be made.
    pub fn new(config: &Config) -> io::Result<Self> {
        fork::watch();
        let unparker = Arc::new(Unparker::new()?);
        let (port, report) = open_port(config, &unparker)?;
        Ok(Self::with(port, report, unparker, config))
    }

    /// A driver whose kernel is a model.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn with_fake(fake: Rc<Fake>) -> io::Result<Self> {
        let unparker = Arc::new(Unparker::new()?);
        let port = Port::Fake(fake);
        Ok(Self::with(
            port,
            Report::default(),
            unparker,
            &Config::default(),
        ))
    }

    fn with(port: Port, report: Report, unparker: Arc<Unparker>, config: &Config) -> Self {
        let inner = Inner {
            workers: Workers::new(config.offload.clone(), &unparker),
            unparker,
            // The epoll watches from the start.
            watching: Cell::new(port.ring().is_none()),
            port,
            table: RefCell::default(),
            wakes: RefCell::default(),
            takers: RefCell::default(),
            waiters: RefCell::default(),
            cancels: RefCell::default(),
            lent: RefCell::default(),
            closed: Cell::new(false),
            generation: fork::generation(),
            stats: Cell::default(),
            jobs: Arc::default(),
            works: RefCell::default(),
            in_background: Cell::new(false),
            turns: Cell::new(0),
            report,
        };
        Self {
            inner: Rc::new(inner),
        }
    }

    /// What does the I/O; never [`Backend::Auto`].
    pub fn backend(&self) -> Backend {
        match &self.inner.port {
            Port::Ring(_) => Backend::IoUring,
            Port::Poller(_) => Backend::Epoll,
            #[cfg(any(test, fuzzing))]
            Port::Fake(_) => Backend::IoUring,
        }
    }

    /// Makes this the driver that operations polled on this thread use, until the guard is dropped.
    pub fn enter(&self) -> Entered {
        Entered::new(self)
    }

    /// Which rung of the ladder holds, and why the better ones don't.
    pub fn report(&self) -> &Report {
        &self.inner.report
    }

    /// Ends a [`park`](Self::park) from any thread.
    pub fn unparker(&self) -> Arc<Unparker> {
        self.inner.unparker.clone()
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        Stats {
            enters: self.inner.port.enters(),
            ..self.inner.stats.get()
        }
    }

    /// The number of operations that the kernel has not answered yet.
    pub fn in_flight(&self) -> usize {
        self.inner.table.borrow().in_flight()
    }

    /// Whether a [`turn`](Self::turn) would bring completions. Two loads: meant for spinning.
    #[inline(always)]
    pub fn is_ready(&self) -> bool {
        self.inner.port.is_ready() || self.inner.workers.has_completions()
    }

    /// Looks after the ring between batches of polls: reaps what is there, and enters the kernel, without waiting, if the
    /// queue is half full, or if it is `overdue` that what is queued is submitted and what the kernel holds back comes.
    ///
    /// Returns whether it entered.
    ///
    /// # Errors
    ///
    /// An error of `io_uring_enter` that is not part of its ordinary life.
    #[inline(always)]
    pub fn tick(&self, overdue: bool) -> io::Result<bool> {
        let inner = &*self.inner;
        let full = inner.port.queued() * 2 >= inner.port.capacity();
        let enter = full || (overdue && self.wants_turn());
        if enter {
            inner.flush_cancels();
            inner.port.enter(false, None, &inner.workers)?;
        }
        inner.reap();
        Ok(enter)
    }

    /// Submits, reaps, and does not wait.
    ///
    /// # Errors
    ///
    /// As [`tick`](Self::tick).
    #[inline(always)]
    pub fn turn(&self) -> io::Result<()> {
        self.inner.submit_and_wait(false, None)
    }

    /// Submits what is queued and waits for at least one completion, at most for `limit`; then reaps. One system call
    /// as a rule.
    ///
    /// # Errors
    ///
    /// As [`tick`](Self::tick).
    #[inline(always)]
    pub fn park(&self, limit: Option<Duration>) -> io::Result<()> {
        let inner = &*self.inner;
        inner.watch();
        // Without the watch nobody could end the wait. What was reaped since the last delivery (a stream that was closed in
        // between entered the kernel, say) may be all that anybody waits for.
        let wait = inner.watching.get() && !inner.port.has_completions() && !self.has_reaped();
        inner.submit_and_wait(wait, limit.filter(|_| wait))
    }

    /// Whether something waits to be submitted, or the kernel holds completions back until it is entered.
    #[inline(always)]
    pub fn wants_turn(&self) -> bool {
        self.inner.port.queued() > 0
            || self.inner.port.wants_enter()
            || self.inner.workers.has_completions()
            || !self.inner.cancels.borrow().is_empty()
    }

    /// From now on [`is_working`](Self::is_working) and [`is_still`](Self::is_still) know of operations, too. It costs a little at
    /// each of them.
    pub fn watch_work(&self) {
        self.inner
            .works
            .borrow_mut()
            .get_or_insert_with(Works::default);
    }

    /// Polls a future of the runtime's own: what it submits is nothing that the program waits for, as
    /// [`is_still`](Self::is_still) sees it.
    pub fn in_background<R>(&self, poll: impl FnOnce() -> R) -> R {
        struct Restore<'a>(&'a Cell<bool>, bool);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                self.0.set(self.1);
            }
        }
        let flag = &self.inner.in_background;
        let _restore = Restore(flag, flag.replace(true));
        poll()
    }

    /// Whether nothing is under way here that could wake a task of the program: no operation in flight but those of the
    /// [background](Self::in_background), and no job on another thread. Whose that is what [has come](Self::has_news), is not
    /// known until it is delivered.
    ///
    /// Operations that were submitted before [`watch_work`](Self::watch_work) are all taken for those of the program.
    pub fn is_still(&self) -> bool {
        let inner = &*self.inner;
        let works = inner.works.borrow();
        let background = works.as_ref().map_or(0, Works::in_background);
        self.in_flight() <= background && !inner.has_jobs() && inner.waiters.borrow().is_empty()
    }

    /// Whether there is something to be reaped or delivered.
    pub fn has_news(&self) -> bool {
        self.is_ready() || self.has_reaped()
    }

    /// Whether something is under way that ends without the help of anybody else: a job on another thread, whose waiter has
    /// not been woken yet, or an operation on a file. A clock that is not the system's must not overtake those.
    ///
    /// An operation that was submitted before [`watch_work`](Self::watch_work) is not seen.
    pub fn is_working(&self) -> bool {
        self.inner.is_working()
    }

    /// Whether there is something to [`deliver`](Self::deliver).
    #[inline(always)]
    pub fn has_reaped(&self) -> bool {
        !self.inner.wakes.borrow().is_empty() || !self.inner.takers.borrow().is_empty()
    }

    /// Wakes the tasks whose operations completed, and hands the completions of dropped futures to where they belong.
    /// To be called after the other calls, when nothing is borrowed. Returns whether there was anything.
    #[inline(always)]
    pub fn deliver(&self) -> bool {
        let any = self.has_reaped();
        self.inner.inherit();
        self.inner.wake();
        any
    }

    /// Has operations end whose futures were dropped, as far as the kernel ends them at once. For a loop that stops: what it
    /// leaves in flight keeps sockets open, and from being used elsewhere. Costs nothing if nothing was dropped in flight.
    pub fn settle(&self) {
        self.inner.settle_cancelled();
    }

    /// Cancels every operation and waits until the kernel uses none of their memory any more.
    ///
    /// If it does not let go within ten seconds (a read of a file system that hangs), the ring and that memory are leaked,
    /// with a line on standard error.
    pub fn shutdown(&self) {
        if !self.inner.closed.replace(true) && !self.inner.is_forked() {
            let _entered = self.enter();
            if !self.inner.drain() {
                mem::forget(self.inner.clone());
            }
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("backend", &self.backend())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
