//! Spawning from any thread.

use std::fmt;
use std::sync::Arc;

use crate::builder::Plain;
use crate::bundle::{Bundle, current, current_is};
use crate::join::JoinHandle;
use crate::shared::{Reporting, Shared};
use crate::{Id, id, quietly};

/// Spawns onto an executor from any thread. Cheap to clone; outlives its executor, which then refuses.
///
/// # Examples
///
/// ```
/// # use camshaft_executor::{Executor, ThreadPark};
/// let executor = Executor::new(ThreadPark::new());
/// let handle = executor.handle();
/// let task = std::thread::spawn(move || handle.spawn(async { 42 })).join().unwrap();
/// assert_eq!(executor.block_on(task).unwrap(), 42);
/// ```
#[derive(Clone)]
pub struct Handle {
    bundle: &'static Bundle,
    epoch: u64,
}

impl Handle {
    pub(crate) fn new(bundle: &'static Bundle, epoch: u64) -> Self {
        Self { bundle, epoch }
    }

    /// Returns a handle to the executor that the thread is running.
    ///
    /// # Panics
    ///
    /// Panics outside of a camshaft runtime.
    #[must_use]
    #[track_caller]
    pub fn current() -> Self {
        Self::try_current().expect(
            "camshaft: Handle::current was called outside of a camshaft runtime; \
             call it inside of block_on, or take the handle from the runtime",
        )
    }

    /// Returns a handle to the executor that the thread is running, if it is running one.
    #[must_use]
    pub fn try_current() -> Option<Self> {
        let home = current()?;
        Some(Self::new(home.bundle(), home.epoch.get()))
    }

    /// Spawns a task. The future travels to the executor's thread and is dropped there.
    ///
    /// Once the executor is closing, the future is dropped here and the handle resolves to cancelled. On the
    /// executor's own thread this is [`spawn`](crate::spawn); elsewhere it allocates and may unpark the thread.
    ///
    /// # Panics
    ///
    /// Panics in a process that was forked since the executor was made, if the thread is running that executor.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if let Some(home) = current_is(self.bundle)
            && home.epoch.get() == self.epoch
        {
            return JoinHandle::spawn(home, Plain(future));
        }
        let shared = Shared::travelling(Id::from_raw(id::take_block()));
        let task = Reporting::new(Arc::clone(&shared), future);
        if let Err(refused) = self
            .bundle
            .spawn(self.epoch, Box::new(move |home| task.start(home)))
        {
            quietly(|| drop(refused));
        }
        JoinHandle::from_shared(shared)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}
