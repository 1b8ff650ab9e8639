//! Locks of open files (`flock`): advisory, and released when the last descriptor of the open file is closed.

use std::fs::{self, TryLockError};
use std::io;
use std::sync::Arc;

use super::File;
use super::pause::Pauses;
use crate::offload::offload;

#[derive(Clone, Copy)]
enum Kind {
    Exclusive,
    Shared,
}

/// A lock that was got, until somebody takes note of it.
struct Got(Option<Arc<fs::File>>);

impl Drop for Got {
    fn drop(&mut self) {
        if let Some(file) = self.0.take() {
            // Nobody waits; there is nobody to tell.
            let _ = file.unlock();
        }
    }
}

impl File {
    /// Locks the file for this open file alone, and waits until no other has it locked.
    ///
    /// It is tried again and again, at most 16 ms apart, so that no thread is held up by it, and a lock that is never
    /// released hinders nobody from giving up.
    ///
    /// # Errors
    ///
    /// What the system reports. Being locked twice by the same open file is no error: the lock changes its kind.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// A lock that was got all the same is released, and with it one that the open file had before.
    pub async fn lock(&self) -> io::Result<()> {
        self.wait_for(Kind::Exclusive).await
    }

    /// Locks the file for this open file and others that share the lock, and waits until none has it for itself.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// As [`lock`](Self::lock).
    pub async fn lock_shared(&self) -> io::Result<()> {
        self.wait_for(Kind::Shared).await
    }

    /// Locks the file as [`lock`](Self::lock) does, if that is possible now.
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`] if another open file has it locked; and what the system reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// As [`lock`](Self::lock).
    pub async fn try_lock(&self) -> Result<(), TryLockError> {
        self.try_once(Kind::Exclusive).await
    }

    /// Locks the file as [`lock_shared`](Self::lock_shared) does, if that is possible now.
    ///
    /// # Errors
    ///
    /// As [`try_lock`](Self::try_lock).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// As [`lock`](Self::lock).
    pub async fn try_lock_shared(&self) -> Result<(), TryLockError> {
        self.try_once(Kind::Shared).await
    }

    /// Releases the lock of this open file, if it has one.
    ///
    /// # Errors
    ///
    /// What the system reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Once begun it happens.
    pub async fn unlock(&self) -> io::Result<()> {
        self.on_worker(fs::File::unlock).await
    }

    async fn wait_for(&self, kind: Kind) -> io::Result<()> {
        let mut pauses = Pauses::new();
        loop {
            match self.try_once(kind).await {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) => pauses.pause().await,
            }
        }
    }

    /// Tries on another thread: on a network file system even a try takes its time.
    async fn try_once(&self, kind: Kind) -> Result<(), TryLockError> {
        let file = self.handle().file.clone();
        let tried = offload(move || {
            let tried = match kind {
                Kind::Exclusive => file.try_lock(),
                Kind::Shared => file.try_lock_shared(),
            };
            Ok(tried.map(|()| Got(Some(file))))
        });
        let mut got = tried.await.map_err(TryLockError::Error)??;
        got.0 = None;
        Ok(())
    }
}
