//! A hashed wheel: a list for each tick of about a millisecond, and as many lists as make about a minute.
//!
//! A timer goes to the list of its tick modulo their number. When a tick has come, its list is walked, and what belongs to
//! a later round stays. Nothing is ever ordered: timers of one tick fire as they lie there, up to a tick too early or late;
//! and where many ticks are empty, each of them is looked at.

use super::{Timers, Value};

/// Nanoseconds of a tick, as a power of two.
const TICK: u32 = 20;

/// Lists: 68.7 s.
const LISTS: usize = 1 << 16;

/// The end of a list.
const NONE: usize = usize::MAX;

/// Lists through one vector of nodes.
#[derive(Debug)]
pub(crate) struct HashedWheel {
    heads: Vec<usize>,
    nodes: Vec<Node>,
    /// The first node that is free; they are linked too.
    free: usize,
    armed: usize,
    number: u64,
    /// The tick that is being walked.
    tick: u64,
    /// The next node of that walk.
    walk: usize,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    number: u64,
    tick: u64,
    next: usize,
    before: usize,
    value: Value,
}

fn list_of(tick: u64) -> usize {
    let list = tick % LISTS as u64;
    usize::try_from(list).expect("fewer lists than addresses")
}

impl HashedWheel {
    fn unlink(&mut self, at: usize) -> Value {
        let Node {
            tick,
            next,
            before,
            value,
            ..
        } = self.nodes[at];
        match before {
            NONE => self.heads[list_of(tick)] = next,
            before => self.nodes[before].next = next,
        }
        if next != NONE {
            self.nodes[next].before = before;
        }
        if self.walk == at {
            self.walk = next;
        }
        self.nodes[at].number = 0;
        self.nodes[at].next = self.free;
        self.free = at;
        self.armed -= 1;
        value
    }
}

impl Timers for HashedWheel {
    type Key = (u64, usize);

    fn new() -> Self {
        Self {
            heads: vec![NONE; LISTS],
            nodes: Vec::new(),
            free: NONE,
            armed: 0,
            number: 0,
            tick: 0,
            walk: NONE,
        }
    }

    fn insert(&mut self, deadline: u64, value: Value) -> (u64, usize) {
        self.number += 1;
        // What is late is due in the tick that is walked next.
        let tick = (deadline >> TICK).max(self.tick + 1);
        let next = self.heads[list_of(tick)];
        let node = Node {
            number: self.number,
            tick,
            next,
            before: NONE,
            value,
        };
        let at = match self.free {
            NONE => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
            at => {
                self.free = self.nodes[at].next;
                self.nodes[at] = node;
                at
            }
        };
        if next != NONE {
            self.nodes[next].before = at;
        }
        self.heads[list_of(tick)] = at;
        self.armed += 1;
        (self.number, at)
    }

    fn cancel(&mut self, (number, at): (u64, usize)) -> Option<Value> {
        (self.nodes[at].number == number).then(|| self.unlink(at))
    }

    fn expire_next(&mut self, now: u64) -> Option<Value> {
        loop {
            while self.walk != NONE {
                let at = self.walk;
                let node = self.nodes[at];
                self.walk = node.next;
                if node.tick == self.tick {
                    return Some(self.unlink(at));
                }
            }
            if self.armed == 0 {
                self.tick = self.tick.max(now >> TICK);
            }
            if self.tick >= now >> TICK {
                return None;
            }
            self.tick += 1;
            self.walk = self.heads[list_of(self.tick)];
        }
    }

    fn next_deadline(&mut self) -> Option<u64> {
        if self.armed == 0 {
            return None;
        }
        if self.walk != NONE {
            return Some(self.tick << TICK);
        }
        let mut tick = self.tick + 1;
        while self.heads[list_of(tick)] == NONE {
            tick += 1;
        }
        Some(tick << TICK)
    }
}
