//! What was recorded, as plain data, with times as durations.

use std::collections::HashMap;
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::PollFacts;
use super::clock::Scale;
use super::plan::{LAST, State};
use super::polls::{Record, Times};
use super::recorder::{NO_KIND, ROOT, Recorder, SPAWNED, Side, source};
use super::wakes::Cause;
use super::ways;
use crate::Id;
use crate::bundle::Home;
use crate::header::Header;
use crate::look::Kind;
use crate::raw;

/// What was recorded up to some moment. Times are counted from the beginning of the recording.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// When the recording began, as a reading of `CLOCK_MONOTONIC`.
    pub began: Duration,
    /// When this was made.
    pub taken: Duration,
    /// How many polls were recorded in all; the last of them are kept.
    pub recorded: u64,
    /// How many of those were of tasks that serve the runtime and not the program.
    pub background: u64,
    /// The types of the futures, which polls name by their place here.
    pub kinds: Vec<Kind>,
    /// The last polls, oldest first.
    pub polls: Vec<Poll>,
    /// The tasks that are alive and were polled since the recording began, by id, the root future first.
    pub tasks: Vec<Seen>,
}

/// One turn of a task.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Poll {
    /// The task; none for the root future.
    pub task: Option<Id>,
    /// Its type, by its place in [`Snapshot::kinds`]; none if there were too many of them.
    pub kind: Option<usize>,
    /// When it began.
    pub start: Duration,
    /// How long it took. If it shares the time with others, an equal part of what they took together.
    pub took: Duration,
    /// How many polls share the time; 1 if it was timed on its own.
    pub shared: u32,
    /// When the first of those began…
    pub shared_start: Duration,
    /// …and how long they took together. If that is long, one of them may have taken almost all of it.
    pub shared_took: Duration,
    /// How long it had been ready before.
    pub ready: Option<Duration>,
    /// How long ago its poll before that had ended. If that is kept no more, and shared the time with others, within what they
    /// took together.
    pub waited: Option<Duration>,
    /// Who made it ready.
    pub woken_by: WokenBy,
    /// The poll in which that was, by its place in [`Snapshot::polls`], if it is kept.
    pub woken_in: Option<usize>,
    /// Whether that was its spawn.
    pub first: bool,
    /// Where the task stood before.
    pub from: Stand,
    /// Where it stood after.
    pub to: Stand,
}

/// Who made a task ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WokenBy {
    /// A task, in its turn, which may be that task itself.
    Task(Id),
    /// The root future, in its turn.
    Root,
    /// I/O or a timer.
    Event,
    /// Another thread.
    Thread,
    /// Code outside of any future, between two runs of the executor; or the beginning of a run.
    Outside,
    /// It was before the recording, or in a poll that is not kept.
    Unknown,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stand {
    /// In a state of its plan.
    At(State),
    /// Its plan does not tell.
    Unknown,
    /// Its future has returned.
    Completed,
    /// Its future has panicked.
    Panicked,
    /// Its future was dropped, because it was aborted.
    Dropped,
}

/// A task that is alive.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Seen {
    /// The task; none for the root future.
    pub task: Option<Id>,
    /// The name that it was given.
    pub name: Option<String>,
    /// Its type, by its place in [`Snapshot::kinds`].
    pub kind: Option<usize>,
    /// Where it stands; where it was resumed from, if it is running.
    pub stand: Stand,
    /// Whether it is being polled.
    pub running: bool,
    /// How long ago its last poll ended; if it shares the time with others, within what they take together.
    pub since: Option<Duration>,
    /// How often it was polled since the recording began.
    pub polls: u64,
    /// How often it was woken since then.
    pub wakes: u64,
}

impl Snapshot {
    pub(crate) fn of(home: Home) -> Option<Self> {
        // SAFETY: no user code runs while it lives.
        let recorder = unsafe { home.recorder() }?;
        let scale = recorder.polls.clock.scale();
        let mut snapshot = Self::empty(recorder, scale);
        snapshot.background = recorder.background(home);
        snapshot.polls = polls(recorder, usize::MAX, scale);
        name_waits(&mut snapshot.polls);
        snapshot.tasks = tasks(home, recorder, scale);
        Some(snapshot)
    }

    /// The last poll alone.
    pub(super) fn last(recorder: &Recorder) -> Self {
        /// How many polls are looked at to find out who woke the task.
        const CONTEXT: usize = 1000;
        let scale = recorder.polls.clock.scale();
        let mut snapshot = Self::empty(recorder, scale);
        let mut polls = polls(recorder, CONTEXT, scale);
        let last = polls.pop();
        snapshot.polls = last
            .map(|last| Poll {
                woken_in: None,
                ..last
            })
            .into_iter()
            .collect();
        snapshot
    }

    fn empty(recorder: &Recorder, scale: Scale) -> Self {
        Self {
            began: recorder.polls.clock.began(),
            taken: Duration::from_nanos(scale.now()),
            recorded: recorder.polls.total(),
            background: 0,
            kinds: recorder.ways.kinds().collect(),
            polls: Vec::new(),
            tasks: Vec::new(),
        }
    }
}

/// The polls that were recorded, with the time of those that share it dealt out in equal parts.
fn polls(recorder: &Recorder, most: usize, scale: Scale) -> Vec<Poll> {
    let mut records = recorder.polls.records(most);
    let mut polls: Vec<Poll> = Vec::with_capacity(records.len());
    let first = recorder.polls.total() - records.len() as u64;
    let mut times: Vec<Times> = recorder.polls.times(first).collect();
    while let Some(times) = times.pop() {
        let lost = first.saturating_sub(times.first);
        let share = Share::of(&times, scale);
        let records = records.by_ref();
        polls.extend(
            (lost..u64::from(times.count))
                .zip(records)
                .map(|(place, record)| poll(recorder, &record, scale, share, place)),
        );
    }
    // A span is rounded more than a moment is.
    for place in 1..polls.len() {
        let next = polls[place].start;
        let before = &mut polls[place - 1];
        before.took = before.took.min(next.saturating_sub(before.start));
    }
    name_causes(&mut polls, &recorder.causes(most));
    polls
}

/// Says of polls how long ago those before had ended that are kept as well: the stamps tell no more of them than of the others
/// with which they shared the time.
fn name_waits(polls: &mut [Poll]) {
    let mut ends = HashMap::new();
    for poll in polls {
        let before = ends.insert(poll.task, poll.start + poll.took);
        if let (Some(waited), Some(before)) = (&mut poll.waited, before) {
            *waited = poll.start.saturating_sub(before);
        }
    }
}

/// Says of polls who made their tasks ready, and how long ago.
fn name_causes(polls: &mut [Poll], causes: &[Cause]) {
    for place in 0..polls.len().min(causes.len()) {
        let (who, when) = match causes[place] {
            Cause::Unknown => continue,
            Cause::Poll(waking) => {
                polls[place].woken_in = Some(waking);
                let waking = &polls[waking];
                let who = waking.task.map_or(WokenBy::Root, WokenBy::Task);
                (who, waking.start + waking.took)
            }
            Cause::Mark(who, next) => {
                let who = match who {
                    source::EVENT => WokenBy::Event,
                    source::THREAD => WokenBy::Thread,
                    source::OUTSIDE => WokenBy::Outside,
                    _ => continue,
                };
                (who, polls[next].start)
            }
        };
        let poll = &mut polls[place];
        poll.woken_by = who;
        poll.ready = Some(poll.start.saturating_sub(when));
    }
}

/// The time that polls share, in nanoseconds.
#[derive(Clone, Copy)]
struct Share {
    start: u64,
    took: u64,
    count: u32,
}

impl Share {
    fn of(times: &Times, scale: Scale) -> Self {
        let start = scale.nanos(times.start);
        // The time of the last is not known yet, and that of the poll that goes on is in it.
        let so_far = || scale.now().saturating_sub(start);
        Self {
            start,
            took: times.took.map_or_else(so_far, |took| scale.span(took)),
            count: times.count,
        }
    }

    /// When the part of that at a place begins, counted from the first.
    fn part(&self, place: u64) -> u64 {
        self.took * place / u64::from(self.count)
    }
}

/// A poll that has some place among those that share the time.
fn poll(recorder: &Recorder, record: &Record, scale: Scale, share: Share, place: u64) -> Poll {
    let begins = share.part(place);
    let start = share.start + begins;
    let waited = start.saturating_sub(scale.nanos(record.since));
    let (kind, from) = stand(recorder, record.from);
    Poll {
        task: (record.task != ROOT).then(|| Id::from_raw(record.task)),
        kind,
        start: Duration::from_nanos(start),
        took: Duration::from_nanos(share.part(place + 1) - begins),
        shared: share.count,
        shared_start: Duration::from_nanos(share.start),
        shared_took: Duration::from_nanos(share.took),
        ready: None,
        waited: (record.since > SPAWNED).then(|| Duration::from_nanos(waited)),
        woken_by: WokenBy::Unknown,
        woken_in: None,
        first: record.since == SPAWNED,
        from,
        to: stand(recorder, record.to).1,
    }
}

/// The type of a state, and what it is of that.
fn stand(recorder: &Recorder, stand: ways::Stand) -> (Option<usize>, Stand) {
    let (kind, state) = recorder.ways.meaning(stand);
    let meaning = match stand {
        ways::COMPLETED => Stand::Completed,
        ways::PANICKED => Stand::Panicked,
        ways::DROPPED => Stand::Dropped,
        _ if state <= LAST => Stand::At(state),
        _ => Stand::Unknown,
    };
    ((kind != NO_KIND).then_some(usize::from(kind)), meaning)
}

fn tasks(home: Home, recorder: &Recorder, scale: Scale) -> Vec<Seen> {
    let running = home.running.get();
    let mut tasks = Vec::new();
    let seen = |side: &Side| {
        let facts = side.facts(scale);
        let (kind, stand) = stand(recorder, side.stand);
        Seen {
            task: None,
            name: None,
            kind,
            stand,
            running: false,
            since: facts.since,
            polls: facts.polls,
            wakes: facts.wakes,
        }
    };
    if home.root_future.get().is_some() && recorder.root().task != 0 {
        let mut root = seen(&recorder.root());
        root.running = home.is_root_running();
        tasks.push(root);
    }
    let first = tasks.len();
    home.slots.for_each(|slot| {
        // SAFETY: STABLE.
        let header: &Header = unsafe { &*slot };
        let id = header.id.load(Ordering::Relaxed);
        if let (true, Some(side)) = (header.is_whole(), recorder.known(slot, id)) {
            let table = header.vtable.get();
            tasks.push(Seen {
                task: Some(Id::from_raw(id)),
                // SAFETY: HOME, LIVE and not ENDING.
                name: table.and_then(|table| unsafe { raw::name_of(table, slot) }),
                running: ptr::eq(slot, running),
                ..seen(&side)
            });
        }
        true
    });
    tasks[first..].sort_unstable_by_key(|task| task.task);
    tasks
}

impl Side {
    pub(super) fn facts(&self, scale: Scale) -> PollFacts {
        let ago = |stamp| scale.now().saturating_sub(scale.nanos(stamp));
        PollFacts {
            since: (self.since > SPAWNED).then(|| Duration::from_nanos(ago(self.since))),
            polls: self.polls,
            wakes: self.polls.saturating_sub(self.first.into()),
        }
    }
}
