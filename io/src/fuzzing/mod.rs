//! Histories made of bytes, each checked against a model: the bodies of the fuzz targets in `fuzz/`, and of tests here that
//! run them on seeded bytes.
//!
//! Nothing of this is part of the crate as others see it.

mod buffer_ring;
mod op_life;
mod tracked;

use std::cell::Cell;

pub use self::buffer_ring::buffer_ring;
pub use self::op_life::op_life;

/// Decisions, taken from bytes. When those are used up, every decision is for 0, which has to lead to an end.
#[derive(Debug)]
pub(crate) struct Choices {
    bytes: Box<[u8]>,
    at: Cell<usize>,
}

impl Choices {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.into(),
            at: Cell::new(0),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.at.get() >= self.bytes.len()
    }

    fn byte(&self) -> usize {
        let at = self.at.get();
        self.at.set(at + 1);
        self.bytes.get(at).map_or(0, |byte| usize::from(*byte))
    }

    /// A number below `n`, which is at most 65536.
    pub(crate) fn below(&self, n: usize) -> usize {
        match n {
            0 | 1 => 0,
            2..=256 => self.byte() % n,
            _ => (self.byte() << 8 | self.byte()) % n,
        }
    }

    /// A number below `n`, for the small integers.
    pub(crate) fn small<T: TryFrom<usize>>(&self, n: T) -> T
    where
        usize: TryFrom<T>,
    {
        let n = usize::try_from(n).unwrap_or(0);
        T::try_from(self.below(n)).unwrap_or_else(|_| unreachable!("below a value of the type"))
    }

    pub(crate) fn one_in(&self, n: usize) -> bool {
        self.below(n) == n - 1
    }
}

#[cfg(test)]
mod tests {
    /// Runs a history on the bytes of each seed, and names the seed of one that fails.
    pub(super) fn on_seeds(seeds: std::ops::Range<u64>, len: usize, history: fn(&[u8])) {
        struct Seed(u64);
        impl Drop for Seed {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    eprintln!("the seed was {}", self.0);
                }
            }
        }
        for seed in seeds {
            let seed = Seed(seed);
            let mut state = seed.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let bytes: Vec<u8> = (0..len)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state.to_le_bytes()[5]
                })
                .collect();
            history(&bytes);
        }
    }
}
