//! The terminal, while it is ours: it is left as it was, however this ends, and while it is stopped.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{
    SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH,
};
use signal_hook::flag::{register, register_usize};
use signal_hook::low_level::emulate_default_handler;

use super::keys::{Key, Keys};

/// Those that end a program which does not care for them.
const ENDING: [i32; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM];

/// Another screen, no cursor, no wrapping.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// How the terminal was; nothing while it is not ours.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal; dropping it leaves it as it was.
pub(super) struct Screen {
    /// The signal that ends this, or 0.
    ended: Arc<AtomicUsize>,
    /// Somebody wants it to be in the background.
    stopped: Arc<AtomicBool>,
    /// It was there.
    continued: Arc<AtomicBool>,
    /// The window has another size.
    resized: Arc<AtomicBool>,
    keys: Keys,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Key(Key),
    /// It has to end by this signal, when the terminal is left.
    Signal(i32),
    /// All has to be shown again.
    Redraw,
    Nothing,
}

impl Screen {
    pub(super) fn enter() -> Result<Self> {
        let screen = Self {
            ended: Arc::default(),
            stopped: Arc::default(),
            continued: Arc::default(),
            resized: Arc::default(),
            keys: Keys::default(),
        };
        for signal in ENDING {
            let number = usize::try_from(signal).context("signals have numbers")?;
            register_usize(signal, Arc::clone(&screen.ended), number)?;
        }
        register(SIGTSTP, Arc::clone(&screen.stopped))?;
        register(SIGCONT, Arc::clone(&screen.continued))?;
        register(SIGWINCH, Arc::clone(&screen.resized))?;
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // Its message belongs on the screen that stays.
            leave();
            report(panic);
        }));
        take()?;
        Ok(screen)
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        let size = tcgetwinsize(io::stdout()).ok();
        let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
    }

    /// Shows so many lines of a text, from one of them on; the first line stays.
    pub(super) fn show(&self, text: &str, from: usize, rows: usize) -> Result<()> {
        if before().is_none() {
            return Ok(()); // another thread has panicked, and its message is there now
        }
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let lines = std::iter::once(first).chain(rest.lines().skip(from));
        let lines: Vec<_> = lines.take(rows).collect();
        // All at once where that is understood, so that nothing flickers.
        write(&format!(
            "\x1b[?2026h\x1b[H{}\x1b[K\x1b[J\x1b[?2026l",
            lines.join("\x1b[K\r\n")
        ))?;
        Ok(())
    }

    /// Waits for a key or a signal; a moment, after which a sequence of keys is taken to be whole.
    pub(super) fn wait(&mut self, moment: Duration) -> Result<Event> {
        if let Some(key) = self.keys.next() {
            return self.pressed(key);
        }
        let moment = Timespec::try_from(moment)?;
        let stdin = io::stdin();
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        let ready = match poll(&mut fds, Some(&moment)) {
            Err(Errno::INTR) => None,
            ready => Some(ready? > 0),
        };
        if let Some(event) = self.signal()? {
            return Ok(event);
        }
        let key = match ready {
            None => None,
            Some(false) => self.keys.rest(),
            Some(true) => {
                let mut typed = [0; 64];
                match rustix::io::read(&stdin, &mut typed) {
                    // The terminal is gone.
                    Ok(0) | Err(Errno::IO) => Some(Key::Quit),
                    Err(Errno::INTR | Errno::AGAIN) => None,
                    count => {
                        self.keys.typed(&typed[..count?]);
                        self.keys.next()
                    }
                }
            }
        };
        key.map_or(Ok(Event::Nothing), |key| self.pressed(key))
    }

    /// What signals have come for.
    fn signal(&self) -> Result<Option<Event>> {
        let ended = self.ended.load(Ordering::Relaxed);
        if let Some(signal) = ENDING
            .into_iter()
            .find(|one| usize::try_from(*one) == Ok(ended))
        {
            return Ok(Some(Event::Signal(signal)));
        }
        if self.stopped.swap(false, Ordering::Relaxed) {
            self.stop()?;
            return Ok(Some(Event::Redraw));
        }
        if self.continued.swap(false, Ordering::Relaxed) {
            // It was stopped in a way that could not be known before.
            take()?;
            return Ok(Some(Event::Redraw));
        }
        let resized = self.resized.swap(false, Ordering::Relaxed);
        Ok(resized.then_some(Event::Redraw))
    }

    fn pressed(&self, key: Key) -> Result<Event> {
        if key != Key::Stop {
            return Ok(Event::Key(key));
        }
        self.stop()?;
        Ok(Event::Redraw)
    }

    /// Leaves the terminal to others, until somebody lets this go on.
    fn stop(&self) -> Result<()> {
        leave();
        emulate_default_handler(SIGTSTP)?;
        self.continued.store(false, Ordering::Relaxed);
        take()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// Makes the terminal ours.
fn take() -> Result<()> {
    let now = tcgetattr(io::stdin()).context("the terminal does not tell how it is set")?;
    let mut raw = before().get_or_insert(now).clone();
    raw.make_raw();
    tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
    write(ENTER)?;
    Ok(())
}

/// Leaves the terminal as it was, if it is ours.
fn leave() {
    let before = before().take();
    if let Some(before) = before {
        // There is nobody to tell if the terminal is gone.
        let _ = write(LEAVE);
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &before);
    }
}

fn before() -> MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
