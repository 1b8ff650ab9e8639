//! Long random histories against the simplest timer queue there is: a `BTreeMap` from (deadline, arming) to the value.
//!
//! A failure prints the seed; `CAMSHAFT_SEED=<seed> cargo test -p camshaft-timer --test oracle` replays it.

use std::collections::BTreeMap;

use camshaft_timer::{Key, NEVER, Wheel};
use proptest::{collection::vec, prelude::*};

const TICK: u64 = 1 << 20;
const BUCKET: u64 = 1 << 30;

/// SplitMix64: the same seed, the same history.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

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

    fn seed(default: u64) -> u64 {
        let seed = std::env::var("CAMSHAFT_SEED").ok();
        seed.map_or(default, |seed| {
            seed.parse().expect("CAMSHAFT_SEED is a u64")
        })
    }
}

#[derive(Clone, Debug)]
enum Step {
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
struct Pair {
    wheel: Wheel<usize>,
    /// The truth: values in firing order.
    queue: BTreeMap<(u64, u64), usize>,
    /// For every timer ever armed its key and, while it is live, where the oracle has it.
    timers: Vec<(Key, Option<(u64, u64)>)>,
    /// What a value that was exchanged has become: value to number in `timers`.
    owners: Vec<usize>,
    armings: u64,
    now: u64,
}

impl Pair {
    fn new(start: u64) -> Self {
        Self {
            wheel: Wheel::new(start),
            queue: BTreeMap::new(),
            timers: Vec::new(),
            owners: Vec::new(),
            armings: 0,
            now: start,
        }
    }

    fn step(&mut self, step: &Step) {
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

    fn finish(&mut self) {
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

/// Prints the seed if the test does not come to its end.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with CAMSHAFT_SEED={}", self.0);
        }
    }
}

fn random_step(random: &mut Random, pair: &Pair) -> Step {
    // Mostly young timers, which are live; now and then any, most of which are gone.
    let known = pair.timers.len().max(1);
    let back = match random.below(4) {
        0 => random.index(known),
        _ => random.index(known.min(64)),
    };
    let number = known - 1 - back;
    let time = random.time(pair.now);
    match random.below(20) {
        0..8 => Step::Insert(time),
        8..11 => Step::Cancel(number),
        11..15 => Step::Reset(number, time),
        15 => Step::Exchange(number),
        16 => Step::Follow,
        17 => Step::Advance(
            pair.now.saturating_add(random.span(38)),
            1 << random.below(8),
        ),
        // A jump to the end of time would end the history.
        _ => Step::Advance(time.min(pair.now.saturating_add(4 * BUCKET)), usize::MAX),
    }
}

#[test]
fn long_random_histories_agree_with_the_oracle() {
    for round in 0..100 {
        let seed = Random::seed(round);
        let _replay = Replay(seed);
        let mut random = Random(seed);
        let starts = [
            0,
            TICK - 1,
            1 << 50,
            random.next() >> 2,
            u64::MAX - (1 << 44),
        ];
        let mut pair = Pair::new(starts[random.index(starts.len())]);
        for _ in 0..5_000 {
            let step = random_step(&mut random, &pair);
            pair.step(&step);
        }
        pair.finish();
    }
}

#[test]
fn a_million_timers_agree_with_the_oracle() {
    let seed = Random::seed(20_260_101);
    let _replay = Replay(seed);
    let mut random = Random(seed);
    let mut pair = Pair::new(BUCKET - 7);
    for _ in 0..1_000_000 {
        pair.step(&Step::Insert(random.time(BUCKET)));
    }
    for _ in 0..300_000 {
        let step = match random.below(8) {
            0 => Step::Advance(pair.now + random.below(TICK), usize::MAX),
            1 => Step::Cancel(random.index(1_000_000)),
            2 => Step::Insert(random.time(pair.now)),
            _ => Step::Reset(random.index(1_000_000), random.time(pair.now)),
        };
        pair.step(&step);
    }
    for magnitude in 21..60 {
        pair.step(&Step::Advance(
            pair.now.saturating_add(1 << magnitude),
            usize::MAX,
        ));
    }
    pair.finish();
}

fn any_time() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..8u64,
        (0..2050u64, 0..3u64).prop_map(|(tick, off)| (tick * TICK + off).saturating_sub(1)),
        (0..6u64, 0..3u64).prop_map(|(bucket, off)| (bucket * BUCKET + off).saturating_sub(1)),
        0..8 * BUCKET,
        (0..3u64).prop_map(|off| NEVER - off),
        any::<u64>(),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let limit = prop_oneof![0..4usize, Just(usize::MAX)];
    prop_oneof![
        4 => any_time().prop_map(Step::Insert),
        2 => (0..40usize).prop_map(Step::Cancel),
        3 => (0..40usize, any_time()).prop_map(|(number, deadline)| Step::Reset(number, deadline)),
        1 => (0..40usize).prop_map(Step::Exchange),
        3 => (any_time(), limit).prop_map(|(now, limit)| Step::Advance(now, limit)),
        1 => Just(Step::Follow),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Short histories, which shrink to something that a person can follow. Time runs backwards in some.
    #[test]
    fn short_histories_agree_with_the_oracle(start in any_time(), steps in vec(any_step(), 0..60)) {
        let mut pair = Pair::new(start);
        for step in &steps {
            pair.step(step);
        }
        pair.finish();
    }
}
