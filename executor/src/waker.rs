//! Wakers without a count.
//!
//! A waker is the address of a slot and nothing else: clone copies it, drop does nothing. A waker that outlives its task
//! finds a slot that is free, or that belongs to a later task: it does nothing, or it asks for one poll too many, which
//! every future must bear.
//!
//! Invariants: STABLE (see [`crate::chunk`]) makes it sound to look; HOME (see [`crate::header`]) is kept by comparing the
//! owner of the slot with the executor that this thread is running: only on a match is the header touched.

use std::mem::ManuallyDrop;
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::bundle::{Home, current_is};
use crate::chunk::chunk_of;
use crate::header::Header;
use crate::quietly;

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, forget);

/// The waker of a slot. It owns nothing, so it need not be dropped.
#[inline]
pub(crate) fn waker_of(slot: *const Header) -> ManuallyDrop<Waker> {
    // SAFETY: the functions below accept the address of any slot for ever: STABLE.
    ManuallyDrop::new(unsafe { Waker::new(slot.cast(), &VTABLE) })
}

/// Clones a waker; ours without a call.
#[inline]
pub(crate) fn clone_of(waker: &Waker) -> Waker {
    match slot_of(waker) {
        Some(slot) => ManuallyDrop::into_inner(waker_of(slot)),
        None => waker.clone(),
    }
}

/// Drops a waker; ours without a call, and a foreign one whatever it does.
#[inline]
pub(crate) fn drop_quietly(waker: Option<Waker>) {
    let Some(waker) = waker else { return };
    match slot_of(&waker) {
        Some(_) => std::mem::forget(waker),
        None => quietly(|| drop(waker)),
    }
}

/// Wakes by reference; ours without an indirect call.
#[inline]
pub(crate) fn wake_by_ref(waker: &Waker) {
    match slot_of(waker) {
        Some(slot) => wake_slot(slot),
        None => waker.wake_by_ref(),
    }
}

/// Wakes; ours without an indirect call, and a foreign one whatever it does.
#[inline]
pub(crate) fn wake_quietly(waker: Waker) {
    match slot_of(&waker) {
        Some(slot) => {
            std::mem::forget(waker);
            wake_slot(slot);
        }
        None => quietly(|| waker.wake()),
    }
}

/// The slot of a waker of ours.
#[inline]
fn slot_of(waker: &Waker) -> Option<*const Header> {
    std::ptr::eq(waker.vtable(), &raw const VTABLE).then(|| waker.data().cast())
}

#[inline]
fn wake_slot(slot: *const Header) {
    // SAFETY: STABLE, ALIGNED: the head of the chunk is there and its owner never changes.
    let owner = unsafe { &*chunk_of(slot) }.owner;
    if let Some(home) = current_is(owner) {
        wake_local(home, slot);
    } else {
        owner.wake_remote(slot);
    }
}

#[inline]
fn wake_local(home: Home, slot: *const Header) {
    // SAFETY: HOME; the slot belongs to this executor.
    if unsafe { home.schedule(slot) } {
        home.wakes_local.set(home.wakes_local.get() + 1);
    }
}

unsafe fn clone(slot: *const ()) -> RawWaker {
    RawWaker::new(slot, &VTABLE)
}

unsafe fn wake(slot: *const ()) {
    wake_slot(slot.cast());
}

unsafe fn forget(_: *const ()) {}
