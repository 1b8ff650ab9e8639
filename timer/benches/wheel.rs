//! What a timer costs, at a thousand, a hundred thousand and a million live ones.
//!
//! `cargo bench -p camshaft-timer`, or with a filter: `cargo bench -p camshaft-timer -- churn/100000`.
//!
//! | group | one iteration is |
//! |---|---|
//! | `pair` | arm a timer 1…31 s ahead and cancel it, the others standing by: a timeout that was not needed |
//! | `churn` | arm one of the live timers anew, anywhere in the next 60 s; time stands still |
//! | `push` | arm one of the live timers anew, 30 s ahead of a time that passes, and look for due ones: a keep-alive |
//! | `fire` | arm and fire one timer, all within one second, in a loop that looks every 50 µs; at 1000 the idle looks prevail |
//!
//! Beside the wheel stand two floors: `btree`, a plain `BTreeMap` from (deadline, arming) to the value, and `heap`, a binary
//! heap whose cancelled entries stay until they come up. The heap does less than is asked: it keeps the memory of what was
//! cancelled, without bound if nothing expires; in `churn` and `pair` it is swept when half of it is stale.
//!
//! One run, in ns, on a busy guest with two cores (Linux 6.18, AMD EPYC, rustc 1.95); take the ratios from it:
//!
//! | group | live | wheel | btree | heap |
//! |---|---|---|---|---|
//! | `pair` | 1k / 100k / 1M | 25 / 17 / 20 | 115 / 384 / 1036 | 36 / 53 / 57 |
//! | `churn` | 1k / 100k / 1M | 7 / 60 / 186 | 208 / 761 / 2563 | 42 / 46 / 137 |
//! | `push` | 1k / 100k / 1M | 16 / 72 / 281 | 200 / 687 / 1924 | 20 / 42 / 214 |
//! | `fire` | 1k / 100k / 1M | 361 / 220 / 351 | 208 / 273 / 908 | 53 / 130 / 767 |
//!
//! Left out: the clock, wakers (the payload is two words) and the runtime's own work. The choice of random timers is inside
//! the timed part, about 2 ns. Read ratios within one run, not nanoseconds across machines.

use std::{
    collections::{BTreeMap, BinaryHeap},
    hint::black_box,
    time::{Duration, Instant},
};

use camshaft_timer::{Key, Wheel};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const SECOND: u64 = 1_000_000_000;
const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];
type Payload = [usize; 2];

/// What all three queues can do.
trait Queue {
    type Key: Copy;
    fn new() -> Self;
    fn insert(&mut self, deadline: u64, value: Payload) -> Self::Key;
    fn cancel(&mut self, key: Self::Key) -> Option<Payload>;
    fn reset(&mut self, key: &mut Self::Key, deadline: u64);
    fn expire_next(&mut self, now: u64) -> Option<Payload>;
}

impl Queue for Wheel<Payload> {
    type Key = Key;

    fn new() -> Self {
        Self::new(0)
    }

    fn insert(&mut self, deadline: u64, value: Payload) -> Key {
        self.insert(deadline, value)
    }

    fn cancel(&mut self, key: Key) -> Option<Payload> {
        self.cancel(key)
    }

    fn reset(&mut self, key: &mut Key, deadline: u64) {
        self.reset(*key, deadline);
    }

    fn expire_next(&mut self, now: u64) -> Option<Payload> {
        self.expire_next(now)
    }
}

#[derive(Default)]
struct Tree {
    map: BTreeMap<(u64, u64), Payload>,
    armings: u64,
}

impl Queue for Tree {
    type Key = (u64, u64);

    fn new() -> Self {
        Self::default()
    }

    fn insert(&mut self, deadline: u64, value: Payload) -> Self::Key {
        self.armings += 1;
        self.map.insert((deadline, self.armings), value);
        (deadline, self.armings)
    }

    fn cancel(&mut self, key: Self::Key) -> Option<Payload> {
        self.map.remove(&key)
    }

    fn reset(&mut self, key: &mut Self::Key, deadline: u64) {
        if let Some(value) = self.cancel(*key) {
            *key = self.insert(deadline, value);
        }
    }

    fn expire_next(&mut self, now: u64) -> Option<Payload> {
        self.map
            .first_entry()
            .filter(|first| first.key().0 <= now)
            .map(|first| first.remove())
    }
}

/// Entries are (deadline, arming, index), negated by `Reverse`; an entry is live if its timer has the same arming.
#[derive(Default)]
struct LazyHeap {
    heap: BinaryHeap<std::cmp::Reverse<(u64, u64, usize)>>,
    timers: slab::Slab<(u64, Payload)>,
    armings: u64,
}

impl LazyHeap {
    fn push(&mut self, deadline: u64, index: usize) {
        self.heap
            .push(std::cmp::Reverse((deadline, self.armings, index)));
        if self.heap.len() > 64 + 2 * self.timers.len() {
            let timers = &self.timers;
            self.heap.retain(|entry| {
                timers
                    .get(entry.0.2)
                    .is_some_and(|timer| timer.0 == entry.0.1)
            });
        }
    }
}

impl Queue for LazyHeap {
    type Key = usize;

    fn new() -> Self {
        Self::default()
    }

    fn insert(&mut self, deadline: u64, value: Payload) -> usize {
        self.armings += 1;
        let index = self.timers.insert((self.armings, value));
        self.push(deadline, index);
        index
    }

    fn cancel(&mut self, index: usize) -> Option<Payload> {
        self.timers.try_remove(index).map(|timer| timer.1)
    }

    fn reset(&mut self, index: &mut usize, deadline: u64) {
        self.armings += 1;
        self.timers[*index].0 = self.armings;
        self.push(deadline, *index);
    }

    fn expire_next(&mut self, now: u64) -> Option<Payload> {
        while self.heap.peek().is_some_and(|entry| entry.0.0 <= now) {
            let entry = self.heap.pop()?.0;
            if self
                .timers
                .get(entry.2)
                .is_some_and(|timer| timer.0 == entry.1)
            {
                return Some(self.timers.remove(entry.2).1);
            }
        }
        None
    }
}

/// Xorshift: cheap enough to stand in the timed part.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u64::try_from((u128::from(self.0) * u128::from(end)) >> 64).unwrap_or(0)
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }
}

const SEED: u64 = 0x2545_f491_4f6c_dd1d;

/// A queue with its timers, each of which carries its index in `keys`.
struct Filled<Q: Queue> {
    queue: Q,
    keys: Vec<Q::Key>,
    random: Random,
    now: u64,
}

impl<Q: Queue> Filled<Q> {
    fn new(live: usize) -> Self {
        let mut random = Random(SEED);
        let mut queue = Q::new();
        let keys = (0..live)
            .map(|index| queue.insert(1 + random.below(60 * SECOND), [index, 0]))
            .collect();
        Self {
            queue,
            keys,
            random,
            now: 0,
        }
    }
}

fn pair<Q: Queue>(filled: &mut Filled<Q>) {
    let key = filled
        .queue
        .insert(SECOND + filled.random.below(30 * SECOND), [0, 0]);
    black_box(filled.queue.cancel(black_box(key)));
}

fn churn<Q: Queue>(filled: &mut Filled<Q>) {
    let index = filled.random.index(filled.keys.len());
    filled
        .queue
        .reset(&mut filled.keys[index], filled.random.below(60 * SECOND));
}

fn push<Q: Queue>(filled: &mut Filled<Q>) {
    let Filled {
        queue,
        keys,
        random,
        now,
    } = filled;
    // Every timer is armed anew 20 times, on the average, before it would fire.
    *now += 30 * SECOND / (keys.len() as u64 * 20);
    let index = random.index(keys.len());
    queue.reset(&mut keys[index], *now + 30 * SECOND);
    if let Some(value) = queue.expire_next(*now) {
        keys[value[0]] = queue.insert(*now + 30 * SECOND, value);
    }
}

fn fire<Q: Queue>(live: usize, iterations: u64) -> Duration {
    let mut total = Duration::ZERO;
    let mut done = 0;
    while done < iterations {
        let mut random = Random(SEED);
        let mut queue = Q::new();
        let begin = Instant::now();
        for _ in 0..live {
            queue.insert(random.below(SECOND), [0, 0]);
        }
        // A loop that wakes every 50 µs.
        for now in (0..=SECOND).step_by(50_000) {
            while let Some(value) = queue.expire_next(now) {
                black_box(value);
            }
        }
        total += begin.elapsed();
        done += live as u64;
    }
    total.mul_f64(iterations as f64 / done as f64)
}

fn steady<Q: Queue>(criterion: &mut Criterion, name: &str, queue: &str, work: fn(&mut Filled<Q>)) {
    for live in SIZES {
        let mut filled = Filled::<Q>::new(live);
        // To the state that it stays in.
        for _ in 0..2 * live {
            work(&mut filled);
        }
        let mut group = criterion.benchmark_group(name);
        group.bench_function(BenchmarkId::new(queue, live), |bencher| {
            bencher.iter(|| work(&mut filled));
        });
    }
}

fn all<Q: Queue>(criterion: &mut Criterion, queue: &str) {
    steady::<Q>(criterion, "pair", queue, pair);
    steady::<Q>(criterion, "churn", queue, churn);
    steady::<Q>(criterion, "push", queue, push);
    for live in SIZES {
        let mut group = criterion.benchmark_group("fire");
        group.bench_function(BenchmarkId::new(queue, live), |bencher| {
            bencher.iter_custom(|iterations| fire::<Q>(live, iterations));
        });
    }
}

fn wheel(criterion: &mut Criterion) {
    all::<Wheel<Payload>>(criterion, "wheel");
    all::<Tree>(criterion, "btree");
    all::<LazyHeap>(criterion, "heap");
}

fn short() -> Criterion {
    let criterion = Criterion::default().sample_size(10);
    criterion
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
}

criterion_group! {
    name = benches;
    config = short();
    targets = wheel
}
criterion_main!(benches);
