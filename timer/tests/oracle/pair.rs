//! A wheel and its oracle, the steps that both take, and where steps come from: numbers, random or decoded from bytes.
//!
//! The fuzz target `timer_wheel` includes this file.

use std::collections::BTreeMap;

use camshaft_timer::{Key, NEVER, Wheel};

pub(crate) const TICK: u64 = 1 << 20;
pub(crate) const BUCKET: u64 = 1 << 30;

/// Where decisions come from.
pub(crate) trait Numbers {
    fn next(&mut self) -> u64;

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("less than a usize")
    }

    /// A time around `now`, of every magnitude, often on a border of the mechanism.
    fn time(&mut self, now: u64) -> u64 {
        match self.below(16) {
            0 => NEVER,
            1 => now,
            2 => now.saturating_sub(self.below(3 * BUCKET)),
            3 => self.next(),
            4 => NEVER - self.below(3),
            5..8 => {
                let border = [TICK, 64 * TICK, BUCKET][self.index(3)];
                let aligned = (now & !(border - 1)).saturating_add(border * self.below(4));
                aligned.saturating_add(self.below(3)).saturating_sub(1)
            }
            // Few values, so that many are equal.
            8 | 9 => now.saturating_add(self.below(4)),
            10 => (now & !(TICK - 1)).saturating_add(TICK + self.below(4)),
            _ => now.saturating_add(self.span(42)),
        }
    }

    /// A length of every magnitude below 2^`magnitudes`.
    fn span(&mut self, magnitudes: u64) -> u64 {
        let magnitude = self.below(magnitudes);
        self.below(1 << magnitude)
    }

    /// Mostly about young timers, which are live; now and then about any, most of which are gone.
    fn step(&mut self, pair: &Pair) -> Step {
        let known = pair.timers.len().max(1);
        let back = match self.below(4) {
            0 => self.index(known),
            _ => self.index(known.min(64)),
        };
        let number = known - 1 - back;
        let time = self.time(pair.now);
        match self.below(20) {
            0..8 => Step::Insert(time),
            8..11 => Step::Cancel(number),
            11..15 => Step::Reset(number, time),
            15 => Step::Exchange(number),
            16 => Step::Follow,
            17 => Step::Advance(pair.now.saturating_add(self.span(38)), 1 << self.below(8)),
            // A jump to the end of time would end the history.
            _ => Step::Advance(time.min(pair.now.saturating_add(4 * BUCKET)), usize::MAX),
        }
    }
}

/// The numbers that bytes hold, as few of them for each as it needs. Zeroes when they are used up.
#[derive(Debug)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl Bytes<'_> {
    fn take(&mut self, count: usize) -> u64 {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

impl Numbers for Bytes<'_> {
    fn next(&mut self) -> u64 {
        self.take(8)
    }

    fn below(&mut self, end: u64) -> u64 {
        let count = (u64::BITS - (end - 1).leading_zeros()).div_ceil(8) as usize;
        self.take(count) % end
    }
}

/// Runs the history that the bytes hold.
pub(crate) fn history(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let start = bytes.time(BUCKET);
    let mut pair = Pair::new(start);
    while !bytes.0.is_empty() {
        let step = bytes.step(&pair);
        pair.step(&step);
    }
    pair.finish();
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Insert(u64),
    /// The timer is named by its number; it may be gone.
    Cancel(usize),
    Reset(usize, u64),
    Exchange(usize),
    /// Goes to a time and fires at most so many timers.
    Advance(u64, usize),
    /// Goes where the wheel says that something may be due.
    Follow,
}

/// A wheel and its oracle, always in the same state.
pub(crate) struct Pair {
    wheel: Wheel<usize>,
    /// The truth: values in firing order.
    queue: BTreeMap<(u64, u64), usize>,
    /// For every timer ever armed its key and, while it is live, where the oracle has it.
    timers: Vec<(Key, Option<(u64, u64)>)>,
    /// What a value that was exchanged has become: value to number in `timers`.
    owners: Vec<usize>,
    armings: u64,
    pub(crate) now: u64,
}

impl Pair {
    pub(crate) fn new(start: u64) -> Self {
        Self {
            wheel: Wheel::new(start),
            queue: BTreeMap::new(),
            timers: Vec::new(),
            owners: Vec::new(),
            armings: 0,
            now: start,
        }
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match *step {
            Step::Insert(deadline) => self.insert(deadline),
            Step::Cancel(number) => self.cancel(number),
            Step::Reset(number, deadline) => self.reset(number, deadline),
            Step::Exchange(number) => self.exchange(number),
            Step::Advance(now, limit) => self.advance(now, limit),
            Step::Follow => self.follow(),
        }
        assert_eq!(self.wheel.len(), self.queue.len());
        let bound = self.wheel.next_deadline();
        let first = self.first();
        assert!(
            first.is_none_or(|first| bound.is_some_and(|bound| bound <= first)),
            "{bound:?} is after {first:?}"
        );
    }

    /// The earliest deadline that will ever come.
    fn first(&self) -> Option<u64> {
        let (&(deadline, _), _) = self.queue.first_key_value()?;
        (deadline != NEVER).then_some(deadline)
    }

    fn place(&mut self, deadline: u64) -> (u64, u64) {
        self.armings += 1;
        (deadline, self.armings)
    }

    fn insert(&mut self, deadline: u64) {
        let value = self.owners.len();
        self.owners.push(self.timers.len());
        let key = self.wheel.insert(deadline, value);
        let place = self.place(deadline);
        self.queue.insert(place, value);
        self.timers.push((key, Some(place)));
    }

    fn cancel(&mut self, number: usize) {
        let Some((key, place)) = self.timers.get_mut(number) else {
            return;
        };
        let expected = place.take().and_then(|place| self.queue.remove(&place));
        assert_eq!(self.wheel.cancel(*key), expected);
    }

    fn reset(&mut self, number: usize, deadline: u64) {
        let new = self.place(deadline);
        let Some((key, place)) = self.timers.get_mut(number) else {
            return;
        };
        assert_eq!(self.wheel.reset(*key, deadline), place.is_some());
        assert_eq!(self.wheel.deadline(*key), place.map(|_| deadline));
        if let Some(old) = place {
            let value = self.queue.remove(old).expect("the oracle knows its timers");
            self.queue.insert(new, value);
            *old = new;
        }
    }

    fn exchange(&mut self, number: usize) {
        let Some((key, place)) = self.timers.get(number) else {
            return;
        };
        let expected = place.and_then(|place| self.queue.get_mut(&place));
        let found = self.wheel.get_mut(*key);
        assert_eq!(found.as_deref(), expected.as_deref());
        if let (Some(found), Some(expected)) = (found, expected) {
            let value = self.owners.len();
            self.owners.push(number);
            (*found, *expected) = (value, value);
        }
    }

    fn advance(&mut self, now: u64, limit: usize) {
        for _ in 0..limit {
            let due = self
                .queue
                .first_entry()
                .filter(|first| first.key().0 <= now && first.key().0 != NEVER);
            let expected = due.map(|first| first.remove());
            assert_eq!(self.wheel.expire_next(now), expected, "at {now}");
            let Some(value) = expected else { break };
            self.timers[self.owners[value]].1 = None;
        }
        self.now = self.now.max(now);
    }

    /// Sleeps from bound to bound; each must either fire something or be gone.
    fn follow(&mut self) {
        if let Some(bound) = self.wheel.next_deadline() {
            self.advance(bound, usize::MAX);
            assert!(
                self.wheel.next_deadline().is_none_or(|next| next > bound),
                "no progress at {bound}"
            );
            self.now = self.now.max(bound);
        }
    }

    pub(crate) fn finish(&mut self) {
        let mut stops = 0;
        while let Some(bound) = self.wheel.next_deadline() {
            self.step(&Step::Advance(bound, usize::MAX));
            stops += 1;
            assert!(
                stops <= 2 * self.timers.len() + 2 * stops_of(self.armings),
                "a bound per arming at most"
            );
        }
        assert!(
            self.first().is_none(),
            "something is left that will never fire"
        );
        self.step(&Step::Advance(u64::MAX, usize::MAX));
        let mut held: Vec<_> = self.wheel.drain().collect();
        let mut expected: Vec<_> = self.queue.values().copied().collect();
        held.sort_unstable();
        expected.sort_unstable();
        assert_eq!(held, expected, "only those for never are left");
    }
}

fn stops_of(armings: u64) -> usize {
    usize::try_from(armings).expect("fits")
}
