//! The ready queue: a ring of slot pointers, first in, first out.
//!
//! Room is made when slots are handed out, never when a task is woken, so that a wake cannot allocate or fail.
//!
//! Invariants:
//!
//! - **ROOM**: the capacity is at least the number of slots that are not free. With ONE ENTRY (see [`crate::header`]) a push
//!   therefore always finds a place.
//! - **POWER**: the capacity is a power of two, and `head` and `tail` count up for ever, wrapping.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr;

use crate::header::Header;

/// What a ring starts with, and what it shrinks to.
const SMALLEST: usize = 256;

/// The ring. Touched only by the home thread.
pub(crate) struct Ring {
    /// How many slots were ever taken.
    head: Cell<usize>,
    entries: Cell<*mut *const Header>,
    mask: Cell<usize>,
    /// How many were ever appended.
    tail: Cell<usize>,
}

impl Ring {
    pub(crate) fn new() -> Self {
        Self {
            head: Cell::new(0),
            entries: Cell::new(allocate(SMALLEST)),
            mask: Cell::new(SMALLEST - 1),
            tail: Cell::new(0),
        }
    }

    /// How many slots are waiting.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.tail.get().wrapping_sub(self.head.get())
    }

    /// How many slots were ever taken: the executor's count of polls, for free.
    #[inline]
    pub(crate) fn popped(&self) -> usize {
        self.head.get()
    }

    /// How many slots were ever appended.
    #[cfg(feature = "inspect")]
    #[inline]
    pub(crate) fn pushed(&self) -> usize {
        self.tail.get()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a slot.
    ///
    /// # Safety
    ///
    /// ROOM and ONE ENTRY: the slot is not free and does not stand in the ring.
    #[inline]
    pub(crate) unsafe fn push(&self, slot: *const Header) {
        debug_assert!(self.len() <= self.mask.get(), "ROOM");
        let tail = self.tail.get();
        // SAFETY: the mask keeps the index below the capacity.
        let place = unsafe { self.entries.get().add(tail & self.mask.get()) };
        // SAFETY: a place inside the allocation; ROOM says that it holds no waiting entry.
        unsafe { place.write(slot) };
        self.tail.set(tail.wrapping_add(1));
    }

    /// Takes the slot that has waited longest.
    #[inline]
    pub(crate) fn pop(&self) -> Option<*const Header> {
        let head = self.head.get();
        if head == self.tail.get() {
            return None;
        }
        self.head.set(head.wrapping_add(1));
        Some(self.read(head))
    }

    /// Asks the processor for the slot that comes up `ahead` turns from now, if there is one.
    #[inline]
    pub(crate) fn prefetch(&self, ahead: usize) {
        #[cfg(target_arch = "x86_64")]
        if self.len() > ahead {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let slot = self.read(self.head.get().wrapping_add(ahead));
            // SAFETY: a hint that never faults; the machine has it (SSE is part of x86_64).
            unsafe { _mm_prefetch::<_MM_HINT_T0>(slot.cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = ahead;
    }

    /// Makes ROOM for `slots` slots in all.
    #[inline]
    pub(crate) fn reserve(&self, slots: usize) {
        if slots > self.mask.get() {
            self.resize((slots + 1).next_power_of_two());
        }
    }

    /// Gives memory back if `slots` slots need much less of it.
    pub(crate) fn shrink(&self, slots: usize) {
        let enough = (slots.max(self.len()) + 1)
            .next_power_of_two()
            .max(SMALLEST);
        if enough * 4 <= self.mask.get() + 1 {
            self.resize(enough);
        }
    }

    #[inline]
    fn read(&self, at: usize) -> *const Header {
        // SAFETY: the mask keeps the index below the capacity.
        let place = unsafe { self.entries.get().add(at & self.mask.get()) };
        // SAFETY: every place of the allocation is initialised, by `alloc_zeroed` or by a push.
        unsafe { place.read() }
    }

    #[cold]
    fn resize(&self, capacity: usize) {
        debug_assert!(
            capacity.is_power_of_two() && capacity > self.len(),
            "POWER, ROOM"
        );
        let entries = allocate(capacity);
        for ahead in 0..self.len() {
            let at = self.head.get().wrapping_add(ahead);
            let slot = self.read(at);
            // SAFETY: the mask keeps the index below the new capacity.
            let place = unsafe { entries.add(at & (capacity - 1)) };
            // SAFETY: a place inside the new allocation, which nobody else knows yet.
            unsafe { place.write(slot) };
        }
        release(self.entries.replace(entries), self.mask.get() + 1);
        self.mask.set(capacity - 1);
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        release(self.entries.get(), self.mask.get() + 1);
    }
}

fn layout(capacity: usize) -> Layout {
    Layout::array::<*const Header>(capacity)
        .expect("a ready ring is smaller than the address space")
}

/// Zeroed memory, so that places never used cost no resident page.
fn allocate(capacity: usize) -> *mut *const Header {
    let layout = layout(capacity);
    // SAFETY: the layout is not empty.
    let entries = unsafe { alloc_zeroed(layout) };
    if ptr::eq(entries, ptr::null()) {
        handle_alloc_error(layout);
    }
    entries.cast()
}

fn release(entries: *mut *const Header, capacity: usize) {
    // SAFETY: `allocate` made it with the same capacity, and the caller gives it up.
    unsafe { dealloc(entries.cast(), layout(capacity)) };
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The ring does what a `VecDeque` does, through every growth and shrinkage.
        #[test]
        fn behaves_like_a_queue(steps in proptest::collection::vec(0u8..8, 1..4000)) {
            let (ring, mut model, mut next) = (Ring::new(), VecDeque::new(), 8usize);
            for step in steps {
                match step {
                    0..=4 => {
                        let slot = ptr::without_provenance::<Header>(next);
                        next += 8;
                        ring.reserve(model.len() + 1);
                        // SAFETY: `reserve` made room, and every pointer is new.
                        unsafe { ring.push(slot) };
                        model.push_back(slot);
                    }
                    5..=6 => prop_assert_eq!(ring.pop(), model.pop_front()),
                    _ => ring.shrink(model.len()),
                }
                prop_assert_eq!(ring.len(), model.len());
                #[cfg(feature = "inspect")]
                {
                    prop_assert_eq!(ring.pushed(), next / 8 - 1);
                    prop_assert_eq!(ring.pushed() - ring.popped(), model.len());
                }
            }
        }
    }
}
