//! The books of lent buffers against a kernel that follows the rules of provided buffers, and a map of who has each byte.

use std::collections::VecDeque;

use super::Choices;
use crate::driver::Ledger;

/// What the kernel has of a buffer.
#[derive(Clone, Copy)]
struct Offer {
    id: u16,
    /// Where the next byte goes.
    start: u32,
}

/// A completion that is posted and not booked yet.
struct Posted {
    id: u16,
    start: u32,
    n: u32,
    more: bool,
}

/// Booked bytes that have not been released.
struct Piece {
    place: u32,
    n: u32,
}

struct World {
    choices: Choices,
    ledger: Ledger,
    buffers: u16,
    len: u32,
    window: u16,
    /// Whether the kernel takes whole buffers.
    whole: bool,
    /// The ring as the kernel sees it.
    ring: VecDeque<Offer>,
    /// The rests of buffers that its workers have taken for a receive each.
    workers: Vec<Offer>,
    posted: VecDeque<Posted>,
    pieces: Vec<Piece>,
    /// For each byte whether a piece has it.
    taken: Vec<bool>,
}

/// Runs a history. Panics if the books are wrong.
pub fn buffer_ring(bytes: &[u8]) {
    let choices = Choices::new(bytes);
    let buffers = 1 + choices.small(6_u16);
    let len = 1 + choices.small(20_u32);
    let window = 1 + choices.small(buffers);
    let mut world = World {
        ledger: Ledger::new(buffers, len, window),
        whole: choices.one_in(4),
        choices,
        buffers,
        len,
        window,
        ring: VecDeque::new(),
        workers: Vec::new(),
        posted: VecDeque::new(),
        pieces: Vec::new(),
        taken: vec![false; usize::from(buffers) * len as usize],
    };
    world.supply();
    while !world.choices.is_over() {
        world.step();
    }
    world.finish();
}

impl World {
    fn step(&mut self) {
        match self.choices.below(12) {
            0..3 => self.receive(),
            3..6 => self.book(),
            6..9 => self.release(),
            9 => self.give_to_worker(),
            10 => self.end_worker(),
            _ => self.contradict(),
        }
        self.supply();
    }

    /// Puts into the ring what the ledger says.
    fn supply(&mut self) {
        while let Some(id) = self.ledger.supply() {
            assert!(self.is_free(id), "buffer {id} is supplied while in use");
            self.ring.push_back(Offer { id, start: 0 });
        }
        assert!(self.supplied() <= usize::from(self.window));
        let spare = (0..self.buffers).any(|id| self.is_free(id));
        assert!(
            self.supplied() == usize::from(self.window) || !spare,
            "a free buffer is held back"
        );
    }

    /// How many buffers the ledger must believe to be in the ring: what it has not been told yet counts.
    fn supplied(&self) -> usize {
        let unbooked = self.posted.iter().filter(|posted| !posted.more).count();
        self.ring.len() + self.workers.len() + unbooked
    }

    /// Whether nobody has anything of a buffer.
    fn is_free(&self, id: u16) -> bool {
        let bytes = self.bytes(u32::from(id) * self.len, self.len);
        let offers = self.ring.iter().chain(&self.workers);
        !self.taken[bytes].contains(&true)
            && offers.map(|offer| offer.id).all(|other| other != id)
            && self.posted.iter().all(|posted| posted.id != id)
    }

    fn bytes(&self, place: u32, n: u32) -> std::ops::Range<usize> {
        place as usize..(place + n) as usize
    }

    /// The kernel fills the first buffer of the ring, or finds none.
    fn receive(&mut self) {
        let Some(Offer { id, start }) = self.ring.front().copied() else {
            let any = self.ledger.miss();
            self.window = (self.window + 1).min(self.buffers);
            assert!(any || self.supplied() == 0);
            return;
        };
        let rest = self.len - start;
        // An end of the stream, as a read sees it, leaves a buffer where it is.
        let n = if self.choices.one_in(8) {
            0
        } else {
            1 + self.choices.small(rest)
        };
        let more = !self.whole && n < rest;
        if more {
            self.ring[0].start += n;
        } else {
            self.ring.pop_front();
        }
        self.posted.push_back(Posted { id, start, n, more });
    }

    /// A worker of the kernel takes all that is left of the first buffer.
    fn give_to_worker(&mut self) {
        self.workers.extend(self.ring.pop_front());
    }

    /// A worker ends its receive: with bytes, or with none after an end or an error.
    fn end_worker(&mut self) {
        if self.workers.is_empty() {
            return;
        }
        let at = self.choices.below(self.workers.len());
        let Offer { id, start } = self.workers.swap_remove(at);
        let n = self.choices.small(self.len - start + 1);
        let more = false;
        self.posted.push_back(Posted { id, start, n, more });
    }

    fn book(&mut self) {
        let Some(Posted { id, start, n, more }) = self.posted.pop_front() else {
            return;
        };
        let place = self.ledger.book(id, n, more);
        let expected = u32::from(id) * self.len + start;
        assert_eq!(place, Some(expected));
        if n > 0 {
            let bytes = self.bytes(expected, n);
            for taken in &mut self.taken[bytes] {
                assert!(!*taken, "a byte is lent twice");
                *taken = true;
            }
            self.pieces.push(Piece { place: expected, n });
        }
    }

    fn release(&mut self) {
        if self.pieces.is_empty() {
            return;
        }
        let Piece { place, n } = self
            .pieces
            .swap_remove(self.choices.below(self.pieces.len()));
        let bytes = self.bytes(place, n);
        self.taken[bytes].fill(false);
        self.ledger.release(place);
    }

    /// Completions that can't be must change nothing.
    fn contradict(&mut self) {
        let id = self.choices.small(self.buffers + 2);
        let is_in_ring = self.ring.iter().chain(&self.workers).any(|it| it.id == id)
            || self.posted.iter().any(|it| it.id == id && !it.more);
        let n = if is_in_ring { self.len + 1 } else { 1 };
        assert_eq!(self.ledger.book(id, n, self.choices.one_in(2)), None);
    }

    /// Everything comes back.
    fn finish(&mut self) {
        while !self.workers.is_empty() {
            self.end_worker();
        }
        while !self.posted.is_empty() {
            self.book();
            self.supply();
        }
        while !self.pieces.is_empty() {
            self.release();
            self.supply();
        }
        for _ in 0..self.buffers {
            self.ledger.miss();
        }
        self.window = self.buffers;
        self.supply();
        assert_eq!(self.ring.len(), usize::from(self.buffers), "one is lost");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::on_seeds;
    use super::buffer_ring;

    #[test]
    fn long_histories_agree_with_the_model() {
        on_seeds(0..300, 4000, buffer_ring);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn short_histories_agree_with_the_model(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            buffer_ring(&bytes);
        }
    }
}
