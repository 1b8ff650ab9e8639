//! Buffers that the kernel picks when data is there: a provided-buffer ring, and the guards that lend what it received.
//!
//! ```text
//!   ring ──(kernel fills a piece of a buffer)──> completion ──(reap: book)──> op ──> BufGuard ──(drop)──┐
//!    ^                                                                                                  │
//!    └───────────────(the kernel is done with the buffer, and its last guard is gone)───────────────────┘
//! ```
//!
//! Where the kernel can do it (`IOU_PBUF_RING_INC`, Linux 6.12), a buffer is **incremental**: a receive takes as much of it as
//! it has data, and the next one goes on behind. So one buffer is large enough for bulk data and serves hundreds of small
//! messages. Elsewhere each receive takes a whole buffer, and buffers are smaller.
//!
//! Where epoll is in use, the driver plays the kernel's part ([`BufRing::fill`]).
//!
//! What a completion says, in the kernel's words (`io_uring_register(2)`, and tried on 6.18):
//!
//! | completion of a receive | buffer named | `F_BUF_MORE` | what became of the buffer |
//! |---|---|---|---|
//! | n bytes, and room is left | yes | yes | the next receive goes on behind the bytes |
//! | n bytes, and no room is left, or it was a worker of the kernel | yes | no | the kernel is done with it |
//! | end of the stream, an error, cancelled | no | – | nothing |
//! | the same, by a worker of the kernel | yes | no | the kernel is done with it |
//! | `ENOBUFS` | no | – | the ring is empty |
//!
//! The kernel does not say *where* in the buffer the bytes lie: that follows from the order of the completions. So they are
//! booked when they are reaped, not when somebody polls for them. (Before 6.16 the kernel itself could post a completion of a
//! multishot receive ahead of an older one; so there are no multishot receives on such kernels.)
//!
//! Invariants:
//!
//! - **LENT-ONCE**: a byte of a buffer is the kernel's, if the buffer is in the ring and the byte not booked; or behind exactly
//!   one guard (or completion that will become one), if it is booked; or nobody's. The [`Ledger`] sees to it. A request names
//!   the ring and no length: the kernel then never sets more of a buffer aside than it reports.
//! - **LENT-MEMORY**: the memory lives as long as the [`BufRing`], which every guard holds; the driver holds it too and
//!   lets go only after nothing is in flight and the ring is unregistered.

mod guard;
mod ledger;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::cqueue;
use io_uring::types::BufRingEntry;

pub use self::guard::BufGuard;
#[cfg(any(test, fuzzing))]
pub(crate) use self::ledger::Ledger;
#[cfg(not(any(test, fuzzing)))]
use self::ledger::Ledger;
use super::completion::Completion;

/// The number of buffers of a runtime; a power of two.
const BUFFERS: u16 = 256;
/// The bytes of the ring itself, which stands before the buffers.
const HEAD_LEN: usize = BUFFERS as usize * size_of::<BufRingEntry>();

const _: () = assert!(BUFFERS.is_power_of_two() && HEAD_LEN.is_multiple_of(4096));

/// The size of the private buffer that stands in when the ring is exhausted, in bytes.
pub(crate) const PRIVATE_LEN: usize = 8192;

/// How the kernel takes buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// A piece at a time.
    Piecewise,
    /// Each receive a whole one.
    Whole,
}

impl Take {
    /// `flags` of `struct io_uring_buf_reg`.
    pub(crate) fn register_flags(self) -> u16 {
        match self {
            Self::Piecewise => 2, // IOU_PBUF_RING_INC
            Self::Whole => 0,
        }
    }

    /// The size of a buffer, in bytes.
    const fn buffer_len(self) -> u32 {
        match self {
            Self::Piecewise => 64 * 1024,
            Self::Whole => 8 * 1024,
        }
    }

    /// How many are in the ring at first.
    fn window(self) -> u16 {
        match self {
            Self::Piecewise => 8,
            Self::Whole => 32,
        }
    }

    const fn total_len(self) -> usize {
        HEAD_LEN + BUFFERS as usize * self.buffer_len() as usize
    }
}

/// The buffers that a runtime lends to its receives; see [`BufGuard::ring`].
///
/// There are 256. When guards hold all of them, receives get private buffers from the heap: a program that keeps guards for
/// long can look here how far it is from that.
pub struct BufRing {
    memory: NonNull<u8>,
    take: Take,
    ledger: RefCell<Ledger>,
    tail: Cell<u16>,
    /// The buffer that [`fill`](Self::fill) filled last.
    current: Cell<u16>,
    /// Whether the kernel still reads the ring.
    open: Cell<bool>,
}

impl BufRing {
    /// How many buffers there are.
    #[must_use]
    pub fn buffers(&self) -> usize {
        usize::from(BUFFERS)
    }

    /// How many of them no guard has a piece of.
    #[must_use]
    pub fn free(&self) -> usize {
        self.ledger.borrow().free()
    }

    /// The size of each, in bytes. Where the kernel fills them piece by piece (6.12), and on epoll, they are large, and many
    /// guards share one.
    #[must_use]
    pub fn buffer_len(&self) -> usize {
        self.take.buffer_len() as usize
    }

    /// The group that the ring is registered under; there is one ring a driver.
    pub(crate) const GROUP: u16 = 0;

    /// Maps the memory and fills the ring. Nothing is registered yet; pages are touched as they are used.
    pub(crate) fn new(take: Take) -> io::Result<Rc<Self>> {
        // SAFETY: a new anonymous mapping, which overlaps nothing.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                take.total_len(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
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
            take,
            ledger: RefCell::new(Ledger::new(BUFFERS, take.buffer_len(), take.window())),
            tail: Cell::new(0),
            current: Cell::new(0),
            open: Cell::new(true),
        });
        ring.supply(&mut ring.ledger.borrow_mut());
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

    /// Enters into the books what the kernel says in a completion, and notes in it the place of the bytes. To be called once
    /// for each completion that names a buffer, in their order.
    #[inline]
    pub(crate) fn book(&self, completion: &mut Completion) {
        let Some(id) = cqueue::buffer_select(completion.flags) else {
            return;
        };
        let n = completion.value().unwrap_or(0);
        let mut ledger = self.ledger.borrow_mut();
        let place = ledger.book(id, n, cqueue::buffer_more(completion.flags));
        completion.place = place.unwrap_or(Completion::NOWHERE);
        self.supply(&mut ledger);
    }

    /// Fills a piece of a buffer in the kernel's stead: `receive` gets the room, and returns how much of it is filled now, or a
    /// negated error number. The completion is booked.
    pub(crate) fn fill(&self, receive: impl FnOnce(*mut u8, u32) -> i32) -> Completion {
        let mut ledger = self.ledger.borrow_mut();
        let Some((id, filled)) = ledger.room(self.current.get()) else {
            return Completion::new(-libc::ENOBUFS, 0);
        };
        self.current.set(id);
        let len = self.take.buffer_len();
        let start = u32::from(id) * len + filled;
        let result = receive(self.at(start).as_ptr(), len - filled);
        let mut completion = Completion::new(result, 0);
        if let Ok(n @ 1..) = u32::try_from(result) {
            let place = ledger.book(id, n, filled + n < len);
            completion.place = place.unwrap_or(Completion::NOWHERE);
            self.supply(&mut ledger);
        }
        completion
    }

    /// The bytes that a [booked](Self::book) completion brought; `None` if there are none.
    ///
    /// # Safety
    ///
    /// The completion was booked here, and this is called once for it.
    #[inline]
    pub(crate) unsafe fn lend(self: Rc<Self>, completion: Completion) -> Option<BufGuard> {
        let len = completion.value().unwrap_or(0);
        if len == 0 || completion.place == Completion::NOWHERE {
            return None;
        }
        // SAFETY: what was booked for the completion is this piece, and by the caller's promise nobody else takes it.
        Some(unsafe { BufGuard::lent(self, completion.place, len) })
    }

    /// Whether nothing of the buffers is lent.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_complete(&self) -> bool {
        self.ledger.borrow().is_complete()
    }

    /// A receive found the ring empty. Returns whether it is worth trying again.
    pub(crate) fn miss(&self) -> bool {
        let mut ledger = self.ledger.borrow_mut();
        let any = ledger.miss();
        self.supply(&mut ledger);
        any && self.open.get()
    }

    #[inline]
    fn release(&self, place: u32) {
        let mut ledger = self.ledger.borrow_mut();
        ledger.release(place);
        self.supply(&mut ledger);
    }

    /// The memory at a place.
    #[inline]
    fn at(&self, place: u32) -> NonNull<u8> {
        // SAFETY: places lie within the buffers, which stand behind the ring in the mapping.
        unsafe { self.memory.add(HEAD_LEN + place as usize) }
    }

    /// Puts buffers at the tail of the ring, as many as should be there.
    #[inline]
    fn supply(&self, ledger: &mut Ledger) {
        if !self.open.get() {
            return;
        }
        let before = self.tail.get();
        let mut tail = before;
        while let Some(id) = ledger.supply() {
            self.write(tail, id);
            tail = tail.wrapping_add(1);
        }
        if tail != before {
            self.tail.set(tail);
            // SAFETY: the tail lies in the first entry of the ring, which is mapped and initialised.
            let shared = unsafe { BufRingEntry::tail(self.memory.as_ptr().cast()) };
            // SAFETY: mapped, aligned for two bytes, and only ever written here and through atomics.
            let shared = unsafe { AtomicU16::from_ptr(shared.cast_mut()) };
            shared.store(tail, Ordering::Release);
        }
    }

    /// Writes an empty buffer into the ring's entry for this tail.
    fn write(&self, tail: u16, id: u16) {
        let place = usize::from(tail % BUFFERS);
        // SAFETY: the place lies within the ring at the start of the mapping, which is aligned to a page.
        let entry = unsafe { self.memory.cast::<BufRingEntry>().add(place) };
        // SAFETY: all-zero memory is a valid entry, and one past the kernel's view of the tail is ours alone: at most BUFFERS
        // are in the ring (ONE-PLACE), so its place is free. Of those before the tail the kernel writes address and length.
        let entry = unsafe { &mut *entry.as_ptr() };
        entry.set_addr(self.at(u32::from(id) * self.take.buffer_len()).as_ptr() as u64);
        entry.set_len(self.take.buffer_len());
        entry.set_bid(id);
    }
}

impl Drop for BufRing {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new`; by LENT-MEMORY neither a guard nor the kernel uses it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.take.total_len()) };
    }
}

impl fmt::Debug for BufRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufRing")
            .field("take", &self.take)
            .field("ledger", &self.ledger.borrow())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many pages of the ring and its buffers are resident.
    fn resident(ring: &BufRing) -> usize {
        let len = ring.take.total_len();
        let mut pages = vec![0_u8; len.div_ceil(4096)];
        let start = ring.memory.as_ptr().cast();
        // SAFETY: the kernel writes a byte for each page of the mapping.
        let asked = unsafe { libc::mincore(start, len, pages.as_mut_ptr()) };
        assert_eq!(asked, 0, "{}", io::Error::last_os_error());
        pages.iter().filter(|page| **page & 1 != 0).count()
    }

    /// Receives, in the kernel's stead, so much at a time.
    fn receive(ring: &Rc<BufRing>, len: u32) -> BufGuard {
        let completion = ring.fill(|memory, room| {
            let n = len.min(room);
            // SAFETY: so much room is there.
            unsafe { memory.write_bytes(1, n as usize) };
            n.cast_signed()
        });
        // SAFETY: it was booked by `fill`, and is taken once.
        unsafe { ring.clone().lend(completion) }.expect("bytes")
    }

    /// Where transparent huge pages are on for everything, a touched page is 512 of them.
    #[test]
    fn only_what_serves_at_a_time_is_resident() {
        let ring = BufRing::new(Take::Piecewise).expect("memory");
        let all = ring.take.total_len() / 4096;
        assert!(resident(&ring) <= 512, "nothing was received");
        // Twice as much as all buffers hold, a few messages at a time.
        let mut kept = std::collections::VecDeque::new();
        for _ in 0..32_000 {
            kept.push_back(receive(&ring, 1024));
            if kept.len() > 10 {
                kept.pop_front();
            }
        }
        assert!(resident(&ring) < all / 3, "{} of {all}", resident(&ring));
    }
}
