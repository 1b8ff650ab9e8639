//! Who has which part of which buffer: the books of a ring of buffers that the kernel fills piece by piece.
//!
//! Pure: no system call, no memory, no unsafe. It knows buffers by their numbers, bytes by their **place**, which is their
//! offset in all buffers laid end to end.
//!
//! ```text
//!             supply                  book, the kernel is done with it
//!   Spare ──────────────> Ring ──────────────────────────────────────────> Out
//!     ^                   │  ^                                             │
//!     │                   └──┘ book: a piece of it, from where the last    │
//!     └────────────────────────────────────────────────────────────────────┘
//!                       release of the last piece (at once if there is none)
//! ```
//!
//! Spare buffers are a stack, and only as many as a **window** says are in the ring: so the same few buffers, which are in
//! the caches, serve as long as they suffice, and pages of the others are never touched. The window grows by one for each
//! receive that found the ring empty.
//!
//! Invariants:
//!
//! - **ONE-PIECE**: a byte belongs to at most one piece at a time: pieces of a buffer are booked one behind the other, and it
//!   is supplied again, from its start, only when the kernel is done with it and all its pieces have been released.
//! - **ONE-PLACE**: a buffer is in the ring at most once.

/// Where a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    /// On the stack.
    Spare,
    /// The kernel may write behind what is filled.
    Ring,
    /// The kernel is done with it; pieces of it are out.
    Out,
}

#[derive(Clone, Copy, Debug)]
struct Buffer {
    home: Home,
    /// How many of its bytes are booked.
    filled: u32,
    /// How many pieces are out.
    pieces: u32,
}

/// The books.
#[derive(Debug)]
pub(crate) struct Ledger {
    buffers: Box<[Buffer]>,
    /// The length of each buffer.
    len: u32,
    /// Numbers of the spare buffers; the last was used last.
    spare: Vec<u16>,
    /// How many are in the ring.
    supplied: usize,
    /// How many should be.
    window: usize,
}

impl Ledger {
    /// Opens the books of `buffers` buffers of `len` bytes each, all of them spare.
    pub(crate) fn new(buffers: u16, len: u32, window: u16) -> Self {
        let buffer = Buffer {
            home: Home::Spare,
            filled: 0,
            pieces: 0,
        };
        Self {
            buffers: vec![buffer; usize::from(buffers)].into(),
            len,
            spare: (0..buffers).rev().collect(),
            supplied: 0,
            window: usize::from(window.min(buffers)),
        }
    }

    /// The number of a buffer that is to be put into the ring now, empty; `None` if enough are there, or none is spare.
    #[inline]
    pub(crate) fn supply(&mut self) -> Option<u16> {
        if self.supplied >= self.window {
            return None;
        }
        let id = self.spare.pop()?;
        self.supplied += 1;
        let buffer = &mut self.buffers[usize::from(id)];
        buffer.home = Home::Ring;
        buffer.filled = 0;
        Some(id)
    }

    /// The kernel has put `n` bytes into a buffer, and says whether it will put `more` behind them. To be called in the order
    /// in which it says so. Returns the place of the bytes: a piece, to be [released](Self::release) once, unless `n` is 0.
    ///
    /// `None` if that can't be: the buffer is not in the ring, or has no room for so much. Nothing has changed then.
    #[inline]
    pub(crate) fn book(&mut self, id: u16, n: u32, more: bool) -> Option<u32> {
        let buffer = self.buffers.get_mut(usize::from(id))?;
        let start = buffer.filled;
        if buffer.home != Home::Ring || n > self.len - start {
            return None;
        }
        buffer.filled += n;
        buffer.pieces += u32::from(n > 0);
        if !more {
            self.supplied -= 1;
            buffer.home = Home::Out;
            self.settle(id);
        }
        Some(u32::from(id) * self.len + start)
    }

    /// How many buffers have no piece out.
    pub(crate) fn free(&self) -> usize {
        let is_free = |buffer: &&Buffer| buffer.pieces == 0;
        self.buffers.iter().filter(is_free).count()
    }

    /// A buffer in the ring, the preferred one if it is there, and how many of its bytes are booked. For those who fill buffers
    /// in the kernel's stead.
    pub(crate) fn room(&self, preferred: u16) -> Option<(u16, u32)> {
        let filled = |id: u16| {
            let buffer = self.buffers.get(usize::from(id))?;
            (buffer.home == Home::Ring).then_some((id, buffer.filled))
        };
        let last = u16::try_from(self.buffers.len()).unwrap_or(u16::MAX);
        filled(preferred).or_else(|| (0..last).find_map(filled))
    }

    /// A piece has come back, whose first byte is at this place.
    #[inline]
    pub(crate) fn release(&mut self, place: u32) {
        let Ok(id) = u16::try_from(place / self.len) else {
            return;
        };
        let Some(buffer) = self.buffers.get_mut(usize::from(id)) else {
            return;
        };
        debug_assert!(buffer.pieces > 0, "a piece is released once");
        buffer.pieces = buffer.pieces.saturating_sub(1);
        self.settle(id);
    }

    /// A receive found the ring empty. Returns whether there is anything in it now, or will be with the next
    /// [supply](Self::supply).
    pub(crate) fn miss(&mut self) -> bool {
        self.window = (self.window + 1).min(self.buffers.len());
        self.supplied > 0 || !self.spare.is_empty()
    }

    /// Whether no piece is out.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_complete(&self) -> bool {
        self.buffers.iter().all(|buffer| buffer.pieces == 0)
    }

    /// Puts a buffer back on the stack if neither the kernel nor anybody else has anything of it.
    #[inline]
    fn settle(&mut self, id: u16) {
        let buffer = &mut self.buffers[usize::from(id)];
        if buffer.home == Home::Out && buffer.pieces == 0 {
            buffer.home = Home::Spare;
            self.spare.push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Books of four buffers of ten bytes, `window` of them in the ring.
    fn open(window: u16) -> Ledger {
        let mut ledger = Ledger::new(4, 10, window);
        supplied(&mut ledger);
        ledger
    }

    fn supplied(ledger: &mut Ledger) -> Vec<u16> {
        std::iter::from_fn(|| ledger.supply()).collect()
    }

    #[test]
    fn pieces_of_a_buffer_lie_one_behind_the_other() {
        let mut ledger = open(2);
        assert_eq!(ledger.book(1, 3, true), Some(10));
        assert_eq!(ledger.book(0, 4, true), Some(0));
        assert_eq!(ledger.book(1, 5, true), Some(13));
        assert_eq!(ledger.book(1, 2, false), Some(18));
    }

    #[test]
    fn a_buffer_comes_back_when_the_kernel_and_the_last_piece_let_go_of_it() {
        for kernel_first in [true, false] {
            let mut ledger = open(4);
            ledger.book(0, 3, true);
            ledger.book(0, 3, !kernel_first);
            ledger.release(0);
            assert_eq!(supplied(&mut ledger), []);
            if kernel_first {
                ledger.release(3);
            } else {
                ledger.release(3);
                assert_eq!(supplied(&mut ledger), [], "the kernel may still write");
                ledger.book(0, 0, false);
            }
            assert_eq!(supplied(&mut ledger), [0]);
            assert_eq!(ledger.book(0, 1, true), Some(0), "from its start");
        }
    }

    #[test]
    fn a_completion_without_bytes_is_no_piece() {
        let mut ledger = open(4);
        assert_eq!(ledger.book(2, 0, false), Some(20));
        assert_eq!(supplied(&mut ledger), [2]);
    }

    #[test]
    fn the_buffer_used_last_serves_next_and_the_others_rest() {
        let mut ledger = open(1);
        for round in 0..20 {
            assert_eq!(
                ledger.book(round % 2, 10, false),
                Some(u32::from(round % 2) * 10)
            );
            // The other one is supplied before the first comes back.
            assert_eq!(supplied(&mut ledger), [(round + 1) % 2]);
            ledger.release(u32::from(round % 2) * 10);
        }
    }

    #[test]
    fn each_receive_that_finds_the_ring_empty_widens_the_window() {
        let mut ledger = open(1);
        for id in 1..4 {
            assert!(ledger.miss());
            assert_eq!(supplied(&mut ledger), [id]);
        }
        for id in 0..4 {
            ledger.book(id, 10, false);
        }
        assert!(!ledger.miss(), "all of them are lent");
        ledger.release(30);
        assert!(ledger.miss());
        assert_eq!(supplied(&mut ledger), [3]);
    }

    #[test]
    fn contradictions_change_nothing() {
        let mut ledger = open(2);
        ledger.book(0, 4, true);
        for (id, n) in [(0, 7), (1, 11), (2, 1), (3, 0), (9, 1)] {
            assert_eq!(ledger.book(id, n, false), None, "{n} bytes in {id}");
        }
        assert_eq!(ledger.book(0, 6, false), Some(4));
        assert_eq!(ledger.book(0, 1, true), None, "it was done with it");
    }
}
