//! The fibers of camshaft: functions that wait in the middle of calls, each on a stack of its own.
//!
//! A fiber is a future. Polling it resumes its function, and [`wait`] in that function polls any other future, and suspends
//! the fiber while that one is pending. So a fiber is a task like any other: it shares queue, ring, timers and channels with
//! those that are `async`, and only where the frames are kept differs.
//!
//! 1. [`Fiber::new`] makes a future of a function; the crate `camshaft` has `fiber::spawn`, which makes a task of that.
//! 2. [`wait`] inside of it waits for a future, and [`yield_now`] gives way.
//! 3. [`Generator`] is an iterator made of a fiber, and needs no runtime.
//!
//! ```text
//!   fiber, generator   futures and iterators   what owns a fiber
//!   wait, here         called inside           what a fiber does, and where it may not
//!   frame              the upper end of each stack, and the switch (corosensei)
//!   pool, arena, stack  stacks, their guards, and how they are used again
//!   census              how many there are, and how deep they were used
//!   look, registers    what they tell those who look from outside
//!   overflow           what is said when a stack is too small
//! ```
//!
//! # What a fiber must not do
//!
//! - **Hold a lock or a borrow while it waits** that others on the thread need: a `RefCell` that is borrowed, a `std::sync`
//!   lock, the closure of `thread_local!`'s `with` or of a task local's `with` and `sync_scope`. The compiler does not warn
//!   here as it does for `.await`. In particular, a fiber that waits inside of `LocalKey::with` must be over before that
//!   thread local is destroyed, at the end of the thread.
//! - **Use more stack than it has.** An overflow ends the process, with a message that names the fiber. Functions of other
//!   languages that were compiled without stack probes may step over the guard; give them room.
//! - **Wait in destructors that may run while it unwinds**; see [`can_wait`].
//!
//! # Examples
//!
//! ```
//! use camshaft_executor::{block_on, spawn};
//! use camshaft_stackful::{Fiber, wait, yield_now};
//!
//! // No `async` in between: any function may wait.
//! fn count_down(n: u32) -> u32 {
//!     if n == 0 {
//!         return 0;
//!     }
//!     yield_now();
//!     1 + count_down(n - 1)
//! }
//!
//! block_on(async {
//!     let one = spawn(Fiber::new(|| count_down(10)));
//!     let two = spawn(Fiber::new(|| wait(one).unwrap() + count_down(5)));
//!     assert_eq!(two.await.unwrap(), 15);
//! });
//! ```
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "maps memory")]
mod arena;
mod census;
#[allow(unsafe_code, reason = "passes results by address")]
mod fiber;
#[allow(unsafe_code, reason = "lays frames out on stacks, and switches")]
mod frame;
#[allow(unsafe_code, reason = "passes items by address")]
mod generator;
mod here;
#[cfg(feature = "inspect")]
#[allow(unsafe_code, reason = "reads what others left on their stacks")]
pub mod look;
#[allow(unsafe_code, reason = "handles a signal")]
mod overflow;
mod pool;
#[cfg(feature = "inspect")]
#[allow(unsafe_code, reason = "reads registers")]
mod registers;
mod stack;
mod wait;

pub use crate::census::{Census, Guard, census};
pub use crate::fiber::{Builder, Fiber};
pub use crate::generator::{Generator, Give};
pub use crate::pool::{quiet, trim};
pub use crate::wait::{Current, can_wait, current, try_current, wait, yield_now};
