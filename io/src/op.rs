//! The future of one operation, and what a kind of operation has to say about itself.
//!
//! ```text
//!             prepare                 submit                  completion
//!   ready ───────────────> ready ──────────────> in flight ──────────────> complete ──> output
//!     │  waits or is served                          │                         └─ again ─> ready
//!     │                                              │
//!   drop: `abandon`                              drop: a cancellation is queued, and the operation itself, with its
//!                                                buffer, moves to the table; its `inherit` gets the completion
//! ```
//!
//! Invariant **OWNED**: an operation owns, at addresses that do not change when it moves, all memory that its request
//! points to. So the request stays valid wherever the operation is: in a future, in a forgotten future, or in the table.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::driver::{self, Completion, Inner, Key, Request};

/// What is to be done before, or instead of, submitting.
pub(crate) enum Prepare<T: Operation> {
    /// Submit it.
    Submit(T),
    /// Not yet; the waker was left with whoever knows when.
    Wait(T),
    /// It needs no kernel: this is the output.
    Served(T::Output),
}

/// What follows from a completion.
pub(crate) enum Step<T: Operation> {
    Done(T::Output),
    /// Another round through the kernel, for the rest.
    Again(T),
}

/// A kind of operation.
///
/// # Safety
///
/// OWNED, for the request that [`Operation::request`] returns.
pub(crate) unsafe trait Operation: Sized + 'static {
    type Output;

    /// Called before each submission.
    fn prepare(self, cx: &mut Context<'_>) -> Prepare<Self> {
        let _ = cx;
        Prepare::Submit(self)
    }

    /// What to ask the kernel for.
    fn request(&mut self) -> Request;

    /// Turns a completion into the output.
    fn complete(self, completion: Completion) -> Step<Self>;

    /// Keeps or undoes what a disowned operation did after all. Called once, with nothing borrowed.
    fn inherit(self, completion: Completion);

    /// The future was dropped between two submissions.
    fn abandon(self) {}
}

/// The future of an operation.
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub(crate) struct Op<T: Operation> {
    /// `None` only after the output was returned.
    operation: Option<T>,
    flight: Option<(Rc<Inner>, Key)>,
}

impl<T: Operation> Op<T> {
    pub(crate) fn new(operation: T) -> Self {
        Self {
            operation: Some(operation),
            flight: None,
        }
    }

    /// Whether the driver has it.
    #[inline]
    pub(crate) fn is_in_flight(&self) -> bool {
        self.flight.is_some()
    }

    /// Takes back an operation that the driver does not have.
    pub(crate) fn retract(mut self) -> Option<T> {
        if self.is_in_flight() {
            return None;
        }
        self.operation.take()
    }
}

/// The operation is not pinned by its future: OWNED.
impl<T: Operation> Unpin for Op<T> {}

impl<T: Operation> Future for Op<T> {
    type Output = T::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        let this = self.get_mut();
        if let Some((driver, key)) = &this.flight {
            let Poll::Ready(completion) = driver.poll(*key, cx) else {
                driver.expect_to_run();
                return Poll::Pending;
            };
            this.flight = None;
            match this.take().complete(completion) {
                Step::Done(output) => return Poll::Ready(output),
                Step::Again(operation) => this.operation = Some(operation),
            }
        }
        match this.take().prepare(cx) {
            Prepare::Served(output) => Poll::Ready(output),
            Prepare::Wait(operation) => {
                this.operation = Some(operation);
                Poll::Pending
            }
            Prepare::Submit(operation) => {
                let operation = this.operation.insert(operation);
                let driver = driver::expect_current();
                // SAFETY: REQUEST-MEMORY: the operation owns the memory (OWNED) and is kept until the completion: by this
                // future, by whatever memory a forgotten future leaves behind, or by the table once it is disowned.
                if let Poll::Ready(key) = unsafe { driver.submit(&operation.request(), cx) } {
                    this.flight = Some((driver, key));
                }
                Poll::Pending
            }
        }
    }
}

impl<T: Operation> Op<T> {
    #[inline]
    fn take(&mut self) -> T {
        self.operation
            .take()
            .expect("an operation is polled until it is ready, and not after")
    }
}

impl<T: Operation> Drop for Op<T> {
    #[inline]
    fn drop(&mut self) {
        let Some(operation) = self.operation.take() else {
            return;
        };
        match self.flight.take() {
            None => operation.abandon(),
            Some((driver, key)) => {
                driver.disown(key, Box::new(move |done| operation.inherit(done)));
            }
        }
    }
}

impl<T: Operation> fmt::Debug for Op<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Op")
            .field("in_flight", &self.flight.as_ref().map(|(_, key)| *key))
            .finish_non_exhaustive()
    }
}
