//! Memory that is registered with the ring: the kernel looks it up and pins it once, and not at each transfer.
//!
//! The table only knows which addresses are registered. A transfer that lies within one is encoded as one of registered
//! memory, whatever type of buffer brought it here; everything else goes on as before.
//!
//! Invariant **FIXED-OWN**: an entry stands for memory of one live [`FixedBuf`](crate::buf::FixedBuf), which takes it out
//! before it frees the memory. So an address that is found here is that buffer's.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::ptr;

use io_uring::Submitter;

/// The most buffers that may be registered with a ring at a time.
const SLOTS: u16 = 1024;

/// The registered memory of a ring.
#[derive(Default)]
pub(super) struct Fixed {
    count: Cell<usize>,
    table: RefCell<Table>,
}

#[derive(Default)]
struct Table {
    state: State,
    /// Ends and slots, by start address.
    ranges: BTreeMap<usize, (usize, u16)>,
    /// Slots that are free again.
    free: Vec<u16>,
    used: u16,
}

/// Whether the kernel has a table for this ring.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Untried,
    Open,
    Refused,
}

impl Fixed {
    /// The slot of the buffer in which these bytes lie.
    #[inline(always)]
    pub(super) fn slot(&self, memory: usize, len: u32) -> Option<u16> {
        if self.count.get() == 0 {
            return None;
        }
        self.table.borrow().slot(memory, len as usize)
    }

    /// Registers memory. `false` where the kernel has no table for it, the table is full, or the locked memory that the
    /// process may have is exhausted.
    ///
    /// # Safety
    ///
    /// The memory stays valid until it has been [removed](Self::remove).
    pub(super) unsafe fn add(&self, ring: &Submitter<'_>, memory: Range<usize>) -> bool {
        let mut table = self.table.borrow_mut();
        if !table.open(ring) {
            return false;
        }
        let Some(slot) = table.take_slot() else {
            return false;
        };
        let buffer = libc::iovec {
            iov_base: ptr::with_exposed_provenance_mut(memory.start),
            iov_len: memory.len(),
        };
        // SAFETY: the caller's promise.
        let added = unsafe { ring.register_buffers_update(slot.into(), &[buffer], None) };
        if added.is_err() {
            table.free.push(slot);
            return false;
        }
        table.ranges.insert(memory.start, (memory.end, slot));
        self.count.set(table.ranges.len());
        true
    }

    /// Takes memory out. The kernel lets go of it when the transfers that use it are over.
    pub(super) fn remove(&self, ring: &Submitter<'_>, start: usize) {
        let mut table = self.table.borrow_mut();
        let Some((_, slot)) = table.ranges.remove(&start) else {
            return;
        };
        self.count.set(table.ranges.len());
        let nothing = libc::iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        };
        // SAFETY: an empty entry refers to no memory.
        let removed = unsafe { ring.register_buffers_update(slot.into(), &[nothing], None) };
        if removed.is_ok() {
            table.free.push(slot);
        }
    }
}

impl Table {
    fn slot(&self, memory: usize, len: usize) -> Option<u16> {
        let (start, (end, slot)) = self.ranges.range(..=memory).next_back()?;
        (memory >= *start && len <= end.checked_sub(memory)?).then_some(*slot)
    }

    fn open(&mut self, ring: &Submitter<'_>) -> bool {
        if self.state == State::Untried {
            self.state = match ring.register_buffers_sparse(SLOTS.into()) {
                Ok(()) => State::Open,
                Err(_) => State::Refused,
            };
        }
        self.state == State::Open
    }

    fn take_slot(&mut self) -> Option<u16> {
        self.free.pop().or_else(|| {
            let slot = self.used;
            (slot < SLOTS).then(|| {
                self.used += 1;
                slot
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_within_one_buffer_has_its_slot() {
        let mut table = Table::default();
        table.ranges.insert(4096, (8192, 0));
        table.ranges.insert(8192, (12288, 1));
        assert_eq!(table.slot(4096, 4096), Some(0));
        assert_eq!(table.slot(5000, 1), Some(0));
        assert_eq!(table.slot(8191, 1), Some(0));
        assert_eq!(table.slot(8191, 2), None, "two buffers");
        assert_eq!(table.slot(8192, 4096), Some(1));
        assert_eq!(table.slot(12288, 1), None);
        assert_eq!(table.slot(4095, 1), None);
    }
}
