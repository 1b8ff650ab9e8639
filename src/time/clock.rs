//! The clock of a runtime and the timers that hang on it.
//!
//! Invariant **NO-BORROW**: wakers are called and dropped only when the wheel is not borrowed, for they may arm timers.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::mem;
use std::rc::Rc;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use camshaft_timer::{Key, NEVER, Wheel};

use super::sleep::deadline_after;

/// The most timers that fire before tasks run again.
const BATCH: usize = 1024;

/// After this many ticks of the executor (64 polls each at most) an [`advance`] goes on although tasks are ready.
const TICKS_TO_SETTLE: u32 = 1024;

/// How long the wheel may go without being told the time, in nanoseconds. It sorts timers best if it knows it to the second.
const LOOK: u64 = 1 << 28;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Timers>>> = const { RefCell::new(None) };
}

/// The moment from which all wheels of the process count.
fn epoch() -> std::time::Instant {
    static EPOCH: OnceLock<std::time::Instant> = OnceLock::new();
    *EPOCH.get_or_init(std::time::Instant::now)
}

/// Nanoseconds since the epoch; [`NEVER`] for what does not fit.
pub(super) fn to_nanos(instant: std::time::Instant) -> u64 {
    let since = instant.saturating_duration_since(epoch());
    let seconds = since.as_secs().checked_mul(1_000_000_000);
    let nanos = seconds.and_then(|it| it.checked_add(since.subsec_nanos().into()));
    nanos.unwrap_or(NEVER)
}

pub(super) fn from_nanos(nanos: u64) -> std::time::Instant {
    epoch() + Duration::from_nanos(nanos)
}

#[cfg(feature = "hyper")]
fn next_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};

    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The wheel of a runtime, and its clock.
pub(crate) struct Timers {
    /// Tells it from all others of the process, also from those that are gone.
    #[cfg(feature = "hyper")]
    number: u64,
    wheel: RefCell<Wheel<Waker>>,
    /// The time when the loop last looked, or that of a paused clock, in nanoseconds since the epoch.
    now: Cell<u64>,
    is_paused: bool,
    /// Wakers whose timers have fired but which were not called yet: another one panicked. Otherwise room for the next.
    due: Cell<Vec<Waker>>,
    /// Whether there are any in `due`.
    has_due: Cell<bool>,
    /// When the wheel was last told the time.
    looked: Cell<u64>,
    fired: Cell<u64>,
    /// Tasks in [`advance`] that wait until no other is ready.
    settling: RefCell<Vec<Waker>>,
    /// How often that was so.
    settled: Cell<u64>,
    /// Ticks since then.
    ticks: Cell<u32>,
}

impl Timers {
    pub(crate) fn new(paused: bool) -> Rc<Self> {
        let now = to_nanos(std::time::Instant::now());
        Rc::new(Self {
            #[cfg(feature = "hyper")]
            number: next_number(),
            wheel: RefCell::new(Wheel::new(now)),
            now: Cell::new(now),
            is_paused: paused,
            due: Cell::default(),
            has_due: Cell::new(false),
            looked: Cell::new(now),
            fired: Cell::new(0),
            settling: RefCell::default(),
            settled: Cell::new(0),
            ticks: Cell::new(0),
        })
    }

    /// Looks at the clock: the time in nanoseconds since the epoch.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        if !self.is_paused {
            self.now.set(to_nanos(std::time::Instant::now()));
        }
        self.now.get()
    }

    /// The time when the clock was last looked at, which is a little in the past.
    #[inline]
    pub(super) fn recent(&self) -> u64 {
        self.now.get()
    }

    /// Tells it from all others of the process.
    #[cfg(feature = "hyper")]
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        !self.has_due.get() && self.wheel.borrow().is_empty()
    }

    /// Until when nothing is due; see [`Wheel::next_deadline`]. Wakers that a panic left behind are due at any time.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        if self.has_due.get() {
            return Some(0);
        }
        self.wheel.borrow().next_deadline()
    }

    /// The number of timers that have fired.
    pub(crate) fn fired(&self) -> u64 {
        self.fired.get()
    }

    /// Wakes the tasks whose deadlines have come, at most [`BATCH`] of them. Returns whether there were any.
    #[inline]
    pub(crate) fn fire(&self, now: u64) -> bool {
        let due = self.next_deadline().is_some_and(|deadline| deadline <= now);
        if due || now.wrapping_sub(self.looked.get()) >= LOOK {
            self.looked.set(now);
            return self.fire_due(now);
        }
        false
    }

    fn fire_due(&self, now: u64) -> bool {
        let mut due = Rest {
            timers: self,
            wakers: self.due.take(),
        };
        let before = due.wakers.len();
        let count = self
            .wheel
            .borrow_mut()
            .expire_into(now, BATCH, &mut due.wakers);
        self.fired.set(self.fired.get() + count as u64);
        // Popped from the back, so that those that a panicking waker leaves behind are still in order.
        due.wakers[before..].reverse();
        due.wakers.rotate_left(before);
        while let Some(waker) = due.wakers.pop() {
            waker.wake();
        }
        before + count > 0
    }

    /// Jumps to the next deadline, if the clock is paused and there is one.
    pub(crate) fn skip(&self) -> bool {
        let Some(deadline) = self.next_deadline().filter(|_| self.is_paused) else {
            return false;
        };
        self.set(deadline);
        self.fire(self.recent());
        true
    }

    /// No task is ready: those that advance the clock may go on. Returns whether there are any.
    pub(crate) fn settle(&self) -> bool {
        if self.settling.borrow().is_empty() {
            return false;
        }
        self.settled.set(self.settled.get() + 1);
        self.ticks.set(0);
        loop {
            let next = self.settling.borrow_mut().pop();
            let Some(waker) = next else { return true };
            waker.wake();
        }
    }

    /// Tasks are ready still. Settles if that has been so for long.
    pub(crate) fn count_tick(&self) {
        let ticks = self.ticks.get() + 1;
        self.ticks.set(ticks);
        if ticks >= TICKS_TO_SETTLE {
            self.ticks.set(0);
            self.settle();
        }
    }

    /// Waits until the loop has settled.
    async fn wait_settled(&self) {
        let before = self.settled.get();
        self.ticks.set(0);
        poll_fn(|cx| {
            if self.settled.get() != before {
                return Poll::Ready(());
            }
            let waker = cx.waker().clone();
            let mut settling = self.settling.borrow_mut();
            let known = settling.iter().any(|known| known.will_wake(&waker));
            let spare = if known {
                Some(waker)
            } else {
                settling.push(waker);
                None
            };
            drop(settling);
            drop(spare);
            Poll::Pending
        })
        .await;
    }

    /// Moves a paused clock; never back.
    fn set(&self, now: u64) {
        self.now.set(self.now.get().max(now));
    }

    /// Makes this the clock of the thread until the guard is dropped.
    pub(crate) fn enter(self: &Rc<Self>) -> Entered {
        Entered {
            previous: CURRENT.replace(Some(self.clone())),
        }
    }

    /// The timers of the runtime that the thread is in.
    #[inline]
    pub(super) fn current() -> Option<Rc<Self>> {
        Self::with_current(|timers| timers.cloned())
    }

    /// The timers of the runtime that a sleep is polled in.
    #[inline]
    #[track_caller]
    pub(super) fn expect_current() -> Rc<Self> {
        Self::current().expect(
            "a sleep of camshaft was polled outside of a camshaft runtime; run the future with camshaft::block_on or \
             Runtime::block_on",
        )
    }

    #[inline]
    pub(super) fn with_current<R>(f: impl FnOnce(Option<&Rc<Self>>) -> R) -> R {
        let mut f = Some(f);
        let mut call = |timers: Option<&Rc<Self>>| f.take().map(|f| f(timers));
        CURRENT
            .try_with(|current| call(current.borrow().as_ref()))
            // The thread is ending, and its clock is gone.
            .unwrap_or_else(|_| call(None))
            .expect("called once, by one or the other")
    }

    #[inline]
    pub(super) fn insert(&self, deadline: u64, waker: Waker) -> Key {
        self.wheel.borrow_mut().insert(deadline, waker)
    }

    #[inline]
    pub(super) fn cancel(&self, key: Key) {
        let waker = self.wheel.borrow_mut().cancel(key);
        drop(waker);
    }

    #[inline]
    pub(super) fn reset(&self, key: Key, deadline: u64) -> bool {
        self.wheel.borrow_mut().reset(key, deadline)
    }

    pub(super) fn is_fired(&self, key: Key) -> bool {
        self.wheel.borrow().get(key).is_none()
    }

    /// Whether the timer has fired; if not, remembers whom to wake.
    #[inline]
    pub(super) fn poll(&self, key: Key, cx: &Context<'_>) -> Poll<()> {
        match self.wheel.borrow().get(key) {
            None => return Poll::Ready(()),
            Some(waker) if waker.will_wake(cx.waker()) => return Poll::Pending,
            Some(_) => {}
        }
        let mut waker = cx.waker().clone();
        if let Some(known) = self.wheel.borrow_mut().get_mut(key) {
            mem::swap(known, &mut waker);
        }
        drop(waker);
        Poll::Pending
    }
}

/// The wakers that are being called. If one panics, the rest is kept for the next time.
struct Rest<'a> {
    timers: &'a Timers,
    wakers: Vec<Waker>,
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        self.timers.has_due.set(!self.wakers.is_empty());
        self.timers.due.set(mem::take(&mut self.wakers));
    }
}

/// Restores the previous clock of the thread when dropped.
pub(crate) struct Entered {
    previous: Option<Rc<Timers>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let previous = self.previous.take();
        // A thread that is ending has no current clock any more.
        let left = CURRENT.try_with(|current| current.replace(previous));
        drop(left);
    }
}

/// Moves a paused clock forward by `duration`. Timers that come due on the way fire one after the other, each at its own
/// time, and the tasks that they wake run in between, with all that they wake and spawn, until none is ready.
///
/// It does not wait for what comes from elsewhere: the network, files, other threads. A task that is always ready holds it
/// up for a while only (65536 polls at most). `Duration::MAX` moves the clock to its end, some centuries ahead, where only
/// what waits for ever still waits.
///
/// # Panics
///
/// If the clock of the runtime is not paused (see [`Builder::paused_clock`](crate::runtime::Builder::paused_clock)), or
/// outside of a runtime.
///
/// # Cancellation
///
/// Strict: the clock stays where it has got to.
///
/// # Examples
///
/// ```
/// use camshaft::time::{Duration, Instant, advance};
///
/// let runtime = camshaft::runtime::Builder::new().paused_clock(true).build()?;
/// runtime.block_on(async {
///     let before = Instant::now();
///     advance(Duration::from_secs(3600)).await;
///     assert_eq!(before.elapsed(), Duration::from_secs(3600));
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
pub async fn advance(duration: Duration) {
    let timers = Timers::current().expect(
        "camshaft: advance was called outside of a runtime; call it from a future that a runtime with a paused clock runs",
    );
    assert!(
        timers.is_paused,
        "camshaft: advance needs a paused clock; build the runtime with paused_clock(true)"
    );
    // Short of what is never reached, so that sleeps without an end keep theirs.
    let target = to_nanos(deadline_after(duration).into_std()).min(NEVER - 1);
    while let Some(deadline) = timers.next_deadline().filter(|at| *at <= target) {
        timers.set(deadline);
        timers.fire(timers.recent());
        timers.wait_settled().await;
    }
    timers.set(target);
    timers.wait_settled().await;
}
