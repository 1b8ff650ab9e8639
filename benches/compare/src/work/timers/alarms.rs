//! Alarms of whole runtimes: many sleep until moments of their own, and each is woken once.

use std::time::{Duration, Instant};

use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Scale, Setting, Subject};
use crate::langs::{self, Cores};
use crate::measure::{Meter, Metric, Sample};
use crate::models::written::{
    fiber as on_fibers, in_models, native as on_native, thread as on_threads,
};
use crate::peers::{self, Camshaft, Runtime, with_peers};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "alarms",
    workload: 12,
    title: "Timers: alarms of whole runtimes",
    question: "What does a sleeper cost from its start to its end, and how late is it woken?",
    operation: "a sleeper: made, asleep, awake at its moment, over; half of the time is for making all of them",
    axis: Axis {
        label: "sleepers",
        smoke: &[1000],
        quick: &[10_000, 100_000],
        full: &[10_000, 100_000, 1_000_000],
    },
    metric: Metric::Cpu,
    also: &[Metric::P50, Metric::P99, Metric::Allocations],
    expectations: &[
        Expectation::ratio(
            "A fiber is made with a stack of fresh pages, and comes back to them out of the cache.",
            Metric::Cpu,
            "fibers",
            "tasks",
            Some(100_000),
            (2.0, 6.0),
        ),
        Expectation::ratio(
            "Without the future layer, but with a tree for the sleepers.",
            Metric::Cpu,
            "native fibers",
            "fibers",
            Some(100_000),
            (0.8, 1.5),
        ),
        Expectation::ratio(
            "A thread is woken by an interrupt of its own.",
            Metric::Cpu,
            "threads, one core",
            "fibers",
            Some(10_000),
            (5.0, 50.0),
        ),
        Expectation::ratio(
            "Goroutines have small stacks and a heap of timers.",
            Metric::Cpu,
            "Go, one core",
            "fibers",
            Some(100_000),
            (0.5, 2.0),
        ),
    ],
    control: "tasks",
    subjects: with_peers![tasks;
        Subject::new("tasks", Model::Task, tasks::<Camshaft>),
        Subject::new("fibers", Model::Fiber, |setting| {
            on_fibers::run_crowd(setting.at, move || fiber::alarms(setting))
        }),
        Subject::new("native fibers", Model::Native, |setting| {
            on_native::run_crowd(setting.at, move || native::alarms(setting))
        }),
        Subject::new("threads, all cores", Model::Thread, |setting| {
            on_threads::run(|| thread::alarms(setting))
        })
        .up_to(10_000, "the system has no room for 100,000 threads"),
        Subject::new("threads, one core", Model::Thread, |setting| {
            on_threads::run_on_one_core(|| thread::alarms(setting))
        })
        .up_to(10_000, "the system has no room for 100,000 threads"),
        Subject::new("Go, one core", Model::Language, |setting| {
            let more = [spread(setting).as_millis().to_string()];
            langs::go_with("alarms", setting, Cores::One, &more)
        }),
        peers::may!(may::alarms),
    ],
};

/// Over how long the moments are spread, and how long before the first of them all are begun.
fn spread(setting: Setting) -> Duration {
    let base = match setting.scale {
        Scale::Smoke => 20,
        Scale::Quick => 150,
        Scale::Full => 500,
    };
    Duration::from_millis(base)
        + Duration::from_micros(3) * u32::try_from(setting.at).unwrap_or(u32::MAX)
}

fn tasks<R: Runtime>(setting: Setting) -> anyhow::Result<Outcome> {
    peers::run::<R, _>(task::alarms::<R>(setting))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

in_models! { [task, fiber, native, thread, #[cfg(feature = "may")] may] {
    /// Sleeps until its moment, and says how late it was.
    fn sleeper(moment: Instant, awake: Sender<u64>) {
        wait!(sleep!(moment.saturating_duration_since(Instant::now())));
        let late = Instant::now().saturating_duration_since(moment);
        wait!(awake.send(nanoseconds(late)));
    }

    /// Starts all, and waits for all.
    fn alarms(setting: Setting) -> Sample {
        let meter = Meter::start();
        let spread = spread(setting);
        let first = Instant::now() + spread;
        let (sender, awake) = channel(setting.count());
        for id in 0..setting.at {
            // A multiplier that is prime to the number of sleepers gives each a moment of its own, in a scattered order.
            let moment = first + spread.mul_f64((id * 61_803 % setting.at) as f64 / setting.at as f64);
            let sender = sender.clone();
            start!(sleeper(moment, sender));
        }
        let mut latencies = Vec::with_capacity(setting.count());
        for _ in 0..setting.at {
            latencies.extend(wait!(awake.receive()));
        }
        meter.stop(setting.at).with_latencies(latencies)
    }
} }
