//! A binary heap that knows where each timer is, and can take it out there.

use super::{Timers, Value};

/// A heap of slots, and the place of each slot in it.
#[derive(Debug)]
pub(crate) struct IndexedHeap {
    /// Deadline, number, slot; the least comes first.
    heap: Vec<(u64, u64, usize)>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    number: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    number: u64,
    place: usize,
    value: Value,
}

impl IndexedHeap {
    fn put(&mut self, place: usize, entry: (u64, u64, usize)) {
        self.heap[place] = entry;
        self.slots[entry.2].place = place;
    }

    /// Moves what is at `place` up as far as it belongs.
    fn rise(&mut self, mut place: usize) {
        let entry = self.heap[place];
        while place > 0 {
            let above = (place - 1) / 2;
            if self.heap[above] <= entry {
                break;
            }
            self.put(place, self.heap[above]);
            place = above;
        }
        self.put(place, entry);
    }

    /// Moves what is at `place` down as far as it belongs.
    fn sink(&mut self, mut place: usize) {
        let entry = self.heap[place];
        loop {
            let mut below = 2 * place + 1;
            if below >= self.heap.len() {
                break;
            }
            if below + 1 < self.heap.len() && self.heap[below + 1] < self.heap[below] {
                below += 1;
            }
            if entry <= self.heap[below] {
                break;
            }
            self.put(place, self.heap[below]);
            place = below;
        }
        self.put(place, entry);
    }

    fn remove(&mut self, place: usize) -> Value {
        let (_, _, slot) = self.heap.swap_remove(place);
        if place < self.heap.len() {
            let moved = self.heap[place];
            self.sink(place);
            self.rise(self.slots[moved.2].place);
        }
        self.slots[slot].number = 0;
        self.free.push(slot);
        self.slots[slot].value
    }
}

impl Timers for IndexedHeap {
    type Key = (u64, usize);

    fn new() -> Self {
        Self {
            heap: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            number: 0,
        }
    }

    fn insert(&mut self, deadline: u64, value: Value) -> (u64, usize) {
        self.number += 1;
        let place = self.heap.len();
        let new = Slot {
            number: self.number,
            place,
            value,
        };
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
        self.heap.push((deadline, self.number, slot));
        self.rise(place);
        (self.number, slot)
    }

    fn cancel(&mut self, (number, slot): (u64, usize)) -> Option<Value> {
        let Slot {
            number: current,
            place,
            ..
        } = self.slots[slot];
        (current == number).then(|| self.remove(place))
    }

    fn expire_next(&mut self, now: u64) -> Option<Value> {
        let (deadline, _, _) = *self.heap.first()?;
        (deadline <= now).then(|| self.remove(0))
    }

    fn next_deadline(&mut self) -> Option<u64> {
        self.heap.first().map(|entry| entry.0)
    }
}
