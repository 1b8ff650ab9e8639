//! The far timers: a `BTreeMap` from `deadline >> 30` to a bucket of timers in no order.
//!
//! Timeouts of the same length fall into the same bucket for a second on end. The bucket that was used last is therefore
//! tried before the map.
//!
//! Invariants:
//! - **Mapped.** A bucket is in the slab exactly if the map leads its number to it.
//! - **Occupied.** All buckets hold timers, save at most one, `spare`. It spares a lone timer that comes and goes the cost of
//!   a bucket each time.
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

#[derive(Default)]
pub(crate) struct Far {
    /// From the number of a bucket to its index in `buckets`.
    map: BTreeMap<u64, usize>,
    buckets: Slab<Bucket>,
    /// Where the last timer went; may be out of date.
    recent: usize,
    /// The bucket without timers, if there is one.
    spare: Option<usize>,
}

impl Far {
    /// Puts a node into the bucket of its deadline.
    pub(crate) fn link<T>(&mut self, nodes: &mut Nodes<T>, index: u32) {
        let number = bucket_of(nodes.node(index).deadline);
        let id = match self.buckets.get(self.recent) {
            Some(bucket) if bucket.number == number => self.recent,
            _ => self.bucket(number),
        };
        if self.spare == Some(id) {
            self.spare = None;
        }
        self.recent = id;
        nodes.link(&mut self.buckets[id].list, Home::far(id), index);
    }

    /// Takes a node out of its bucket.
    pub(crate) fn unlink<T>(&mut self, nodes: &mut Nodes<T>, id: usize, index: u32) {
        if nodes.unlink(&mut self.buckets[id].list, index)
            && let Some(old) = self.spare.replace(id)
        {
            let bucket = self.buckets.remove(old);
            self.map.remove(&bucket.number);
        }
    }

    /// Whether a node in bucket `id` may stay there with this new deadline; lowers the bound of the bucket if it may.
    pub(crate) fn readmit(&mut self, id: usize, deadline: u64) -> bool {
        let bucket = &mut self.buckets[id];
        let stays = bucket_of(deadline) >= bucket.number;
        if stays {
            bucket.list.admit(deadline);
        }
        stays
    }

    /// The number of the first bucket that has timers, and the lower bound of their deadlines.
    pub(crate) fn first(&self) -> Option<(u64, u64)> {
        let mut ids = self.map.values();
        // At most one bucket is empty.
        let bucket = ids
            .by_ref()
            .take(2)
            .map(|&id| &self.buckets[id])
            .find(|bucket| !bucket.list.is_empty())?;
        Some((bucket.number, bucket.list.min))
    }

    /// Detaches the timers of the first bucket that is not after `number`.
    pub(crate) fn take_until(&mut self, number: u64) -> Option<List> {
        let first = self
            .map
            .first_entry()
            .filter(|first| *first.key() <= number)?;
        let id = first.remove();
        if self.spare == Some(id) {
            self.spare = None;
        }
        Some(self.buckets.remove(id).list)
    }

    /// Removes all buckets.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn bucket(&mut self, number: u64) -> usize {
        *self.map.entry(number).or_insert_with(|| {
            self.buckets.insert(Bucket {
                number,
                list: List::EMPTY,
            })
        })
    }
}
