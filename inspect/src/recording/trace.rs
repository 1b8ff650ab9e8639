//! A recording in the Trace Event Format.
//!
//! ```text
//!   thread         ▐poll▌▐poll▌      ▐poll▌        all polls, one after the other
//!   task 7         ▐poll▌╲ state     ▐poll▌        each task: its polls, and where it stood between them
//!   task 8   state        ▐poll▌  state …          an arrow from the poll that woke it
//! ```
//!
//! Times are microseconds of `CLOCK_MONOTONIC`. The number of the process is that of the thread, of which there is none else
//! in the system at that time, and those of arrows begin with it.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use super::{Poll, Recording, Stand, TaskStand};
use crate::json::{Json, ToJson};

/// The track of the thread. Those of tasks follow.
const THREAD: u64 = 1;

/// What is left between two slices.
const GAP: Duration = Duration::from_nanos(1);

/// So many bytes are written at once.
const PIECE: usize = 64 << 10;

/// The bits of the number of an arrow that are its own. With those of a thread's number a viewer can still tell it exactly.
const ARROW_BITS: u32 = 30;

/// Writes the file.
pub(super) fn write(recording: &Recording, to: &mut dyn Write) -> io::Result<()> {
    let mut json = Json::default();
    json.open('{');
    json.field("displayTimeUnit", "ns");
    json.name("traceEvents");
    json.open('[');
    let names = recording.tasks.iter();
    let names = names.filter_map(|task| Some((task.task?, task.name.as_deref()?)));
    let trace = Trace {
        json: &mut json,
        to: &mut *to,
        written: Ok(()),
        recording,
        process: u64::from(recording.thread),
        tracks: HashMap::new(),
        names: names.collect(),
    };
    trace.events()?;
    json.close(']');
    json.close('}');
    to.write_all(json.text().as_bytes())
}

/// The track of a task.
#[derive(Clone, Copy)]
struct Track {
    number: u64,
    /// Where its last slice ended, from the beginning of the recording.
    end: Duration,
}

struct Trace<'a> {
    json: &'a mut Json,
    to: &'a mut dyn Write,
    /// Whether all could be written so far.
    written: io::Result<()>,
    recording: &'a Recording,
    process: u64,
    tracks: HashMap<Option<u64>, Track>,
    /// The names that tasks were given.
    names: HashMap<u64, &'a str>,
}

/// A slice of a track.
struct Slice<'a> {
    track: u64,
    name: &'a str,
    category: &'a str,
    start: Duration,
    took: Duration,
}

impl Trace<'_> {
    fn events(mut self) -> io::Result<()> {
        let recording = self.recording;
        let name = recording.name.as_deref().unwrap_or("camshaft");
        self.label("process_name", THREAD, name, 0);
        self.label("thread_name", THREAD, "all polls", 0);
        let mut together = None;
        for poll in &recording.polls {
            let track = self.track(poll.task, &poll.of);
            self.wait(track, poll);
            if !poll.is_unclear() {
                self.poll(THREAD, poll);
            } else if together.replace(poll.shared_start) != Some(poll.shared_start) {
                self.together(poll);
            }
            self.poll(track.number, poll);
            let end = poll.start + poll.took;
            self.tracks.insert(poll.task, Track { end, ..track });
        }
        for (place, poll) in recording.polls.iter().enumerate() {
            if let Some(waking) = poll.woken_in.and_then(|waking| recording.polls.get(waking)) {
                let number = self.process << ARROW_BITS | (place as u64 + 1);
                self.arrow(number, waking, poll);
            }
        }
        for task in &recording.tasks {
            self.stays(task);
        }
        self.written
    }

    /// The track of a task, which is named when it is first asked for.
    fn track(&mut self, task: Option<u64>, of: &str) -> Track {
        if let Some(track) = self.tracks.get(&task) {
            return *track;
        }
        let number = THREAD + 1 + self.tracks.len() as u64;
        let given = task.and_then(|id| self.names.get(&id));
        let name = match (task, given) {
            (None, _) => format!("the root future ({of})"),
            (Some(id), None) => format!("task {id} ({of})"),
            (Some(id), Some(name)) => format!("task {id} \"{name}\" ({of})"),
        };
        self.label("thread_name", number, &name, number);
        let track = Track {
            number,
            end: Duration::ZERO,
        };
        self.tracks.insert(task, track);
        track
    }

    fn label(&mut self, what: &str, track: u64, name: &str, order: u64) {
        self.event("M", what, track, None, |json| {
            json.name("args");
            json.object(|json| json.field("name", name));
        });
        if order > 0 {
            self.event("M", "thread_sort_index", track, None, |json| {
                json.name("args");
                json.object(|json| json.field("sort_index", &order));
            });
        }
    }

    /// Where a task stood before a poll.
    fn wait(&mut self, track: Track, poll: &Poll) {
        let Some(waited) = poll.waited.or(poll.scheduled.filter(|_| poll.first)) else {
            return;
        };
        let start = poll.start.saturating_sub(waited).max(track.end);
        let slice = Slice {
            track: track.number,
            name: &poll.from.to_string(),
            category: "state",
            start,
            took: poll.start.saturating_sub(start),
        };
        self.slice(&slice, |json| {
            json.field("scheduled_ns", &poll.scheduled.map(super::dwell::nanos));
        });
    }

    /// Where a task stands at the end.
    fn stays(&mut self, task: &TaskStand) {
        let (Some(since), false) = (task.since, task.running) else {
            return;
        };
        let track = self.track(task.task, &task.of);
        let taken = self.recording.taken;
        let start = taken.saturating_sub(since).max(track.end);
        let slice = Slice {
            track: track.number,
            name: &task.stand.to_string(),
            category: "state",
            start,
            took: taken.saturating_sub(start),
        };
        self.slice(&slice, |json| json.field("goes_on", &true));
    }

    /// Polls that took long together, of which this is one.
    fn together(&mut self, poll: &Poll) {
        let slice = Slice {
            track: THREAD,
            name: &format!("one of {} polls", poll.shared),
            category: "poll",
            start: poll.shared_start,
            took: poll.shared_took,
        };
        self.slice(&slice, |json| {
            json.field("timed_together", &u64::from(poll.shared));
        });
    }

    fn poll(&mut self, track: u64, poll: &Poll) {
        let on_thread = track == THREAD;
        let slice = Slice {
            track,
            name: if on_thread {
                &poll.of
            } else if poll.is_unclear() {
                "poll, somewhere near"
            } else {
                "poll"
            },
            category: "poll",
            start: poll.start,
            took: poll.took,
        };
        self.slice(&slice, |json| {
            json.field("task", &poll.task);
            json.field("from", &poll.from.to_string());
            json.field("to", &poll.to.to_string());
            let line = |stand: &Stand| stand.site().map(ToString::to_string);
            json.field("from_line", &line(&poll.from));
            json.field("to_line", &line(&poll.to));
            let how = if poll.first { "spawned_by" } else { "woken_by" };
            json.field(how, &poll.woken_by.to_string());
            if poll.shared > 1 {
                json.field("timed_together", &u64::from(poll.shared));
                json.field("together_ns", &super::dwell::nanos(poll.shared_took));
            }
        });
    }

    /// Writes a slice, which ends a nanosecond early: of those that touch each other, the sum of a beginning and a length
    /// may be beyond the next beginning in the numbers of a viewer, which then puts one below the other.
    fn slice(&mut self, slice: &Slice<'_>, args: impl FnOnce(&mut Json)) {
        let began = self.recording.began;
        self.event(
            "X",
            slice.name,
            slice.track,
            Some(began + slice.start),
            |json| {
                json.field("dur", &Micros(slice.took.saturating_sub(GAP)));
                json.field("cat", slice.category);
                json.name("args");
                json.object(args);
            },
        );
    }

    /// An arrow from the poll that woke a task to the poll that came of it.
    fn arrow(&mut self, number: u64, waking: &Poll, woken: &Poll) {
        let began = self.recording.began;
        // An arrow begins in the slice that is there at its time: somewhere in the poll.
        let ends = [
            ("s", waking, waking.start + waking.took / 2),
            ("f", woken, woken.start),
        ];
        for (phase, poll, time) in ends {
            let Some(track) = self.tracks.get(&poll.task).map(|track| track.number) else {
                return;
            };
            self.event(phase, "wake", track, Some(began + time), |json| {
                json.field("cat", "wake");
                json.field("id", &number);
                if phase == "f" {
                    json.field("bp", "e");
                }
            });
        }
    }

    fn event(
        &mut self,
        phase: &str,
        name: &str,
        track: u64,
        time: Option<Duration>,
        more: impl FnOnce(&mut Json),
    ) {
        let process = self.process;
        self.json.object(|json| {
            json.field("ph", phase);
            json.field("name", name);
            json.field("pid", &process);
            json.field("tid", &track);
            if let Some(time) = time {
                json.field("ts", &Micros(time));
            }
            more(json);
        });
        let text = self.json.text();
        if text.len() >= PIECE {
            if self.written.is_ok() {
                self.written = self.to.write_all(text.as_bytes());
            }
            text.clear();
        }
    }
}

/// A time in microseconds, with the nanoseconds behind the point.
struct Micros(Duration);

impl ToJson for Micros {
    fn write(&self, json: &mut Json) {
        let nanos = self.0.as_nanos();
        json.number(&format!("{}.{:03}", nanos / 1000, nanos % 1000));
    }
}
