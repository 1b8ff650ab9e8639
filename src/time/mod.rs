//! Sleeps, timeouts and intervals.
//!
//! Timers live in a wheel in user space; they cost no system call, for the earliest deadline bounds the wait that the loop
//! makes anyway. A timer never fires before its deadline. Timers with equal deadlines fire in the order in which they were
//! armed.
//!
//! A runtime built with [`paused_clock`](crate::runtime::Builder::paused_clock) has a clock that stands still while tasks
//! run: [`advance`] moves it, and when every task waits it jumps to the next deadline by itself. [`Instant::now`] follows it.

mod clock;
mod instant;
mod interval;
#[cfg(feature = "hyper")]
mod portable;
mod sleep;
mod timeout;

pub use std::time::Duration;

pub use self::clock::advance;
pub(crate) use self::clock::{Entered, Timers};
pub use self::instant::Instant;
pub use self::interval::{Interval, MissedTickBehavior, interval, interval_at};
#[cfg(feature = "hyper")]
pub(crate) use self::portable::PortableSleep;
#[cfg(feature = "hyper")]
pub(crate) use self::sleep::deadline_after;
pub use self::sleep::{Sleep, sleep, sleep_until};
pub use self::timeout::{Elapsed, Timeout, timeout, timeout_at};
