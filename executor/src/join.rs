//! Handles to tasks: await the result, or ask for the end.
//!
//! A handle to a task in a slot is two words, the slot and the id, and owns the slot: it is not reused before the
//! handle is gone. On the home thread everything is direct; from elsewhere, requests go through the mailbox and the
//! result is taken straight out of the slot once it is published. Handles of `Handle::spawn` and `spawn_blocking` meet
//! their task in a [`Shared`] instead.
//!
//! Invariants: HOME, PUBLISHED, SLOT HELD (see [`crate::header`]), PHASES (see [`crate::mailbox`]), STABLE (see [`crate::chunk`]).

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::{Context, Poll, RawWakerVTable, ready};

use crate::builder::Plain;
use crate::bundle::{Bundle, Home, current_is};
use crate::chunk::chunk_of;
use crate::header::{Header, flag, state};
use crate::mailbox::SlotRef;
use crate::raw::{self, Job};
use crate::shared::{Control, Shared};
use crate::waker::{clone_of, drop_quietly};
use crate::{Id, JoinError, coop, executor, quietly};

/// A task's result to come. Dropping it detaches the task, which runs on.
///
/// The handle may be awaited on another thread, or on another runtime, if the result is `Send`. It outlives its runtime:
/// a result that was ready stays, otherwise it resolves to cancelled.
///
/// # Panics
///
/// Polling it again after it has given its result panics.
///
/// # Cancellation
///
/// Strict: a handle that is polled but not ready keeps the result; nothing is lost until it is dropped.
///
/// # Examples
///
/// ```
/// # use camshaft_executor::{block_on, spawn};
/// block_on(async {
///     let task = spawn(async { "done" });
///     assert!(!task.is_finished());
///     assert_eq!(task.await.unwrap(), "done");
/// });
/// ```
pub struct JoinHandle<T> {
    /// Dropped by [`drop`](Self::drop) alone, which looks once what it is.
    repr: ManuallyDrop<Repr<T>>,
    id: Id,
    /// The waker that the task's home was last asked, from afar, to wake. Home keeps a clone until it wakes it or is given
    /// another, so no other waker can have this identity meanwhile.
    registered: Option<WakerIdentity>,
    result: PhantomData<T>,
}

/// What [`Waker::will_wake`] compares.
type WakerIdentity = (*const (), &'static RawWakerVTable);

enum Repr<T> {
    Slot(*const Header),
    Shared(Arc<Shared<T>>),
}

// SAFETY: the slot's header is touched as HOME and PUBLISHED allow from any thread, and the handle's thread is where the
// result is taken or dropped, which `T: Send` allows.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: a shared handle only reads atomics and sends messages.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> Unpin for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// Spawns a task on its home thread, or refuses it if the executor is closing.
    #[inline]
    #[track_caller]
    pub(crate) fn spawn<J>(home: Home, job: J) -> Self
    where
        J: Job<Output = T> + 'static,
        T: 'static,
    {
        if home.is_forked() {
            executor::panic_forked(None);
        }
        let id = home.next_id();
        if home.closing.get() {
            return Self::refuse(id, job);
        }
        let slot = place(home, id, flag::HANDLE, job);
        Self {
            repr: ManuallyDrop::new(Repr::Slot(slot)),
            id,
            registered: None,
            result: PhantomData,
        }
    }

    /// Starts a task that nobody joins and returns its slot.
    pub(crate) fn start_detached<F>(home: Home, id: Id, future: F) -> *const Header
    where
        F: Future<Output = T> + 'static,
    {
        place(home, id, 0, Plain(future))
    }

    pub(crate) fn from_shared(shared: Arc<Shared<T>>) -> Self {
        Self {
            id: shared.id(),
            repr: ManuallyDrop::new(Repr::Shared(shared)),
            registered: None,
            result: PhantomData,
        }
    }

    #[cold]
    fn refuse<J>(id: Id, job: J) -> Self {
        quietly(|| drop(job));
        Self::from_shared(Shared::refused(id))
    }

    /// Returns the id of the task.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    /// Asks for the end of the task: its future is dropped at the task's next turn, on its home thread.
    ///
    /// The handle then resolves to cancelled, unless the task was done before. Aborting twice, or after the end, does nothing.
    pub fn abort(&self) {
        match &*self.repr {
            Repr::Slot(slot) => abort_slot(SlotRef {
                slot: *slot,
                id: self.id,
            }),
            Repr::Shared(shared) => shared.control.abort(),
        }
    }

    /// Whether the task has ended, in whatever way. Then the handle is ready.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &*self.repr {
            Repr::Slot(slot) => is_finished(SlotRef {
                slot: *slot,
                id: self.id,
            }),
            Repr::Shared(shared) => shared.control.is_finished(),
        }
    }

    /// Returns a handle that can only abort, and that does not keep the result.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        let repr = match &*self.repr {
            Repr::Slot(slot) => AbortRepr::Slot(SlotRef {
                slot: *slot,
                id: self.id,
            }),
            Repr::Shared(shared) => AbortRepr::Shared(Arc::clone(&shared.control)),
        };
        AbortHandle { repr, id: self.id }
    }

    /// The end of a handle that shares its result.
    #[cold]
    #[inline(never)]
    fn forsake(&mut self) {
        if let Repr::Shared(shared) = &*self.repr {
            shared.forsake();
        }
        // SAFETY: the handle ends here, and nothing looks at it again.
        unsafe { ManuallyDrop::drop(&mut self.repr) };
    }

    #[inline]
    fn poll_slot(&mut self, slot: *const Header, cx: &Context<'_>) -> Poll<Result<T, JoinError>> {
        // SAFETY: STABLE.
        let header = unsafe { &*slot };
        loop {
            let seen = header.state.load(Ordering::Acquire);
            if state::is_terminal(seen) {
                ready!(coop::poll_proceed(cx));
                // SAFETY: PUBLISHED: the body belongs to this handle.
                return Poll::Ready(unsafe { self.take(slot, seen) });
            }
            if current_is(owner(slot)).is_some() {
                // SAFETY: HOME: this thread is running the owner.
                unsafe { set_join(header, cx) };
                self.registered = None;
                return Poll::Pending;
            }
            let same = self.registered.is_some_and(|(data, vtable)| {
                data == cx.waker().data() && ptr::eq(vtable, cx.waker().vtable())
            });
            if same {
                return Poll::Pending;
            }
            if owner(slot).register(SlotRef { slot, id: self.id }, cx.waker().clone()) {
                self.registered = Some((cx.waker().data(), cx.waker().vtable()));
                // LAST MAIL (see `crate::executor`): the request is sent, now look again.
                fence(Ordering::SeqCst);
                if state::is_terminal(header.state.load(Ordering::Acquire)) {
                    continue;
                }
                return Poll::Pending;
            }
            // PHASES: it is closed, so the state is terminal now.
        }
    }

    /// Takes the result out of the slot.
    ///
    /// # Safety
    ///
    /// `seen` is the state of the handle's slot, and terminal.
    #[inline]
    unsafe fn take(&self, slot: *const Header, seen: u8) -> Result<T, JoinError> {
        match seen {
            // SAFETY: the caller's; the task was spawned with an output of type `T`.
            state::COMPLETE => Ok(unsafe { raw::take_output(slot) }),
            // SAFETY: the caller's.
            state::PANICKED => Err(JoinError::panicked(self.id, unsafe {
                raw::take_payload(slot)
            })),
            state::CANCELLED => {
                // SAFETY: STABLE.
                unsafe { &*slot }
                    .state
                    .store(state::TAKEN, Ordering::Release);
                Err(JoinError::cancelled(self.id))
            }
            _ => panic!("camshaft: a JoinHandle was polled after it had given its result"),
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &*self.repr {
            Repr::Slot(slot) => {
                let slot = *slot;
                self.poll_slot(slot, cx)
            }
            Repr::Shared(shared) => shared.poll(cx),
        }
    }
}

impl<T> Drop for JoinHandle<T> {
    #[inline]
    fn drop(&mut self) {
        match &*self.repr {
            Repr::Shared(_) => self.forsake(),
            Repr::Slot(slot) => match current_is(owner(*slot)) {
                // SAFETY: HOME; the handle owns the slot and ends here.
                Some(home) => unsafe { raw::detach(home, *slot) },
                None => detach_from_afar(SlotRef {
                    slot: *slot,
                    id: self.id,
                }),
            },
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id)
            .field("is_finished", &self.is_finished())
            .finish()
    }
}

/// Aborts a task without keeping its result. Cheap to clone.
///
/// # Examples
///
/// ```
/// # use camshaft_executor::{block_on, spawn};
/// block_on(async {
///     let task = spawn(std::future::pending::<()>());
///     let abort = task.abort_handle();
///     abort.abort();
///     assert!(task.await.unwrap_err().is_cancelled());
///     assert!(abort.is_finished());
/// });
/// ```
#[derive(Clone)]
pub struct AbortHandle {
    repr: AbortRepr,
    id: Id,
}

#[derive(Clone)]
enum AbortRepr {
    Slot(SlotRef),
    Shared(Arc<Control>),
}

impl AbortHandle {
    /// Returns the id of the task.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    /// Asks for the end of the task, as [`JoinHandle::abort`] does.
    pub fn abort(&self) {
        match &self.repr {
            AbortRepr::Slot(slot) => abort_slot(*slot),
            AbortRepr::Shared(control) => control.abort(),
        }
    }

    /// Whether the task has ended, in whatever way.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.repr {
            AbortRepr::Slot(slot) => is_finished(*slot),
            AbortRepr::Shared(control) => control.is_finished(),
        }
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle")
            .field("id", &self.id)
            .field("is_finished", &self.is_finished())
            .finish()
    }
}

/// Puts a job into a slot, in a box if it must be.
#[inline]
fn place<J: Job + 'static>(home: Home, id: Id, flags: u8, job: J) -> *const Header {
    if const { raw::must_box::<J>() } {
        home.start(id, flags, Box::pin(job))
    } else {
        home.start(id, flags, job)
    }
}

#[inline]
fn owner(slot: *const Header) -> &'static Bundle {
    // SAFETY: STABLE, ALIGNED: the head of the chunk is there for ever.
    unsafe { &*chunk_of(slot) }.owner
}

/// Stores the waker of the context in the slot, unless it is there already.
///
/// # Safety
///
/// HOME.
#[inline]
unsafe fn set_join(header: &Header, cx: &Context<'_>) {
    // SAFETY: HOME; comparing wakers runs no user code.
    let same = unsafe { &*header.join.get() }
        .as_ref()
        .is_some_and(|waker| waker.will_wake(cx.waker()));
    if !same {
        let waker = clone_of(cx.waker());
        // SAFETY: HOME.
        drop_quietly(unsafe { header.swap_join(Some(waker)) });
    }
}

fn abort_slot(slot: SlotRef) {
    match current_is(owner(slot.slot)) {
        // SAFETY: the slot belongs to the executor that this thread is running.
        Some(home) => unsafe { home.abort(slot.slot, slot.id) },
        None if is_finished(slot) => {}
        None => owner(slot.slot).abort(slot),
    }
}

/// Whether the task that once had the slot has ended.
fn is_finished(slot: SlotRef) -> bool {
    // SAFETY: STABLE.
    let header = unsafe { &*slot.slot };
    let state = header.state.load(Ordering::Acquire);
    // A later task writes its id before its state: if this is still the id, that was the state of this task.
    state::is_terminal(state) || header.id.load(Ordering::Relaxed) != slot.id.raw()
}

#[cold]
fn detach_from_afar(slot: SlotRef) {
    // SAFETY: STABLE.
    let seen = unsafe { &*slot.slot }.state.load(Ordering::Acquire);
    if state::is_terminal(seen) {
        // SAFETY: PUBLISHED: the body belongs to the handle, which gives it up.
        unsafe { raw::discard_result(slot.slot) };
    }
    owner(slot.slot).detach(slot);
}
