//! The driver: one ring, the table of operations in flight, and the loop's three calls on them.
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

mod ladder;
mod lend;
mod request;
mod ring;
mod syscall;
mod table;
mod unpark;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::fork;

pub use self::ladder::{Report, Rung};
pub use self::lend::BufGuard;
pub(crate) use self::lend::{BufRing, PRIVATE_LEN};
pub(crate) use self::request::{Request, transfer_len};
use self::ring::{Ring, Shape};
pub(crate) use self::syscall::Timespec;
pub(crate) use self::table::{Completion, Heir, Key};
use self::table::{Delivery, Disowned, Polled, Table};
pub use self::unpark::Unparker;

/// Runs a closure on some other thread; see [`Config::offload`].
pub type Offload = Arc<dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync>;

/// What a driver is made of.
#[derive(Clone)]
pub struct Config {
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
            .field("entries", &self.entries)
            .field("best", &self.best)
            .finish_non_exhaustive()
    }
}

/// Counts since the driver was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls of `io_uring_enter`.
    pub enters: u64,
    /// Operations handed to the ring.
    pub submitted: u64,
    /// Operations that ended, in whatever way.
    pub completed: u64,
    /// Operations whose future was dropped while they were in flight.
    pub cancelled: u64,
}

/// The least number of completions that fit in the queue before the kernel has to keep some aside.
const LEAST_COMPLETIONS: u32 = 64;
/// Completions of cancellations: nobody waits for them.
const IGNORED: u64 = u64::MAX;
/// Completions of the watch on the unparker's eventfd.
const UNPARKED: u64 = u64::MAX - 1;
/// How long the end of a driver waits for the kernel to let go of its memory.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// How often a full queue is handed to the kernel before the submitter has to wait for its turn.
const FLUSHES: usize = 2;

thread_local! {
    static CURRENT: Cell<*const Inner> = const { Cell::new(ptr::null()) };
}

/// An io_uring driver. Cheap to clone; the clones are one driver.
#[derive(Clone)]
pub struct Driver {
    inner: Rc<Inner>,
}

pub(crate) struct Inner {
    ring: Ring,
    table: RefCell<Table>,
    wakes: RefCell<VecDeque<Waker>>,
    heirs: RefCell<VecDeque<(Heir, Completion)>>,
    /// Submitters that found the queue full even after it was flushed.
    waiters: RefCell<Vec<Waker>>,
    /// Cancellations that found the queue full. At most one for each operation in flight.
    cancels: RefCell<VecDeque<Key>>,
    lent: RefCell<Option<Rc<BufRing>>>,
    unparker: Arc<Unparker>,
    watching: Cell<bool>,
    closed: Cell<bool>,
    /// The fork generation that it was made in; see [`fork`].
    generation: u32,
    stats: Cell<Stats>,
    offload: Offload,
    report: Report,
}

impl Driver {
    /// Sets up a ring on this thread.
    ///
    /// # Errors
    ///
    /// That io_uring is not available, with the reason and what to change; or that the eventfd can't be made.
    pub fn new(config: &Config) -> io::Result<Self> {
        let shape = Shape {
            entries: config.entries.max(1),
            completions: config.entries.saturating_mul(4).max(LEAST_COMPLETIONS),
            best: config.best,
        };
        fork::watch();
        let (ring, mut report) = Ring::new(shape).map_err(|(error, _)| error)?;
        let mut inner = Inner {
            unparker: Arc::new(Unparker::new()?),
            ring,
            table: RefCell::default(),
            wakes: RefCell::default(),
            heirs: RefCell::default(),
            waiters: RefCell::default(),
            cancels: RefCell::default(),
            lent: RefCell::default(),
            watching: Cell::new(false),
            closed: Cell::new(false),
            generation: fork::generation(),
            stats: Cell::default(),
            offload: config.offload.clone(),
            report: Report::default(),
        };
        report.feature("provided-buffer rings", inner.ring.rung().has_519());
        inner.report = report;
        Ok(Self {
            inner: Rc::new(inner),
        })
    }

    /// Makes this the driver that operations polled on this thread use, until the guard is dropped.
    pub fn enter(&self) -> Entered {
        Entered {
            previous: CURRENT.replace(Rc::as_ptr(&self.inner)),
            driver: self.clone(),
        }
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
            enters: self.inner.ring.enters(),
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
        self.inner.ring.has_completions() || self.inner.ring.wants_enter()
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
        let full = inner.ring.queued() * 2 >= inner.ring.capacity();
        let enter = full || (overdue && self.wants_turn());
        if enter {
            inner.flush_cancels();
            inner.ring.enter(0, None)?;
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
        self.inner.submit_and_wait(0, None)
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
        let wait = inner.watching.get() && !inner.ring.has_completions() && !self.has_reaped();
        let wait = u32::from(wait);
        inner.submit_and_wait(wait, if wait == 1 { limit } else { None })
    }

    /// Whether something waits to be submitted, or the kernel holds completions back until it is entered.
    #[inline(always)]
    pub fn wants_turn(&self) -> bool {
        self.inner.ring.queued() > 0
            || self.inner.ring.wants_enter()
            || !self.inner.cancels.borrow().is_empty()
    }

    /// Whether there is something to [`deliver`](Self::deliver).
    #[inline(always)]
    pub fn has_reaped(&self) -> bool {
        !self.inner.wakes.borrow().is_empty() || !self.inner.heirs.borrow().is_empty()
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
            .field("rung", &self.inner.ring.rung())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Restores the previous driver of the thread when dropped.
#[must_use = "the driver is current only as long as this lives"]
#[derive(Debug)]
pub struct Entered {
    previous: *const Inner,
    #[expect(dead_code, reason = "keeps the current driver alive")]
    driver: Driver,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.previous);
    }
}

/// The driver that is current on this thread. `None` also in a forked child, where it must not be touched.
#[inline]
pub(crate) fn current() -> Option<Rc<Inner>> {
    let inner = CURRENT.get();
    if inner.is_null() {
        return None;
    }
    // SAFETY: `CURRENT` was made from an `Rc` that an `Entered` on this thread keeps alive while it is set.
    unsafe { Rc::increment_strong_count(inner) };
    // SAFETY: the count that was just added is the one that this `Rc` owns.
    let inner = unsafe { Rc::from_raw(inner) };
    (!inner.is_forked()).then_some(inner)
}

/// The driver that is current on this thread, for a future that is polled.
#[inline]
#[track_caller]
pub(crate) fn expect_current() -> Rc<Inner> {
    current().unwrap_or_else(|| {
        panic!(
            "an I/O operation of camshaft was polled outside of a camshaft runtime, or in a process that was forked \
             from it; run the future with camshaft::block_on or Runtime::block_on"
        )
    })
}

/// Wakes them all. If one panics, the others are woken all the same.
pub(crate) fn wake_all(wakers: Vec<Waker>) {
    struct Rest(Vec<Waker>);
    impl Drop for Rest {
        fn drop(&mut self) {
            let rest = mem::take(&mut self.0);
            if !rest.is_empty() {
                wake_all(rest);
            }
        }
    }
    let mut rest = Rest(wakers);
    while let Some(waker) = rest.0.pop() {
        waker.wake();
    }
}

/// Has the processor fetch what a waker points to, which is used in a moment: among thousands of tasks it is rarely in the
/// first cache.
#[inline(always)]
fn prefetch(data: *const ()) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which is allowed for any address; SSE is part of x86_64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(data.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = data;
}

impl Inner {
    #[inline]
    fn is_forked(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Queues a request. `Pending`: the queue is full, and the waker will be called when there is room.
    ///
    /// # Safety
    ///
    /// REQUEST-MEMORY.
    #[inline]
    pub(crate) unsafe fn submit(&self, request: &Request, cx: &Context<'_>) -> Poll<Key> {
        let waker = cx.waker().clone();
        let key = self.table.borrow_mut().insert(waker);
        let entry = request.entry(key.user_data(), self.ring.rung().has_519());
        // SAFETY: the caller's promise.
        let pushed = unsafe { self.ring.push(&entry) } || {
            self.make_room();
            // SAFETY: the caller's promise; the first push took nothing.
            unsafe { self.ring.push(&entry) }
        };
        if pushed {
            self.count(|stats| stats.submitted += 1);
            return Poll::Ready(key);
        }
        let waker = self.table.borrow_mut().retract(key);
        self.waiters.borrow_mut().extend(waker);
        Poll::Pending
    }

    /// Takes the completion of an operation, or remembers whom to wake.
    #[inline]
    pub(crate) fn poll(&self, key: Key, cx: &Context<'_>) -> Poll<Completion> {
        let polled = self.table.borrow_mut().poll(key, cx.waker());
        match polled {
            Polled::Done(completion) => return Poll::Ready(completion),
            Polled::Waiting => {}
            Polled::WaitingForAnother => {
                let waker = cx.waker().clone();
                let old = self.table.borrow_mut().set_waker(key, waker);
                drop(old);
            }
        }
        Poll::Pending
    }

    /// The future of an operation was dropped: cancels it, and lets the heir have its completion.
    pub(crate) fn disown(&self, key: Key, heir: Heir) {
        let disowned = self.table.borrow_mut().disown(key, heir);
        match disowned {
            Disowned::InFlight(waker) => {
                drop(waker);
                self.count(|stats| stats.cancelled += 1);
                self.cancels.borrow_mut().push_back(key);
            }
            Disowned::Done(heir, completion) => heir(completion),
            Disowned::Unknown(heir) => drop(heir),
        }
    }

    /// Enters the kernel a few times until `settled`, for a descriptor that is to be closed now although cancelled
    /// operations still hold it. Runs heirs, wakes nobody.
    pub(crate) fn settle(&self, settled: impl Fn() -> bool) {
        for _ in 0..FLUSHES {
            if settled() || self.submit_and_wait(0, None).is_err() {
                return;
            }
            self.inherit();
        }
    }

    /// The ring of provided buffers, made at the first call. `None` where the kernel has none or refuses it.
    pub(crate) fn lent(&self) -> Option<Rc<BufRing>> {
        let mut lent = self.lent.borrow_mut();
        if lent.is_none() && self.ring.rung().has_519() && !self.closed.get() {
            let ring = BufRing::new().ok()?;
            // SAFETY: LENT-MEMORY: `lent` keeps the ring until it was unregistered in `drain`.
            unsafe {
                self.ring
                    .register_buffers(ring.address(), BufRing::entries(), BufRing::GROUP)
            }
            .ok()?;
            *lent = Some(ring);
        }
        lent.clone()
    }

    pub(crate) fn offload(&self, job: Box<dyn FnOnce() + Send>) {
        (self.offload)(job);
    }

    /// One enter, and what goes with it.
    #[inline(always)]
    fn submit_and_wait(&self, wait: u32, limit: Option<Duration>) -> io::Result<()> {
        let wait = if self.flush_cancels() { wait } else { 0 };
        self.ring.enter(wait, limit)?;
        self.reap();
        Ok(())
    }

    /// Moves completions from the ring to the table and the outbox.
    #[inline(always)]
    fn reap(&self) {
        if !self.ring.has_completions() {
            return;
        }
        let mut table = self.table.borrow_mut();
        let mut wakes = self.wakes.borrow_mut();
        let mut completed = 0;
        self.ring.reap(|user_data, completion| match user_data {
            IGNORED => {}
            UNPARKED => self.unparked(completion),
            key => {
                completed += 1;
                match table.complete(Key::from_user_data(key), completion) {
                    Some(Delivery::Wake(waker)) => {
                        prefetch(waker.data());
                        wakes.push_back(waker);
                    }
                    Some(Delivery::Inherit(heir, completion)) => {
                        self.heirs.borrow_mut().push_back((heir, completion));
                    }
                    None => {}
                }
            }
        });
        self.count(|stats| stats.completed += completed);
    }

    /// Runs the heirs whose completions were reaped. A panic of the buffer's drop ends here: it concerns neither the loop nor
    /// the other operations, and least of all may it end a drain.
    #[inline(always)]
    fn inherit(&self) {
        loop {
            let next = self.heirs.borrow_mut().pop_front();
            let Some((heir, completion)) = next else {
                return;
            };
            quietly(|| heir(completion));
        }
    }

    /// Wakes the tasks whose completions were reaped, and submitters for whom there is room now. A waker that panics
    /// leaves the others in the queue for the next call.
    #[inline(always)]
    fn wake(&self) {
        loop {
            let next = self.wakes.borrow_mut().pop_front();
            let Some(waker) = next else { break };
            waker.wake();
        }
        if !self.waiters.borrow().is_empty() && self.ring.queued() < self.ring.capacity() {
            let waiters = mem::take(&mut *self.waiters.borrow_mut());
            self.wakes.borrow_mut().extend(waiters);
            loop {
                let next = self.wakes.borrow_mut().pop_front();
                let Some(waker) = next else { break };
                waker.wake();
            }
        }
    }

    /// Hands a full queue to the kernel. An error shows again at the next enter of the loop, which reports it.
    #[cold]
    fn make_room(&self) {
        for _ in 0..FLUSHES {
            if self.ring.enter(0, None).is_err() || self.ring.queued() < self.ring.capacity() {
                return;
            }
            self.reap();
        }
    }

    /// Queues the cancellations that wait. `false` if some found no room: then nothing may be waited for yet.
    #[inline(always)]
    fn flush_cancels(&self) -> bool {
        self.cancels.borrow().is_empty() || self.flush_cancels_slowly()
    }

    #[cold]
    fn flush_cancels_slowly(&self) -> bool {
        let mut cancels = self.cancels.borrow_mut();
        while let Some(key) = cancels.front() {
            let request = Request::Cancel {
                target: key.user_data(),
            };
            // SAFETY: a cancellation describes no memory.
            if !unsafe { self.ring.push(&request.entry(IGNORED, false)) } {
                return false;
            }
            cancels.pop_front();
        }
        true
    }

    /// Has the ring watch the unparker's eventfd.
    #[inline(always)]
    fn watch(&self) {
        if !self.watching.get() {
            let request = Request::Watch {
                fd: self.unparker.as_raw_fd(),
                repeat: self.ring.rung().has_519(),
            };
            // SAFETY: a watch describes no memory.
            let pushed = unsafe { self.ring.push(&request.entry(UNPARKED, false)) };
            self.watching.set(pushed);
        }
    }

    /// The unparker was used. A watch that ended (an old kernel, an overflown queue) is made anew at the next park.
    fn unparked(&self, completion: Completion) {
        if !io_uring::cqueue::more(completion.flags) {
            self.unparker.clear();
            self.watching.set(false);
        }
    }

    /// Prepares the end in the one order that is safe: cancel, wait, unregister; closing comes last, with the drop.
    /// `false`: the kernel may still write to the memory of some operations, so all of it has to stay (LAST-WORD).
    fn drain(&self) -> bool {
        self.cancels
            .replace_with(|_| self.table.borrow().keys_in_flight().collect());
        let begin = Instant::now();
        while self.table.borrow().in_flight() > 0 {
            let waited = self.submit_and_wait(1, Some(Duration::from_millis(50)));
            self.inherit();
            if waited.is_err() || begin.elapsed() > DRAIN_LIMIT {
                self.report_leak();
                return false;
            }
        }
        if let Some(lent) = self.lent.borrow_mut().take() {
            let unregistered = self.ring.unregister_buffers(BufRing::GROUP);
            lent.close();
            if unregistered.is_err() {
                mem::forget(lent);
            }
        }
        self.wake();
        true
    }

    #[cold]
    fn report_leak(&self) {
        let stuck = self.table.borrow().in_flight();
        eprintln!(
            "camshaft: the kernel did not finish {stuck} operations within {DRAIN_LIMIT:?} at shutdown; \
             their buffers and the ring are leaked"
        );
    }

    #[inline]
    fn count(&self, change: impl FnOnce(&mut Stats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A driver that was dropped without `shutdown` (its owner panicked, say) must not free what the kernel uses.
        // Nor may one whose last wakes submitted something.
        let busy = self.table.get_mut().in_flight() > 0;
        if busy && !self.is_forked() && !self.drain() {
            mem::forget(self.table.take());
            mem::forget(self.lent.take());
        }
    }
}

/// Calls user code whose panic has nowhere to go: it is printed by the hook, and ends here.
fn quietly(call: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
        // The payload may panic when it is dropped, and so may the payload of that.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            mem::forget(second);
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}
