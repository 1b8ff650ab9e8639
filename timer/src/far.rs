//! The far timers: a `BTreeMap` from `deadline >> 30` to a bucket of timers in no order.
//!
//! Few timers are more than a minute away, so a table of the buckets that were used last, by the low bits of their numbers,
//! nearly always spares the way through the map.
//!
//! Invariants:
//! - **Mapped.** A bucket is in the slab exactly if the map leads its number to it.
//! - **Occupied.** All buckets hold timers, save the few in `spares`. They spare timers that come and go the cost of a bucket
//!   each time.
//! - **Front.** `front` is the first bucket of the map; to ask the map each time would be most of the cost of a quiet turn.
//! - **Ahead.** A node in bucket `b` has a deadline in `b` or later; it is later only after a re-arm.

use std::collections::BTreeMap;

use slab::Slab;

use crate::{
    near::bucket_of,
    nodes::{Home, List, Nodes},
};

struct Bucket {
    number: u64,
    list: List,
}

/// How many buckets of the recent past are known by heart.
const HINTS: usize = 64;

pub(crate) struct Far {
    /// From the number of a bucket to its index in `buckets`.
    map: BTreeMap<u64, usize>,
    buckets: Slab<Bucket>,
    /// The first bucket of the map.
    front: Option<usize>,
    /// Where the last timer of such a number went; may be out of date.
    hints: [usize; HINTS],
    /// The buckets without timers, oldest first. They stay for a while, because the next timer is often armed for the same
    /// second as the last, and cancelled before.
    spares: Vec<usize>,
}

/// The most buckets without timers.
const SPARES: usize = 8;

impl Far {
    /// Puts a node into the bucket of its deadline.
    pub(crate) fn link<T>(&mut self, nodes: &mut Nodes<T>, index: u32) {
        let number = bucket_of(nodes.node(index).deadline);
        let id = self.bucket(number);
        if self.buckets[id].list.is_empty() {
            self.spares.retain(|&spare| spare != id);
        }
        nodes.link(&mut self.buckets[id].list, Home::far(id), index);
    }

    /// Takes a node out of its bucket.
    pub(crate) fn unlink<T>(&mut self, nodes: &mut Nodes<T>, id: usize, index: u32) {
        if nodes.unlink(&mut self.buckets[id].list, index) {
            if self.spares.len() == SPARES {
                let oldest = self.spares.remove(0);
                self.remove(oldest);
            }
            self.spares.push(id);
        }
    }

    /// Whether a node in bucket `id` may stay there with this new deadline; lowers the bound of the bucket if it may.
    #[inline]
    pub(crate) fn readmit(&mut self, id: usize, deadline: u64) -> bool {
        let bucket = &mut self.buckets[id];
        let stays = bucket_of(deadline) >= bucket.number;
        if stays {
            bucket.list.admit(deadline);
        }
        stays
    }

    /// The number of the first bucket that has timers, and the lower bound of their deadlines.
    #[inline]
    pub(crate) fn first(&self) -> Option<(u64, u64)> {
        let front = &self.buckets[self.front?];
        let bucket = if front.list.is_empty() {
            // At most SPARES steps.
            let mut buckets = self.map.values().map(|&id| &self.buckets[id]);
            buckets.find(|bucket| !bucket.list.is_empty())?
        } else {
            front
        };
        Some((bucket.number, bucket.list.min))
    }

    /// Removes the first bucket that is not after `number` and gives its nodes.
    pub(crate) fn take_until(&mut self, number: u64) -> Option<Vec<u32>> {
        let id = self.front.filter(|&id| self.buckets[id].number <= number)?;
        if self.buckets[id].list.is_empty() {
            self.spares.retain(|&spare| spare != id);
        }
        Some(self.remove(id).list.take())
    }

    /// Removes all buckets.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The bucket of this number, which is made if there is none.
    #[inline]
    fn bucket(&mut self, number: u64) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the low bits are what is wanted"
        )]
        let hint = &mut self.hints[number as usize % HINTS];
        let hinted = self
            .buckets
            .get(*hint)
            .is_some_and(|bucket| bucket.number == number);
        if hinted {
            return *hint;
        }
        let made = || {
            self.buckets.insert(Bucket {
                number,
                list: List::EMPTY,
            })
        };
        let id = *self.map.entry(number).or_insert_with(made);
        *hint = id;
        if self
            .front
            .is_none_or(|front| number < self.buckets[front].number)
        {
            self.front = Some(id);
        }
        id
    }

    fn remove(&mut self, id: usize) -> Bucket {
        let bucket = self.buckets.remove(id);
        self.map.remove(&bucket.number);
        if self.front == Some(id) {
            self.front = self.map.values().next().copied();
        }
        bucket
    }
}

impl Default for Far {
    fn default() -> Self {
        Self {
            map: BTreeMap::new(),
            buckets: Slab::new(),
            front: None,
            hints: [0; HINTS],
            spares: Vec::with_capacity(SPARES),
        }
    }
}
