//! Recording what has happened: the last polls, with where each began and ended, how long it took, and who woke the task.
//!
//! ```no_run
//! use camshaft::inspect::record;
//! use camshaft::time::{Duration, sleep};
//!
//! async fn patient() {
//!     sleep(Duration::from_millis(20)).await;
//!     sleep(Duration::from_millis(50)).await;
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     let runtime = camshaft::runtime::Builder::new().record(10_000).build()?;
//!     runtime.block_on(async {
//!         let _ = camshaft::spawn(patient()).await;
//!     });
//!     if let Some(recording) = runtime.recording() {
//!         println!("{recording}"); // where tasks dwell, and the longest polls
//!         std::fs::write("trace.json", recording.to_chrome_trace())?; // for https://ui.perfetto.dev
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # What it costs
//!
//! While it is off, tasks and wakers carry nothing for it, and the loop asks once for 64 polls whether it is on. While it
//! is on, each poll that is kept takes 60 bytes at most from when it is there, and each place for a task 32.
//!
//! `cargo bench --bench recorder --features inspect` says what a poll costs more: here 1 to 5 ns. A look at the clock takes 10 ns, so
//! polls that take less than two microseconds or so share one: up to 64 of them, in about four microseconds, by how long the last
//! ones took. What I/O, a timer, another thread or a new run makes ready begins alone, after a look of its own: some 40 ns for a
//! poll that comes by itself, 4 to 6 where 64 come at a time. Those that share are told as equal parts of the time between, and
//! [`Poll::shared`] says of how many. If they took more than 10 µs together, nobody knows which of them did: they are
//! [told together](Recording::longest_together), and count for no place. [`start_exact`] and
//! [`Builder::report_long_polls`](crate::runtime::Builder::report_long_polls) time each poll on its own, which costs 10 to 12.
//!
//! When the first task of a type has its turn, its type is looked up in the debug information. The first of all takes as
//! long as the first [`dump`](super::dump), each other about a millisecond; no poll is charged for it, but everything
//! waits.
//!
//! # What is told
//!
//! A **state** is a path of awaits, from the outermost function to the innermost whose state machine lies inside of it:
//! `app::serve src/main.rs:12 -> app::read src/io.rs:40 -> Sleep`. It ends at a `Box` and at any other pointer, but for that
//! box into which the runtime puts a large future, and where futures are joined. A future without a state machine, such as a fiber, and one without debug information, have no
//! states; their polls are recorded all the same.
//!
//! **Who woke a task** is the task that was being polled when it was made ready, or I/O and timers, or another thread.
//! Further wakes of a task that is ready change nothing, and are not counted. If the poll that woke it is no longer kept,
//! nobody knows.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use camshaft_executor::look::{self, Kind};
use camshaft_executor::record as executor;
pub use camshaft_inspect::{Dwell, PlanState, Poll, Recording, Stand, TaskStand, WokenBy};
use camshaft_inspect::{Missing, Plan, PlanNext};

/// Begins to record the last `polls` polls of the runtime on this thread, and drops what was recorded before. Outside of a
/// runtime it does nothing.
///
/// It begins with the next batch of polls, so up to 63 that follow are not recorded. More than 2²⁸ are never kept. Long polls are
/// [reported](crate::runtime::Builder::report_long_polls) as before, and each poll is then timed on its own.
pub fn start(polls: usize) {
    begin(settings(polls));
}

/// As [`start`], with each poll timed on its own.
pub fn start_exact(polls: usize) {
    let mut settings = settings(polls);
    settings.exact = true;
    begin(settings);
}

/// Ends the recording of the runtime on this thread, and drops what was recorded: inside of a poll, as soon as the batch of polls
/// is over.
///
/// If long polls are [reported](crate::runtime::Builder::report_long_polls), they still are, and the last 1000 polls are kept for that.
pub fn stop() {
    if executor::settings().is_some_and(|settings| settings.long.is_some()) {
        begin(settings(FEW));
    } else {
        executor::stop();
    }
}

/// Begins another recording, which reports what the present one does.
fn begin(mut settings: executor::Settings) {
    if let Some(present) = executor::settings() {
        (settings.long, settings.report) = (present.long, present.report);
    }
    executor::start(settings);
}

/// What was recorded of the runtime on this thread; none if nothing is.
///
/// It may be called in a task, whose present poll has not ended and is not among those that are told.
#[must_use]
pub fn recording() -> Option<Recording> {
    executor::snapshot().map(|snapshot| explained(snapshot, None))
}

/// What the executor needs to know to record so many polls.
pub(crate) fn settings(polls: usize) -> executor::Settings {
    executor::Settings::new(polls, |kind| packed(kind).unwrap_or_default())
}

/// Polls that are kept if only long ones are to be reported.
const FEW: usize = 1000;

/// What the executor needs to know to record, and to report polls that take long.
pub(crate) fn settings_for(polls: Option<usize>, long: Option<Duration>) -> executor::Settings {
    let mut settings = settings(polls.unwrap_or(FEW));
    settings.long = long;
    let limit = Limit::default();
    let said = Cell::new(false);
    settings.report = Rc::new(move |snapshot| {
        let is_ours = |poll: &executor::Poll| is_ours(snapshot, poll.kind);
        if snapshot.polls.iter().any(is_ours) && limit.allows(Instant::now()) {
            let recording = of(snapshot.clone(), None);
            for poll in &recording.polls {
                print(poll, limit.left_out.take());
            }
            if has_unknown(&recording) && !said.replace(true) {
                for missing in missing() {
                    super::say(&format!("camshaft: {missing}\n"));
                }
            }
        }
    });
    settings
}

/// How many lines are printed in a second.
const LINES: u32 = 10;

/// Keeps reports from flooding the output. How many were left out is said with the next one, or at the end.
#[derive(Default)]
struct Limit {
    second: Cell<Option<Instant>>,
    lines: Cell<u32>,
    left_out: Cell<u64>,
}

impl Limit {
    fn allows(&self, now: Instant) -> bool {
        let begun = self.second.get();
        if begun.is_none_or(|begun| now.duration_since(begun) >= Duration::from_secs(1)) {
            self.second.set(Some(now));
            self.lines.set(0);
        }
        let allowed = self.lines.get() < LINES;
        if allowed {
            self.lines.set(self.lines.get() + 1);
        } else {
            self.left_out.set(self.left_out.get() + 1);
        }
        allowed
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        let count = self.left_out.get();
        if count > 0 {
            super::say(&format!(
                "camshaft: {count} more long polls were not printed\n"
            ));
        }
    }
}

/// Prints that a poll took long.
fn print(poll: &Poll, left_out: u64) {
    let more = match left_out {
        0 => String::new(),
        count => format!(" ({count} more were not printed before)"),
    };
    super::say(&format!("camshaft: a long poll: {poll}{more}\n"));
}

/// The plans that were made, by the address of the vtable that names the type: of this program, so they are the same
/// everywhere. What failed and may not the next time is not kept.
static PLANS: Mutex<Option<HashMap<usize, Arc<Plan>>>> = Mutex::new(None);

fn plan_of(kind: &Kind) -> Arc<Plan> {
    let known = |plans: &Option<HashMap<_, Arc<Plan>>>| plans.as_ref()?.get(&kind.vtable).cloned();
    let plans = || PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(plan) = known(&plans()) {
        return plan;
    }
    let make = || camshaft_inspect::plan_of(kind.vtable, kind.size, kind.name);
    let plan = super::try_to(make).unwrap_or_else(failed);
    let plan = Arc::new(plan);
    if !plan.is_for_now {
        plans()
            .get_or_insert_default()
            .insert(kind.vtable, Arc::clone(&plan));
    }
    plan
}

/// What there is of a plan if making it failed.
fn failed() -> Plan {
    let mut plan = Plan::default();
    plan.name = UNKNOWN.into();
    plan.is_for_now = true;
    plan
}

/// The name of a type, as people write it.
pub(crate) fn label_of(kind: &Kind) -> Arc<str> {
    Arc::clone(&plan_of(kind).name)
}

/// The path of awaits that a number of a state of a type means.
pub(crate) fn state_of(kind: &Kind, state: executor::State) -> Option<Arc<str>> {
    let plan = plan_of(kind);
    let state = plan.states.get(usize::from(state))?;
    Some(Arc::clone(&state.path))
}

/// A plan as the executor follows it.
fn packed(kind: &Kind) -> Option<executor::Plan> {
    let next = |next: &PlanNext| match *next {
        PlanNext::Step(step) => executor::Next::Step(step),
        PlanNext::State(state) => executor::Next::State(state),
        _ => executor::Next::Unknown,
    };
    let plan = plan_of(kind);
    let steps = plan.steps.iter().map(|step| executor::Step {
        offset: step.offset,
        width: step.width,
        base: step.base,
        next: step.next.iter().map(next).collect(),
        otherwise: next(&step.otherwise),
    });
    // SAFETY: whoever asks is told of no other type than `kind`. The tags are those of coroutines and enums that lie within each other,
    // by the debug information of this build: that of another one is refused. A coroutine's is always there, an enum's as long as
    // that is whole, and what a tag says to be there is. What lies in a cell, where others might write, is not followed.
    unsafe { executor::Plan::new(kind.size, &steps.collect::<Vec<_>>()) }
}

/// What stands for a type without a name.
const UNKNOWN: &str = "a type that is not known";

/// Whether a poll or a task is the program's. What the runtime does for itself is not.
fn is_ours(snapshot: &executor::Snapshot, kind: Option<usize>) -> bool {
    let kind = kind.and_then(|kind| snapshot.kinds.get(kind));
    kind.is_none_or(|kind| !kind.is_background)
}

/// What the program's files do not tell.
fn missing() -> Vec<Missing> {
    let ask = || camshaft_inspect::with_program(|catalog| catalog.missing().to_vec());
    match super::try_to(ask) {
        Some(Ok(missing)) => missing,
        Some(Err(missing)) => vec![missing],
        None => Vec::new(),
    }
}

/// Gives the numbers of a snapshot their meaning, and says why there is none, if some have none.
pub(crate) fn explained(snapshot: executor::Snapshot, name: Option<&str>) -> Recording {
    let mut recording = of(snapshot, name);
    if has_unknown(&recording) {
        recording.missing = missing();
    }
    recording
}

/// Whether some place is not known.
fn has_unknown(recording: &Recording) -> bool {
    let polls = recording.polls.iter();
    let stands = polls.flat_map(|poll| [&poll.from, &poll.to]);
    let mut stands = stands.chain(recording.tasks.iter().map(|task| &task.stand));
    stands.any(|stand| *stand == Stand::Unknown)
}

/// The same as [`recording`], without what the program's files do not tell.
pub(super) fn places() -> Option<Recording> {
    executor::snapshot().map(|snapshot| of(snapshot, None))
}

/// Gives the numbers of a snapshot their meaning.
fn of(snapshot: executor::Snapshot, name: Option<&str>) -> Recording {
    let plans: Vec<_> = snapshot.kinds.iter().map(plan_of).collect();
    let unknown: Arc<str> = UNKNOWN.into();
    let label = |kind: Option<usize>| match kind.and_then(|kind| plans.get(kind)) {
        Some(plan) => Arc::clone(&plan.name),
        None => Arc::clone(&unknown),
    };
    let stand = |kind: Option<usize>, stand| match stand {
        executor::Stand::At(state) => kind
            .and_then(|kind| plans.get(kind)?.states.get(usize::from(state)).cloned())
            .map_or(Stand::Unknown, Stand::At),
        executor::Stand::Completed => Stand::Completed,
        executor::Stand::Panicked => Stand::Panicked,
        executor::Stand::Dropped => Stand::Dropped,
        _ => Stand::Unknown,
    };
    // The places of polls among those that are told.
    let mut told = 0;
    let places = snapshot.polls.iter().map(|poll| {
        let is_ours = is_ours(&snapshot, poll.kind);
        told += usize::from(is_ours);
        is_ours.then(|| told - 1)
    });
    let places: Vec<_> = places.collect();
    let polls = snapshot.polls.iter().zip(&places);
    let polls = polls.filter_map(|(poll, place)| place.map(|_| poll));
    let polls = polls.map(|poll| Poll {
        task: poll.task.map(look::number),
        of: label(poll.kind),
        start: poll.start,
        took: poll.took,
        shared: poll.shared,
        shared_start: poll.shared_start,
        shared_took: poll.shared_took,
        scheduled: poll.ready,
        waited: poll.waited,
        woken_by: woken_by(poll.woken_by),
        woken_in: poll.woken_in.and_then(|place| places[place]),
        first: poll.first,
        from: stand(poll.kind, poll.from),
        to: stand(poll.kind, poll.to),
    });
    let tasks = (snapshot.tasks.iter()).filter(|task| is_ours(&snapshot, task.kind));
    let tasks = tasks.map(|task| TaskStand {
        task: task.task.map(look::number),
        name: task.name.clone(),
        of: label(task.kind),
        stand: stand(task.kind, task.stand),
        running: task.running,
        since: task.since,
        polls: task.polls,
        wakes: task.wakes,
    });
    Recording {
        name: name.map(str::to_owned),
        thread: camshaft_inspect::attach::thread(),
        began: snapshot.began,
        taken: snapshot.taken,
        recorded: snapshot.recorded.saturating_sub(snapshot.background),
        polls: polls.collect(),
        tasks: tasks.collect(),
        missing: Vec::new(),
    }
}

fn woken_by(who: executor::WokenBy) -> WokenBy {
    match who {
        executor::WokenBy::Task(id) => WokenBy::Task(look::number(id)),
        executor::WokenBy::Root => WokenBy::Root,
        executor::WokenBy::Event => WokenBy::Event,
        executor::WokenBy::Thread => WokenBy::Thread,
        executor::WokenBy::Outside => WokenBy::Outside,
        _ => WokenBy::Unknown,
    }
}
