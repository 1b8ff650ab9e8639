//! The runtime: an executor, a ring and a timer wheel on one thread.

mod builder;
mod metrics;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::time::Instant;

use camshaft_executor::{Executor, JoinHandle};

pub use self::builder::{Builder, Spin};
pub use self::metrics::Metrics;
pub use camshaft_executor::Handle;
pub use camshaft_io::driver::{Backend, Report as BackendReport, Rung};

use crate::driver::Loop;

/// A runtime on the thread that built it.
///
/// It can be run again and again; tasks that are not done live on between the runs. Dropping it drops them, on this
/// thread, and waits until the kernel has let go of their buffers.
///
/// # Examples
///
/// ```
/// use camshaft::runtime::Builder;
///
/// let runtime = Builder::new().name("worker").build()?;
/// let task = runtime.spawn(async { 42 });
/// assert_eq!(runtime.block_on(task).unwrap(), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Runtime {
    executor: Executor<Loop>,
    /// The time spent in `block_on` before the current run.
    ran: Cell<std::time::Duration>,
    running: Cell<Option<Instant>>,
    #[cfg(feature = "inspect")]
    dump_on_panic: bool,
}

impl Runtime {
    /// Runs a future until it is done, and the tasks of this runtime meanwhile.
    ///
    /// The future may borrow and need not be `Send`.
    ///
    /// # Panics
    ///
    /// If the thread is already running a runtime; in a process that was forked since it was built; if the ring breaks;
    /// and with the panic of the future itself. The runtime stays usable.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _context = self.enter();
        let _running = Running::new(self);
        #[cfg(feature = "inspect")]
        let output = (self.executor).block_on_guarded(future, DumpOnPanic::new(self));
        #[cfg(not(feature = "inspect"))]
        let output = self.executor.block_on(future);
        self.park().driver().settle();
        output
    }

    /// Spawns a task. It runs whenever [`block_on`](Self::block_on) does.
    ///
    /// # Panics
    ///
    /// In a process that was forked since the runtime was built.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.executor.spawn(future)
    }

    /// A handle that spawns tasks here from any thread.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.executor.handle()
    }

    /// What the runtime has done so far.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let tasks = self.executor.stats();
        let ring = self.park().driver().stats();
        let parked = self.park().parked();
        let running = self.running.get().map(|since| since.elapsed());
        Metrics {
            tasks: tasks.tasks,
            polls: tasks.polls,
            wakes_local: tasks.wakes_local,
            wakes_remote: tasks.wakes_remote,
            enters: ring.enters,
            ops_submitted: ring.submitted,
            ops_completed: ring.completed,
            ops_cancelled: ring.cancelled,
            timers_fired: self.park().timers().fired(),
            busy: (self.ran.get() + running.unwrap_or_default()).saturating_sub(parked),
            parked,
        }
    }

    /// What does the I/O; never [`Backend::Auto`].
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.park().driver().backend()
    }

    /// Which ways to do I/O were tried, and why some were refused. Displays as a few lines.
    #[must_use]
    pub fn backend_report(&self) -> &BackendReport {
        self.park().driver().report()
    }

    /// Tells what all tasks wait for, without polling them. Inside of a task, that one is shown as running.
    #[cfg(feature = "inspect")]
    #[must_use]
    pub fn dump(&self) -> crate::inspect::Dump {
        let _context = self.enter();
        crate::inspect::of(self.executor.tasks())
    }

    /// Spawns the task that prints a dump at each signal of a kind.
    #[cfg(feature = "inspect")]
    fn dump_on(&self, kind: camshaft_io::signal::SignalKind) -> std::io::Result<()> {
        let mut signals = camshaft_io::signal::signal(kind)?;
        self.spawn(async move {
            while signals.recv().await.is_some() {
                crate::inspect::print("a signal asks for a dump", &crate::inspect::dump());
            }
        });
        Ok(())
    }

    fn park(&self) -> &Loop {
        self.executor.park()
    }

    /// Makes this runtime's ring and clock those of the thread.
    fn enter(&self) -> Context {
        Context {
            _timers: self.park().timers().enter(),
            _driver: self.park().driver().enter(),
        }
    }
}

/// The thread's ring and clock are those of a runtime as long as this lives.
struct Context {
    _timers: crate::time::Entered,
    _driver: camshaft_io::driver::Entered,
}

impl Drop for Runtime {
    /// Drops all tasks, cancels their operations, waits until the kernel is done with their memory, and closes the ring.
    fn drop(&mut self) {
        let _context = self.enter();
        self.executor.close();
        self.park().driver().shutdown();
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("name", &self.executor.name())
            .field("backend", &self.backend())
            .field("metrics", &self.metrics())
            .finish()
    }
}

/// Prints a dump when a panic passes by that began after this was made.
#[cfg(feature = "inspect")]
struct DumpOnPanic<'a> {
    runtime: &'a Runtime,
    panicked_before: bool,
}

#[cfg(feature = "inspect")]
impl<'a> DumpOnPanic<'a> {
    fn new(runtime: &'a Runtime) -> Self {
        Self {
            runtime,
            panicked_before: std::thread::panicking(),
        }
    }
}

#[cfg(feature = "inspect")]
impl Drop for DumpOnPanic<'_> {
    fn drop(&mut self) {
        if !self.runtime.dump_on_panic || self.panicked_before || !std::thread::panicking() {
            return;
        }
        let print = || crate::inspect::print("the runtime ends with a panic", &self.runtime.dump());
        // A second panic must not leave this drop: it would abort the process.
        if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(print)) {
            std::mem::forget(panic); // its drop may panic as well
        }
    }
}

/// Counts the time in `block_on`. A nested call, which is about to be refused, counts nothing: it has no runtime here.
struct Running<'a>(Option<&'a Runtime>);

impl<'a> Running<'a> {
    fn new(runtime: &'a Runtime) -> Self {
        if runtime.running.get().is_some() {
            return Self(None);
        }
        runtime.running.set(Some(Instant::now()));
        Self(Some(runtime))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Some(runtime) = self.0 else { return };
        if let Some(since) = runtime.running.take() {
            runtime.ran.set(runtime.ran.get() + since.elapsed());
        }
    }
}
