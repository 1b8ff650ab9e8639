//! Counters.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use camshaft_executor::Stats;
#[cfg(feature = "inspect")]
use camshaft_io::driver::Backend;
use camshaft_io::driver::Driver;

use crate::driver::Loop;
use crate::time::Timers;

/// What a runtime has done since it was built; see [`Runtime::metrics`](crate::runtime::Runtime::metrics).
///
/// Tasks of the runtime's own, such as those that serve the page of feature `inspect`, are not in `tasks` and `polls`; what
/// they do otherwise is in the other numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Tasks that are alive now.
    pub tasks: u64,
    /// Polls of tasks and of the futures given to `block_on`.
    pub polls: u64,
    /// Wakes on the runtime's own thread that made a task ready.
    pub wakes_local: u64,
    /// Wakes from other threads that made a task ready.
    pub wakes_remote: u64,
    /// System calls into the ring. On epoll, where each operation is a call of its own, those that ask what is ready.
    pub enters: u64,
    /// Operations handed to the kernel.
    pub ops_submitted: u64,
    /// Operations that ended, in whatever way.
    pub ops_completed: u64,
    /// Operations whose future was dropped while they were in flight.
    pub ops_cancelled: u64,
    /// Timers that fired.
    pub timers_fired: u64,
    /// Time in `block_on` that was spent on tasks and on bookkeeping.
    pub busy: Duration,
    /// Time in `block_on` that was spent waiting, in the kernel or spinning.
    pub parked: Duration,
}

/// Where the counters are, but for those of the executor. A task of the runtime can read them as well.
pub(crate) struct Gauges {
    driver: Driver,
    timers: Rc<Timers>,
    parked: Rc<Cell<u64>>,
    /// The time spent in `block_on` before the current run.
    ran: Cell<Duration>,
    running: Cell<Option<Instant>>,
}

impl Gauges {
    pub(crate) fn of(park: &Loop) -> Self {
        Self {
            driver: park.driver().clone(),
            timers: Rc::clone(park.timers()),
            parked: Rc::clone(park.parked()),
            ran: Cell::default(),
            running: Cell::default(),
        }
    }

    #[cfg(feature = "inspect")]
    pub(crate) fn backend(&self) -> Backend {
        self.driver.backend()
    }

    pub(crate) fn read(&self, tasks: Stats) -> Metrics {
        let ring = self.driver.stats();
        let parked = Duration::from_nanos(self.parked.get());
        let running = self.running.get().map(|since| since.elapsed());
        Metrics {
            tasks: tasks.tasks,
            polls: tasks.polls,
            wakes_local: tasks.wakes_local,
            wakes_remote: tasks.wakes_remote,
            enters: ring.enters,
            ops_submitted: ring.submitted,
            ops_completed: ring.completed,
            ops_cancelled: ring.cancelled,
            timers_fired: self.timers.fired(),
            busy: (self.ran.get() + running.unwrap_or_default()).saturating_sub(parked),
            parked,
        }
    }
}

/// Counts the time in `block_on`. A nested call, which is about to be refused, counts nothing: it has no runtime here.
pub(super) struct Running<'a>(Option<&'a Gauges>);

impl<'a> Running<'a> {
    pub(super) fn new(gauges: &'a Gauges) -> Self {
        if gauges.running.get().is_some() {
            return Self(None);
        }
        gauges.running.set(Some(Instant::now()));
        Self(Some(gauges))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Some(gauges) = self.0 else { return };
        if let Some(since) = gauges.running.take() {
            gauges.ran.set(gauges.ran.get() + since.elapsed());
        }
    }
}
