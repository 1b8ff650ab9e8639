//! Structures that hold timers: ours, and those of others, each with the least that a scheduler needs of it.
//!
//! | structure | arm | cancel | fire | in |
//! |---|---|---|---|---|
//! | [`Wheel`], ours | O(1) | O(1) | O(log of one tick) | camshaft |
//! | [`Tree`], a B-tree | O(log n) | O(log n) | O(log n) | the standard library |
//! | [`RedBlack`] tree | O(log n) | O(log n) | O(log n) | the sleep tree in the style of NtyCo |
//! | [`LazyHeap`] | O(log n) | O(1), leaves a dead entry | O(log n) | programs with `BinaryHeap` |
//! | [`IndexedHeap`] | O(log n) | O(log n) | O(log n) | schedulers with a heap that knows its places |
//! | [`HashedWheel`] | O(1) | O(1) | O(1), by the millisecond, in no order | in the style of libco |

mod hashed_wheel;
mod indexed_heap;
mod lazy_heap;
mod red_black;

use std::collections::BTreeMap;

use camshaft_timer::{Key, Wheel};

pub(crate) use hashed_wheel::HashedWheel;
pub(crate) use indexed_heap::IndexedHeap;
pub(crate) use lazy_heap::LazyHeap;
pub(crate) use red_black::RedBlack;

/// What a timer holds: as much as a waker.
pub(crate) type Value = [u64; 2];

/// Timers at deadlines in nanoseconds, from 0 on; time never runs backwards.
pub(crate) trait Timers {
    /// A timer that is armed.
    type Key;

    /// Without timers, at time 0.
    fn new() -> Self;
    /// Arms a timer.
    fn insert(&mut self, deadline: u64, value: Value) -> Self::Key;
    /// Takes a timer back that has not fired.
    fn cancel(&mut self, key: Self::Key) -> Option<Value>;
    /// Fires a timer whose time has come.
    fn expire_next(&mut self, now: u64) -> Option<Value>;
    /// When to ask [`expire_next`](Self::expire_next) again: not after the first deadline's tick.
    fn next_deadline(&mut self) -> Option<u64>;
}

impl Timers for Wheel<Value> {
    type Key = Key;

    fn new() -> Self {
        Self::new(0)
    }

    fn insert(&mut self, deadline: u64, value: Value) -> Key {
        Self::insert(self, deadline, value)
    }

    fn cancel(&mut self, key: Key) -> Option<Value> {
        Self::cancel(self, key)
    }

    fn expire_next(&mut self, now: u64) -> Option<Value> {
        Self::expire_next(self, now)
    }

    fn next_deadline(&mut self) -> Option<u64> {
        Self::next_deadline(self)
    }
}

/// The standard library's B-tree; a number tells apart what shares a deadline.
#[derive(Debug)]
pub(crate) struct Tree {
    entries: BTreeMap<(u64, u64), Value>,
    number: u64,
}

impl Timers for Tree {
    type Key = (u64, u64);

    fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            number: 0,
        }
    }

    fn insert(&mut self, deadline: u64, value: Value) -> (u64, u64) {
        self.number += 1;
        self.entries.insert((deadline, self.number), value);
        (deadline, self.number)
    }

    fn cancel(&mut self, key: (u64, u64)) -> Option<Value> {
        self.entries.remove(&key)
    }

    fn expire_next(&mut self, now: u64) -> Option<Value> {
        let first = self.entries.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    fn next_deadline(&mut self) -> Option<u64> {
        self.entries.first_key_value().map(|(key, _)| key.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::random::Random;

    /// Random operations beside a simple map; after each step as many have fired, and the same.
    fn does_as_a_map_does<T: Timers>() {
        let mut timers = T::new();
        let mut map = BTreeMap::new();
        let mut keys = BTreeMap::new();
        let (mut now, mut random) = (0, Random::new(7));
        let mut next = |limit| random.below(limit);
        for id in 0..20_000 {
            if next(3) > 0 {
                // All deadlines are whole ticks of the coarsest structure.
                let deadline = now + (next(200_000) << 20);
                keys.insert(id, timers.insert(deadline, [id, 0]));
                map.insert((deadline, id), [id, 0]);
            }
            if next(3) == 0
                && let Some((&id, _)) = keys.range(next(id + 1)..).next()
            {
                let place = *map.keys().find(|(_, other)| *other == id).unwrap();
                let key = keys.remove(&id).unwrap();
                assert_eq!(timers.cancel(key), map.remove(&place));
            }
            if next(20) == 0 {
                now += next(20_000) << 20;
                let mut fired: Vec<_> = std::iter::from_fn(|| timers.expire_next(now)).collect();
                fired.sort_unstable();
                let later = map.split_off(&(now + 1, 0));
                let mut due: Vec<_> = map.into_values().collect();
                due.sort_unstable();
                map = later;
                assert_eq!(fired, due);
                for [id, _] in due {
                    keys.remove(&id);
                }
                let first = map.keys().next().map(|(deadline, _)| *deadline);
                assert!(
                    timers.next_deadline() <= first
                        && timers.next_deadline().is_some() == first.is_some()
                );
            }
        }
        assert!(!map.is_empty());
    }

    #[test]
    fn all_do_as_a_map_does() {
        does_as_a_map_does::<Wheel<Value>>();
        does_as_a_map_does::<Tree>();
        does_as_a_map_does::<LazyHeap>();
        does_as_a_map_does::<IndexedHeap>();
        does_as_a_map_does::<HashedWheel>();
        does_as_a_map_does::<RedBlack>();
    }
}
