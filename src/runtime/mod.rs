//! The runtime: an executor, a ring and a timer wheel on one thread.

mod builder;
mod metrics;
#[cfg(feature = "inspect")]
mod standstill;
#[cfg(feature = "inspect")]
#[allow(unsafe_code, reason = "handles a signal, and copies stacks by address")]
mod watchdog;

use std::fmt;
use std::future::Future;
use std::rc::Rc;

use camshaft_executor::{Executor, JoinHandle};

pub use self::builder::{Builder, Spin};
pub(crate) use self::metrics::Gauges;
pub use self::metrics::Metrics;
use self::metrics::Running;
#[cfg(feature = "inspect")]
pub(crate) use self::standstill::Standstill;
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
    gauges: Rc<Gauges>,
    #[cfg(feature = "inspect")]
    dump_on_panic: bool,
    #[cfg(feature = "inspect")]
    page: Option<std::net::SocketAddr>,
    #[cfg(feature = "inspect")]
    watchdog: Option<watchdog::Watchdog>,
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
        let _running = Running::new(&self.gauges);
        #[cfg(feature = "inspect")]
        let _attending = self.watchdog.as_ref().map(watchdog::Watchdog::attend);
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
        self.gauges.read(self.executor.stats())
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

    /// What was recorded of the last polls; none if nothing is. See [`Builder::record`] and [`inspect::record`](crate::inspect::record).
    #[cfg(feature = "inspect")]
    #[must_use]
    pub fn recording(&self) -> Option<crate::inspect::record::Recording> {
        let snapshot = self.executor.recording()?;
        Some(crate::inspect::record::explained(
            snapshot,
            self.executor.name(),
        ))
    }

    /// Spawns the task that prints a dump at each signal of a kind.
    #[cfg(feature = "inspect")]
    fn dump_on(&self, kind: camshaft_io::signal::SignalKind) -> std::io::Result<()> {
        let mut signals = camshaft_io::signal::signal(kind)?;
        self.spawn_background(async move {
            while signals.recv().await.is_some() {
                crate::inspect::print("a signal asks for a dump", &crate::inspect::dump());
            }
        });
        Ok(())
    }

    /// Spawns a task of the runtime's own: neither it nor its operations are any of the program's.
    #[cfg(feature = "inspect")]
    fn spawn_background(&self, future: impl Future<Output = ()> + 'static) {
        let driver = self.park().driver().clone();
        self.executor.spawn_background(async move {
            let mut future = std::pin::pin!(future);
            std::future::poll_fn(|cx| driver.in_background(|| future.as_mut().poll(cx))).await;
        });
    }

    /// Where the page of [`Builder::page`] is; nothing if the builder was not asked for one.
    #[cfg(feature = "inspect")]
    #[must_use]
    pub fn page(&self) -> Option<std::net::SocketAddr> {
        self.page
    }

    /// Spawns what answers those who ask from outside.
    #[cfg(feature = "inspect")]
    fn serve(&mut self, attach: bool, page: Option<std::net::SocketAddr>) -> std::io::Result<()> {
        use crate::inspect::serve::{self, Desk};

        let desk = Rc::new(Desk::new(self.executor.name(), Rc::clone(&self.gauges)));
        if attach {
            let door = serve::socket()?;
            self.spawn_background(serve::by_socket(door, Rc::clone(&desk)));
        }
        if let Some(address) = page {
            let listener = serve::page(address)?;
            self.page = Some(listener.local_addr()?);
            self.spawn_background(serve::by_page(listener, desk));
        }
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
        #[cfg(feature = "inspect")]
        drop(self.watchdog.take());
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
        // A second panic must not leave this drop: it would abort the process.
        crate::inspect::try_to(|| {
            crate::inspect::print("the runtime ends with a panic", &self.runtime.dump());
        });
    }
}
