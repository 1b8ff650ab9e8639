//! The terminal, while it is ours: it is left as it was, however this ends.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};

/// Another screen, no cursor, no wrapping.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// More pages than there are.
const ALL: usize = 1 << 32;

/// How the terminal was.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal; dropping it leaves it as it was.
pub(super) struct Screen {
    /// Somebody has sent a signal that would end this.
    ended: Arc<AtomicBool>,
    /// The window has another size.
    resized: Arc<AtomicBool>,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Quit,
    Pause,
    /// By so many pages and lines.
    Up(usize, usize),
    Down(usize, usize),
    Resize,
    Nothing,
}

impl Screen {
    pub(super) fn enter() -> Result<Self> {
        let screen = Self {
            ended: Arc::default(),
            resized: Arc::default(),
        };
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&screen.ended))?;
        }
        signal_hook::flag::register(SIGWINCH, Arc::clone(&screen.resized))?;
        let before = tcgetattr(io::stdin()).context("the terminal does not tell how it is set")?;
        let mut raw = before.clone();
        raw.make_raw();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // Its message belongs on the screen that stays.
            leave();
            report(panic);
        }));
        tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
        write(ENTER)?;
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

    /// Waits for a key or a signal.
    pub(super) fn wait(&mut self, until: Instant) -> Result<Event> {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left.min(Duration::from_secs(1)))?;
        let stdin = io::stdin();
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        let ready = match poll(&mut fds, Some(&left)) {
            Err(rustix::io::Errno::INTR) => 0,
            ready => ready?,
        };
        if self.ended.load(Ordering::Relaxed) {
            return Ok(Event::Quit);
        }
        if self.resized.swap(false, Ordering::Relaxed) {
            return Ok(Event::Resize);
        }
        if ready == 0 {
            return Ok(Event::Nothing);
        }
        let mut keys = [0; 64];
        match rustix::io::read(&stdin, &mut keys) {
            // The terminal is gone.
            Ok(0) | Err(rustix::io::Errno::IO) => Ok(Event::Quit),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(Event::Nothing),
            Ok(count) => Ok(event(&keys[..count])),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// What keys mean that came together: the last that means something, and to quit is more than all others.
fn event(keys: &[u8]) -> Event {
    let whole = match keys {
        b"\x1b[A" | b"\x1bOA" => Event::Up(0, 1),
        b"\x1b[B" | b"\x1bOB" => Event::Down(0, 1),
        b"\x1b[5~" => Event::Up(1, 0),
        b"\x1b[6~" => Event::Down(1, 0),
        b"\x1b[H" | b"\x1bOH" | b"\x1b[1~" => Event::Up(ALL, 0),
        b"\x1b[F" | b"\x1bOF" | b"\x1b[4~" => Event::Down(ALL, 0),
        b"\x1b" => Event::Quit,
        [0x1b, ..] => Event::Nothing,
        _ => Event::Resize,
    };
    if whole != Event::Resize {
        return whole;
    }
    let one = |key: &u8| match key {
        b'q' | b'Q' | 0x03 | 0x04 => Some(Event::Quit),
        b'p' | b'P' => Some(Event::Pause),
        b'k' => Some(Event::Up(0, 1)),
        b'j' | b'\r' => Some(Event::Down(0, 1)),
        b'b' => Some(Event::Up(1, 0)),
        b' ' | b'f' => Some(Event::Down(1, 0)),
        b'g' => Some(Event::Up(ALL, 0)),
        b'G' => Some(Event::Down(ALL, 0)),
        _ => None,
    };
    let mut meant = keys.iter().filter_map(one);
    let quits = meant.clone().any(|event| event == Event::Quit);
    match quits {
        true => Event::Quit,
        false => meant.next_back().unwrap_or(Event::Nothing),
    }
}

/// Leaves the terminal as it was, if it is ours.
fn leave() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // There is nobody to tell if the terminal is gone.
        let _ = write(LEAVE);
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &before);
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
#[path = "../../tests/common/pty.rs"]
mod pty;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_leaves_the_terminal_as_it_was() {
        const IN_TERMINAL: &str = "CAMSHAFT_TEST_IN_TERMINAL";
        if std::env::var_os(IN_TERMINAL).is_some() {
            let _screen = Screen::enter().expect("it is a terminal");
            panic!("as it should");
        }
        let mut program =
            std::process::Command::new(std::env::current_exe().expect("this is a program"));
        program.env(IN_TERMINAL, "1").args([
            "--exact",
            "top::screen::tests::a_panic_leaves_the_terminal_as_it_was",
        ]);
        let mut terminal = pty::Pty::new(24, 80);
        let before = terminal.settings();
        let child = terminal.spawn(program.arg("--nocapture"));
        let (said, status) = terminal.read_to_end(child);
        assert!(!status.success());
        let (ours, left) = said.split_once(LEAVE).expect("it is left");
        assert!(
            ours.contains(ENTER) && left.contains("as it should"),
            "{said}"
        );
        assert_eq!(terminal.settings(), before);
    }

    #[test]
    fn keys_mean_what_they_mean_elsewhere() {
        for (keys, meant) in [
            (&b"q"[..], Event::Quit),
            (b"\x03", Event::Quit),
            (b"\x1b", Event::Quit),
            (b"jjq", Event::Quit),
            (b"\x1b[A", Event::Up(0, 1)),
            (b"\x1b[6~", Event::Down(1, 0)),
            (b"\x1b[1;5q", Event::Nothing),
            (b"p", Event::Pause),
            (b"xj", Event::Down(0, 1)),
            (b"x", Event::Nothing),
        ] {
            assert_eq!(event(keys), meant, "{keys:?}");
        }
    }
}
