//! Numbers that look random: the same ones in each run, so that runs can be compared.

/// Marsaglia's xorshift.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Other numbers for each seed, even for those that are close together.
    pub(crate) fn new(seed: u64) -> Self {
        Self(
            seed.wrapping_add(1)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .max(1),
        )
    }

    /// A number below a limit.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// Fisher and Yates' shuffle.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1);
            items.swap(last, usize::try_from(other).unwrap_or(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_keeps_every_item() {
        let sorted: Vec<u32> = (0..100).collect();
        let shuffled = |seed| {
            let mut items = sorted.clone();
            Random::new(seed).shuffle(&mut items);
            items
        };
        assert_ne!(shuffled(7), sorted);
        assert_ne!(shuffled(7), shuffled(8));
        let mut items = shuffled(u64::MAX);
        items.sort_unstable();
        assert_eq!(items, sorted);
    }
}
