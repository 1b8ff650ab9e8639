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
//! camshaft::block_on(async {
//!     for _ in 0..3 {
//!         camshaft::spawn(patient());
//!     }
//!     camshaft::task::yield_now().await;
//!     println!("{}", inspect::dump());
//! });
//! ```
//!
//! prints
//!
//! ```text
//! the root future, running
//!   app::main::{async block}  is running; was resumed from src/main.rs:13
//!   └ camshaft_executor::yield_now::YieldNow  polled by executor/src/yield_now.rs:30
//! 3 × tasks 1, 2, 3
//!   app::patient  waits at src/main.rs:5
//!   └ camshaft::time::sleep::Sleep  polled by src/time/sleep.rs:134: 60.0s left; 60.0s left; 60.0s left
//! ```
//!
//! It needs `debug = "full"` in the profile, which `dev` has and `release` has not. Without it, the dump says so, and has the
//! names of the types. The first dump reads the debug information, which takes some 20 ms for a program of 17 MB.
//!
//! [`Builder::dump_on_signal`](crate::runtime::Builder::dump_on_signal) and
//! [`Builder::dump_on_panic`](crate::runtime::Builder::dump_on_panic) make a runtime print a dump by itself.

use std::time::Duration;

use camshaft_executor::look;
pub use camshaft_inspect::{
    Activity, Catalog, Doubled, Dump, Held, Layout, Missing, Node, Precision, Role, Site, Standing,
    State, StateLayout, TaskTree, Tree, layout_of, layout_of_val, tree_of,
};

use crate::time::Instant;

/// Tells what all tasks of the runtime on this thread wait for; nothing outside of a runtime.
///
/// Nothing is polled, and it may be called anywhere: in a task, which is then shown as running, in a fiber, or in a destructor.
/// It blocks the thread while it looks: some milliseconds for a thousand tasks, and once some more to read the debug information.
#[must_use]
pub fn dump() -> Dump {
    of(look::tasks().unwrap_or_default())
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
            look::Activity::Ending => Activity::Ending,
            _ => Activity::Waiting,
        },
    });
    camshaft_inspect::dump(sights.collect(), now())
}

/// What the clock of the runtime shows, which may be paused, as a reading of the system's.
fn now() -> Duration {
    let (ours, real) = (Instant::now().into_std(), std::time::Instant::now());
    let reading = camshaft_inspect::monotonic();
    match ours.checked_duration_since(real) {
        Some(ahead) => reading.saturating_add(ahead),
        None => reading.saturating_sub(real.duration_since(ours)),
    }
}

/// Prints a dump to standard error, if that takes it.
pub(crate) fn print(why: &str, dump: &Dump) {
    use std::io::Write as _;
    // There is nobody to tell if it cannot be written.
    let _ = write!(std::io::stderr().lock(), "camshaft: {why}\n{dump}");
}
