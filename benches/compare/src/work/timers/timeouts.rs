//! Timeouts of whole runtimes: a sleep that is begun, and dropped because something else came first.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::SECOND;
use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Setting, Subject};
use crate::langs::{self, Cores};
use crate::measure::{Meter, Metric, Sample};
use crate::models::native;
use crate::models::written::{fiber as on_fibers, in_models, native as on_native};
use crate::peers::{self, Camshaft, Runtime, with_peers};
use crate::random::Random;

/// Operations between two looks at the clock, and the longest that others wait for their turn.
const BATCH: u64 = 64;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "timeouts",
    workload: 12,
    title: "Timers: timeouts of whole runtimes",
    question: "What does a timeout cost that is not hit, from end to end, while many others wait?",
    operation: "a sleep of 10 s to 70 s begun and dropped",
    axis: Axis {
        label: "others asleep",
        smoke: &[1000],
        quick: &[1000, 1_000_000],
        full: &[1000, 10_000, 100_000, 1_000_000],
    },
    metric: Metric::Cpu,
    also: &[Metric::Wall, Metric::Allocations],
    expectations: &[
        Expectation::ratio(
            "Tasks and fibers await the same sleep, and neither is suspended.",
            Metric::Cpu,
            "fibers",
            "tasks",
            None,
            (0.9, 1.15),
        ),
        Expectation::ratio(
            "A wheel does not care for how many others wait, up to cache misses.",
            Metric::Cpu,
            "native fibers, tree",
            "tasks",
            Some(1000),
            (1.5, 6.0),
        ),
        Expectation::ratio(
            "Go keeps its timers in a heap, and marks what is stopped.",
            Metric::Cpu,
            "Go, one core",
            "tasks",
            Some(1_000_000),
            (2.0, 15.0),
        ),
    ],
    control: "tasks",
    subjects: with_peers![tasks;
        Subject::new("tasks", Model::Task, tasks::<Camshaft>),
        Subject::new("fibers", Model::Fiber, |setting| {
            on_fibers::run(move || fiber::timeouts(setting))
        }),
        Subject::new("native fibers, tree", Model::Native, |setting| {
            on_native::run(move || native_timeouts(setting))
        })
        .up_to(100_000, "there, each of the others is a fiber that sleeps"),
        Subject::new("Go, one core", Model::Language, |setting| {
            langs::go("timeouts", setting, Cores::One)
        }),
    ],
};

fn tasks<R: Runtime>(setting: Setting) -> anyhow::Result<Outcome> {
    peers::run::<R, _>(task::timeouts::<R>(setting))
}

/// Longer than any measurement.
fn some_time(random: &mut Random) -> Duration {
    Duration::from_nanos(10 * SECOND + random.below(60 * SECOND))
}

/// Begins a sleep and drops it.
async fn begin(sleep: impl Future<Output = ()>) {
    let mut sleep = pin!(sleep);
    poll_fn(|cx| {
        assert!(sleep.as_mut().poll(cx).is_pending(), "it is long");
        Poll::Ready(())
    })
    .await;
}

in_models! { [task, fiber] {
    /// Begins and drops sleeps while others wait.
    fn timeouts(setting: Setting) -> Sample {
        let mut random = Random::new(0);
        let mut others = Vec::with_capacity(setting.count());
        for id in 0..setting.at {
            others.push(Box::pin(sleep!(some_time(&mut random))));
            let last = others.last_mut().expect("it was just pushed");
            wait!(begin(last.as_mut()));
            if id % BATCH == 0 {
                give_way!();
            }
        }
        let meter = Meter::start();
        let mut count = 0;
        loop {
            for _ in 0..BATCH {
                wait!(begin(sleep!(some_time(&mut random))));
            }
            // Runtimes see to their timers then, and bound what a task may do in one turn.
            give_way!();
            count += BATCH;
            if meter.is_over(setting) {
                return meter.stop(count);
            }
        }
    }
} }

/// Here a sleep is an entry in the tree of the scheduler, made by a fiber that parks and was unparked already.
fn native_timeouts(setting: Setting) -> Sample {
    let mut random = Random::new(0);
    for _ in 0..setting.at {
        let time = some_time(&mut random);
        drop(native::spawn(move || native::sleep(time)));
    }
    native::yield_now();
    let meter = Meter::start();
    let mut count = 0;
    loop {
        for _ in 0..BATCH {
            native::current().unpark();
            assert!(native::park_until(Instant::now() + some_time(&mut random)));
        }
        native::yield_now();
        count += BATCH;
        if meter.is_over(setting) {
            return meter.stop(count);
        }
    }
}
