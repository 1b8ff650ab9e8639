//! Requests that other threads carry out, for want of an operation of the ring.
//!
//! ```text
//!   send ──> a job on a worker thread: the system call ──> post ──> the driver is unparked, and collects
//! ```
//!
//! A job can't be cancelled. Its operation completes when the call has returned, as LAST-WORD wants it.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Offload;
use super::completion::{Completion, NO_THREAD};
use super::request::Request;
use super::unpark::Unparker;

/// Where worker threads leave what became of their requests.
pub(crate) struct Workers {
    offload: Offload,
    posted: Arc<Posted>,
}

struct Posted {
    outcomes: Mutex<Outcomes>,
    any: AtomicBool,
}

struct Outcomes {
    list: Vec<Outcome>,
    /// `None` once the driver is gone. It is used under the lock, so that no thread keeps its descriptor open.
    unparker: Option<Arc<Unparker>>,
}

/// What became of a request.
pub(crate) struct Outcome {
    pub(crate) request: Request,
    pub(crate) user_data: u64,
    pub(crate) completion: Completion,
}

// SAFETY: what the pointers of the request lead to is left alone by everybody else until its completion (REQUEST-MEMORY),
// whether the kernel or a thread in a system call uses it.
unsafe impl Send for Outcome {}

/// A request on its way to another thread, and its outcome on the way back.
struct Job {
    outcome: Option<Outcome>,
    posted: Arc<Posted>,
}

impl Job {
    fn run(mut self) {
        if let Some(outcome) = &mut self.outcome {
            // SAFETY: REQUEST-MEMORY, which `Workers::send` was promised.
            outcome.completion.result = unsafe { outcome.request.perform() };
        }
    }
}

impl Drop for Job {
    /// Posts the outcome, also if no thread was found for the job.
    fn drop(&mut self) {
        let Some(outcome) = self.outcome.take() else {
            return;
        };
        let mut outcomes = self.posted.lock();
        outcomes.list.push(outcome);
        self.posted.any.store(true, Ordering::Release);
        if let Some(unparker) = &outcomes.unparker {
            unparker.unpark();
        }
    }
}

impl Posted {
    fn lock(&self) -> MutexGuard<'_, Outcomes> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Workers {
    pub(crate) fn new(offload: Offload, unparker: &Arc<Unparker>) -> Self {
        let outcomes = Outcomes {
            list: Vec::new(),
            unparker: Some(unparker.clone()),
        };
        Self {
            offload,
            posted: Arc::new(Posted {
                outcomes: Mutex::new(outcomes),
                any: AtomicBool::new(false),
            }),
        }
    }

    /// Runs some job on another thread.
    pub(crate) fn offload(&self, job: Box<dyn FnOnce() + Send>) {
        (self.offload)(job);
    }

    /// Has a request carried out.
    ///
    /// # Safety
    ///
    /// REQUEST-MEMORY, until its completion was collected.
    pub(crate) unsafe fn send(&self, user_data: u64, request: &Request) {
        let outcome = Outcome {
            request: *request,
            user_data,
            // Stands if the job is dropped unrun.
            completion: Completion::new(-NO_THREAD, 0),
        };
        let job = Job {
            outcome: Some(outcome),
            posted: self.posted.clone(),
        };
        self.offload(Box::new(move || job.run()));
    }

    /// Whether something was posted.
    #[inline(always)]
    pub(crate) fn has_completions(&self) -> bool {
        self.posted.any.load(Ordering::Acquire)
    }

    /// Takes what was posted.
    #[cold]
    pub(crate) fn collect(&self) -> Vec<Outcome> {
        let mut outcomes = self.posted.lock();
        self.posted.any.store(false, Ordering::Relaxed);
        mem::take(&mut outcomes.list)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let unparker = self.posted.lock().unparker.take();
        drop(unparker);
    }
}
