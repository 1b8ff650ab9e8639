//! The timers of ticks that have come, in the order in which they will fire: by deadline, then by arming.
//!
//! A binary heap cannot lose an entry from its middle. A timer that is cancelled or re-armed leaves its entry behind, which
//! is recognised by the number of the arming, no two of which are equal.
//!
//! Invariants:
//! - **Live top.** The top entry, if there is one, is that of a live timer.
//! - **Half.** At most half of the entries are stale, beyond a few: the heap is bounded by the timers in it.

use std::{cmp::Ordering, collections::BinaryHeap};

use crate::nodes::{Home, Nodes};

/// This many stale entries are not worth a sweep.
const TOLERATED: usize = 32;

#[derive(PartialEq, Eq)]
struct Entry {
    deadline: u64,
    arming: u64,
    index: u32,
}

impl Ord for Entry {
    /// Reversed, since the greatest entry of a [`BinaryHeap`] comes out first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.deadline, other.arming).cmp(&(self.deadline, self.arming))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Default)]
pub(crate) struct Due {
    heap: BinaryHeap<Entry>,
    stale: usize,
}

impl Due {
    /// The earliest deadline.
    #[inline]
    pub(crate) fn first(&self) -> Option<u64> {
        self.heap.peek().map(|entry| entry.deadline)
    }

    /// Adds a node that is on no list.
    pub(crate) fn push<T>(&mut self, nodes: &mut Nodes<T>, index: u32) {
        let node = nodes.node_mut(index);
        node.home = Home::DUE;
        self.heap.push(Entry {
            deadline: node.deadline,
            arming: node.arming,
            index,
        });
    }

    /// Removes the earliest timer altogether if its deadline is not after `now_ns`.
    pub(crate) fn pop<T>(&mut self, nodes: &mut Nodes<T>, now_ns: u64) -> Option<T> {
        if self.first()? > now_ns {
            return None;
        }
        let entry = self.heap.pop()?;
        let value = nodes.remove(entry.index);
        self.uncover(nodes);
        Some(value)
    }

    /// Takes note that one entry has gone stale: its node was removed or armed anew.
    pub(crate) fn abandon<T>(&mut self, nodes: &Nodes<T>) {
        self.stale += 1;
        self.uncover(nodes);
        if self.stale > TOLERATED && self.stale > self.heap.len() / 2 {
            self.heap
                .retain(|entry| nodes.is_armed(entry.index, entry.arming));
            self.stale = 0;
        }
    }

    /// Restores **Live top**.
    fn uncover<T>(&mut self, nodes: &Nodes<T>) {
        while self.stale > 0
            && let Some(entry) = self.heap.peek()
            && !nodes.is_armed(entry.index, entry.arming)
        {
            self.heap.pop();
            self.stale -= 1;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.heap.clear();
        self.stale = 0;
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.heap.shrink_to_fit();
    }

    #[cfg(test)]
    pub(crate) fn entries(&self) -> usize {
        assert!(
            self.stale <= self.heap.len(),
            "more is counted as stale than there is"
        );
        self.heap.len()
    }
}
