//! Workloads 1, 2 and 3 once more, as far as other runtimes can do them: a yield, a task's life, a sleeper's memory.
//!
//! The workloads of the models are more thorough; here everybody runs the same few functions, written against what all
//! runtimes offer.

use std::process;
use std::time::Duration;

use camshaft_probe::sys;

use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Setting, Subject};
use crate::measure::{Meter, Metric, Sample};
use crate::models::written::{
    Role, fiber as on_fibers, in_models, native as on_native, thread as on_threads,
};
use crate::peers::{self, Camshaft, Runtime, with_peers};

/// Operations between two looks at the clock.
const BATCH: u64 = 64;

/// How often somebody gave way, and the clock of the one who has it.
type Tally = (u64, Option<Meter>);

/// Longer than any measurement.
const HOUR: Duration = Duration::from_secs(3600);

pub(crate) const EXPERIMENTS: &[Experiment] = &[YIELD, SPAWN, IDLE];

const YIELD: Experiment = Experiment {
    name: "runtimes_yield",
    workload: 1,
    title: "Runtimes: giving way",
    question: "What does a turn in the ready queue cost, among a few and among many who are ready?",
    operation: "a yield of one of them",
    axis: Axis {
        label: "ready tasks",
        smoke: &[1000],
        quick: &[1, 1000],
        full: &[1, 10, 100, 1000, 10_000, 100_000],
    },
    metric: Metric::Cpu,
    also: &[Metric::Wall],
    expectations: &[
        Expectation::ratio(
            "A fiber's turn is a task's and two switches.",
            Metric::Cpu,
            "fibers",
            "tasks",
            Some(1000),
            (1.5, 4.0),
        ),
        Expectation::ratio(
            "A thread's turn is the kernel's.",
            Metric::Cpu,
            "threads, one core",
            "tasks",
            Some(1000),
            (30.0, 300.0),
        ),
    ],
    control: "tasks",
    subjects: with_peers![yields;
        Subject::new("tasks", Model::Task, yields::<Camshaft>),
        Subject::new("fibers", Model::Fiber, |setting| {
            on_fibers::run_crowd(setting.at, move || fiber::yields(setting))
        }),
        Subject::new("native fibers", Model::Native, |setting| {
            on_native::run_crowd(setting.at, move || native::yields(setting))
        }),
        Subject::new("threads, one core", Model::Thread, |setting| {
            on_threads::run_on_one_core(|| thread::yields(setting))
        })
        .up_to(10_000, THREADS),
        peers::may!(may::yields),
    ],
};

const SPAWN: Experiment = Experiment {
    name: "runtimes_spawn",
    workload: 2,
    title: "Runtimes: a life",
    question: "What does it cost to start somebody who sends one message and ends, and to wait for that message?",
    operation: "a start, a message, an end; so many at a time",
    axis: Axis {
        label: "at a time",
        smoke: &[1000],
        quick: &[1, 1000],
        full: &[1, 10, 100, 1000, 10_000, 100_000],
    },
    metric: Metric::Cpu,
    also: &[Metric::Wall, Metric::Allocations],
    expectations: &[
        Expectation::ratio(
            "A pooled stack makes a fiber's life about as dear as a task's and its switches.",
            Metric::Cpu,
            "fibers",
            "tasks",
            Some(1),
            (1.2, 3.0),
        ),
        Expectation::ratio(
            "A thread is started by the kernel, and its stack mapped and unmapped.",
            Metric::Cpu,
            "threads, one core",
            "tasks",
            Some(1),
            (200.0, 3000.0),
        ),
    ],
    control: "tasks",
    subjects: with_peers![spawns;
        Subject::new("tasks", Model::Task, spawns::<Camshaft>),
        Subject::new("fibers", Model::Fiber, |setting| {
            on_fibers::run_crowd(setting.at, move || fiber::spawns(setting))
        }),
        Subject::new("native fibers", Model::Native, |setting| {
            on_native::run_crowd(setting.at, move || native::spawns(setting))
        }),
        Subject::new("threads, all cores", Model::Thread, |setting| {
            on_threads::run(|| thread::spawns(setting))
        })
        .up_to(10_000, THREADS),
        Subject::new("threads, one core", Model::Thread, |setting| {
            on_threads::run_on_one_core(|| thread::spawns(setting))
        })
        .up_to(10_000, THREADS),
        peers::may!(may::spawns),
    ],
};

const IDLE: Experiment = Experiment {
    name: "runtimes_idle",
    workload: 3,
    title: "Runtimes: a sleeper's memory",
    question: "How much resident memory does somebody take who sleeps for an hour, timer included?",
    operation: "a sleeper",
    axis: Axis {
        label: "sleepers",
        smoke: &[10_000],
        quick: &[100_000],
        full: &[10_000, 100_000, 1_000_000],
    },
    metric: Metric::Resident,
    also: &[Metric::Allocations],
    expectations: &[
        Expectation::ratio(
            "A fiber has a page at least, a task what it holds across the await.",
            Metric::Resident,
            "fibers",
            "tasks",
            Some(100_000),
            (10.0, 40.0),
        ),
        Expectation::ratio(
            "A thread has two pages or more of its own, beside what the kernel keeps for it.",
            Metric::Resident,
            "threads, all cores",
            "fibers",
            Some(10_000),
            (1.5, 5.0),
        ),
    ],
    control: "tasks",
    subjects: with_peers![idle;
        Subject::new("tasks", Model::Task, idle::<Camshaft>),
        Subject::new("fibers", Model::Fiber, |setting| {
            on_fibers::run_crowd(setting.at, move || fiber::idle(setting))
        }),
        Subject::new("native fibers", Model::Native, |setting| {
            on_native::run_crowd(setting.at, move || native::idle(setting))
        }),
        Subject::new("threads, all cores", Model::Thread, |setting| {
            on_threads::run(|| thread::idle(setting))
        })
        .up_to(10_000, THREADS),
        peers::may!(may::idle).up_to(10_000, "with 100,000 sleepers it panics"),
    ],
};

/// Why the rows of threads end early.
const THREADS: &str = "the system has no room for 100,000 threads";

fn yields<R: Runtime>(setting: Setting) -> anyhow::Result<Outcome> {
    peers::run::<R, _>(task::yields::<R>(setting))
}

fn spawns<R: Runtime>(setting: Setting) -> anyhow::Result<Outcome> {
    peers::run::<R, _>(task::spawns::<R>(setting))
}

fn idle<R: Runtime>(setting: Setting) -> anyhow::Result<Outcome> {
    peers::run::<R, _>(task::idle::<R>(setting))
}

fn resident() -> u64 {
    sys::resident_bytes(process::id()).expect("the system tells a process of its own memory")
}

in_models! { [task, fiber, native, thread, #[cfg(feature = "may")] may] {
    /// Gives way until it is over, and tells how often. One has the clock, and begins when all are there.
    fn yielder(setting: Setting, begun: Flag, over: Flag, role: Role<Receiver<()>, Sender<()>>, result: Sender<Tally>) {
        give_way!();
        let meter = match role {
            Role::Clock(others) => {
                for _ in 1..setting.at {
                    wait!(others.receive());
                }
                let meter = Meter::start();
                begun.raise();
                Some(meter)
            }
            Role::Other(ready) => {
                wait!(ready.send(()));
                while !begun.is_raised() {
                    give_way!();
                }
                None
            }
        };
        let every = if setting.at < BATCH { BATCH } else { 1 };
        let mut count = 0;
        while !over.is_raised() {
            give_way!();
            count += 1;
            if count % every == 0 && meter.is_some_and(|meter| meter.is_over(setting)) {
                over.raise();
            }
        }
        wait!(result.send((count, meter)));
    }

    /// Has all of them give way.
    fn yields(setting: Setting) -> Sample {
        let (begun, over) = (Flag::default(), Flag::default());
        let (sender, results) = channel(setting.count());
        let (ready, others) = channel(setting.count());
        let mut others = Some(others);
        for _ in 0..setting.at {
            let (begun, over, sender) = (begun.clone(), over.clone(), sender.clone());
            let role = others.take().map_or_else(|| Role::Other(ready.clone()), Role::Clock);
            start!(yielder(setting, begun, over, role, sender));
        }
        let (mut total, mut meter) = (0, None);
        for _ in 0..setting.at {
            let result = wait!(results.receive());
            let (count, clock) = result.expect("every yielder sends its count");
            total += count;
            meter = meter.or(clock);
        }
        meter.expect("the first one has the clock").stop(total)
    }

    /// Says that it was there.
    fn visitor(to: Sender<u64>) {
        wait!(to.send(1));
    }

    /// Starts some, and waits for them.
    fn spawns(setting: Setting) -> Sample {
        let (sender, visits) = channel(setting.count());
        let mut meter = None;
        let mut count = 0;
        loop {
            for _ in 0..setting.at {
                let sender = sender.clone();
                start!(visitor(sender));
            }
            for _ in 0..setting.at {
                wait!(visits.receive());
            }
            // The first ones are not measured.
            let meter = *meter.get_or_insert_with(Meter::start);
            if count > 0 && (count % BATCH == 0 || setting.at >= BATCH) && meter.is_over(setting) {
                return meter.stop(count);
            }
            count += setting.at;
        }
    }

    /// Says that it is there, and sleeps.
    fn sleeper(to: Sender<()>) {
        wait!(to.send(()));
        drop(to);
        wait!(sleep!(HOUR));
    }

    /// Measures how memory grows until all of them sleep.
    fn idle(setting: Setting) -> Sample {
        // What the runtime makes for the first time is not theirs.
        for _ in 0..2 {
            give_way!();
        }
        let (sender, there) = channel(setting.count());
        let before = resident();
        let meter = Meter::start();
        for _ in 0..setting.at {
            let sender = sender.clone();
            start!(sleeper(sender));
        }
        for _ in 0..setting.at {
            wait!(there.receive());
        }
        give_way!();
        let grown = resident().saturating_sub(before);
        let sample = meter.stop(setting.at);
        sample.with(Metric::Resident, grown as f64 / setting.at as f64)
    }
} }
