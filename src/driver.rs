//! The meeting point: the one place where the ring, the timer wheel and the ready queue know of each other.
//!
//! ```text
//!   executor: run ≤ 64 tasks ──> tick ──> run ≤ 64 tasks ──> … ──> nothing ready ──> park ──> …
//!
//!   tick   no system call as a rule: reap what is there, submit if it is time, fire timers
//!   park   submit and wait in one system call, bounded by the earliest deadline; reap; wake; fire timers
//! ```
//!
//! Everything here is inlined into the executor's loop: a return right after a system call is dear.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use camshaft_executor::{Idle, Park, Unpark};
use camshaft_io::driver::{Driver, Unparker};

use crate::runtime::Spin;
#[cfg(feature = "inspect")]
use crate::runtime::Standstill;
use crate::time::Timers;

/// What is queued is submitted after this many ticks of the executor at the latest (64 polls each)…
const TICKS_TO_SUBMIT: u32 = 4;
/// …or after this long, in nanoseconds.
const NANOS_TO_SUBMIT: u64 = 50_000;
/// The longest adaptive spin, in nanoseconds.
const SPIN_NANOS: u64 = 50_000;
/// Waits that were longer count as this long for the adaptive spin, so that it recovers quickly from a pause.
const LONG_WAIT_NANOS: u64 = 4 * SPIN_NANOS;

/// How often a paused clock asks whether the work that it waits for has ended, in nanoseconds.
const LOOK_AGAIN_NANOS: u64 = 1_000_000;

/// Parks the executor in the ring, and fires timers.
pub(crate) struct Loop {
    driver: Driver,
    timers: Rc<Timers>,
    spin: Spin,
    #[cfg(feature = "inspect")]
    standstill: Option<Standstill>,
    /// How late timers may be, in nanoseconds.
    slack: u64,
    /// Ticks since the ring began to want an enter.
    ticks: Cell<u32>,
    /// When the ring began to want an enter, in nanoseconds of the clock. Counted from the first tick after the last
    /// enter, which itself takes long when it submits much.
    since: Cell<u64>,
    /// How long the last waits were, as a moving average in nanoseconds.
    usual_wait: Cell<u64>,
    /// The time that was spent waiting, in nanoseconds.
    parked: Rc<Cell<u64>>,
}

impl Loop {
    pub(crate) fn new(driver: Driver, timers: Rc<Timers>, spin: Spin, slack: Duration) -> Self {
        if timers.is_paused() {
            driver.watch_work();
        }
        Self {
            driver,
            timers,
            spin,
            #[cfg(feature = "inspect")]
            standstill: None,
            slack: u64::try_from(slack.as_nanos()).unwrap_or(u64::MAX),
            ticks: Cell::new(0),
            since: Cell::new(0),
            usual_wait: Cell::new(LONG_WAIT_NANOS),
            parked: Rc::default(),
        }
    }

    /// Has a dump printed when nothing can run any more.
    #[cfg(feature = "inspect")]
    pub(crate) fn watch_for_standstill(&mut self, runtime: Option<&str>) {
        self.driver.watch_work();
        self.standstill = Some(Standstill::of(runtime));
    }

    pub(crate) fn driver(&self) -> &Driver {
        &self.driver
    }

    pub(crate) fn timers(&self) -> &Rc<Timers> {
        &self.timers
    }

    /// The time that was spent waiting, in nanoseconds.
    pub(crate) fn parked(&self) -> &Rc<Cell<u64>> {
        &self.parked
    }

    /// Whether the ring has wanted an enter for long enough. Called once a tick.
    #[inline(always)]
    fn is_overdue(&self, now: u64) -> bool {
        let ticks = self.ticks.get() + 1;
        self.ticks.set(ticks);
        if ticks == 1 {
            self.since.set(now);
        }
        ticks >= TICKS_TO_SUBMIT || now - self.since.get() >= NANOS_TO_SUBMIT
    }

    /// How long to wait before a standstill is looked for again, if one is looked for and this may be one.
    #[inline(always)]
    fn patience(&self, idle: &Idle<'_>, is_timed: bool) -> Option<Duration> {
        #[cfg(feature = "inspect")]
        if let Some(standstill) = &self.standstill {
            return standstill.look(idle, is_timed, &self.driver);
        }
        let _ = (idle, is_timed);
        None
    }

    /// Waits in the kernel until something happens, at most until `deadline`, or for as long as there is `patience`.
    #[inline(always)]
    fn wait(&self, idle: &Idle<'_>, now: u64, deadline: Option<u64>, patience: Option<Duration>) {
        let until_deadline =
            deadline.map(|at| Duration::from_nanos(at.saturating_add(self.slack) - now));
        let limit = sooner(sooner(until_deadline, idle.limit()), patience);
        #[cfg(feature = "stackful")]
        let limit = sooner(limit, camshaft_stackful::quiet());
        let waited = if idle.announce() {
            self.driver.park(limit)
        } else {
            self.driver.turn()
        };
        expect_ring(waited);
    }

    /// Submits, and then looks for events in user space for a while. Returns whether there was one.
    #[inline(always)]
    fn spin(
        &self,
        idle: &Idle<'_>,
        now: u64,
        deadline: Option<u64>,
        patience: Option<Duration>,
    ) -> bool {
        let longest = match self.spin {
            Spin::Off => return false,
            Spin::Adaptive if self.usual_wait.get() > SPIN_NANOS => return false,
            Spin::Adaptive => SPIN_NANOS,
            // Memory is to be given back, which the executor does when the park returns.
            Spin::Always => sooner(idle.limit(), patience).map_or(u64::MAX, |limit| {
                u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)
            }),
        };
        let end = now
            .saturating_add(longest)
            .min(deadline.unwrap_or(u64::MAX));
        expect_ring(self.driver.turn());
        if self.driver.has_reaped() {
            return true;
        }
        loop {
            for _ in 0..32 {
                if self.driver.is_ready() {
                    expect_ring(self.driver.turn());
                    if self.driver.has_reaped() {
                        return true;
                    }
                }
                if idle.has_remote() {
                    return true;
                }
                std::hint::spin_loop();
            }
            // What an enter left in the queue: the kernel was short of memory, or wanted completions to be reaped first. Asked
            // for seldom, since it costs more than a look, and since a kernel that refuses is not to be pressed.
            if self.driver.wants_turn() {
                expect_ring(self.driver.turn());
                if self.driver.has_reaped() {
                    return true;
                }
            }
            if self.timers.now() >= end {
                return self.spin == Spin::Always || deadline.is_some_and(|at| at <= end);
            }
        }
    }

    /// Parks with a paused clock: if nothing happens by itself and nobody moves time, it jumps to the next deadline.
    #[cold]
    fn park_paused(&self, idle: &Idle<'_>) {
        expect_ring(self.driver.turn());
        let mut happened = self.driver.deliver();
        happened |= self.timers.fire(self.timers.now());
        if happened || self.timers.settle() {
            return;
        }
        // In this order: a blocking closure or job is counted until its wake can be seen.
        let works = idle.blocking_in_flight() > 0 || self.driver.is_working();
        let quiet = !works && !idle.has_remote() && !self.driver.is_ready();
        if !quiet || !self.timers.skip() {
            let patience = self.patience(idle, !quiet);
            // The end of work whose future is gone, or was woken a moment before the count went down, wakes nobody.
            self.wait(idle, 0, works.then_some(LOOK_AGAIN_NANOS), patience);
            self.driver.deliver();
        }
    }
}

impl Park for Loop {
    #[inline(always)]
    fn tick(&self) {
        let wanted = self.driver.wants_turn();
        let timed = !self.timers.is_empty();
        let now = if wanted || timed {
            self.timers.now()
        } else {
            0
        };
        let overdue = wanted && self.is_overdue(now);
        let entered = expect_ring(self.driver.tick(overdue));
        if entered || !wanted {
            self.ticks.set(0);
        }
        self.driver.deliver();
        if timed {
            self.timers.fire(now);
        }
        if self.timers.is_paused() {
            self.timers.count_tick();
        }
    }

    #[inline(always)]
    fn park(&self, idle: &Idle<'_>) {
        if self.timers.is_paused() {
            return self.park_paused(idle);
        }
        let before = self.timers.now();
        let deadline = self.timers.next_deadline();
        let patience = self.patience(idle, deadline.is_some());
        if deadline.is_some_and(|at| at <= before) {
            expect_ring(self.driver.turn());
        } else if !self.spin(idle, before, deadline, patience) {
            self.wait(idle, before, deadline, patience);
        }
        let after = self.timers.now();
        self.ticks.set(0);
        let waited = after - before;
        self.parked.set(self.parked.get() + waited);
        let usual = self.usual_wait.get() * 7 + waited.min(LONG_WAIT_NANOS);
        self.usual_wait.set(usual / 8);
        self.driver.deliver();
        self.timers.fire(after);
    }

    fn unparker(&self) -> Arc<dyn Unpark> {
        Arc::new(Event(self.driver.unparker()))
    }
}

/// The shorter of two limits, if there is one.
#[inline(always)]
fn sooner(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

struct Event(Arc<Unparker>);

impl Unpark for Event {
    fn unpark(&self) {
        self.0.unpark();
    }
}

/// Panics if the ring is broken: nothing can be waited for any more.
#[inline(always)]
fn expect_ring<T>(result: std::io::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => broken(&error),
    }
}

#[cold]
fn broken(error: &std::io::Error) -> ! {
    panic!("camshaft: the ring or epoll of this runtime is broken: {error}");
}
