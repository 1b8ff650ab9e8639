//! Recording the last polls: which task, from which state to which, how long, and who woke it.
//!
//! It is off until somebody starts it, and then it is the loop itself that is another one: tasks and wakers carry nothing
//! for it, and a wake is the same as ever.
//!
//! A **state** is a number that a [`Plan`] gives, made for each type of future by whoever started the recording. Here
//! nothing is known of types but where their tags are.
//!
//! ```
//! use camshaft_executor::record::{Plan, Settings};
//! use camshaft_executor::{Executor, ThreadPark};
//!
//! let executor = Executor::new(ThreadPark::new());
//! executor.start_recording(Settings::new(1024, |_| Plan::default()));
//! let task = executor.spawn(async {});
//! let id = task.id();
//! executor.block_on(task).unwrap();
//! let recording = executor.recording().unwrap();
//! assert!(recording.polls.iter().any(|poll| poll.task == Some(id)));
//! ```

mod batch;
mod clock;
mod plan;
mod polls;
mod recorder;
mod room;
mod snapshot;
mod switch;
mod wakes;
mod watch;
mod ways;

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

pub(crate) use self::plan::{LAST, UNKNOWN};
pub use self::plan::{Next, Plan, State, Step};
pub(crate) use self::recorder::{Recorder, Side};
pub use self::snapshot::{Poll, Seen, Snapshot, Stand, WokenBy};
use crate::bundle::{self, Home};
use crate::look::Kind;
use crate::{Executor, Park};

/// What is to be recorded.
#[derive(Clone)]
#[non_exhaustive]
pub struct Settings {
    /// How many polls are kept, up to 2²⁸. Each takes 60 bytes at most, from when it is there.
    pub polls: usize,
    /// How the states of a type are read. Asked once for each type, between two polls, when the first of its tasks has its
    /// turn. It can neither start nor end a recording.
    pub plan: fn(&Kind) -> Plan,
    /// Times each poll on its own. Otherwise polls that take less than about two microseconds share a look at the clock.
    pub exact: bool,
    /// Reports polls that took this long, and times each poll on its own.
    pub long: Option<Duration>,
    /// To whom they are reported: called between two polls. Neither it nor its drop can start or end a recording. Its
    /// panics end here, and while a panic leaves the root future it is not called.
    pub report: Rc<dyn Fn(&Snapshot)>,
}

impl Settings {
    /// Settings that keep so many polls and report none.
    #[must_use]
    pub fn new(polls: usize, plan: fn(&Kind) -> Plan) -> Self {
        Self {
            polls,
            plan,
            exact: false,
            long: None,
            report: Rc::new(|_| {}),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("polls", &self.polls)
            .field("exact", &self.exact)
            .field("long", &self.long)
            .finish_non_exhaustive()
    }
}

/// What a recording knows of a task that is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PollFacts {
    /// How long ago its last poll ended; if it shares the time with others, within what they take together. None if it had none
    /// since the recording began.
    pub since: Option<Duration>,
    /// How often it was polled since the recording began.
    pub polls: u64,
    /// How often it was made ready by a wake, of the times that it had its turn. A spawn is no wake.
    pub wakes: u64,
}

/// Begins to record the executor that the thread is running, from the next batch of polls on; a recording that there is
/// ends, as by [`stop`].
///
/// False outside of an executor, and in what a recording itself calls.
pub fn start(settings: Settings) -> bool {
    bundle::current().is_some_and(|home| home.start_recording(settings))
}

/// What the executor that the thread is running records; none if it records nothing.
#[must_use]
pub fn settings() -> Option<Settings> {
    let home = bundle::current()?;
    // SAFETY: no user code runs while it lives: the settings are copied.
    unsafe { home.recorder() }.map(|recorder| recorder.settings.clone())
}

/// Ends the recording of the executor that the thread is running. Inside of a poll, its memory and its settings are dropped
/// when the batch of polls is over.
pub fn stop() {
    if let Some(home) = bundle::current() {
        home.stop_recording();
    }
}

/// What was recorded so far of the executor that the thread is running; none if nothing is.
#[must_use]
pub fn snapshot() -> Option<Snapshot> {
    bundle::current().and_then(Snapshot::of)
}

impl<P: Park> Executor<P> {
    /// Begins to record, as [`start`].
    pub fn start_recording(&self, settings: Settings) -> bool {
        self.home().start_recording(settings)
    }

    /// Ends the recording.
    pub fn stop_recording(&self) {
        self.home().stop_recording();
    }

    /// What was recorded so far; none if nothing is.
    #[must_use]
    pub fn recording(&self) -> Option<Snapshot> {
        Snapshot::of(self.home())
    }
}

/// Reports the poll that was recorded as the last, if it was long enough.
fn report(home: Home) {
    // SAFETY: no user code runs while it lives: the settings are copied.
    let Some((settings, poll)) = (unsafe { home.recorder() })
        .map(|recorder| (recorder.settings.clone(), Snapshot::last(recorder)))
    else {
        return;
    };
    let _noting = Noting::begin(home);
    let took = poll.polls.first().map(|poll| poll.took);
    if settings
        .long
        .is_some_and(|long| took.is_some_and(|took| took >= long))
    {
        crate::quietly(|| (settings.report)(&poll));
    }
}

/// Code of others runs between two polls, until this is dropped.
pub(crate) struct Noting(Home);

impl Noting {
    pub(crate) fn begin(home: Home) -> Self {
        home.noting.set(true);
        Self(home)
    }
}

impl Drop for Noting {
    fn drop(&mut self) {
        self.0.noting.set(false);
    }
}

/// How a task has ended.
#[derive(Clone, Copy, Default)]
pub(crate) enum Ended {
    #[default]
    Completed,
    Panicked,
    Dropped,
}
