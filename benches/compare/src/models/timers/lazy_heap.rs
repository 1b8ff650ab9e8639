//! A binary heap in which a cancelled timer stays until it surfaces.
//!
//! Where most timers are timeouts that never fire, the dead would pile up for as long as the timeouts are long; so they are
//! swept out when they outnumber the living.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Timers, Value};

/// Entries, and slots that tell which of them live.
#[derive(Debug)]
pub(crate) struct LazyHeap {
    heap: BinaryHeap<Reverse<Entry>>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    number: u64,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Entry {
    deadline: u64,
    number: u64,
    slot: usize,
}

/// Of the entry with this number, or of none.
#[derive(Clone, Copy, Debug)]
struct Slot {
    number: u64,
    value: Value,
}

impl LazyHeap {
    fn take(&mut self, entry: Entry) -> Option<Value> {
        let slot = &mut self.slots[entry.slot];
        if slot.number != entry.number {
            return None;
        }
        slot.number = 0;
        self.free.push(entry.slot);
        Some(slot.value)
    }

    fn sweep(&mut self) {
        let living = self.slots.len() - self.free.len();
        if self.heap.len() > 2 * living + 64 {
            let slots = &self.slots;
            self.heap
                .retain(|Reverse(entry)| slots[entry.slot].number == entry.number);
        }
    }
}

impl Timers for LazyHeap {
    type Key = (u64, usize);

    fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            number: 0,
        }
    }

    fn insert(&mut self, deadline: u64, value: Value) -> (u64, usize) {
        self.number += 1;
        let number = self.number;
        let new = Slot { number, value };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = new;
                slot
            }
            None => {
                self.slots.push(new);
                self.slots.len() - 1
            }
        };
        self.heap.push(Reverse(Entry {
            deadline,
            number,
            slot,
        }));
        (number, slot)
    }

    fn cancel(&mut self, (number, slot): (u64, usize)) -> Option<Value> {
        let value = self.take(Entry {
            deadline: 0,
            number,
            slot,
        });
        self.sweep();
        value
    }

    fn expire_next(&mut self, now: u64) -> Option<Value> {
        loop {
            let first = self.heap.peek()?.0;
            if first.deadline > now {
                return None;
            }
            self.heap.pop();
            if let Some(value) = self.take(first) {
                return Some(value);
            }
        }
    }

    fn next_deadline(&mut self) -> Option<u64> {
        loop {
            let first = self.heap.peek()?.0;
            if self.slots[first.slot].number == first.number {
                return Some(first.deadline);
            }
            self.heap.pop();
        }
    }
}
