//! The meeting point of a handle and a task that may be on different threads from the start.
//!
//! `Handle::spawn` and `spawn_blocking` use it: their handle exists before there is a slot, or there never is one.
//! Results, wakers and the request to abort meet under a lock; no user code runs while it is held.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};

use crate::bundle::{Bundle, Home, current_is};
use crate::join::JoinHandle;
use crate::mailbox::SlotRef;
use crate::raw::{drop_payload, payload_of};
use crate::waker::{drop_quietly, wake_quietly};
use crate::{Id, JoinError, coop, lock, quietly};

/// Where the work is, as far as aborting it goes.
enum Place {
    /// A future on its way to its home thread; true if it was aborted there.
    Travelling(bool),
    /// A task in a slot.
    Task(&'static Bundle, SlotRef),
    /// A closure in the queue of the blocking pool.
    Waiting,
    /// A closure that runs: nothing can stop it.
    Started,
    /// Done; without a result it was cancelled.
    Ended,
    /// Done, and the handle knows.
    Told,
}

struct Progress {
    place: Place,
    waker: Option<Waker>,
}

/// The half of a [`Shared`] that does not depend on the type of its result.
pub(crate) struct Control {
    pub(crate) id: Id,
    progress: Mutex<Progress>,
}

impl Control {
    pub(crate) fn is_finished(&self) -> bool {
        matches!(lock(&self.progress).place, Place::Ended | Place::Told)
    }

    pub(crate) fn abort(&self) {
        let mut progress = lock(&self.progress);
        match progress.place {
            Place::Travelling(ref mut aborted) => *aborted = true,
            Place::Waiting => {
                self.end(progress);
            }
            Place::Task(bundle, slot) => {
                drop(progress);
                match current_is(bundle) {
                    // SAFETY: the slot belongs to the bundle.
                    Some(home) => unsafe { home.abort(slot.slot, slot.id) },
                    None => bundle.abort(slot),
                }
            }
            Place::Started | Place::Ended | Place::Told => {}
        }
    }

    /// Marks a closure as started; false if it was cancelled before.
    pub(crate) fn begin(&self) -> bool {
        let mut progress = lock(&self.progress);
        let waiting = matches!(progress.place, Place::Waiting);
        if waiting {
            progress.place = Place::Started;
        }
        waiting
    }

    /// Remembers the slot of the task; true if it was aborted on its way.
    fn arrived(&self, bundle: &'static Bundle, slot: SlotRef) -> bool {
        let mut progress = lock(&self.progress);
        let Place::Travelling(aborted) = progress.place else {
            return false;
        };
        progress.place = Place::Task(bundle, slot);
        aborted
    }

    /// Ends the work and wakes the handle, with the lock given back.
    fn end(&self, mut progress: MutexGuard<'_, Progress>) {
        progress.place = Place::Ended;
        let waker = progress.waker.take();
        drop(progress);
        if let Some(waker) = waker {
            wake_quietly(waker);
        }
    }
}

/// A result to come, on any thread. The lock of `control` is taken before that of `result`.
pub(crate) struct Shared<T> {
    pub(crate) control: Arc<Control>,
    result: Mutex<Option<Result<T, JoinError>>>,
}

impl<T> Shared<T> {
    fn new(id: Id, place: Place) -> Arc<Self> {
        let progress = Mutex::new(Progress { place, waker: None });
        Arc::new(Self {
            control: Arc::new(Control { id, progress }),
            result: Mutex::new(None),
        })
    }

    /// The result of a future that will travel to its home thread.
    pub(crate) fn travelling(id: Id) -> Arc<Self> {
        Self::new(id, Place::Travelling(false))
    }

    /// The result of a closure in the queue.
    pub(crate) fn waiting(id: Id) -> Arc<Self> {
        Self::new(id, Place::Waiting)
    }

    /// The result of a task that was refused.
    pub(crate) fn refused(id: Id) -> Arc<Self> {
        Self::new(id, Place::Ended)
    }

    pub(crate) fn id(&self) -> Id {
        self.control.id
    }

    /// Delivers the first result and wakes the handle; a later one is dropped.
    pub(crate) fn complete(&self, result: Result<T, JoinError>) {
        let progress = lock(&self.control.progress);
        if matches!(progress.place, Place::Ended | Place::Told) {
            drop(progress);
            return quietly(|| drop(result));
        }
        *lock(&self.result) = Some(result); // nothing was there: no user code runs
        self.control.end(progress);
    }

    #[inline(never)]
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Result<T, JoinError>> {
        let waker = cx.waker().clone(); // user code: not under the lock
        let mut progress = lock(&self.control.progress);
        let before = match progress.place {
            Place::Ended | Place::Told => Some(waker),
            _ => {
                let before = progress.waker.replace(waker);
                drop(progress);
                drop_quietly(before);
                return Poll::Pending;
            }
        };
        drop(progress);
        drop_quietly(before);
        ready!(coop::poll_proceed(cx));
        let told = std::mem::replace(&mut lock(&self.control.progress).place, Place::Told);
        assert!(
            !matches!(told, Place::Told),
            "camshaft: a JoinHandle was polled after it had given its result"
        );
        let result = lock(&self.result).take();
        Poll::Ready(result.unwrap_or_else(|| Err(JoinError::cancelled(self.id()))))
    }

    /// The handle is gone: drops what nobody will ask for.
    #[inline(never)]
    pub(crate) fn forsake(&self) {
        let waker = lock(&self.control.progress).waker.take();
        let result = lock(&self.result).take();
        drop_quietly(waker);
        quietly(|| drop(result));
    }
}

/// A future that delivers its result to a [`Shared`], however it ends.
pub(crate) struct Reporting<F: Future> {
    shared: Arc<Shared<F::Output>>,
    future: Option<F>,
}

impl<F: Future + 'static> Reporting<F>
where
    F::Output: 'static,
{
    pub(crate) fn new(shared: Arc<Shared<F::Output>>, future: F) -> Self {
        Self {
            shared,
            future: Some(future),
        }
    }

    /// Makes a task of it, on its home thread.
    pub(crate) fn start(self, home: Home) {
        let control = Arc::clone(&self.shared.control);
        let slot = JoinHandle::start_detached(home, control.id, self);
        if control.arrived(
            home.bundle(),
            SlotRef {
                slot,
                id: control.id,
            },
        ) {
            // SAFETY: the slot belongs to this executor.
            unsafe { home.abort(slot, control.id) };
        }
    }
}

impl<F: Future> Reporting<F> {
    /// Drops the future in place; its panic is the result.
    fn drop_future(self: Pin<&mut Self>) -> Result<(), Box<dyn Any + Send>> {
        // SAFETY: the future is not moved: it is dropped where it is.
        let future = unsafe { self.map_unchecked_mut(|this| &mut this.future) };
        let mut future = future;
        catch_unwind(AssertUnwindSafe(|| future.set(None)))
    }
}

impl<F: Future> Future for Reporting<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: structural pinning: the future is never moved out.
        let future = unsafe { self.as_mut().map_unchecked_mut(|this| &mut this.future) };
        let Some(future) = future.as_pin_mut() else {
            return Poll::Ready(());
        };
        let polled = catch_unwind(AssertUnwindSafe(|| future.poll(cx)));
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(panic),
        };
        let dropped = self.as_mut().drop_future();
        let id = self.shared.id();
        let result = match (result, dropped) {
            (Ok(output), Ok(())) => Ok(output),
            (Ok(output), Err(panic)) => {
                quietly(|| drop(output));
                Err(JoinError::panicked(id, payload_of(panic)))
            }
            (Err(panic), dropped) => {
                if let Err(second) = dropped {
                    drop_payload(payload_of(second));
                }
                Err(JoinError::panicked(id, payload_of(panic)))
            }
        };
        self.shared.complete(result);
        Poll::Ready(())
    }
}

impl<F: Future> Drop for Reporting<F> {
    fn drop(&mut self) {
        // SAFETY: it is being dropped and will not be moved again.
        let dropped = unsafe { Pin::new_unchecked(&mut *self) }.drop_future();
        let id = self.shared.id();
        let error = dropped.map_or_else(
            |panic| JoinError::panicked(id, payload_of(panic)),
            |()| JoinError::cancelled(id),
        );
        self.shared.complete(Err(error));
    }
}
