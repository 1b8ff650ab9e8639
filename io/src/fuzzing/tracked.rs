//! A buffer that notices when it is freed while a kernel uses it, or not freed at all.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::rc::Rc;

use crate::buf::{IoBuf, IoBufMut};
use crate::driver::fake::Fake;

/// What the buffers of a history have in common.
pub(super) struct Watch {
    pub(super) fake: Rc<Fake>,
    /// How many buffers live.
    pub(super) live: Cell<usize>,
    /// Buffers that were freed too early. Counted, because a panic in a drop may go unseen.
    pub(super) early: Cell<usize>,
}

/// A buffer that is appended to, as far as its length goes.
pub(super) struct Tracked {
    memory: Box<[u8]>,
    filled: usize,
    watch: Rc<Watch>,
}

impl Tracked {
    pub(super) fn new(watch: &Rc<Watch>, filled: &[u8], room: usize) -> Self {
        watch.live.set(watch.live.get() + 1);
        let mut memory = vec![0; filled.len() + room].into_boxed_slice();
        memory[..filled.len()].copy_from_slice(filled);
        Self {
            memory,
            filled: filled.len(),
            watch: watch.clone(),
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let memory = self.memory.as_ptr_range();
        let memory = memory.start.addr()..memory.end.addr();
        let watch = &self.watch;
        if !memory.is_empty() && watch.fake.uses(&memory) {
            watch.early.set(watch.early.get() + 1);
        }
        watch.live.set(watch.live.get() - 1);
        self.memory.fill(0xDD);
    }
}

// SAFETY: STABLE and EXCLUSIVE: the memory is a box's. INIT: all of it is initialised.
unsafe impl IoBuf for Tracked {
    fn as_slice(&self) -> &[u8] {
        &self.memory[..self.filled]
    }

    fn total_len(&self) -> usize {
        self.memory.len()
    }
}

// SAFETY: the storage is the box's memory, all initialised; `filled` only ever grows.
unsafe impl IoBufMut for Tracked {
    fn storage(&mut self) -> NonNull<[MaybeUninit<u8>]> {
        let len = self.memory.len();
        let start = NonNull::from(&mut *self.memory).cast::<MaybeUninit<u8>>();
        NonNull::slice_from_raw_parts(start, len)
    }

    fn fill_start(&self) -> usize {
        self.filled
    }

    unsafe fn mark_init(&mut self, len: usize) {
        self.filled = self.filled.max(len);
    }
}
