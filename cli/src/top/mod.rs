//! What a process does, renewed every moment.
//!
//! ```text
//!   a thread that asks ── channel ──> watch ──> frame ──> screen
//!                                       ^ keys, signals, resizes ─┘
//! ```
//!
//! The thread that asks may wait for a runtime that is blocked; keys work meanwhile.

mod figures;
mod frame;
mod keys;
mod place;
mod screen;
#[cfg(test)]
mod tests;
mod waits;

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use serde_json::Value;
use signal_hook::low_level::emulate_default_handler;

use self::frame::Runtime;
use self::keys::Key;
use self::screen::{Event, Screen};
use crate::attach;
use crate::terminal::{self, Page};

/// How often to look whether something has been answered.
const GLANCE: Duration = Duration::from_millis(50);

/// What is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Top {
    pub(crate) pid: u32,
    pub(crate) interval: Duration,
    pub(crate) patience: Duration,
    pub(crate) once: bool,
}

/// What one round of questions has brought: of each runtime what it said, or why it said nothing.
type Round = Result<Vec<(Which, Result<Value>)>>;

/// Which runtime of a process it is.
type Which = (u32, u32);

/// How it has ended.
#[derive(Debug)]
enum Ended {
    /// Somebody has seen enough.
    Quit,
    /// By a signal.
    Signal(i32),
    /// There is nobody to ask any more; this was shown last.
    Gone(String),
}

impl Top {
    /// Shows it until somebody has seen enough; once where there is nobody who looks.
    pub(crate) fn run(self, page: Page) -> Result<()> {
        let round = self.ask()?;
        if self.once || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return once(round, page);
        }
        let mut runtimes = Vec::new();
        take(&mut runtimes, round);
        let mut screen = Screen::enter()?;
        let ended = self.watch(&mut screen, runtimes, page.has_colors(), &self.rounds())?;
        drop(screen);
        match ended {
            Ended::Quit => Ok(()),
            // As it would have ended without all this.
            Ended::Signal(signal) => Ok(emulate_default_handler(signal)?),
            Ended::Gone(last) => {
                terminal::print(&last)?;
                Err(self.gone())
            }
        }
    }

    /// Why there is nobody to ask any more.
    fn gone(&self) -> anyhow::Error {
        let pid = self.pid;
        if attach::is_there(pid) {
            anyhow!("process {pid} has no runtime any more that can be asked")
        } else {
            anyhow!("process {pid} has ended")
        }
    }

    fn ask(&self) -> Round {
        let doors = attach::doors(self.pid)?;
        let asked = doors.iter().map(|door| {
            let key = (door.listed.thread, door.listed.number);
            (key, attach::folded(door, self.patience))
        });
        Ok(asked.collect())
    }

    /// Asks again and again, on a thread of its own, which ends with what it tells.
    fn rounds(self) -> Receiver<Round> {
        let (tell, rounds) = sync_channel(1);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(self.interval);
                if tell.send(self.ask()).is_err() {
                    return;
                }
            }
        });
        rounds
    }

    /// Shows what rounds bring, until somebody has seen enough, or sends a signal, or there is nobody left to ask.
    fn watch(
        self,
        screen: &mut Screen,
        mut runtimes: Vec<Runtime>,
        colors: bool,
        rounds: &Receiver<Round>,
    ) -> Result<Ended> {
        let mut is_paused = false;
        let mut scrolled = 0_usize;
        loop {
            let (columns, rows) = screen.size();
            let mut page = Page::exactly(columns, colors);
            frame::head(&mut page, self.pid, is_paused);
            for runtime in &runtimes {
                frame::body(&mut page, runtime);
            }
            let text = page.text();
            let hidden = text.lines().count().saturating_sub(rows);
            scrolled = scrolled.min(hidden);
            screen.show(&text, scrolled, rows)?;
            let step = rows.saturating_sub(2).max(1);
            loop {
                match screen.wait(GLANCE)? {
                    Event::Signal(signal) => return Ok(Ended::Signal(signal)),
                    Event::Key(Key::Quit) => return Ok(Ended::Quit),
                    Event::Key(Key::Pause) => is_paused = !is_paused,
                    Event::Key(Key::Down(pages, lines)) => {
                        scrolled = scrolled.saturating_add(pages * step + lines);
                    }
                    Event::Key(Key::Up(pages, lines)) => {
                        scrolled = scrolled.saturating_sub(pages * step + lines);
                    }
                    // Stopping is the screen's.
                    Event::Redraw | Event::Key(Key::Stop) => {}
                    Event::Nothing => match rounds.try_recv() {
                        Ok(Ok(round)) if !is_paused => take(&mut runtimes, round),
                        Ok(Err(_)) if !is_paused => return Ok(Ended::Gone(text)),
                        Ok(_) | Err(TryRecvError::Empty) => continue,
                        Err(TryRecvError::Disconnected) => {
                            bail!("the thread that asks the process has panicked")
                        }
                    },
                }
                break;
            }
        }
    }
}

/// One frame, for those who read it later.
fn once(round: Vec<(Which, Result<Value>)>, mut page: Page) -> Result<()> {
    let mut failure = None;
    for (_, answer) in round {
        match answer {
            Ok(look) => frame::body(&mut page, &Runtime::new((0, 0), look)),
            Err(error) => failure = Some(error),
        }
    }
    terminal::print(&page.text())?;
    failure.map_or(Ok(()), Err)
}

/// Takes over what was answered; of a runtime that did not answer it keeps what it said last.
fn take(runtimes: &mut Vec<Runtime>, round: Vec<(Which, Result<Value>)>) {
    runtimes.retain(|runtime| round.iter().any(|(key, _)| *key == runtime.key));
    for (key, answer) in round {
        let known = runtimes.iter_mut().find(|runtime| runtime.key == key);
        match (answer, known) {
            (Ok(look), Some(runtime)) => runtime.renew(look),
            (Ok(look), None) => runtimes.push(Runtime::new(key, look)),
            (Err(error), Some(runtime)) => runtime.trouble = Some(format!("{error:#}")),
            (Err(error), None) => {
                let mut runtime = Runtime::new(key, Value::Null);
                runtime.trouble = Some(format!("{error:#}"));
                runtimes.push(runtime);
            }
        }
    }
}
