//! What a timer costs, at a thousand, a hundred thousand and a million live ones.
//!
//! `cargo bench -p camshaft-timer`, or with a filter: `cargo bench -p camshaft-timer -- churn/100000`.
//!
//! | group | one iteration is |
//! |---|---|
//! | `pair` | arm a timer 1…31 s ahead and cancel it, the others standing by: a timeout that was not needed |
//! | `churn` | arm one of the live timers anew, anywhere in the next 60 s: half of them later, half earlier |
//! | `push` | arm one of the live timers anew, always 30 s ahead of a time that passes: a keep-alive |
//! | `fire` | arm and fire one timer, deadlines within one second, all of them live before the first fires |
//!
//! Beside the wheel stand two floors: `btree`, a plain `BTreeMap` from (deadline, arming) to the value, and `heap`, a binary
//! heap whose cancelled entries stay until they come up. The heap does less than is asked: it keeps the memory of what was
//! cancelled, without bound if nothing expires; in `churn` and `pair` it is swept when half of it is stale.
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
const PAYLOAD: Payload = [1, 2];

/// What all three queues can do.
trait Queue {
    type Key: Copy;
    fn new() -> Self;
    fn insert(&mut self, deadline: u64) -> Self::Key;
    fn cancel(&mut self, key: Self::Key) -> Option<Payload>;
    fn reset(&mut self, key: &mut Self::Key, deadline: u64);
    fn expire_next(&mut self, now: u64) -> Option<Payload>;
}

impl Queue for Wheel<Payload> {
    type Key = Key;

    fn new() -> Self {
        Self::new(0)
    }

    fn insert(&mut self, deadline: u64) -> Key {
        self.insert(deadline, PAYLOAD)
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

    fn insert(&mut self, deadline: u64) -> Self::Key {
        self.armings += 1;
        self.map.insert((deadline, self.armings), PAYLOAD);
        (deadline, self.armings)
    }

    fn cancel(&mut self, key: Self::Key) -> Option<Payload> {
        self.map.remove(&key)
    }

    fn reset(&mut self, key: &mut Self::Key, deadline: u64) {
        self.cancel(*key);
        *key = self.insert(deadline);
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

    fn insert(&mut self, deadline: u64) -> usize {
        self.armings += 1;
        let index = self.timers.insert((self.armings, PAYLOAD));
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

fn fill<Q: Queue>(live: usize, span: u64) -> (Q, Vec<Q::Key>, Random) {
    let mut random = Random(SEED);
    let mut queue = Q::new();
    let keys = (0..live)
        .map(|_| queue.insert(1 + random.below(span)))
        .collect();
    (queue, keys, random)
}

fn pair<Q: Queue>(live: usize, iterations: u64) -> Duration {
    let (mut queue, _keys, mut random) = fill::<Q>(live, 60 * SECOND);
    let begin = Instant::now();
    for _ in 0..iterations {
        let key = queue.insert(SECOND + random.below(30 * SECOND));
        black_box(queue.cancel(black_box(key)));
    }
    begin.elapsed()
}

fn churn<Q: Queue>(live: usize, iterations: u64) -> Duration {
    let (mut queue, mut keys, mut random) = fill::<Q>(live, 60 * SECOND);
    let begin = Instant::now();
    for _ in 0..iterations {
        let index = random.index(live);
        queue.reset(&mut keys[index], random.below(60 * SECOND));
    }
    begin.elapsed()
}

fn push<Q: Queue>(live: usize, iterations: u64) -> Duration {
    let (mut queue, mut keys, mut random) = fill::<Q>(live, 60 * SECOND);
    // Slow enough that hardly any timer goes without a re-arm for 30 s.
    let step = 30 * SECOND / (live as u64 * 20);
    let mut now = 0;
    let mut fired = 0_u64;
    let begin = Instant::now();
    for _ in 0..iterations {
        now += step;
        let index = random.index(live);
        // A timer that fired in spite of it stays away; the others carry on.
        if fired == 0 {
            queue.reset(&mut keys[index], now + 60 * SECOND);
        }
        fired += u64::from(queue.expire_next(now.saturating_sub(60 * SECOND)).is_some());
    }
    begin.elapsed()
}

fn fire<Q: Queue>(live: usize, iterations: u64) -> Duration {
    let mut total = Duration::ZERO;
    let mut done = 0;
    while done < iterations {
        let mut random = Random(SEED);
        let mut queue = Q::new();
        let begin = Instant::now();
        for _ in 0..live {
            queue.insert(random.below(SECOND));
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

type Run = fn(usize, u64) -> Duration;

fn wheel(criterion: &mut Criterion) {
    let groups: [(&str, [Run; 3]); 4] = [
        (
            "pair",
            [pair::<Wheel<Payload>>, pair::<Tree>, pair::<LazyHeap>],
        ),
        (
            "churn",
            [churn::<Wheel<Payload>>, churn::<Tree>, churn::<LazyHeap>],
        ),
        (
            "push",
            [push::<Wheel<Payload>>, push::<Tree>, push::<LazyHeap>],
        ),
        (
            "fire",
            [fire::<Wheel<Payload>>, fire::<Tree>, fire::<LazyHeap>],
        ),
    ];
    for (name, runs) in groups {
        let mut group = criterion.benchmark_group(name);
        group
            .sample_size(10)
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_secs(1));
        for live in SIZES {
            for (queue, run) in ["wheel", "btree", "heap"].into_iter().zip(runs) {
                group.bench_with_input(BenchmarkId::new(queue, live), &live, |bencher, &live| {
                    bencher.iter_custom(|iterations| run(live, iterations));
                });
            }
        }
    }
}

criterion_group!(benches, wheel);
criterion_main!(benches);
