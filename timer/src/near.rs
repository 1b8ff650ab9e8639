//! The near wheel: 1024 slots of 2^20 ns, about a second, with a bitmap of the slots that hold timers.
//!
//! ```text
//!   slot     0    1   …  k-1   k   k+1 …  1023          k = tick & 1023
//!   tick   after the wrap  │ now  ahead, up to the end
//! ```
//!
//! The wheel is a window that slides with time: it covers the ticks `tick..tick + 1024`, each in the slot that its low bits
//! name.
//!
//! Invariants:
//! - **Window.** A node in the slot of tick `t` has a deadline in `t` or later; it is later only after a re-arm. The slot of
//!   the current tick also takes all deadlines before it.
//! - **Occupancy.** A bit is set exactly if its list is not empty.

use crate::nodes::{Home, List, Nodes};

/// A tick is 2^20 ns.
const TICK_BITS: u32 = 20;
/// The wheel has 2^10 slots.
const SLOT_BITS: u32 = 10;
const SLOTS: usize = 1 << SLOT_BITS;
/// An empty slot keeps room for as many timers as this: 1 MiB for all slots together.
const KEPT: usize = 256;
/// A far bucket is as wide as the near wheel, so that its timers fit when it is cascaded.
const BUCKET_BITS: u32 = TICK_BITS + SLOT_BITS;

/// The tick that a time lies in.
#[inline]
pub(crate) fn tick_of(time_ns: u64) -> u64 {
    time_ns >> TICK_BITS
}

/// The far bucket that a time lies in.
#[inline]
pub(crate) fn bucket_of(time_ns: u64) -> u64 {
    time_ns >> BUCKET_BITS
}

/// The first tick of a far bucket.
#[inline]
pub(crate) fn first_tick_of(bucket: u64) -> u64 {
    bucket << SLOT_BITS
}

pub(crate) struct Near {
    /// The current tick: all before it have been drained.
    tick: u64,
    slots: Box<[List; SLOTS]>,
    occupied: Occupied,
}

impl Near {
    pub(crate) fn new(start_ns: u64) -> Self {
        Self {
            tick: tick_of(start_ns),
            slots: Box::new([const { List::EMPTY }; SLOTS]),
            occupied: Occupied::default(),
        }
    }

    #[inline]
    pub(crate) fn tick(&self) -> u64 {
        self.tick
    }

    /// Moves the window. No slot of a tick that is left behind may be occupied.
    #[inline]
    pub(crate) fn advance(&mut self, tick: u64) {
        debug_assert!(tick >= self.tick);
        debug_assert!(
            self.first().is_none_or(|(first, _)| first >= tick),
            "a tick was left behind undrained"
        );
        self.tick = tick;
    }

    /// The slot for a deadline, if the window covers it.
    #[inline]
    pub(crate) fn slot_for(&self, deadline: u64) -> Option<usize> {
        let tick = self.clamp(deadline);
        (tick - self.tick < SLOTS as u64).then_some(slot_of(tick))
    }

    /// Puts a node into a slot.
    pub(crate) fn link<T>(&mut self, nodes: &mut Nodes<T>, slot: usize, index: u32) {
        nodes.link(&mut self.slots[slot], Home::near(slot), index);
        self.occupied.set(slot);
    }

    /// Takes a node out of its slot.
    pub(crate) fn unlink<T>(&mut self, nodes: &mut Nodes<T>, slot: usize, index: u32) {
        if nodes.unlink(&mut self.slots[slot], index) {
            self.occupied.clear(slot);
        }
    }

    /// Whether a node in `slot` may stay there with this new deadline; lowers the bound of the slot if it may.
    #[inline]
    pub(crate) fn readmit(&mut self, slot: usize, deadline: u64) -> bool {
        let stays = self.clamp(deadline) >= self.tick_in(slot);
        if stays {
            self.slots[slot].admit(deadline);
        }
        stays
    }

    /// The first tick that has timers, and the lower bound of their deadlines.
    #[inline]
    pub(crate) fn first(&self) -> Option<(u64, u64)> {
        let slot = self.occupied.first_from(slot_of(self.tick))?;
        Some((self.tick_in(slot), self.slots[slot].min))
    }

    /// Takes the nodes of the current tick off their list, or returns `None` if there are none.
    #[inline]
    pub(crate) fn take_current(&mut self) -> Option<Vec<u32>> {
        let slot = slot_of(self.tick);
        (!self.slots[slot].is_empty()).then(|| {
            self.occupied.clear(slot);
            self.slots[slot].take()
        })
    }

    /// Takes the array that [`take_current`](Self::take_current) gave back for its next use, unless it is large.
    #[inline]
    pub(crate) fn recycle(&mut self, mut array: Vec<u32>) {
        if array.capacity() <= KEPT {
            array.clear();
            self.slots[slot_of(self.tick)].lend(array);
        }
    }

    /// Empties all slots.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.slots.fill_with(|| List::EMPTY);
        self.occupied = Occupied::default();
    }

    /// The tick in which a deadline is served: its own, or the current one if it has passed.
    #[inline]
    fn clamp(&self, deadline: u64) -> u64 {
        tick_of(deadline).max(self.tick)
    }

    /// The tick of the window that lies in `slot`.
    #[inline]
    fn tick_in(&self, slot: usize) -> u64 {
        self.tick + ((slot as u64).wrapping_sub(self.tick) & (SLOTS as u64 - 1))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low bits are what is wanted"
)]
#[inline]
fn slot_of(tick: u64) -> usize {
    tick as usize & (SLOTS - 1)
}

/// One bit a slot, and one bit for every word of them.
#[derive(Default)]
struct Occupied {
    words: [u64; SLOTS / 64],
    summary: u16,
}

impl Occupied {
    #[inline]
    fn set(&mut self, slot: usize) {
        self.words[slot / 64] |= 1 << (slot % 64);
        self.summary |= 1 << (slot / 64);
    }

    #[inline]
    fn clear(&mut self, slot: usize) {
        let word = &mut self.words[slot / 64];
        *word &= !(1 << (slot % 64));
        if *word == 0 {
            self.summary &= !(1 << (slot / 64));
        }
    }

    /// The first set bit at `start` or after it, going round once.
    #[inline]
    fn first_from(&self, start: usize) -> Option<usize> {
        let word = start / 64;
        let here = self.words[word] >> (start % 64);
        if here != 0 {
            return Some(start + here.trailing_zeros() as usize);
        }
        // Twice in a row, from the next word on: the 16th is this one, of which only the bits below `start` are left.
        let round = (u32::from(self.summary) * 0x1_0001) >> (word + 1);
        (round != 0).then(|| {
            let word = (word + 1 + round.trailing_zeros() as usize) % self.words.len();
            word * 64 + self.words[word].trailing_zeros() as usize
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_from_goes_round_once() {
        let mut occupied = Occupied::default();
        assert_eq!(occupied.first_from(700), None);
        for slot in [0, 63, 64, 127, 512, 1023] {
            occupied.set(slot);
            for start in 0..SLOTS {
                assert_eq!(occupied.first_from(start), Some(slot), "from {start}");
            }
            occupied.clear(slot);
            assert_eq!(occupied.first_from(slot), None);
        }
        occupied.set(5);
        occupied.set(900);
        assert_eq!(occupied.first_from(6), Some(900));
        assert_eq!(occupied.first_from(901), Some(5));
    }

    #[test]
    fn clearing_one_of_two_bits_in_a_word_keeps_the_other() {
        let mut occupied = Occupied::default();
        occupied.set(65);
        occupied.set(66);
        occupied.clear(65);
        assert_eq!(occupied.first_from(0), Some(66));
        assert_eq!(occupied.first_from(67), Some(66));
    }

    #[test]
    fn the_window_names_each_tick_once() {
        for start in [0, 1, 1023, 1024, 5000] {
            let near = Near::new(start << TICK_BITS);
            for tick in start..start + SLOTS as u64 {
                let slot = near.slot_for(tick << TICK_BITS).expect("inside the window");
                assert_eq!(near.tick_in(slot), tick);
            }
            assert_eq!(near.slot_for((start + SLOTS as u64) << TICK_BITS), None);
            assert_eq!(near.slot_for(u64::MAX), None);
        }
    }

    #[test]
    fn the_past_is_served_in_the_current_tick() {
        let near = Near::new(77 << TICK_BITS);
        assert_eq!(near.slot_for(0), Some(77));
    }
}
