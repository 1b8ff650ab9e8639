//! Buffers that the kernel picks when data is there: a provided-buffer ring, and the guard that lends one of them.
//!
//! ```text
//!   ring ──(kernel picks a buffer for a receive)──> completion ──> BufGuard ──(drop)──> back into the ring
//! ```
//!
//! Invariants:
//!
//! - **LENT-ONCE**: a buffer is either in the ring, where only the kernel may touch it, or behind exactly one guard.
//! - **LENT-MEMORY**: the memory lives as long as the [`BufRing`], which every guard holds; the driver holds it too and
//!   lets go only after nothing is in flight and the ring is unregistered.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::slice;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use crate::buf::IoBuf;

/// The number of buffers in the ring of a runtime; a power of two.
const BUFFERS: u16 = 256;
/// The size of each, in bytes.
const BUFFER_LEN: u32 = 8192;
/// The bytes of the ring itself, which stands before the buffers.
const HEAD_LEN: usize = BUFFERS as usize * size_of::<BufRingEntry>();
const TOTAL_LEN: usize = HEAD_LEN + BUFFERS as usize * BUFFER_LEN as usize;

const _: () = assert!(BUFFERS.is_power_of_two() && HEAD_LEN.is_multiple_of(4096));

/// The size of the private buffer that stands in when the ring is exhausted, in bytes.
pub(crate) const PRIVATE_LEN: usize = BUFFER_LEN as usize;

/// The buffers that a runtime lends to its receives.
pub(crate) struct BufRing {
    memory: NonNull<u8>,
    tail: Cell<u16>,
    /// Whether the kernel still reads the ring.
    open: Cell<bool>,
}

impl BufRing {
    /// The group that the ring is registered under; there is one ring a driver.
    pub(crate) const GROUP: u16 = 0;

    /// Maps the memory and fills the ring. Nothing is registered yet; pages are touched as they are used.
    pub(crate) fn new() -> io::Result<Rc<Self>> {
        // SAFETY: a new anonymous mapping, which overlaps nothing.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                TOTAL_LEN,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast::<u8>())
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let ring = Rc::new(Self {
            memory,
            tail: Cell::new(0),
            open: Cell::new(true),
        });
        for id in 0..BUFFERS {
            ring.put(id);
        }
        Ok(ring)
    }

    pub(crate) fn address(&self) -> u64 {
        self.memory.as_ptr() as u64
    }

    pub(crate) fn entries() -> u16 {
        BUFFERS
    }

    /// The kernel reads the ring no longer; buffers that come back just stay.
    pub(crate) fn close(&self) {
        self.open.set(false);
    }

    /// Takes what the kernel filled: `len` bytes of the buffer that the flags of a completion name.
    pub(crate) fn lend(self: Rc<Self>, flags: u32, len: usize) -> Option<BufGuard> {
        let id = io_uring::cqueue::buffer_select(flags)?;
        let len = len.min(BUFFER_LEN as usize);
        Some(BufGuard {
            bytes: Bytes::Lent {
                ring: self,
                id,
                len,
            },
        })
    }

    fn buffer(&self, id: u16) -> NonNull<u8> {
        let offset = HEAD_LEN + usize::from(id % BUFFERS) * BUFFER_LEN as usize;
        // SAFETY: the offset lies within the mapping of TOTAL_LEN bytes.
        unsafe { self.memory.add(offset) }
    }

    /// Puts a buffer at the tail of the ring.
    fn put(&self, id: u16) {
        if !self.open.get() {
            return;
        }
        let tail = self.tail.get();
        let place = usize::from(tail % BUFFERS);
        // SAFETY: the place lies within the ring at the start of the mapping, which is aligned to a page.
        let entry = unsafe { self.memory.cast::<BufRingEntry>().add(place) };
        // SAFETY: an entry past the kernel's view of the tail is ours to write (LENT-ONCE: at most BUFFERS are in the
        // ring, so the place is free). All-zero memory is a valid entry. The kernel writes no entry.
        let entry = unsafe { &mut *entry.as_ptr() };
        entry.set_addr(self.buffer(id).as_ptr() as u64);
        entry.set_len(BUFFER_LEN);
        entry.set_bid(id);
        self.tail.set(tail.wrapping_add(1));
        // SAFETY: the tail lies in the first entry of the ring, which is mapped and initialised.
        let shared = unsafe { BufRingEntry::tail(self.memory.as_ptr().cast()) };
        // SAFETY: mapped, aligned for two bytes, and only ever written here and through atomics.
        let shared = unsafe { AtomicU16::from_ptr(shared.cast_mut()) };
        shared.store(tail.wrapping_add(1), Ordering::Release);
    }
}

impl Drop for BufRing {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new`; by LENT-MEMORY neither a guard nor the kernel uses it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), TOTAL_LEN) };
    }
}

impl fmt::Debug for BufRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufRing")
            .field("buffers", &BUFFERS)
            .field("buffer_len", &BUFFER_LEN)
            .finish_non_exhaustive()
    }
}

/// Received bytes in a buffer that is lent from the runtime's ring; an empty one means the end of the stream.
///
/// Dropping the guard gives the buffer back. It may outlive the stream and the runtime. Guards that are kept exhaust the
/// ring; receives then get private buffers from the heap and never wait.
///
/// It derefs to `[u8]`, and is an [`IoBuf`], so it can be written to another stream without copying.
pub struct BufGuard {
    bytes: Bytes,
}

enum Bytes {
    Lent {
        ring: Rc<BufRing>,
        id: u16,
        len: usize,
    },
    Private(Vec<u8>),
}

impl BufGuard {
    pub(crate) fn private(bytes: Vec<u8>) -> Self {
        Self {
            bytes: Bytes::Private(bytes),
        }
    }
}

impl Deref for BufGuard {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            // SAFETY: by LENT-ONCE nobody else touches the buffer, by LENT-MEMORY it is mapped as long as `ring` is
            // held, and the kernel initialised its first `len` bytes (a mapping is initialised from the start).
            Bytes::Lent { ring, id, len } => unsafe {
                slice::from_raw_parts(ring.buffer(*id).as_ptr(), *len)
            },
            Bytes::Private(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for BufGuard {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

// SAFETY: STABLE: the bytes lie in the mapping of the ring or on the heap, and neither moves with the guard. INIT: all of
// `deref` is initialised. EXCLUSIVE: nobody writes them while the guard lives (LENT-ONCE).
unsafe impl IoBuf for BufGuard {
    fn as_slice(&self) -> &[u8] {
        self
    }
}

impl Drop for BufGuard {
    fn drop(&mut self) {
        if let Bytes::Lent { ring, id, .. } = &self.bytes {
            ring.put(*id);
        }
    }
}

impl fmt::Debug for BufGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufGuard")
            .field("len", &self.len())
            .field("lent", &matches!(self.bytes, Bytes::Lent { .. }))
            .finish()
    }
}
