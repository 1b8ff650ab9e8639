//! The structures that hold timers, alone: no clock, no tasks, no wakers.

use std::hint::black_box;
use std::process;

use camshaft_probe::sys;
use camshaft_timer::Wheel;

use super::SECOND;
use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Setting, Subject};
use crate::measure::{Metric, repeat};
use crate::models::timers::{HashedWheel, IndexedHeap, LazyHeap, RedBlack, Timers, Tree, Value};
use crate::random::Random;

/// Operations between two looks at the clock.
const BATCH: u64 = 64;

const AXIS: Axis = Axis {
    label: "timers",
    smoke: &[10_000],
    quick: &[10_000, 100_000],
    full: &[1000, 10_000, 100_000, 1_000_000],
};

pub(super) const CANCEL: Experiment = Experiment {
    name: "timer_cancel",
    workload: 12,
    title: "Timers: armed and cancelled",
    question: "What does a timeout cost that is not hit, by the structure that holds it?",
    operation: "a timer armed 10 s to 70 s ahead among as many others, and cancelled",
    axis: AXIS,
    metric: Metric::Cpu,
    also: &[Metric::Wall, Metric::Resident],
    expectations: &[
        Expectation::ratio(
            "A wheel touches a slot and a node, a tree walks down twice from its root.",
            Metric::Cpu,
            "BTreeMap",
            "our wheel",
            Some(1_000_000),
            (3.0, 15.0),
        ),
        Expectation::ratio(
            "A B-tree has fewer cache lines on its way down than a red-black tree.",
            Metric::Cpu,
            "red-black tree",
            "BTreeMap",
            Some(1_000_000),
            (1.2, 3.0),
        ),
        Expectation::ratio(
            "The hashed wheel is as simple as it gets.",
            Metric::Cpu,
            "hashed wheel",
            "our wheel",
            None,
            (0.4, 1.1),
        ),
        Expectation::ratio(
            "A heap only sifts up a little for a late deadline, and forgets what is cancelled: near the wheels.",
            Metric::Cpu,
            "binary heap, lazy",
            "our wheel",
            None,
            (0.8, 3.0),
        ),
    ],
    control: "our wheel",
    subjects: &[
        Subject::new("our wheel", Model::Machine, cancel::<Wheel<Value>>),
        Subject::new("BTreeMap", Model::Floor, cancel::<Tree>),
        Subject::new("red-black tree", Model::Historic, cancel::<RedBlack>),
        Subject::new("binary heap, lazy", Model::Historic, cancel::<LazyHeap>),
        Subject::new(
            "binary heap, indexed",
            Model::Historic,
            cancel::<IndexedHeap>,
        ),
        Subject::new("hashed wheel", Model::Historic, cancel::<HashedWheel>),
    ],
};

pub(super) const FIRE: Experiment = Experiment {
    name: "timer_fire",
    workload: 12,
    title: "Timers: fired",
    question: "What does a timer cost that fires, by the structure that holds it?",
    operation: "the earliest of the timers fires, and is armed again 1 s to 31 s later",
    axis: AXIS,
    metric: Metric::Cpu,
    also: &[Metric::Wall],
    expectations: &[
        Expectation::ratio(
            "Our wheel orders only the timers of one tick, but moves each from far to near once.",
            Metric::Cpu,
            "BTreeMap",
            "our wheel",
            Some(1_000_000),
            (1.5, 8.0),
        ),
        Expectation::ratio(
            "With few timers, a tree that fits the cache is as good.",
            Metric::Cpu,
            "BTreeMap",
            "our wheel",
            Some(1000),
            (0.5, 1.5),
        ),
        Expectation::ratio(
            "With few timers, the hashed wheel looks at empty ticks most of the time.",
            Metric::Cpu,
            "hashed wheel",
            "our wheel",
            Some(1000),
            (1.2, 5.0),
        ),
        Expectation::ratio(
            "Taking the first out of a heap is its worst case: it sinks to the bottom.",
            Metric::Cpu,
            "binary heap, lazy",
            "our wheel",
            Some(1_000_000),
            (1.5, 8.0),
        ),
    ],
    control: "our wheel",
    subjects: &[
        Subject::new("our wheel", Model::Machine, fire::<Wheel<Value>>),
        Subject::new("BTreeMap", Model::Floor, fire::<Tree>),
        Subject::new("red-black tree", Model::Historic, fire::<RedBlack>),
        Subject::new("binary heap, lazy", Model::Historic, fire::<LazyHeap>),
        Subject::new("binary heap, indexed", Model::Historic, fire::<IndexedHeap>),
        Subject::new("hashed wheel", Model::Historic, fire::<HashedWheel>),
    ],
};

fn cancel<T: Timers>(setting: Setting) -> anyhow::Result<Outcome> {
    let mut random = Random::new(0);
    let mut some_time = || 10 * SECOND + random.below(60 * SECOND);
    let before = sys::resident_bytes(process::id())?;
    let mut timers = T::new();
    for id in 0..setting.at {
        timers.insert(some_time(), [id; 2]);
    }
    let memory = sys::resident_bytes(process::id())?.saturating_sub(before);
    let sample = repeat(setting, || {
        for id in 0..BATCH {
            let key = timers.insert(some_time(), [id; 2]);
            black_box(timers.cancel(key));
        }
        BATCH
    });
    let each = memory as f64 / setting.at as f64;
    Ok(sample.with(Metric::Resident, each).into())
}

fn fire<T: Timers>(setting: Setting) -> anyhow::Result<Outcome> {
    let mut random = Random::new(0);
    let mut timers = T::new();
    for id in 0..setting.at {
        timers.insert(SECOND + random.below(30 * SECOND), [id; 2]);
    }
    let mut now = 0;
    let sample = repeat(setting, || {
        for _ in 0..BATCH {
            let value = loop {
                if let Some(value) = timers.expire_next(now) {
                    break value;
                }
                now = timers.next_deadline().expect("as many as before are armed");
            };
            timers.insert(now + SECOND + random.below(30 * SECOND), value);
        }
        BATCH
    });
    Ok(sample.into())
}
