//! Blocking work that the ring has no operation for, on another thread.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::thread;

use crate::driver::{self, Job};

struct Shared<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    output: Option<io::Result<T>>,
    waker: Option<Waker>,
}

impl<T> Shared<T> {
    fn finish(&self, output: io::Result<T>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.output.is_none() {
            state.output = Some(output);
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Tells the waiter even if the job was dropped unrun, or panicked.
struct Promise<T> {
    shared: Arc<Shared<T>>,
    /// Dropped after the waiter has been woken.
    _job: Job,
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.shared.finish(Err(if thread::panicking() {
            io::Error::other("the blocking operation panicked")
        } else {
            no_thread()
        }));
    }
}

/// The error of an operation that needs a thread where the system grants none. Not that of the system, `EAGAIN`, which means
/// "wait for readiness" everywhere else.
pub(crate) fn no_thread() -> io::Error {
    io::Error::other(
        "no thread can be started for an operation that may block: raise the number of processes of this user (ulimit -u, \
         RLIMIT_NPROC) or of this container (pids.max)",
    )
}

/// Runs `job` on the runtime's blocking threads.
///
/// # Errors
///
/// What the job returns, and [`no_thread`].
///
/// # Cancellation
///
/// The job runs to its end even if this future is dropped; its result is dropped then.
pub(crate) async fn offload<T, F>(job: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            output: None,
            waker: None,
        }),
    });
    let driver = driver::expect_current();
    let promise = Promise {
        shared: shared.clone(),
        _job: driver.begin_job(),
    };
    driver.offload(Box::new(move || {
        let output = job();
        promise.shared.finish(output);
    }));
    poll_fn(move |cx| {
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.output.take() {
            Some(output) => Poll::Ready(output),
            None => {
                let old = state.waker.replace(cx.waker().clone());
                drop(state);
                drop(old);
                Poll::Pending
            }
        }
    })
    .await
}
