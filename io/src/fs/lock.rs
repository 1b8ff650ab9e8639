//! Locks of open files (`flock`): advisory, and released when the last descriptor of the open file is closed.

use std::fs::{self, TryLockError};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::File;
use crate::offload::offload;
use crate::pause::Pauses;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exclusive,
    Shared,
}

impl Kind {
    fn try_on(self, file: &fs::File) -> Result<(), TryLockError> {
        match self {
            Self::Exclusive => file.try_lock(),
            Self::Shared => file.try_lock_shared(),
        }
    }
}

/// The locks that an open file has got. There is one in the kernel, of the kind that was got last; those before are what it
/// goes back to when nobody takes note of that.
#[derive(Default)]
pub(super) struct Locks {
    /// Held around the calls, which may take long, so that their order is that of the claims.
    calls: Mutex<()>,
    claims: Mutex<Claims>,
}

#[derive(Default)]
struct Claims {
    /// With a number for each. The first may be one that was taken note of, the others are not yet.
    list: Vec<(u64, Kind)>,
    last: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Locks {
    fn try_lock(self: Arc<Self>, file: Arc<fs::File>, kind: Kind) -> Result<Got, TryLockError> {
        let calls = lock(&self.calls);
        let tried = kind.try_on(&file);
        let mut claims = lock(&self.claims);
        if let Err(error) = tried {
            // A change of kind has released the lock before it failed.
            if claims.list.last().is_some_and(|(_, held)| *held != kind) {
                claims.list.clear();
            }
            return Err(error);
        }
        claims.last += 1;
        let number = claims.last;
        claims.list.push((number, kind));
        drop(claims);
        drop(calls);
        Ok(Got {
            file,
            locks: self,
            number,
        })
    }

    fn unlock(&self, file: &fs::File) -> io::Result<()> {
        let _calls = lock(&self.calls);
        file.unlock()?;
        lock(&self.claims).list.clear();
        Ok(())
    }
}

/// A lock that was got. Unless somebody takes note of it, it goes back to the one that was held before, or is released.
struct Got {
    file: Arc<fs::File>,
    locks: Arc<Locks>,
    number: u64,
}

impl Got {
    /// It is held from now on; what was held before does not matter any more.
    fn keep(self) {
        let mut claims = lock(&self.locks.claims);
        if let Some(at) = claims.place(self.number) {
            claims.list.drain(..at);
            // What is dropped next finds nothing to undo.
            claims.list[0].0 = 0;
        }
    }
}

impl Claims {
    fn place(&self, number: u64) -> Option<usize> {
        self.list.iter().position(|claim| claim.0 == number)
    }
}

impl Drop for Got {
    fn drop(&mut self) {
        let _calls = lock(&self.locks.calls);
        let mut claims = lock(&self.locks.claims);
        let Some(at) = claims.place(self.number) else {
            return;
        };
        let (_, kind) = claims.list.remove(at);
        let was_last = at == claims.list.len();
        let before = claims.list.last().map(|claim| claim.1);
        drop(claims);
        if !was_last || before == Some(kind) {
            return;
        }
        // Nobody waits; there is nobody to tell.
        match before {
            Some(before) => {
                let _ = before.try_on(&self.file);
            }
            None => {
                let _ = self.file.unlock();
            }
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
    /// What the system reports. Being locked twice by the same open file is no error: the lock changes its kind. If
    /// that fails, the lock that was held is lost.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// A lock that was got all the same is released. One that was held before, by one of these functions, stays held. Only
    /// a change of its kind may lose it, because the system releases the one before it tries to get the other.
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
        let locks = self.handle().cursor.locks();
        self.on_worker(move |file| locks.unlock(file)).await
    }

    async fn wait_for(&self, kind: Kind) -> io::Result<()> {
        let mut pauses = Pauses::default();
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
        let locks = self.handle().cursor.locks();
        let tried = offload(move || Ok(locks.try_lock(file, kind)));
        tried.await.map_err(TryLockError::Error)??.keep();
        Ok(())
    }
}
