//! The watchdog: a thread that tells what a poll does that does not end.
//!
//! ```text
//!   runtime's thread   poll ───────────────────────────────┬─ signal: copies registers and stacks ─┬──> goes on
//!   watchdog           is it the same poll as before? ──ask┘   … waits …   unwinds the copy, names it, prints ┘
//! ```
//!
//! The loop counts its turns where the watchdog sees them, a few stores for each, and nothing if there is no watchdog. The copy is made
//! in a signal handler, the only code that can run on that thread while a poll does not end; everything else is done
//! here, from the copy, while the poll goes on.
//!
//! What it does not do: it stops nothing, and it cannot tell what waits in the queue behind the poll.

mod shot;

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use camshaft_executor::look;
use camshaft_executor::pulse::{Polled, Pulse};

use self::shot::{Answer, Shot};
use crate::inspect;

/// How often it looks within the limit.
const LOOKS: u32 = 4;
/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(1);
/// A poll that goes on is told of again when it has taken so many times as long.
const AGAIN: u32 = 10;

/// The thread that watches a runtime, until this is dropped.
pub(crate) struct Watchdog {
    watched: Arc<Watched>,
    thread: Option<thread::JoinHandle<()>>,
    /// The process that the thread belongs to.
    process: u32,
}

/// A runtime that is watched.
struct Watched {
    limit: Duration,
    pulse: Pulse,
    name: Option<String>,
    shot: Shot,
    /// It is over.
    over: Mutex<bool>,
    ended: Condvar,
}

impl Watchdog {
    /// Starts to watch the runtime of this thread.
    pub(crate) fn start(limit: Duration, pulse: Pulse, name: Option<&str>) -> io::Result<Self> {
        shot::prepare()?;
        let watched = Arc::new(Watched {
            limit,
            pulse,
            name: name.map(str::to_owned),
            shot: Shot::new(),
            over: Mutex::new(false),
            ended: Condvar::new(),
        });
        let theirs = Arc::clone(&watched);
        let thread = thread::Builder::new().name("watchdog".to_owned());
        Ok(Self {
            watched,
            thread: Some(thread.spawn(move || theirs.watch())?),
            process: std::process::id(),
        })
    }

    /// The thread that calls this answers for the runtime, until what this returns is dropped.
    pub(crate) fn attend(&self) -> impl Drop + '_ {
        self.watched.shot.attend()
    }
}

impl Drop for Watchdog {
    /// Ends the thread. In a process that was forked since it was made there is none.
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        if std::process::id() != self.process {
            std::mem::forget(thread);
            return;
        }
        *self.watched.over() = true;
        self.watched.ended.notify_all();
        // It has said why it panicked, if it has.
        let _ = thread.join();
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog")
            .field("limit", &self.watched.limit)
            .finish_non_exhaustive()
    }
}

impl Watched {
    fn over(&self) -> std::sync::MutexGuard<'_, bool> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is time to look again; false if it is over.
    fn pause(&self) -> bool {
        let step = (self.limit / LOOKS).max(SHORTEST);
        let until = Instant::now().checked_add(step);
        let mut over = self.over();
        while !*over {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let left = left.unwrap_or(step);
            if left.is_zero() {
                return true;
            }
            let waited = self.ended.wait_timeout(over, left);
            over = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    fn watch(&self) {
        // A turn, since when it is known, and when it is to be told of.
        let mut seen: Option<(u64, Instant, Duration)> = None;
        while self.pause() {
            let Some(polled) = self.pulse.polled() else {
                continue;
            };
            match &mut seen {
                Some((turn, since, due)) if *turn == polled.turn => {
                    let ran = since.elapsed();
                    if ran >= *due {
                        self.report(&polled, ran);
                        // To make the first report may take longer than all that.
                        let soon = since.elapsed().saturating_mul(2);
                        *due = due.saturating_mul(AGAIN).max(soon);
                    }
                }
                _ => seen = Some((polled.turn, Instant::now(), self.limit)),
            }
        }
    }

    fn report(&self, polled: &Polled, ran: Duration) {
        let answer = self.shot.ask(|| self.pulse.is_at(polled.turn));
        let text = match &answer {
            Answer::Gone => return,
            Answer::None(why) => self.text(polled, ran, None, why),
            Answer::Taken(taken) => {
                let calls = camshaft_inspect::calls(&taken.memory, &taken.stacks, taken.registers);
                let names: Vec<_> = calls.iter().map(|call| &*call.name).collect();
                let calls = calls.iter().take(ours(&names));
                let stack: String = calls.fold(String::new(), |mut text, call| {
                    let _ = writeln!(text, "  {call}");
                    text
                });
                self.text(polled, ran, taken.name.as_deref(), &stack)
            }
        };
        // There is nobody to tell if it cannot be written.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    fn text(&self, polled: &Polled, ran: Duration, name: Option<&str>, stack: &str) -> String {
        let runtime = match &self.name {
            Some(name) => format!(" of the runtime {name}"),
            None => String::new(),
        };
        let task = match (polled.task, name) {
            (None, _) => "the root future".to_owned(),
            (Some(id), None) => format!("task {}", look::number(id)),
            (Some(id), Some(name)) => format!("task {} \"{name}\"", look::number(id)),
        };
        let mut text =
            format!("camshaft: a poll of {task}{runtime} has taken at least {ran:.1?} so far\n");
        if let Some(kind) = &polled.kind {
            let _ = writeln!(text, "  of {}", inspect::record::label_of(kind));
            if let Some(state) = polled
                .from
                .and_then(|from| inspect::record::state_of(kind, from))
            {
                let _ = writeln!(text, "  resumed from {state}");
            }
        }
        text.push_str(stack);
        text
    }
}

/// How many calls there are up to the loop that has called the task, without those that it calls all tasks by.
fn ours(calls: &[&str]) -> usize {
    let begins = |name: &str, with: &[&str]| {
        let name = name.trim_start_matches('<');
        with.iter().any(|with| name.starts_with(with))
    };
    let is_loop = |name: &&str| {
        let ours = [
            "camshaft_executor::executor::",
            "camshaft_executor::pulse::",
            "camshaft_executor::record::",
        ];
        begins(name, &ours) && name.contains("Executor")
    };
    let end = calls.iter().position(is_loop).unwrap_or(calls.len());
    let between = ["camshaft_executor::", "core::", "std::", "alloc::"];
    let own = calls[..end]
        .iter()
        .rposition(|name| !begins(name, &between));
    // If all of them are, the runtime itself takes long.
    own.map_or(end, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::ours;

    #[test]
    fn what_calls_every_task_is_left_out() {
        let poll = "<camshaft_executor::builder::Plain<…> as core::future::future::Future>::poll";
        let raw = "camshaft_executor::raw::poll";
        let turn = "camshaft_executor::executor::Executor::turn";
        let core = "core::cmp::lt";
        let spins = "app::spins::{closure}";
        assert_eq!(
            ours(&[core, "app::compute", spins, poll, raw, raw, turn, "main"]),
            3
        );
        assert_eq!(ours(&[core, "app::compute"]), 2);
        assert_eq!(ours(&[core, raw, turn, "main"]), 2);
    }
}
