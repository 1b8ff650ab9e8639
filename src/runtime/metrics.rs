//! Counters.

use std::time::Duration;

/// What a runtime has done since it was built; see [`Runtime::metrics`](crate::runtime::Runtime::metrics).
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
