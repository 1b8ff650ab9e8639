//! What the executor does to a task whose type it does not know: poll it, drop it, settle it.
//!
//! A spawn writes the future behind its header and leaves a vtable of functions that know the type. The output later takes
//! the place of the future. Every call into user code is fenced: a panic ends in the task's own result, or nowhere.
//!
//! Invariants: HOME, PUBLISHED, SLOT HELD, ONE ENTRY (see [`crate::header`]), and
//!
//! - **BODY**: `state` says what the body holds: a future while LIVE, the output or the payload when COMPLETE or PANICKED,
//!   otherwise nothing. Whoever empties the body does so once, and stores the new state.
//! - **TYPED**: the vtable of a slot was made for the future and output that its body holds.
//! - **ENDING**: user code that may look at tasks runs while a future, its output or its payload is dropped, and the slot is
//!   still LIVE then. So the flag of that name is raised first, and whoever looks asks [`Header::is_whole`].

use std::any::Any;
use std::mem::{ManuallyDrop, needs_drop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use crate::bundle::Home;
use crate::chunk::{CLASSES, SIZES, class_of};
use crate::error::Payload;
use crate::header::{HEADER_BYTES, Header, flag, run, state};
use crate::waker::{drop_quietly, wake_quietly, waker_of};
use crate::{Id, quietly};

/// The largest body that lives in a slot; larger futures and outputs are boxed.
const LARGEST_BODY: usize = SIZES[CLASSES - 1] as usize - HEADER_BYTES;

/// A future as the executor keeps it, with the name that it may have.
pub(crate) trait Job: Future + Sized {
    /// Whether it serves the runtime and not the program.
    #[cfg(feature = "inspect")]
    const IS_BACKGROUND: bool = false;

    /// The type of the future itself: what is in a box has another one than the body of the slot.
    #[cfg(feature = "inspect")]
    const FUTURE: crate::look::Placed = crate::look::Placed::in_slot::<Self>();

    /// The name given by [`Builder::name`](crate::Builder::name), or null; it lives as long as the job. A signal handler may ask.
    ///
    /// # Safety
    ///
    /// `this` points to a live job. It may be running: only what a poll never touches may be looked at.
    unsafe fn name(this: *const Self) -> *const str;
}

/// No name.
pub(crate) const NAMELESS: *const str =
    std::ptr::slice_from_raw_parts::<u8>(std::ptr::null(), 0) as *const str;

/// The functions that know the type of a task.
pub(crate) struct VTable {
    /// Polls the future and settles the task if it is done. HOME, LIVE.
    pub(crate) poll: unsafe fn(Home, *const Header),
    /// Drops the future and settles the task as cancelled. HOME, LIVE.
    pub(crate) cancel: unsafe fn(Home, *const Header),
    /// Drops the output. The body belongs to the caller, COMPLETE.
    drop_output: unsafe fn(*const Header),
    /// The name of a task that is LIVE and not ENDING. HOME.
    pub(crate) name: unsafe fn(*const Header) -> *const str,
    /// Where the future is, and what its type is.
    #[cfg(feature = "inspect")]
    pub(crate) future: crate::look::Placed,
    /// Whether the task serves the runtime and not the program.
    #[cfg(feature = "inspect")]
    pub(crate) is_background: bool,
}

struct TableFor<F>(F);

impl<F: Job> TableFor<F> {
    const TABLE: &'static VTable = &VTable {
        poll: poll::<F>,
        cancel: cancel::<F>,
        drop_output: drop_output::<F::Output>,
        name: name::<F>,
        #[cfg(feature = "inspect")]
        future: F::FUTURE,
        #[cfg(feature = "inspect")]
        is_background: F::IS_BACKGROUND,
    };
}

/// Whether a type cannot live in a slot.
pub(crate) const fn must_box<T>() -> bool {
    size_of::<T>() > LARGEST_BODY || align_of::<T>() > align_of::<Header>()
}

/// The size class for a future and its output.
pub(crate) const fn class_for<F: Future>() -> usize {
    let output = if must_box::<F::Output>() {
        0
    } else {
        size_of::<F::Output>()
    };
    let body = if output > size_of::<F>() {
        output
    } else {
        size_of::<F>()
    };
    // A panic's payload must always find room.
    class_of(
        HEADER_BYTES
            + if body < size_of::<Payload>() {
                size_of::<Payload>()
            } else {
                body
            },
    )
}

/// Puts a future into a slot and marks it LIVE and IDLE.
///
/// # Safety
///
/// HOME; the slot is free, of the class that [`class_for`] says, and `F` need not be boxed.
#[inline]
pub(crate) unsafe fn write<F: Job>(slot: *const Header, id: Id, flags: u8, future: F) {
    // SAFETY: a slot of this class has room for the future, which needs no more alignment than the header.
    unsafe { body::<F>(slot).write(future) };
    // SAFETY: STABLE: a slot of any age is a valid header.
    let header = unsafe { &*slot };
    header.vtable.set(Some(TableFor::<F>::TABLE));
    header.id.store(id.raw(), Ordering::Relaxed);
    header.flags.set(flags);
    header.run.set(run::IDLE);
    // After the id, so that whoever reads this state also reads this id.
    header.state.store(state::LIVE, Ordering::Release);
}

/// Takes the output out of the body.
///
/// # Safety
///
/// The body belongs to the caller and the state is COMPLETE with an output of type `T`.
#[inline]
pub(crate) unsafe fn take_output<T>(slot: *const Header) -> T {
    let output = if must_box::<T>() {
        // SAFETY: TYPED: a boxed output was written as a pointer.
        let boxed = unsafe { body::<*mut T>(slot).read() };
        // SAFETY: `settle_output` made the pointer from a box, and BODY: it is taken once.
        *unsafe { Box::from_raw(boxed) }
    } else {
        // SAFETY: BODY, TYPED.
        unsafe { body::<T>(slot).read() }
    };
    // SAFETY: STABLE.
    unsafe { &*slot }
        .state
        .store(state::TAKEN, Ordering::Release);
    output
}

/// Takes the panic's payload out of the body.
///
/// # Safety
///
/// The body belongs to the caller and the state is PANICKED.
pub(crate) unsafe fn take_payload(slot: *const Header) -> Payload {
    // SAFETY: BODY.
    let payload = unsafe { body::<Payload>(slot).read() };
    // SAFETY: STABLE.
    unsafe { &*slot }
        .state
        .store(state::TAKEN, Ordering::Release);
    payload
}

/// Drops whatever result the body holds; a panic in it goes nowhere.
///
/// # Safety
///
/// The body belongs to the caller and the state is terminal.
pub(crate) unsafe fn discard_result(slot: *const Header) {
    // SAFETY: STABLE.
    let header = unsafe { &*slot };
    match header.state.load(Ordering::Acquire) {
        state::COMPLETE => {
            let table = header
                .vtable
                .get()
                .expect("a slot that held a future has a vtable");
            // SAFETY: the caller owns the body; TYPED.
            quietly(|| unsafe { (table.drop_output)(slot) });
        }
        // SAFETY: the caller owns the body.
        state::PANICKED => drop_payload(unsafe { take_payload(slot) }),
        _ => {}
    }
}

/// Drops a panic's payload; a panic in that goes nowhere.
pub(crate) fn drop_payload(payload: Payload) {
    quietly(|| drop(payload));
}

pub(crate) fn payload_of(panic: Box<dyn Any + Send>) -> Payload {
    Box::new(Mutex::new(panic))
}

#[inline]
fn body<T>(slot: *const Header) -> *mut T {
    slot.cast::<u8>()
        .wrapping_add(HEADER_BYTES)
        .cast_mut()
        .cast()
}

unsafe fn poll<F: Job>(home: Home, slot: *const Header) {
    let waker = waker_of(slot);
    let mut context = Context::from_waker(&waker);
    // SAFETY: HOME, and LIVE: the body holds the future, which nobody else refers to.
    let future = unsafe { &mut *body::<F>(slot) };
    // SAFETY: the future stays in its slot until it is dropped there.
    let future = unsafe { Pin::new_unchecked(future) };
    match catch_unwind(AssertUnwindSafe(|| future.poll(&mut context))) {
        Ok(Poll::Pending) => {}
        // SAFETY: HOME, LIVE, TYPED.
        Ok(Poll::Ready(output)) => unsafe { complete::<F>(home, slot, output) },
        // SAFETY: HOME, LIVE, TYPED.
        Err(panic) => unsafe { abandon::<F>(home, slot, Some(panic)) },
    }
}

#[inline]
unsafe fn complete<F: Job>(home: Home, slot: *const Header, output: F::Output) {
    if const { needs_drop::<F>() || needs_drop::<F::Output>() } {
        // SAFETY: STABLE; HOME.
        unsafe { &*slot }.raise(flag::ENDING);
    }
    // While user code drops the future, the output must not be dropped by an unwind: it may panic too.
    let output = ManuallyDrop::new(output);
    // SAFETY: HOME, LIVE; the body is empty from here on.
    if let Err(panic) = unsafe { drop_future::<F>(slot) } {
        quietly(|| drop(ManuallyDrop::into_inner(output)));
        // SAFETY: HOME; the future is gone.
        return unsafe { settle_without_output(home, slot, Some(panic)) };
    }
    // SAFETY: STABLE. The handle is looked at after the last user code.
    if !unsafe { &*slot }.has_handle() {
        drop_output_quietly(output);
        // SAFETY: HOME; the body is empty.
        return unsafe { settle(home, slot, state::TAKEN) };
    }
    if must_box::<F::Output>() {
        let boxed = Box::into_raw(Box::new(ManuallyDrop::into_inner(output)));
        // SAFETY: the smallest body has room for a pointer.
        unsafe { body::<*mut F::Output>(slot).write(boxed) };
    } else {
        // SAFETY: `class_for` made room for the output.
        unsafe { body::<F::Output>(slot).write(ManuallyDrop::into_inner(output)) };
    }
    // SAFETY: HOME; the body holds the output.
    unsafe { settle(home, slot, state::COMPLETE) };
}

fn drop_output_quietly<T>(output: ManuallyDrop<T>) {
    if needs_drop::<T>() {
        quietly(|| drop(ManuallyDrop::into_inner(output)));
    }
}

/// Drops the future and settles the task, with a panic that came before or the one that comes now.
#[cold]
unsafe fn abandon<F: Job>(home: Home, slot: *const Header, panic: Option<Box<dyn Any + Send>>) {
    // SAFETY: STABLE; HOME.
    unsafe { &*slot }.raise(flag::ENDING);
    // SAFETY: HOME, LIVE.
    let dropped = unsafe { drop_future::<F>(slot) };
    let panic = match (panic, dropped) {
        (Some(first), Err(second)) => {
            drop_payload(payload_of(second));
            Some(first)
        }
        (first, dropped) => first.or(dropped.err()),
    };
    // SAFETY: HOME; the body is empty.
    unsafe { settle_without_output(home, slot, panic) };
}

unsafe fn cancel<F: Job>(home: Home, slot: *const Header) {
    // The user's drop cannot come back here: a task that is running is left out when an executor is closed, and a second
    // close does nothing.
    let before = home.dropping.replace(slot);
    // SAFETY: the caller promises HOME and LIVE.
    unsafe { abandon::<F>(home, slot, None) };
    home.dropping.set(before);
}

#[inline]
unsafe fn drop_future<F>(slot: *const Header) -> Result<(), Box<dyn Any + Send>> {
    if !needs_drop::<F>() {
        return Ok(());
    }
    // SAFETY: BODY: the caller found it LIVE and settles it right after, so it is dropped once.
    catch_unwind(AssertUnwindSafe(|| unsafe {
        body::<F>(slot).drop_in_place();
    }))
}

/// Settles a task whose future is gone, as cancelled or as panicked.
#[cold]
unsafe fn settle_without_output(
    home: Home,
    slot: *const Header,
    panic: Option<Box<dyn Any + Send>>,
) {
    let mut outcome = state::CANCELLED;
    #[cfg(feature = "inspect")]
    home.ended.set(match panic {
        Some(_) => crate::record::Ended::Panicked,
        None => crate::record::Ended::Dropped,
    });
    if let Some(panic) = panic {
        // SAFETY: STABLE.
        if unsafe { &*slot }.has_handle() {
            // SAFETY: the smallest body has room for a payload, and it is empty.
            unsafe { body::<Payload>(slot).write(payload_of(panic)) };
            outcome = state::PANICKED;
        } else {
            // User code may run here, but none that could hold this slot: its handle is gone.
            drop_payload(payload_of(panic));
        }
    }
    // SAFETY: HOME; the body holds what the outcome says.
    unsafe { settle(home, slot, outcome) };
}

/// Publishes the end of a task, wakes its joiner, and frees the slot if nobody holds it.
#[inline(always)]
unsafe fn settle(home: Home, slot: *const Header, outcome: u8) {
    // SAFETY: STABLE.
    let header = unsafe { &*slot };
    home.tasks.set(home.tasks.get() - 1);
    let queued = header.run.get() != run::IDLE;
    header
        .run
        .set(if queued { run::MARKED } else { run::INERT });
    let held = header.has_handle();
    // SAFETY: HOME.
    let waker = unsafe { header.swap_join(None) };
    header.state.store(outcome, Ordering::Release); // PUBLISHED
    if !held && !queued {
        // SAFETY: SLOT HELD: terminal, no handle, not queued.
        unsafe { home.free(slot) };
    }
    if let Some(waker) = waker {
        wake_quietly(waker); // the last thing: it may poll and drop the handle, which frees the slot
    }
}

/// Detaches a slot from its handle: the end of a join handle, on the home thread.
///
/// # Safety
///
/// HOME; the handle owns the slot and gives it up.
#[inline]
pub(crate) unsafe fn detach(home: Home, slot: *const Header) {
    // SAFETY: STABLE.
    let header = unsafe { &*slot };
    // The usual end: joined, and not woken since.
    if header.state.load(Ordering::Relaxed) == state::TAKEN && header.run.get() == run::INERT {
        header.lower(flag::HANDLE);
        // SAFETY: SLOT HELD: terminal, the handle is gone, not queued.
        return unsafe { home.free(slot) };
    }
    // SAFETY: the caller's.
    unsafe { detach_early(home, slot) };
}

/// Detaches a slot whose result was not taken.
#[cold]
unsafe fn detach_early(home: Home, slot: *const Header) {
    // SAFETY: STABLE.
    let header = unsafe { &*slot };
    if !state::is_terminal(header.state.load(Ordering::Relaxed)) {
        header.lower(flag::HANDLE);
        // SAFETY: HOME.
        drop_quietly(unsafe { header.swap_join(None) });
        return;
    }
    // SAFETY: the handle, that owned the body, gave it up to us.
    unsafe { discard_result(slot) };
    header.lower(flag::HANDLE);
    if header.run.get() == run::INERT {
        // SAFETY: SLOT HELD: terminal, the handle is gone, not queued.
        unsafe { home.free(slot) };
    }
}

unsafe fn drop_output<T>(slot: *const Header) {
    // SAFETY: the caller owns the body and found it COMPLETE; the vtable is TYPED.
    drop(unsafe { take_output::<T>(slot) });
}

/// A copy of the name of a task that is LIVE and not ENDING.
///
/// # Safety
///
/// HOME; the table is that of the task in the slot.
#[cfg(feature = "inspect")]
pub(crate) unsafe fn name_of(table: &VTable, slot: *const Header) -> Option<String> {
    // SAFETY: the caller's.
    let name = unsafe { (table.name)(slot) };
    // SAFETY: it lives as long as the job, which nobody drops meanwhile.
    unsafe { name.as_ref() }.map(str::to_owned)
}

unsafe fn name<F: Job>(slot: *const Header) -> *const str {
    // SAFETY: HOME, LIVE, and not ENDING: the body holds the job, whole.
    unsafe { F::name(body::<F>(slot)) }
}
