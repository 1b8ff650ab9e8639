//! A recording as a table, and as JSON.

use std::fmt;
use std::time::Duration;

use super::dwell::{Dwell, nanos};
use super::{Poll, Recording, TaskStand};
use crate::json::{Json, ToJson};

/// How many lines of each table are shown.
const LINES: usize = 20;
/// How many of the longest polls are shown.
const LONGEST: usize = 5;
/// How many types are named of polls that took long together.
const TYPES: usize = 5;
/// The longest bar.
const BAR: u32 = 20;

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for missing in &self.missing {
            writeln!(f, "{missing}")?;
        }
        let kept = self.polls.len() as u64;
        let since = self.polls.first().map_or(self.taken, |poll| poll.start);
        write!(
            f,
            "{kept} polls in the last {:.1?}",
            self.taken.saturating_sub(since)
        )?;
        match self.recorded.saturating_sub(kept) {
            0 => writeln!(f)?,
            left => writeln!(f, "; {left} before that are not kept")?,
        }
        let dwells = self.dwell();
        dwell_table(f, &dwells)?;
        let longest = self.longest(LONGEST);
        if !longest.is_empty() {
            writeln!(f, "the longest polls")?;
        }
        for poll in longest {
            writeln!(f, "  {poll}")?;
        }
        let together = self.longest_together(LONGEST);
        if !together.is_empty() {
            writeln!(
                f,
                "the longest polls that were timed together; one of each line took nearly all of that"
            )?;
        }
        for polls in together {
            writeln!(f, "  {}", Together(polls))?;
        }
        Ok(())
    }
}

/// Polls that were timed together.
struct Together<'a>(&'a [Poll]);

impl Together<'_> {
    /// The types of their tasks, each once.
    fn types(&self) -> Vec<&str> {
        let mut types: Vec<&str> = self.0.iter().map(|poll| &*poll.of).collect();
        types.sort_unstable();
        types.dedup();
        types
    }
}

impl fmt::Display for Together<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = &self.0[0];
        let types = self.types();
        let more = match types.len().saturating_sub(TYPES) {
            0 => String::new(),
            more => format!(" and {more} types more"),
        };
        write!(
            f,
            "{} polls in {:.1?}, of {}{more}",
            first.shared,
            first.shared_took,
            types[..types.len().min(TYPES)].join(", ")
        )
    }
}

fn dwell_table(f: &mut fmt::Formatter<'_>, dwells: &[Dwell]) -> fmt::Result {
    if dwells.is_empty() {
        return Ok(());
    }
    let most = dwells
        .iter()
        .map(|dwell| dwell.total)
        .max()
        .unwrap_or_default();
    writeln!(
        f,
        "{:BAR$}  {:>9} {:>7} {:>9} {:>9} {:>9} {:>7}  {:>9}  place",
        "time spent waiting",
        "total",
        "count",
        "p50",
        "p99",
        "max",
        "there now",
        "longest",
        BAR = BAR as usize
    )?;
    for dwell in dwells.iter().take(LINES) {
        let ended = |time| match dwell.count {
            0 => "–".to_owned(),
            _ => short(time),
        };
        writeln!(
            f,
            "{:BAR$}  {:>9} {:>7} {:>9} {:>9} {:>9} {:>9}  {:>9}  {}",
            bar(dwell.total, most),
            short(dwell.total),
            dwell.count,
            ended(dwell.p50),
            ended(dwell.p99),
            ended(dwell.max),
            dwell.waiting,
            match dwell.waiting {
                0 => String::new(),
                _ => short(dwell.longest),
            },
            place(dwell),
            BAR = BAR as usize
        )?;
    }
    match dwells.len().checked_sub(LINES) {
        Some(more @ 1..) => writeln!(f, "and {more} places more"),
        _ => Ok(()),
    }
}

/// The path says the type as well, unless it is not known.
fn place(dwell: &Dwell) -> String {
    let path = dwell.stand.to_string();
    if path.starts_with(&*dwell.of) {
        path
    } else {
        format!("{}: {path}", dwell.of)
    }
}

/// A bar that is as long, of its greatest length, as a time is of another.
fn bar(part: Duration, whole: Duration) -> String {
    let eighths = part.as_nanos() * u128::from(8 * BAR) / whole.as_nanos().max(1);
    let (full, rest) = (eighths / 8, eighths % 8);
    let mut bar = "█".repeat(usize::try_from(full).unwrap_or(0));
    let parts = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    bar.push_str(parts[usize::try_from(rest).unwrap_or(0)]);
    bar
}

fn short(time: Duration) -> String {
    format!("{time:.1?}")
}

impl ToJson for Recording {
    fn write(&self, json: &mut Json) {
        json.object(|json| {
            json.field("name", &self.name.as_deref());
            json.field("thread", &u64::from(self.thread));
            json.field("began_ns", &nanos(self.began));
            json.field("taken_ns", &nanos(self.taken));
            json.field("recorded", &self.recorded);
            let missing: Vec<String> = self.missing.iter().map(ToString::to_string).collect();
            json.field("missing", &missing);
            json.field("polls", &self.polls);
            json.field("tasks", &self.tasks);
            json.field("dwell", &self.dwell());
        });
    }
}

impl ToJson for Poll {
    fn write(&self, json: &mut Json) {
        json.object(|json| {
            json.field("task", &self.task);
            json.field("type", &*self.of);
            json.field("start_ns", &nanos(self.start));
            json.field("took_ns", &nanos(self.took));
            json.field("shared", &u64::from(self.shared));
            json.field("shared_start_ns", &nanos(self.shared_start));
            json.field("shared_took_ns", &nanos(self.shared_took));
            json.field("unclear", &self.is_unclear());
            json.field("scheduled_ns", &self.scheduled.map(nanos));
            json.field("waited_ns", &self.waited.map(nanos));
            json.field("woken_by", self.woken_by.name());
            json.field("waker", &self.woken_by.task());
            json.field("woken_in", &self.woken_in.map(|place| place as u64));
            json.field("first", &self.first);
            json.field("from", &self.from.to_string());
            json.field("to", &self.to.to_string());
        });
    }
}

impl ToJson for TaskStand {
    fn write(&self, json: &mut Json) {
        json.object(|json| {
            json.field("task", &self.task);
            json.field("name", &self.name.as_deref());
            json.field("type", &*self.of);
            json.field("state", &self.stand.to_string());
            json.field("running", &self.running);
            json.field("since_ns", &self.since.map(nanos));
            json.field("polls", &self.polls);
            json.field("wakes", &self.wakes);
        });
    }
}
