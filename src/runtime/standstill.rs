//! Finds out that nothing can run any more, and says so.
//!
//! When the loop is about to wait, no task is ready. If moreover no timer is armed, no operation is in flight, and no
//! closure runs on another thread, then nothing that the runtime knows of can end the wait. Another thread can: it may hold
//! a waker or a handle, which nobody knows. So that is given some time, and the message says that it may still come.

use std::cell::Cell;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use camshaft_executor::Idle;
use camshaft_io::driver::Driver;

use crate::inspect;

/// How long other threads have to wake somebody before a standstill is told.
const GRACE: Duration = Duration::from_secs(1);

/// When to look again if something has come, and it is not known yet to whom.
const SOON: Duration = Duration::from_millis(1);

/// Looks for standstills.
pub(crate) struct Standstill {
    /// Whose they are.
    runtime: String,
    /// When this one began, and how many turns there had been until then.
    began: Cell<Option<(u64, Instant)>>,
    /// How many turns there had been when one was told: without another turn it is the same.
    told: Cell<Option<u64>>,
}

impl Standstill {
    pub(crate) fn of(runtime: Option<&str>) -> Self {
        Self {
            runtime: runtime.map_or_else(String::new, |name| format!(" {name:?}")),
            began: Cell::new(None),
            told: Cell::new(None),
        }
    }

    /// Looks whether the loop that is about to wait can only be woken by other threads, and tells if that has been so for a
    /// while. Returns when to look again.
    #[cold]
    pub(crate) fn look(
        &self,
        idle: &Idle<'_>,
        is_timed: bool,
        driver: &Driver,
    ) -> Option<Duration> {
        let turns = idle.turns();
        // In this order: a closure or a job is counted until its wake can be seen.
        if is_timed || idle.blocking_in_flight() > 0 || !driver.is_still() {
            self.began.set(None);
            return None;
        }
        if self.told.get() == Some(turns) {
            return None;
        }
        let now = Instant::now();
        let began = match self.began.get() {
            Some((before, began)) if before == turns => began,
            _ => {
                self.began.set(Some((turns, now)));
                now
            }
        };
        let left = GRACE.saturating_sub(now.duration_since(began));
        if !left.is_zero() {
            return Some(left);
        }
        // If what has come is the program's, a turn follows; if it is for those who look at the runtime, it is no progress.
        if idle.has_remote() || driver.has_news() {
            return Some(SOON);
        }
        self.told.set(Some(turns));
        inspect::try_to(|| self.tell());
        None
    }

    fn tell(&self) {
        let dump = inspect::dump();
        let mut why = format!(
            "the runtime{} stands still: no task is ready, no timer is armed, no operation is in flight and no blocking closure \
             runs; only another thread could wake it, and none has for {GRACE:?}",
            self.runtime
        );
        for cycle in dump.cycles() {
            let around = cycle.iter().chain(&cycle[..1]);
            let around: Vec<_> = around.map(u64::to_string).collect();
            // A string takes all that is written.
            let _ = match cycle.len() {
                1 => write!(why, "\ntask {} waits for itself", cycle[0]),
                _ => write!(why, "\ntasks {} wait for each other", around.join(" -> ")),
            };
        }
        inspect::print(&why, &dump);
    }
}
