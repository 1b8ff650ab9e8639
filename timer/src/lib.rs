//! A timer wheel that reads no clock: a [`Wheel`] holds values until the time that its caller tells it has come.
//!
//! Time is a `u64` of nanoseconds since an epoch that the caller chooses, which lets the same wheel serve a real clock, a
//! paused one and a simulation. The payload is generic; camshaft stores a `Waker`.
//!
//! # Mechanism
//!
//! ```text
//!  insert ──┬─ within 1024 ticks ──▶ near: 1024 slots of 2^20 ns ────────┐ tick reached
//!           │                           ▲                                ▼
//!           ├─ later ─▶ far: BTreeMap ──┘ bucket reached            due: heap ──▶ expire_next
//!           │           of 2^30 ns buckets                          (deadline, arming)
//!           └─ u64::MAX: in no list
//! ```
//!
//! A timer is a node in a slab, and its index stands on one list: that of its near slot or of its far bucket. Lists are not
//! ordered. Only a tick that has come is drained into a small heap, so full nanosecond order costs the logarithm of the
//! timers in *one* tick (about a millisecond), not of all timers. A timer passes from far to near once, and once more for
//! each time that it was re-armed there, because a bucket is exactly as wide as the wheel. All timers of a bucket pass at
//! once: with a million of them in the same second, the first to be due waits for that, some tens of milliseconds.
//!
//! | operation | cost |
//! |---|---|
//! | [`insert`](Wheel::insert) | O(1) within about a second, else O(log of the far buckets, not of the timers) |
//! | [`cancel`](Wheel::cancel) | O(1), or O(log of the far buckets) for the last timer of a bucket |
//! | [`reset`](Wheel::reset) to a later time | O(1): stores the deadline, the timer moves when its old tick comes |
//! | [`reset`](Wheel::reset) to an earlier time | cancel and insert |
//! | [`next_deadline`](Wheel::next_deadline) | O(1) |
//! | [`expire_next`](Wheel::expire_next) | amortised O(log of the timers in the same tick) |
//!
//! Skipping over empty time is free: a bitmap finds the next occupied slot and the map the next bucket, however many years
//! away.
//!
//! # Example
//!
//! ```
//! use camshaft_timer::Wheel;
//!
//! let mut wheel = Wheel::new(0);
//! let lunch = wheel.insert(3_000, "lunch");
//! wheel.insert(2_000, "second breakfast");
//! wheel.insert(2_000, "elevenses");
//!
//! assert_eq!(wheel.next_deadline(), Some(2_000));
//! assert_eq!(wheel.expire_next(1_999), None);
//!
//! // Equal deadlines fire in the order in which they were armed.
//! assert_eq!(wheel.expire_next(2_500), Some("second breakfast"));
//! assert_eq!(wheel.expire_next(2_500), Some("elevenses"));
//! assert_eq!(wheel.expire_next(2_500), None);
//!
//! assert_eq!(wheel.cancel(lunch), Some("lunch"));
//! assert_eq!(wheel.cancel(lunch), None);
//! assert!(wheel.is_empty());
//! ```
//!
//! # In a loop
//!
//! Values come out one at a time or into a vector, never through a callback: the caller can give up its borrow of the wheel
//! before it runs anything of the user's, who may well arm the next timer at once.
//!
//! ```
//! use std::cell::RefCell;
//! use camshaft_timer::Wheel;
//!
//! let wheel: RefCell<Wheel<Box<dyn FnOnce()>>> = RefCell::new(Wheel::new(0));
//! wheel.borrow_mut().insert(10, Box::new(|| println!("ding")));
//!
//! let mut due = Vec::new();
//! wheel.borrow_mut().expire_into(10, 64, &mut due);
//! assert_eq!(due.len(), 1);
//! for ring in due.drain(..) {
//!     ring(); // the wheel is not borrowed here
//! }
//! ```

#![forbid(unsafe_code)]

mod due;
mod far;
mod near;
mod nodes;
mod wheel;

pub use nodes::Key;
pub use wheel::{Drain, Wheel};

/// The deadline that never comes.
pub const NEVER: u64 = u64::MAX;
