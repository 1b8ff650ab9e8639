//! The last polls of a runtime, as plain data: which task, from where to where, how long, and who woke it.
//!
//! Somebody else records; here is what can be told of it. A task **stands** somewhere between two polls, and **dwells**
//! there from the end of one to the beginning of the next. A task that is polled and waits at the same place again begins
//! another dwell: whether it was woken in vain, or came by there once more in a loop, cannot be told from outside.
//!
//! The words are those of tokio's console and metrics: a task is *idle* until it is woken, *scheduled* until it is polled,
//! and *busy* while it is.

mod dwell;
mod show;
#[cfg(test)]
mod tests;
mod trace;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use self::dwell::Dwell;
use crate::Missing;
use crate::plan::PlanState;

/// What was recorded of a runtime up to some moment. Times are counted from the beginning of the recording.
///
/// It displays as a table of where tasks dwell, and of the longest polls.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// The name of the runtime.
    pub name: Option<String>,
    /// The thread that it was recorded on, as `gettid(2)` says.
    pub thread: u32,
    /// When the recording began, as a reading of `CLOCK_MONOTONIC`.
    pub began: Duration,
    /// When this was taken.
    pub taken: Duration,
    /// How many polls were recorded in all. The last of them are kept.
    pub recorded: u64,
    /// The last polls, oldest first.
    pub polls: Vec<Poll>,
    /// The tasks that are alive and were polled since the recording began; the root future first, then by number.
    pub tasks: Vec<TaskStand>,
    /// What the program's files do not tell, if some places are not known.
    pub missing: Vec<Missing>,
}

/// One poll of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Poll {
    /// The number of the task; none for the future that a runtime was started with.
    pub task: Option<u64>,
    /// The name of its type, as people write it.
    pub of: Arc<str>,
    /// When the poll began.
    pub start: Duration,
    /// How long it took. If it was not timed on its own, an equal part of what the [`shared`](Self::shared) took together,
    /// which says little of it if they took [long](Self::is_unclear).
    pub took: Duration,
    /// How many polls were timed together; 1 if this one was timed on its own.
    pub shared: u32,
    /// When the first of those began…
    pub shared_start: Duration,
    /// …and how long they took together.
    pub shared_took: Duration,
    /// How long the task had been ready, from the end of what woke it.
    pub scheduled: Option<Duration>,
    /// How long ago the poll before had ended. If that is kept no more, and was timed with others, within what they took together.
    pub waited: Option<Duration>,
    /// Who made the task ready.
    pub woken_by: WokenBy,
    /// The poll in which that was, by its place in [`Recording::polls`](struct@Recording), if it is kept.
    pub woken_in: Option<usize>,
    /// Whether that was its spawn, so that this is its first poll.
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
    /// The task with this number, which may be the task itself.
    Task(u64),
    /// The future that the runtime was started with.
    Root,
    /// I/O or a timer.
    Event,
    /// Another thread.
    Thread,
    /// Code outside of any future, between two runs of the runtime, or the beginning of a run.
    Outside,
    /// It was before the recording, and nobody knows.
    Unknown,
}

/// Where a task stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stand {
    /// It waits at the end of a path of awaits.
    At(Arc<PlanState>),
    /// Its type is not described, or has no states, such as a fiber or a future that was written by hand.
    Unknown,
    /// Its future has returned.
    Completed,
    /// Its future has panicked.
    Panicked,
    /// It was aborted, and its future dropped.
    Dropped,
}

/// A task that is alive, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskStand {
    /// The number of the task; none for the future that a runtime was started with.
    pub task: Option<u64>,
    /// The name that it was given.
    pub name: Option<String>,
    /// The name of its type, as people write it.
    pub of: Arc<str>,
    /// Where it stands; if it is being polled, where it was resumed from.
    pub stand: Stand,
    /// Whether it is being polled.
    pub running: bool,
    /// How long ago its last poll ended. If it was timed with others, within what they took together.
    pub since: Option<Duration>,
    /// How often it was polled since the recording began.
    pub polls: u64,
    /// How often a wake led to that.
    pub wakes: u64,
}

impl Recording {
    /// The last polls, oldest first.
    #[must_use]
    pub fn polls(&self) -> &[Poll] {
        &self.polls
    }

    /// How long tasks dwell, for each type and each place where they stand; those where most time is spent first.
    ///
    /// It tells of the polls that are kept: a long dwell is forgotten when as many polls have passed since.
    #[must_use]
    pub fn dwell(&self) -> Vec<Dwell> {
        dwell::of(self)
    }

    /// The polls that took longest, the longest first, of those of which it is [known](Poll::is_unclear) how long they took.
    #[must_use]
    pub fn longest(&self, count: usize) -> Vec<&Poll> {
        let clear = self.polls.iter().filter(|poll| !poll.is_unclear());
        let mut polls: Vec<_> = clear.collect();
        polls.sort_by_key(|poll| std::cmp::Reverse(poll.took));
        polls.truncate(count);
        polls
    }

    /// The polls that took longest together, the longest first, where nobody [knows](Poll::is_unclear) which of them did.
    #[must_use]
    pub fn longest_together(&self, count: usize) -> Vec<&[Poll]> {
        let together = |one: &Poll, two: &Poll| one.shared_start == two.shared_start;
        let mut groups: Vec<_> = self.polls.chunk_by(together).collect();
        groups.retain(|group| group[0].is_unclear());
        groups.sort_by_key(|group| std::cmp::Reverse(group[0].shared_took));
        groups.truncate(count);
        groups
    }

    /// Everything, as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        crate::json::Json::of(self)
    }

    /// What [`dwell`](Self::dwell) says, as a JSON array.
    #[must_use]
    pub fn dwell_to_json(&self) -> String {
        crate::json::Json::of(&self.dwell())
    }

    /// The polls in the Trace Event Format, which Perfetto (<https://ui.perfetto.dev>) and `chrome://tracing` open.
    ///
    /// One track has all polls, as the thread made them. Each task has a track of its own, with its polls and, between
    /// them, where it stood. Arrows lead from the poll that woke a task to the poll of that task. What cannot be known
    /// exactly is said in the arguments of a poll. Polls that took long together are one slice of the track of all, since
    /// nobody knows which of them did.
    ///
    /// Times are those of `CLOCK_MONOTONIC` and numbers begin with the thread's, so that the events of several runtimes, each
    /// on its thread, may be put into one list.
    ///
    /// It takes a kilobyte or so for each poll: [`write_chrome_trace`](Self::write_chrome_trace) needs no memory for that.
    #[must_use]
    pub fn to_chrome_trace(&self) -> String {
        let mut text = Vec::new();
        // A vector takes all that is written.
        let _ = self.write_chrome_trace(&mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Writes what [`to_chrome_trace`](Self::to_chrome_trace) gives, in pieces of some ten kilobytes.
    ///
    /// A recording is plain data, and may be sent to another thread that writes it.
    ///
    /// # Errors
    ///
    /// Those of the writer; then part of it was written.
    pub fn write_chrome_trace(&self, mut to: impl io::Write) -> io::Result<()> {
        trace::write(self, &mut to)
    }
}

impl Poll {
    /// Polls that take longer than this together are not told as equal parts of it.
    const CLEAR: Duration = Duration::from_micros(10);

    /// Whether nobody knows how long it took: it was timed together with others, and they took more than 10 µs together, nearly all
    /// of which may be one poll's. [`took`](Self::took) is then only where to draw it.
    #[must_use]
    pub fn is_unclear(&self) -> bool {
        self.shared > 1 && self.shared_took > Self::CLEAR
    }
}

impl WokenBy {
    /// A word for it: `task`, `root`, `event`, `thread`, `outside` or `unknown`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Task(_) => "task",
            Self::Root => "root",
            Self::Event => "event",
            Self::Thread => "thread",
            Self::Outside => "outside",
            Self::Unknown => "unknown",
        }
    }

    /// The number of the task that it was, if it was one.
    #[must_use]
    pub fn task(self) -> Option<u64> {
        match self {
            Self::Task(id) => Some(id),
            _ => None,
        }
    }
}

impl Stand {
    /// The line of the innermost await that is known.
    #[must_use]
    pub fn site(&self) -> Option<&crate::Site> {
        match self {
            Self::At(state) => state.site.as_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::At(state) => &state.path,
            Self::Unknown => "a place that is not known",
            Self::Completed => "completed",
            Self::Panicked => "panicked",
            Self::Dropped => "dropped",
        })
    }
}

impl fmt::Display for WokenBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(id) => write!(f, "task {id}"),
            Self::Root => f.write_str("the root future"),
            Self::Event => f.write_str("I/O or a timer"),
            Self::Thread => f.write_str("another thread"),
            Self::Outside => f.write_str("code outside of tasks"),
            Self::Unknown => f.write_str("somebody before the recording"),
        }
    }
}

/// One line, as [`report_long_polls`] prints it.
///
/// [`report_long_polls`]: https://docs.rs/camshaft/latest/camshaft/runtime/struct.Builder.html#method.report_long_polls
impl fmt::Display for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task {
            Some(id) => write!(f, "task {id}")?,
            None => f.write_str("the root future")?,
        }
        let (of, shared) = (&self.of, self.shared);
        if self.is_unclear() {
            write!(
                f,
                " ({of}) was one of {shared} polls that took {:.1?} together",
                self.shared_took
            )?;
        } else {
            write!(f, " ({of}) was polled for {:.1?}", self.took)?;
            if shared > 1 {
                write!(f, " (a part of {shared} polls)")?;
            }
        }
        write!(f, ": from {}, to {}; ", self.from, self.to)?;
        let how = if self.first { "spawned" } else { "woken" };
        write!(f, "{how} by {}", self.woken_by)
    }
}
