//! A hundred stages that pass numbers on, with more or less room between them.

use std::mem;

use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Setting, Subject};
use crate::langs::{self, Cores};
use crate::measure::{Meter, Metric, Sample};
use crate::models::written::{
    fiber as on_fibers, in_models, native as on_native, thread as on_threads,
};
use crate::peers::{self, Camshaft, Runtime, with_peers};

const STAGES: u64 = 100;

/// Numbers that leave the pipeline between two looks at the clock, at least.
const BATCH: u64 = 64;

/// Full channels that leave it between two looks, at least. A stage that has its turn moves a full channel on, so fewer
/// would be a part of a turn; so many have to leave before it is measured, too, for all to find their pace.
const CHANNELS: u64 = 8;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "pipeline",
    workload: 9,
    title: "Channels: a pipeline of 100 stages",
    question: "How much of the cost of communicating is the switch, and how much room between stages makes it vanish?",
    operation: "a hop of a number from one stage to the next",
    axis: Axis {
        label: "room in each channel",
        smoke: &[16],
        quick: &[1, 16, 256],
        full: &[1, 4, 16, 64, 256, 1024],
    },
    metric: Metric::Cpu,
    also: &[Metric::Wall, Metric::Allocations],
    expectations: &[
        Expectation::ratio(
            "With room for one, each hop is a switch, and fibers pay for the stacks.",
            Metric::Cpu,
            "fibers",
            "tasks",
            Some(1),
            (1.1, 2.0),
        ),
        Expectation::ratio(
            "With room for 256, a switch is paid once for many numbers, and the models tie.",
            Metric::Cpu,
            "fibers",
            "tasks",
            Some(256),
            (0.9, 1.1),
        ),
        Expectation::ratio(
            "Room helps threads most: it saves a futex and a switch in the kernel.",
            Metric::Cpu,
            "threads, one core",
            "tasks",
            Some(256),
            (2.0, 20.0),
        ),
        Expectation::ratio(
            "Goroutines lock each channel for each message, switch or no switch.",
            Metric::Cpu,
            "Go, one core",
            "fibers",
            Some(256),
            (2.0, 8.0),
        ),
    ],
    control: "fibers",
    subjects: with_peers![tasks;
        Subject::new("tasks", Model::Task, tasks::<Camshaft>),
        Subject::new("fibers", Model::Fiber, |setting| {
            on_fibers::run(move || fiber::pipeline(setting))
        }),
        Subject::new("native fibers", Model::Native, |setting| {
            on_native::run(move || native::pipeline(setting))
        }),
        Subject::new("threads, all cores", Model::Thread, |setting| {
            on_threads::run(|| thread::pipeline(setting))
        }),
        Subject::new("threads, one core", Model::Thread, |setting| {
            on_threads::run_on_one_core(|| thread::pipeline(setting))
        }),
        Subject::new("Go, all cores", Model::Language, |setting| go(setting, Cores::All)),
        Subject::new("Go, one core", Model::Language, |setting| go(setting, Cores::One)),
    ],
};

fn tasks<R: Runtime>(setting: Setting) -> anyhow::Result<Outcome> {
    peers::run::<R, _>(task::pipeline::<R>(setting))
}

fn go(setting: Setting, cores: Cores) -> anyhow::Result<Outcome> {
    let more = [STAGES, batch(setting)].map(|number| number.to_string());
    langs::go_with("pipeline", setting, cores, &more)
}

/// Numbers between two looks at the clock.
fn batch(setting: Setting) -> u64 {
    BATCH.max(CHANNELS * setting.at)
}

in_models! { [task, fiber, native, thread] {
    /// Sends until nobody listens.
    fn source(to: Sender<u64>) {
        while wait!(to.send(0)) {}
    }

    /// Passes on what it receives, and adds one.
    fn stage(from: Receiver<u64>, to: Sender<u64>) {
        while let Some(number) = wait!(from.receive()) {
            if !wait!(to.send(number + 1)) {
                return;
            }
        }
    }

    /// Receives so many numbers at the end.
    fn drain(from: Receiver<u64>, count: u64) -> Receiver<u64> {
        for _ in 0..count {
            assert_eq!(wait!(from.receive()), Some(STAGES), "every stage adds one");
        }
        from
    }

    /// Measures all stages together.
    fn pipeline(setting: Setting) -> Sample {
        let (to, mut last) = channel(setting.count());
        start!(source(to));
        for _ in 0..STAGES {
            let (to, next) = channel(setting.count());
            let from = mem::replace(&mut last, next);
            start!(stage(from, to));
        }
        let batch = batch(setting);
        last = call!(drain(last, batch));
        let meter = Meter::start();
        let mut count = 0;
        loop {
            last = call!(drain(last, batch));
            count += batch;
            if meter.is_over(setting) {
                return meter.stop(count * (STAGES + 1));
            }
        }
    }
} }
