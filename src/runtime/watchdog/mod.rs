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
        let mut seen: Option<(u64, Instant, bool)> = None;
        while self.pause() {
            let Some(polled) = self.pulse.polled() else {
                continue;
            };
            match &mut seen {
                Some((turn, since, told)) if *turn == polled.turn => {
                    let ran = Instant::now().duration_since(*since);
                    if ran >= self.limit && !*told {
                        *told = true;
                        self.report(&polled, ran);
                    }
                }
                _ => seen = Some((polled.turn, Instant::now(), false)),
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
                let stack: String = ours(&calls).iter().fold(String::new(), |mut text, call| {
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

/// The calls up to the loop that has called the task, which are the same for all.
fn ours(calls: &[inspect::Node]) -> &[inspect::Node] {
    let is_loop = |call: &inspect::Node| {
        let ours = [
            "camshaft_executor::executor::",
            "camshaft_executor::pulse::",
            "camshaft_executor::record::",
        ];
        let name = call.name.trim_start_matches('<');
        ours.iter().any(|ours| name.starts_with(ours)) && name.contains("Executor")
    };
    let end = calls.iter().position(is_loop).unwrap_or(calls.len());
    &calls[..end]
}
