//! What tasks wait for and what futures hold, read from the program's debug information.
//!
//! The compiler describes the state machine of each `async` function for debuggers. Here the program reads that itself: nothing is
//! polled, no code is annotated, and tasks carry nothing for it.
//!
//! ```no_run
//! use camshaft::inspect;
//! use camshaft::time::{Duration, sleep};
//!
//! async fn patient() {
//!     sleep(Duration::from_secs(60)).await;
//! }
//!
//! fn main() {
//!     camshaft::block_on(async {
//!         for _ in 0..3 {
//!             camshaft::spawn(patient());
//!         }
//!         camshaft::task::yield_now().await;
//!         println!("{}", inspect::dump());
//!     });
//! }
//! ```
//!
//! prints
//!
//! ```text
//! the root future, running
//!   app::main::{async block}  is running; was resumed from src/main.rs:13
//!   └ camshaft_executor::yield_now::YieldNow  (as of its last suspension)
//! 3 × tasks 2, 3, 4
//!   app::patient  waits at src/main.rs:5
//!   └ camshaft::time::sleep::Sleep: 60.0s left
//! ```
//!
//! It is meant to be read in a hurry: long names are shortened, and `…` stands for what lies between a future of this runtime and
//! what that waits for in the end. [`Dump::to_json`] has everything.
//!
//! Of a fiber (feature `stackful`) it shows the calls on its stack:
//!
//! ```text
//! task 7 "sorter"
//!   a fiber "sorter"  made at src/main.rs:10
//!   └ app::main::{closure}  at src/main.rs:12
//!     └ app::merge  at src/main.rs:30
//!       └ app::read_chunk  waits at src/main.rs:41
//!         └ recv, fd 7, peer 127.0.0.1:35161
//! ```
//!
//! That is found in any build. Lines need `debug = "line-tables-only"`, what the fiber waits for `"full"`, and names of functions
//! that the program is not stripped.
//!
//! The states of `async` code need `debug = "full"` in the profile, which `dev` has and `release` has not. Without it, the dump
//! says so, and has the names of the types. The first dump reads the debug information, which takes some 17 ms for a program of
//! 20 MB.
//!
//! [`Builder::dump_on_signal`](crate::runtime::Builder::dump_on_signal),
//! [`Builder::dump_on_panic`](crate::runtime::Builder::dump_on_panic) and
//! [`Builder::dump_on_deadlock`](crate::runtime::Builder::dump_on_deadlock) make a runtime print a dump by itself.
//! [`Builder::watchdog`](crate::runtime::Builder::watchdog) tells of a poll that does not end, with the calls that it is in.
//! [`Builder::attach`](crate::runtime::Builder::attach) lets the command `camshaft` ask a process that runs, and
//! [`Builder::page`](crate::runtime::Builder::page) shows the same in a browser.

pub(crate) mod serve;

pub mod record;

use std::time::Duration;

use camshaft_executor::look;
use camshaft_inspect::Fibers;
pub use camshaft_inspect::{
    Activity, Catalog, Cause, Doubled, Dump, Group, Held, Layout, Leaf, Member, Missing, Node,
    Pointer, Precision, Role, Scalar, Shape, Site, Stage, Standing, State, StateLayout, TaskTree,
    Tree, Type, TypeKey, Variant, Variants, layout_of, layout_of_val,
};

use crate::time::Instant;

/// Tells what all tasks of the runtime on this thread wait for. Outside of a runtime it tells
/// [that there is none](Missing::Runtime).
///
/// Nothing is polled, and it may be called anywhere: in a task, which is then shown as running, in a fiber, or in a destructor.
/// It blocks the thread while it looks: some milliseconds for a thousand tasks, and once some more to read the debug information.
#[must_use]
pub fn dump() -> Dump {
    look::tasks().map_or_else(Dump::nowhere, of)
}

/// Tells what a future waits for. It is looked at and not polled; what a sleep has left is told by the clock of the runtime, which
/// may be paused.
///
/// Without debug information the tree has the name of its type, and says what is missing.
///
/// # Examples
///
/// ```
/// use std::pin::pin;
/// use std::time::Duration;
///
/// let sleep = pin!(camshaft::time::sleep(Duration::from_secs(60)));
/// println!("{}", camshaft::inspect::tree_of(&*sleep));
/// ```
pub fn tree_of<F>(future: &F) -> Tree {
    with_fibers(|fibers| camshaft_inspect::tree_at(future, fibers, now()))
}

/// Looks at tasks.
pub(crate) fn of(tasks: Vec<look::Task>) -> Dump {
    let sights = tasks.into_iter().map(|task| camshaft_inspect::Sight {
        id: task.id.map(look::number),
        name: task.name,
        address: task.address,
        vtable: task.kind.vtable,
        size: task.kind.size,
        type_name: task.kind.name,
        activity: match task.activity {
            look::Activity::Running => Activity::Running,
            look::Activity::Ready => Activity::Ready,
            look::Activity::Aborted => Activity::Aborted,
            look::Activity::Ending => Activity::Ending,
            _ => Activity::Waiting,
        },
        since: task.facts.and_then(|facts| facts.since),
        polls: task.facts.map(|facts| facts.polls),
        wakes: task.facts.map(|facts| facts.wakes),
    });
    with_fibers(|fibers| camshaft_inspect::dump(sights.collect(), fibers, now()))
}

/// Looks, with the fibers of this thread as they are meanwhile.
#[cfg(feature = "stackful")]
fn with_fibers<R>(looks: impl FnOnce(Option<Fibers>) -> R) -> R {
    use camshaft_inspect::{AwaitedSight, FiberActivity, FiberSight, Registers};
    use camshaft_stackful::look;

    let registers = |at: look::Registers| Registers {
        program_counter: at.program_counter as u64,
        stack_pointer: at.stack_pointer as u64,
        frame_pointer: at.frame_pointer as u64,
        link: 0,
    };
    let awaited = |future: look::Awaited| AwaitedSight {
        address: future.address,
        vtable: future.vtable,
        type_name: future.type_name,
    };
    let sights = look::started().into_iter().map(|fiber| FiberSight {
        owner: fiber.owner,
        block: fiber.block,
        name: fiber.name,
        origin: fiber.origin,
        stack: fiber.stack,
        activity: match fiber.activity {
            look::Activity::Running => FiberActivity::Running,
            look::Activity::Waiting(at, future) => {
                FiberActivity::Waiting(registers(at), future.map(awaited))
            }
            _ => FiberActivity::Idle,
        },
    });
    // The calls of a fiber that runs are told from here on.
    let here = registers(look::Registers::here());
    let result = looks(Some(Fibers::new(sights.collect()).here(here)));
    // So this one must not have become a jump.
    std::hint::black_box(());
    result
}

/// Nothing here makes fibers.
#[cfg(not(feature = "stackful"))]
fn with_fibers<R>(looks: impl FnOnce(Option<Fibers>) -> R) -> R {
    looks(None)
}

/// What the clock of the runtime shows, which may be paused, as a reading of the system's.
fn now() -> Duration {
    camshaft_inspect::reading(Instant::now().into_std())
}

/// Looks; nothing if that panics. What it does wrong, which the hook has printed, must not end the program that is looked at.
pub(crate) fn try_to<T>(look: impl FnOnce() -> T) -> Option<T> {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let panic = match catch_unwind(AssertUnwindSafe(look)) {
        Ok(seen) => return Some(seen),
        Err(panic) => panic,
    };
    // Its drop may panic as well, and that of the second payload.
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(second);
    }
    None
}

/// Prints a dump to standard error, if that takes it: in one piece, so that nothing of other threads comes in between.
pub(crate) fn print(why: &str, dump: &Dump) {
    say(&format!("camshaft: {why}\n{dump}"));
}

/// Prints a text to standard error, if that takes it, in one piece.
pub(crate) fn say(text: &str) {
    use std::io::Write as _;
    // There is nobody to tell if it cannot be written, and nobody who reads is no reason to end.
    let _ = camshaft_io::without_sigpipe(|| std::io::stderr().lock().write_all(text.as_bytes()));
}
