//! The settings of a runtime.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use camshaft_executor::{Executor, blocking};
use camshaft_io::driver::{Backend, Config, Driver, Rung};

#[cfg(feature = "inspect")]
use super::watchdog::Watchdog;
use super::{Gauges, Runtime};
use crate::driver::Loop;
use crate::time::Timers;

/// The environment variable that beats [`Builder::backend`].
const VARIABLE: &str = "CAMSHAFT_BACKEND";

/// The environment variable that keeps the ring to a lower rung of its ladder, to try what an older kernel would do.
const BEST_RUNG: &str = "CAMSHAFT_BEST_RUNG";

/// Whether the runtime looks for events in user space before it waits in the kernel.
///
/// Waking a thread that waits in the kernel takes 10 µs and more. A spin answers sooner, and costs a core meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spin {
    /// Waits in the kernel at once.
    #[default]
    Off,
    /// Spins for at most 50 µs, and only while recent waits were shorter than that.
    Adaptive,
    /// Never waits in the kernel: one core is busy all the time.
    Always,
}

/// Builds a [`Runtime`].
///
/// # Examples
///
/// ```
/// use camshaft::runtime::{Backend, Builder, Spin};
///
/// let runtime = Builder::new()
///     .name("acceptor")
///     .backend(Backend::IoUring)
///     .spin(Spin::Adaptive)
///     .ring_entries(256)
///     .build()?;
/// assert_eq!(runtime.backend(), Backend::IoUring);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    backend: Backend,
    spin: Spin,
    ring_entries: Option<u32>,
    paused_clock: bool,
    timer_slack: Duration,
    name: Option<String>,
    #[cfg(feature = "inspect")]
    dump_on_panic: bool,
    #[cfg(feature = "inspect")]
    dump_on_signal: bool,
    #[cfg(feature = "inspect")]
    dump_on_deadlock: bool,
    #[cfg(feature = "inspect")]
    attach: bool,
    #[cfg(feature = "inspect")]
    page: Option<std::net::SocketAddr>,
    #[cfg(feature = "inspect")]
    record: Option<usize>,
    #[cfg(feature = "inspect")]
    long_polls: Option<Duration>,
    #[cfg(feature = "inspect")]
    watchdog: Option<Duration>,
}

impl Builder {
    /// The default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what does the I/O. The environment variable `CAMSHAFT_BACKEND` (`auto`, `io_uring` or `epoll`) beats it.
    ///
    /// [`Backend::Auto`] takes epoll where the system refuses io_uring, and says so once on standard error;
    /// [`Runtime::backend_report`] has the reason. Everything behaves the same on both.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Sets whether the runtime spins before it waits.
    pub fn spin(mut self, spin: Spin) -> Self {
        self.spin = spin;
        self
    }

    /// Sets how many submissions the ring holds before they must be handed to the kernel; 1024 if not set. It is rounded
    /// up to a power of two and clamped to what the kernel allows. Any size works with any number of operations.
    pub fn ring_entries(mut self, entries: u32) -> Self {
        self.ring_entries = Some(entries);
        self
    }

    /// Stops the clock: time moves only by [`advance`](crate::time::advance), or to the next deadline when every task
    /// waits. For tests.
    ///
    /// Time does not jump over work that ends by itself: name look-ups, `spawn_blocking`, operations on files. It does jump
    /// over what depends on others, such as a read from a socket or a pipe.
    pub fn paused_clock(mut self, paused: bool) -> Self {
        self.paused_clock = paused;
        self
    }

    /// Lets timers be late by up to `slack`, so that those that are close together share one wake-up; zero if not set.
    ///
    /// A wake-up by a timer is dear (10 µs and more of processor time in a virtual machine). With thousands of timers a
    /// second and no need for precision, a slack of a millisecond saves most of it. It never makes a timer early, and
    /// completions of I/O are not held back.
    pub fn timer_slack(mut self, slack: Duration) -> Self {
        self.timer_slack = slack;
        self
    }

    /// Names the runtime, for its panics and for debugging.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Prints what all tasks wait for to standard error when a panic leaves [`Runtime::block_on`].
    ///
    /// The future that panicked has dropped its variables by then, so tasks whose handles were among them may be shown as aborted.
    /// It is not printed if the thread was already unwinding when `block_on` was called.
    #[cfg(feature = "inspect")]
    pub fn dump_on_panic(mut self, dump: bool) -> Self {
        self.dump_on_panic = dump;
        self
    }

    /// Prints what all tasks wait for to standard error when nothing can run any more, and goes on waiting.
    ///
    /// That is so when a run waits, and no task is ready, no timer is armed, no operation is in flight, and no closure of
    /// `spawn_blocking` runs. Then only another thread can wake a task, which may have a waker, a [`Handle`](super::Handle) or a
    /// sender of a channel; the runtime cannot know. So it waits for one more second, and prints only if nobody woke any. It is
    /// printed once, and again only when a task has run in between.
    ///
    /// Tasks that wait for each other's end are named. What the runtime does for itself, such as waiting for `SIGUSR1`, counts
    /// for nothing. Each operation costs a little more with this, and each wait.
    #[cfg(feature = "inspect")]
    pub fn dump_on_deadlock(mut self, dump: bool) -> Self {
        self.dump_on_deadlock = dump;
        self
    }

    /// Prints what all tasks wait for to standard error whenever the process gets the signal `SIGUSR1`.
    ///
    /// A task of the runtime waits for the signal, so the dump is made when it has its turn, inside of
    /// [`Runtime::block_on`]. A task that computes for long and never waits keeps it from that.
    #[cfg(feature = "inspect")]
    pub fn dump_on_signal(mut self, dump: bool) -> Self {
        self.dump_on_signal = dump;
        self
    }

    /// Opens a Unix socket through which `camshaft dump --pid` and `camshaft top` can ask what the runtime does.
    ///
    /// Only processes of the same user, and of root, get answers. The socket is in `$XDG_RUNTIME_DIR/camshaft`, or in
    /// `/tmp/camshaft-UID` if that variable names no directory of this user, and goes with the runtime. Tasks are looked at as by
    /// [`inspect::dump`](crate::inspect::dump), by a task of the runtime that is not shown among the program's and keeps nothing from
    /// ending; [`Metrics`](crate::runtime::Metrics) says what it adds there. Those who ask often get the same answer for a while:
    /// looking takes a tenth of the thread's time at most, or half a second's pause after each. [`camshaft_inspect::attach`] says
    /// what is spoken.
    #[cfg(feature = "inspect")]
    pub fn attach(mut self, attach: bool) -> Self {
        self.attach = attach;
        self
    }

    /// Serves a page that shows what the runtime does, such as at `http://127.0.0.1:7000/`; port 0 takes one that is free, which
    /// [`Runtime::page`] tells.
    ///
    /// The address must be of the loopback interface, and other users of this machine than root are sent away, as is whoever the
    /// kernel does not know. Some sandboxes forbid to ask it (`sock_diag(7)`), and there everybody is answered; where that must not
    /// be, take [`attach`](Self::attach). Pages of others can't read it, whatever their names resolve to.
    #[cfg(feature = "inspect")]
    pub fn page(mut self, address: std::net::SocketAddr) -> Self {
        self.page = Some(address);
        self
    }

    /// Records the last `polls` polls, from the start; [`Runtime::recording`] tells of them.
    ///
    /// What it costs, and what is told, is said at [`inspect::record`](crate::inspect::record). More than 2²⁸ are never kept.
    #[cfg(feature = "inspect")]
    pub fn record(mut self, polls: usize) -> Self {
        self.record = Some(polls);
        self
    }

    /// Prints a line to standard error for each poll that takes this long or longer: which task, how long, at which await it
    /// began and at which it ended, and who had woken it.
    ///
    /// It is printed when the poll is over, ten times in a second at most; how many were left out is said with the next line, or
    /// when the runtime ends. Each poll is timed on its own, which costs one look at the clock more. It works without [`record`](Self::record), and then keeps the last
    /// 1000 polls.
    #[cfg(feature = "inspect")]
    pub fn report_long_polls(mut self, limit: Duration) -> Self {
        self.long_polls = Some(limit);
        self
    }

    /// Starts a thread that tells on standard error what a poll does that has taken longer than this and goes on: which task, and the
    /// calls of the runtime's thread with their lines, also those that were inlined. It says so once for each such poll, and again
    /// when it has taken ten times as long, and a hundred times.
    ///
    /// [`report_long_polls`](Self::report_long_polls) tells of polls that have ended, and costs no thread. If polls are recorded,
    /// the await that the task was resumed from is told as well.
    ///
    /// The thread looks four times within the limit. To copy the stack it sends `SIGURG` to the runtime's thread, which by default
    /// is ignored: a handler that was there before is called for signals that others send, and one that is installed later only keeps
    /// the calls from being told. As by any signal, a call of the kernel such as `poll` or `nanosleep` that blocks the thread in a task
    /// may be interrupted (`EINTR`); the standard library goes on by itself.
    ///
    /// [`build`](Self::build) fails if there can be no thread.
    #[cfg(feature = "inspect")]
    pub fn watchdog(mut self, limit: Duration) -> Self {
        self.watchdog = Some(limit);
        self
    }

    /// Builds the runtime on this thread.
    ///
    /// # Errors
    ///
    /// That the system refuses io_uring, with the reason and what to change; that the descriptors are exhausted; that
    /// `CAMSHAFT_BACKEND` has no meaning, or asks for a backend that is not there; that the socket or the page that were asked for
    /// can't be opened, or that the address of the page is not of the loopback interface.
    pub fn build(self) -> io::Result<Runtime> {
        let mut config = Config {
            backend: chosen(self.backend, env::var_os(VARIABLE).as_deref())?,
            best: best_rung(env::var_os(BEST_RUNG).as_deref())?,
            offload: Arc::new(blocking::run),
            ..Config::default()
        };
        if let Some(entries) = self.ring_entries {
            config.entries = entries;
        }
        let driver = Driver::new(&config)?;
        #[cfg_attr(
            not(feature = "inspect"),
            expect(unused_mut, reason = "nothing is watched")
        )]
        let mut park = Loop::new(
            driver,
            Timers::new(self.paused_clock),
            self.spin,
            self.timer_slack,
        );
        #[cfg(feature = "inspect")]
        if self.dump_on_deadlock {
            park.watch_for_standstill(self.name.as_deref());
        }
        let gauges = Rc::new(Gauges::of(&park));
        #[cfg_attr(
            not(feature = "inspect"),
            expect(unused_mut, reason = "nothing is added")
        )]
        let mut runtime = Runtime {
            executor: match self.name {
                Some(name) => Executor::with_name(park, name),
                None => Executor::new(park),
            },
            gauges,
            #[cfg(feature = "inspect")]
            dump_on_panic: self.dump_on_panic,
            #[cfg(feature = "inspect")]
            page: None,
            #[cfg(feature = "inspect")]
            watchdog: None,
        };
        #[cfg(feature = "inspect")]
        if self.record.is_some() || self.long_polls.is_some() {
            let settings = crate::inspect::record::settings_for(self.record, self.long_polls);
            runtime.executor.start_recording(settings);
        }
        #[cfg(feature = "inspect")]
        if let Some(limit) = self.watchdog {
            let pulse = runtime.executor.watch();
            let name = runtime.executor.name();
            runtime.watchdog = Some(Watchdog::start(limit, pulse, name)?);
        }
        #[cfg(feature = "inspect")]
        if self.dump_on_signal {
            runtime.dump_on(camshaft_io::signal::SignalKind::user_defined1())?;
        }
        #[cfg(feature = "inspect")]
        runtime.serve(self.attach, self.page)?;
        Ok(runtime)
    }
}

/// What the environment asks for, or else the builder.
fn chosen(built: Backend, variable: Option<&OsStr>) -> io::Result<Backend> {
    match variable.map(|word| word.to_string_lossy()).as_deref() {
        None | Some("") => Ok(built),
        Some("auto") => Ok(Backend::Auto),
        Some("io_uring") => Ok(Backend::IoUring),
        Some("epoll") => Ok(Backend::Epoll),
        Some(word) => Err(unknown(VARIABLE, word, "auto, io_uring or epoll")),
    }
}

/// The best rung that the environment allows.
fn best_rung(variable: Option<&OsStr>) -> io::Result<Rung> {
    match variable.map(|word| word.to_string_lossy()).as_deref() {
        None | Some("" | "6.6") => Ok(Rung::NoIndexArray),
        Some("6.1") => Ok(Rung::DeferredTaskWork),
        Some("5.19") => Ok(Rung::CooperativeTaskWork),
        Some("5.11") => Ok(Rung::Plain),
        Some(word) => Err(unknown(BEST_RUNG, word, "6.6, 6.1, 5.19 or 5.11")),
    }
}

fn unknown(variable: &str, word: &str, known: &str) -> io::Error {
    let why = format!("{variable} is {word:?}; it must be {known}");
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_beats_the_builder_and_must_make_sense() {
        let chosen = |word: &str| chosen(Backend::IoUring, Some(OsStr::new(word)));
        assert_eq!(chosen("auto").unwrap(), Backend::Auto);
        assert_eq!(chosen("").unwrap(), Backend::IoUring);
        assert_eq!(chosen("epoll").unwrap(), Backend::Epoll);
        let error = chosen("kqueue").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(
            error.to_string(),
            "CAMSHAFT_BACKEND is \"kqueue\"; it must be auto, io_uring or epoll"
        );
    }
}
