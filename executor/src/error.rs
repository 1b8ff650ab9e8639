//! What a task that gave no result has to say.

use std::any::Any;
use std::fmt;
use std::sync::Mutex;

use crate::Id;

/// A task's panic, boxed twice so that it fits into the smallest slot, and behind a lock so that the error is `Sync`.
pub(crate) type Payload = Box<Mutex<Box<dyn Any + Send>>>;

/// A task ended without a result: it panicked, or it was cancelled.
///
/// # Examples
///
/// ```
/// # use camshaft_executor::{block_on, spawn};
/// block_on(async {
///     let task = spawn(std::future::pending::<()>());
///     task.abort();
///     assert!(task.await.unwrap_err().is_cancelled());
/// });
/// ```
pub struct JoinError {
    id: Id,
    payload: Option<Payload>,
}

impl JoinError {
    pub(crate) fn cancelled(id: Id) -> Self {
        Self { id, payload: None }
    }

    pub(crate) fn panicked(id: Id, payload: Payload) -> Self {
        Self {
            id,
            payload: Some(payload),
        }
    }

    /// Returns the id of the task.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    /// Whether the task was aborted, refused, or dropped together with its runtime.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.payload.is_none()
    }

    /// Whether the task panicked: while it ran, or while its future was dropped.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.payload.is_some()
    }

    /// Returns what the task panicked with, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    ///
    /// Panics if the task did not panic; [`try_into_panic`](Self::try_into_panic) asks first.
    #[must_use]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        self.try_into_panic()
            .expect("a camshaft task that did not panic has no payload; ask is_panic first")
    }

    /// Returns what the task panicked with.
    ///
    /// # Errors
    ///
    /// Hands the error back if the task was cancelled.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        match self.payload {
            Some(payload) => Ok(payload
                .into_inner()
                .unwrap_or_else(std::sync::PoisonError::into_inner)),
            None => Err(self),
        }
    }

    /// Calls `show` with the panic's message, if it is text.
    fn with_message<R>(&self, show: impl FnOnce(Option<&str>) -> R) -> R {
        let Some(payload) = &self.payload else {
            return show(None);
        };
        let payload = payload
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let text = payload.downcast_ref::<&'static str>().copied();
        show(text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)))
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_cancelled() {
            return write!(f, "task {} was cancelled", self.id);
        }
        self.with_message(|text| match text {
            Some(text) => write!(f, "task {} panicked: {text}", self.id),
            None => write!(f, "task {} panicked", self.id),
        })
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_cancelled() {
            return write!(f, "JoinError::Cancelled({})", self.id);
        }
        self.with_message(|text| {
            write!(
                f,
                "JoinError::Panic({}, {:?})",
                self.id,
                text.unwrap_or("..")
            )
        })
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for std::io::Error {
    fn from(error: JoinError) -> Self {
        let text = if error.is_panic() {
            "the task panicked"
        } else {
            "the task was cancelled"
        };
        Self::other(format!("{text} ({error})"))
    }
}
