//! Buffers that are poisoned when they are dropped, and watched for a while after.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use camshaft::buf::{IoBuf, IoBufMut};

/// What the memory of a dropped buffer is filled with. Sent to a peer, it is not what the peer expects.
const POISON: u8 = 0xa5;

/// So many are watched after their drop.
const WATCHED: usize = 512;

#[derive(Default)]
struct Ledger {
    live: usize,
    dropped: VecDeque<Box<[u8]>>,
}

thread_local! {
    static LEDGER: RefCell<Ledger> = RefCell::default();
}

/// A buffer of a fixed size whose first bytes are initialised. Reads append to them.
#[derive(Debug)]
pub struct Tracked {
    storage: Box<[u8]>,
    len: usize,
}

impl Tracked {
    /// An empty one with room.
    pub fn room(len: usize) -> Self {
        Self::new(vec![0; len].into(), 0)
    }

    /// A full one.
    pub fn full(bytes: impl Into<Box<[u8]>>) -> Self {
        let storage = bytes.into();
        let len = storage.len();
        Self::new(storage, len)
    }

    fn new(storage: Box<[u8]>, len: usize) -> Self {
        LEDGER.with_borrow_mut(|ledger| ledger.live += 1);
        Self { storage, len }
    }
}

/// Whether all bytes are poison. Each is compared with the one before, by a call that is quick without optimisation, too.
fn is_poisoned(bytes: &[u8]) -> bool {
    let Some((first, rest)) = bytes.split_first() else {
        return true;
    };
    *first == POISON && *rest == bytes[..rest.len()]
}

/// How many there are on this thread. Fails if one was written to after its drop.
#[track_caller]
pub fn live() -> usize {
    LEDGER.with_borrow(|ledger| {
        for dropped in &ledger.dropped {
            assert!(
                is_poisoned(dropped),
                "a buffer was written to after its drop"
            );
        }
        ledger.live
    })
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let mut storage = std::mem::take(&mut self.storage);
        storage.fill(POISON);
        LEDGER.with_borrow_mut(|ledger| {
            ledger.live = ledger
                .live
                .checked_sub(1)
                .expect("dropped once, on its thread");
            ledger.dropped.push_back(storage);
            if ledger.dropped.len() > WATCHED
                && let Some(oldest) = ledger.dropped.pop_front()
            {
                assert!(is_poisoned(&oldest), "written to after its drop");
            }
        });
    }
}

// SAFETY: STABLE: the memory lies on the heap. INIT: all of it is initialised, and `len` never shrinks.
unsafe impl IoBuf for Tracked {
    fn as_slice(&self) -> &[u8] {
        &self.storage[..self.len]
    }

    fn total_len(&self) -> usize {
        self.storage.len()
    }
}

// SAFETY: as above. EXCLUSIVE: the box is nobody else's.
unsafe impl IoBufMut for Tracked {
    fn storage(&mut self) -> NonNull<[MaybeUninit<u8>]> {
        let storage: *mut [u8] = &raw mut *self.storage;
        NonNull::new(storage as *mut [MaybeUninit<u8>]).expect("a box")
    }

    fn fill_start(&self) -> usize {
        self.len
    }

    unsafe fn mark_init(&mut self, len: usize) {
        self.len = self.len.max(len);
    }
}
