//! Requests that other threads carry out, for want of an operation of the ring.
//!
//! ```text
//!   send ──> a job on a worker thread: the system call ──> post ──> the driver is unparked, and collects
//! ```
//!
//! A job can't be cancelled. Its operation completes when the call has returned, as LAST-WORD wants it.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Offload;
use super::request::Request;
use super::table::Completion;
use super::unpark::Unparker;

/// Where worker threads leave what became of their requests.
pub(crate) struct Workers {
    offload: Offload,
    posted: Arc<Posted>,
}

struct Posted {
    list: Mutex<Vec<(u64, i32)>>,
    any: AtomicBool,
    unparker: Arc<Unparker>,
}

/// A request on its way to another thread.
struct Job {
    request: Request,
    user_data: u64,
    result: i32,
    posted: Arc<Posted>,
}

// SAFETY: what the pointers of the request lead to is left alone by everybody else until its completion (REQUEST-MEMORY),
// whether the kernel or a thread in a system call uses it.
unsafe impl Send for Job {}

impl Job {
    fn run(mut self) {
        // SAFETY: REQUEST-MEMORY, which `Workers::send` was promised.
        self.result = unsafe { self.request.perform() };
    }
}

impl Drop for Job {
    /// Posts the result, also if no thread was found for the job.
    fn drop(&mut self) {
        let posted = &self.posted;
        let mut list = posted.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.push((self.user_data, self.result));
        drop(list);
        posted.any.store(true, Ordering::Release);
        posted.unparker.unpark();
    }
}

impl Workers {
    pub(crate) fn new(offload: Offload, unparker: &Arc<Unparker>) -> Self {
        Self {
            offload,
            posted: Arc::new(Posted {
                list: Mutex::default(),
                any: AtomicBool::new(false),
                unparker: unparker.clone(),
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
        let job = Job {
            request: *request,
            user_data,
            // What a full system says; stands if the job is dropped unrun.
            result: -libc::EAGAIN,
            posted: self.posted.clone(),
        };
        self.offload(Box::new(move || job.run()));
    }

    /// Whether something was posted.
    #[inline(always)]
    pub(crate) fn has_completions(&self) -> bool {
        self.posted.any.load(Ordering::Acquire)
    }

    /// Hands what was posted to `each`.
    #[cold]
    pub(crate) fn collect(&self, mut each: impl FnMut(u64, Completion)) {
        self.posted.any.store(false, Ordering::Relaxed);
        let mut list = self
            .posted
            .list
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let posted = mem::take(&mut *list);
        drop(list);
        for (user_data, result) in posted {
            each(user_data, Completion { result, flags: 0 });
        }
    }
}
