//! Workload 10: what it costs to count together.
//!
//! A thread that shares with nobody needs no protection: this is what tasks and fibers on one thread have. An atomic
//! addition is one locked instruction; a loop of compare-and-swap reads, computes, and tries again if somebody was faster;
//! a mutex does the same once for the lock, and may sleep.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use camshaft_probe::sys;

use crate::experiment::{Axis, Claim, Expectation, Experiment, Model, Outcome, Setting, Subject};
use crate::measure::{Metric, repeat};

/// Additions between two looks at the clock.
const BATCH: u64 = 10_000;

pub(crate) const EXPERIMENTS: &[Experiment] = &[Experiment {
    name: "counters",
    workload: 10,
    title: "Shared counters",
    question: "What does it cost to add one to a counter that others add to as well?",
    operation: "an addition by the measured thread, while the others add without pause",
    axis: Axis {
        label: "threads",
        smoke: &[1, 2],
        quick: &[1, 2],
        full: &[1, 2],
    },
    metric: Metric::Wall,
    also: &[Metric::Cpu],
    expectations: &[
        Expectation {
            text: "A mutex that nobody else wants is two locked instructions instead of one.",
            claim: Claim::Ratio {
                of: "Mutex",
                to: "fetch_add",
                at: Some(1),
                least: 1.5,
                most: 3.0,
                metric: Metric::Wall,
            },
        },
        Expectation {
            text: "Between two cores the cache line travels, and a loop of compare-and-swap loses to fetch_add.",
            claim: Claim::Ratio {
                of: "compare_exchange",
                to: "fetch_add",
                at: Some(2),
                least: 1.2,
                most: 10.0,
                metric: Metric::Wall,
            },
        },
    ],
    control: "fetch_add",
    subjects: &[
        Subject::new("Cell, one thread", Model::Task, cell).up_to(1, "a Cell has no second thread"),
        Subject::new("fetch_add", Model::Thread, |setting| {
            Ok(contend(setting, &AtomicU64::new(0), |counter| {
                counter.fetch_add(1, Ordering::Relaxed);
            }))
        }),
        Subject::new("compare_exchange", Model::Thread, |setting| {
            Ok(contend(setting, &AtomicU64::new(0), add_by_exchange))
        }),
        Subject::new("Mutex", Model::Thread, |setting| {
            Ok(contend(setting, &Mutex::new(0_u64), |counter| {
                *counter
                    .lock()
                    .unwrap_or_else(|poisoned| poisoned.into_inner()) += 1;
            }))
        }),
    ],
}];

fn cell(setting: Setting) -> anyhow::Result<Outcome> {
    let counter = Cell::new(0_u64);
    let sample = repeat(setting, || {
        for _ in 0..BATCH {
            black_box(&counter).set(counter.get() + 1);
        }
        BATCH
    });
    Ok(sample.into())
}

fn add_by_exchange(counter: &AtomicU64) {
    let mut seen = counter.load(Ordering::Relaxed);
    while let Err(now) =
        counter.compare_exchange_weak(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed)
    {
        seen = now;
    }
}

/// Adds on this thread while other threads add too, each on the next core.
fn contend<C: Sync>(setting: Setting, counter: &C, add: impl Fn(&C) + Sync) -> Outcome {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for other in 1..setting.count() {
            let (over, add) = (&over, &add);
            scope.spawn(move || {
                sys::pin((sys::SERVER_CORE + other) % 2);
                while !over.load(Ordering::Relaxed) {
                    add(counter);
                }
            });
        }
        let sample = repeat(setting, || {
            for _ in 0..BATCH {
                add(black_box(counter));
            }
            BATCH
        });
        over.store(true, Ordering::Relaxed);
        sample.into()
    })
}
