//! Chunks: 64 KiB of slots of one size, at an address that is a multiple of 64 KiB.
//!
//! ```text
//!   0          192                                                         64 KiB
//!   [ head     | slot 0 | slot 1 | …                   | spare | node 0 | node 1 … ]
//!     owner      ◄──── whole free pages may be given back ────►   ◄─ NODES STAY ─►
//!     bitmap
//! ```
//!
//! Masking the address of a slot gives its chunk, and the chunk names its owner: that is all a waker needs. The inbox
//! links of the slots stand at the far end, so that whole pages of free slots can go back to the kernel while a late wake
//! from another thread still finds its link; pages of links that were never used cost nothing.
//!
//! Invariants:
//!
//! - **STABLE**: a chunk is never unmapped, and its owner, slot size and layout never change.
//! - **ALIGNED**: a chunk stands at a multiple of its size, so every address inside leads to it.
//! - **FREE BITS**: a bit of the bitmap is set only if its slot is free; free slots in a cache have theirs cleared.
//! - **HOME** (see [`crate::header`]) holds for the counters and the bitmap.

use std::cell::Cell;
use std::ptr::NonNull;

use crate::bundle::Bundle;
use crate::header::Header;
use crate::remote::Node;

/// The size and the alignment of a chunk.
pub(crate) const CHUNK_BYTES: usize = 1 << 16;

/// Words in the bitmap of free slots.
pub(crate) const WORDS: usize = 16;

/// Bytes of the slots of each class.
pub(crate) const SIZES: [u32; CLASSES] = [
    48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280,
    1536, 1792, 2048,
];

/// How many size classes there are.
pub(crate) const CLASSES: usize = 22;

/// The smallest class whose slots have `bytes` bytes, or the largest one.
pub(crate) const fn class_of(bytes: usize) -> usize {
    let mut class = 0;
    while class + 1 < CLASSES && (SIZES[class] as usize) < bytes {
        class += 1;
    }
    class
}

/// The head of a chunk.
#[repr(C, align(64))]
pub(crate) struct Chunk {
    pub(crate) owner: &'static Bundle,
    slot_bytes: u32,
    /// 2^32 / `slot_bytes`, rounded up: the division of [`Chunk::index_of`].
    reciprocal: u32,
    pub(crate) class: u32,
    pub(crate) slots: u32,
    nodes_at: u32,
    /// Free slots in the bitmap.
    pub(crate) free: Cell<u32>,
    /// Position among the chunks of the class.
    pub(crate) position: Cell<u32>,
    /// Pages (bit `n` is page `n`) of which a slot was handed out since they were last given back.
    pub(crate) resident: Cell<u32>,
    pub(crate) bitmap: [Cell<u64>; WORDS],
    /// What a recording knows of each slot, while there is one.
    #[cfg(feature = "inspect")]
    pub(crate) sides: Cell<*mut crate::record::Side>,
}

/// Where the first slot stands.
const FIRST: usize = size_of::<Chunk>();

const NODE_BYTES: usize = size_of::<Node>();

#[cfg(not(loom))]
const _: () = assert!(FIRST == 192 && NODE_BYTES == 16);
const _: () = assert!(slots_of(SIZES[0] as usize) <= WORDS * 64);

/// How many slots of `bytes` bytes, with their nodes, fit into a chunk.
const fn slots_of(bytes: usize) -> usize {
    (CHUNK_BYTES - FIRST) / (bytes + NODE_BYTES)
}

/// The chunk that an address lies in.
#[inline]
pub(crate) fn chunk_of(slot: *const Header) -> *const Chunk {
    slot.map_addr(|address| address & !(CHUNK_BYTES - 1)).cast()
}

/// The inbox link of a slot.
pub(crate) fn node_of(slot: *const Header) -> &'static Node {
    // SAFETY: STABLE, ALIGNED.
    let chunk: &'static Chunk = unsafe { &*chunk_of(slot) };
    chunk.node(chunk.index_of(slot))
}

impl Chunk {
    /// Makes a chunk of fresh zeroed memory.
    ///
    /// # Safety
    ///
    /// `memory` is ALIGNED, zeroed, [`CHUNK_BYTES`] long, STABLE, and nobody else's.
    pub(crate) unsafe fn build(
        memory: NonNull<u8>,
        class: usize,
        position: u32,
        owner: &'static Bundle,
    ) -> NonNull<Self> {
        let slot_bytes = SIZES[class];
        let slots = slots_of(slot_bytes as usize);
        let bits = |word: usize| match slots.saturating_sub(word * 64) {
            0 => 0,
            rest @ 1..64 => (1 << rest) - 1,
            _ => u64::MAX,
        };
        let head = Self {
            owner,
            slot_bytes,
            reciprocal: u32::MAX / slot_bytes + 1,
            class: narrow(class),
            slots: narrow(slots),
            nodes_at: narrow(CHUNK_BYTES - slots * NODE_BYTES),
            free: Cell::new(narrow(slots)),
            position: Cell::new(position),
            resident: Cell::new(0),
            bitmap: std::array::from_fn(|word| Cell::new(bits(word))),
            #[cfg(feature = "inspect")]
            sides: Cell::new(std::ptr::null_mut()),
        };
        let chunk = memory.cast::<Self>();
        // SAFETY: the caller's memory is large enough and aligned far beyond the head's needs.
        unsafe { chunk.write(head) };
        chunk
    }

    /// The slot at `index`.
    pub(crate) fn slot(&self, index: u32) -> *const Header {
        debug_assert!(index < self.slots);
        self.at(FIRST + (index * self.slot_bytes) as usize).cast()
    }

    /// The index of a slot of this chunk.
    pub(crate) fn index_of(&self, slot: *const Header) -> u32 {
        let offset = slot.addr() - std::ptr::from_ref(self).addr() - FIRST;
        let index = (offset as u64 * u64::from(self.reciprocal)) >> 32;
        debug_assert_eq!(index * u64::from(self.slot_bytes), offset as u64);
        narrow(index as usize)
    }

    /// The inbox link of the slot at `index`.
    pub(crate) fn node(&self, index: u32) -> &Node {
        debug_assert!(index < self.slots);
        let node = self.at(self.nodes_at as usize + index as usize * NODE_BYTES);
        // SAFETY: STABLE: the place lies inside the chunk, was born zeroed (a node at rest), and is only used as a node.
        unsafe { &*node.cast() }
    }

    /// The slot whose inbox link is `node`.
    ///
    /// # Safety
    ///
    /// The node came from [`node`](Self::node).
    pub(crate) unsafe fn slot_of(node: &Node) -> *const Header {
        // A reference to one node may not be used to reach its neighbours, but the chunk's address was exposed.
        let address = std::ptr::from_ref(node).addr();
        let chunk = std::ptr::with_exposed_provenance::<Self>(address & !(CHUNK_BYTES - 1));
        // SAFETY: ALIGNED: a node lies inside its chunk; STABLE: the head is there.
        let chunk = unsafe { &*chunk };
        let offset = (address & (CHUNK_BYTES - 1)) - chunk.nodes_at as usize;
        chunk.slot(narrow(offset / NODE_BYTES))
    }

    /// Gives whole pages without a slot in use back to the kernel and returns how many.
    pub(crate) fn trim(&self, page: usize) -> u32 {
        let before = self.resident.get();
        for number in FIRST.div_ceil(page)..self.nodes_at as usize / page {
            if self.resident.get() & (1 << number) == 0 || !self.page_is_free(number * page, page) {
                continue;
            }
            // SAFETY: whole pages of free slots; ZERO IS FREE, so stale wakers may look at what is left, and NODES STAY.
            let result = unsafe {
                libc::madvise(
                    self.at(number * page).cast_mut().cast(),
                    page,
                    libc::MADV_DONTNEED,
                )
            };
            if result == 0 {
                self.resident.set(self.resident.get() & !(1 << number));
            }
        }
        (before ^ self.resident.get()).count_ones()
    }

    /// Notes that the slots from `first` to `last` were handed out; returns how many pages that makes resident.
    pub(crate) fn touch(&self, first: u32, last: u32, page: usize) -> u32 {
        let lowest = (FIRST + (first * self.slot_bytes) as usize) / page;
        let highest = (FIRST + ((last + 1) * self.slot_bytes) as usize - 1) / page;
        let mask = (u32::MAX >> (31 - (highest - lowest))) << lowest;
        let new = mask & !self.resident.get();
        self.resident.set(self.resident.get() | mask);
        new.count_ones()
    }

    fn page_is_free(&self, start: usize, page: usize) -> bool {
        let bytes = self.slot_bytes as usize;
        let first = (start - FIRST) / bytes;
        let last = ((start + page - 1 - FIRST) / bytes).min(self.slots as usize - 1);
        (first..=last).all(|slot| self.bitmap[slot / 64].get() & (1 << (slot % 64)) != 0)
    }

    /// An address inside the chunk.
    fn at(&self, offset: usize) -> *const u8 {
        // A reference to the head covers the head alone; the whole chunk was exposed when it was mapped.
        std::ptr::with_exposed_provenance(std::ptr::from_ref(self).addr() + offset)
    }
}

/// Narrows a number that is bounded by the size of a chunk.
#[expect(
    clippy::cast_possible_truncation,
    reason = "nothing in a chunk is larger than 64 KiB"
)]
pub(crate) const fn narrow(value: usize) -> u32 {
    debug_assert!(value <= CHUNK_BYTES);
    value as u32
}
