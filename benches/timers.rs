//! Sleeps: created and cancelled, fired, and the wheel alone with as many timers as before at any time.
//!
//! | line | what one iteration is |
//! |---|---|
//! | `churn/camshaft/N` | a `sleep` created, polled once and dropped, while N others sleep: what a timeout that is not hit costs |
//! | `churn/floor/N` | an insert into and a remove from a `BTreeMap` of N |
//! | `fire/camshaft/N` | one of N sleeping tasks woken by its deadline, polled and ended |
//! | `fire/floor/N` | one of N entries popped from a `BTreeMap` |
//! | `expire/wheel/N` | the bare wheel: the earliest of N timers fires and is armed again, 1 to 31 s later |
//! | `expire/floor/N` | the same with a `BTreeMap` |
//!
//! N is 1000, 100,000 and 1,000,000. Left out: arming what is there before, and waiting for real time: `fire` begins when all
//! deadlines have passed. The floors know no tasks and no wakers.

mod common;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use camshaft::runtime::Builder;
use camshaft::task::yield_now;
use camshaft::time::{self, sleep, sleep_until};
use camshaft_timer::Wheel;
use common::Random;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const LIVE: [u32; 3] = [1000, 100_000, 1_000_000];
/// Leaf futures polled in one poll of a task; after more, the runtime lets the other tasks have their turn.
const BURST: u64 = 64;
const SECOND: u64 = 1_000_000_000;

/// A moment 1 to 31 seconds after `now`.
fn later(random: &mut Random, now: u64) -> u64 {
    now + SECOND + random.below(30 * SECOND)
}

fn poll_once(future: impl Future<Output = ()>) {
    let _ = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
}

fn churn(c: &mut Criterion) {
    let mut group = common::group(c, "timers/churn");
    for live in LIVE {
        let mut random = Random::new();
        group.bench_function(BenchmarkId::new("camshaft", live), |b| {
            let runtime = Builder::new().build().expect("io_uring is available");
            for _ in 0..live {
                // An hour more, so that none of these fires meanwhile.
                let span = Duration::from_nanos(3600 * SECOND + later(&mut random, 0));
                drop(runtime.spawn(sleep(span)));
            }
            runtime.block_on(yield_now());
            b.iter_custom(|iterations| {
                runtime.block_on(async {
                    let start = Instant::now();
                    for done in 0..iterations {
                        poll_once(sleep(Duration::from_nanos(later(&mut random, 0))));
                        if done % BURST == 0 {
                            yield_now().await;
                        }
                    }
                    start.elapsed()
                })
            });
        });
        group.bench_function(BenchmarkId::new("floor", live), |b| {
            let mut map: BTreeMap<(u64, u64), Waker> = (0..u64::from(live))
                .map(|id| ((later(&mut random, 0), id), Waker::noop().clone()))
                .collect();
            b.iter(|| {
                let key = (later(&mut random, 0), u64::MAX);
                map.insert(key, Waker::noop().clone());
                map.remove(&key)
            });
        });
    }
    group.finish();
}

fn fire(c: &mut Criterion) {
    let mut group = common::group(c, "timers/fire");
    for live in LIVE {
        group.bench_function(BenchmarkId::new("camshaft", live), |b| {
            b.iter_custom(|iterations| {
                let batches = iterations.div_ceil(live.into());
                let elapsed: Duration = (0..batches).map(|_| fire_all(live)).sum();
                elapsed.mul_f64(iterations as f64 / (batches * u64::from(live)) as f64)
            });
        });
        group.bench_function(BenchmarkId::new("floor", live), |b| {
            let mut random = Random::new();
            let fresh = |random: &mut Random| -> BTreeMap<(u64, u64), Waker> {
                (0..u64::from(live))
                    .map(|id| ((random.below(SECOND), id), Waker::noop().clone()))
                    .collect()
            };
            b.iter_custom(|iterations| {
                let mut elapsed = Duration::ZERO;
                let mut left = iterations;
                while left > 0 {
                    let mut map = fresh(&mut random);
                    let batch = left.min(live.into());
                    left -= batch;
                    let start = Instant::now();
                    for _ in 0..batch {
                        black_box(map.pop_first());
                    }
                    elapsed += start.elapsed();
                }
                elapsed
            });
        });
    }
    group.finish();
}

/// How long it takes to run `count` tasks whose sleeps, spread over 50 ms, are all over.
fn fire_all(count: u32) -> Duration {
    let runtime = Builder::new().build().expect("io_uring is available");
    let mut random = Random::new();
    let awake = Rc::new(Cell::new(0));
    // Long enough to spawn and arm them all.
    let first = time::Instant::now() + Duration::from_micros(1000 + u64::from(count));
    for _ in 0..count {
        let deadline = first + Duration::from_nanos(random.below(SECOND / 20));
        let awake = awake.clone();
        drop(runtime.spawn(async move {
            sleep_until(deadline).await;
            awake.set(awake.get() + 1);
        }));
    }
    runtime.block_on(async {
        yield_now().await;
        let before = awake.get();
        let last = first + Duration::from_millis(50);
        std::thread::sleep(last.duration_since(time::Instant::now()));
        let start = Instant::now();
        while awake.get() < count {
            yield_now().await;
        }
        let fired = f64::from((count - before).max(1));
        start.elapsed().mul_f64(f64::from(count) / fired)
    })
}

fn expire(c: &mut Criterion) {
    let mut group = common::group(c, "timers/expire");
    for live in LIVE {
        group.bench_function(BenchmarkId::new("wheel", live), |b| {
            let mut random = Random::new();
            let mut wheel: Wheel<[usize; 2]> = Wheel::new(0);
            for _ in 0..live {
                wheel.insert(later(&mut random, 0), [0; 2]);
            }
            let mut now = 0;
            b.iter(|| {
                let waker = loop {
                    if let Some(waker) = wheel.expire_next(now) {
                        break waker;
                    }
                    now = wheel.next_deadline().expect("as many as before are armed");
                };
                wheel.insert(later(&mut random, now), waker);
            });
        });
        group.bench_function(BenchmarkId::new("floor", live), |b| {
            let mut random = Random::new();
            let mut map: BTreeMap<(u64, u64), [usize; 2]> = (0..u64::from(live))
                .map(|id| ((later(&mut random, 0), id), [0; 2]))
                .collect();
            b.iter(|| {
                let ((now, id), waker) = map.pop_first().expect("as many as before are armed");
                map.insert((later(&mut random, now), id), waker);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, churn, fire, expire);
criterion_main!(benches);
