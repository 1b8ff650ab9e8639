//! Many who only compute: what no model can share on one core, and what threads and processes gain from a second.

use camshaft::task::spawn_blocking;
use camshaft_probe::sys;

use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Scale, Setting, Subject};
use crate::langs::{self, Cores};
use crate::measure::{Meter, Metric, Sample};
use crate::models::process;
use crate::models::written::{
    fiber as on_fibers, in_models, native as on_native, thread as on_threads,
};
use crate::peers::{self, Camshaft};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "sums",
    workload: 8,
    title: "Computing: N sums",
    question: "How long do N sums take together that keep a core busy, and who can use a second core? \
               (A sum has 200,000 terms in a smoke run, a million in a quick one, and 20 million in a full one.)",
    operation: "a sum over numbers of a linear congruential generator, so that no compiler finds a formula for it",
    axis: Axis {
        label: "sums",
        smoke: &[2],
        quick: &[1, 4],
        full: &[1, 2, 4, 8],
    },
    metric: Metric::Total,
    also: &[Metric::Cpu],
    expectations: &[
        Expectation::ratio(
            "On one core it matters not at all who computes.",
            Metric::Total,
            "fibers",
            "tasks",
            None,
            (0.97, 1.03),
        ),
        Expectation::ratio(
            "Four threads on two cores take half the time.",
            Metric::Total,
            "threads, all cores",
            "tasks",
            Some(4),
            (0.48, 0.6),
        ),
        Expectation::ratio(
            "Processes do as well, once a sum takes long enough to pay for the fork.",
            Metric::Total,
            "processes, all cores",
            "threads, all cores",
            Some(4),
            (0.95, 1.3),
        ),
        Expectation::ratio(
            "Python's threads take turns under one lock: nothing is gained.",
            Metric::Total,
            "Python threading, all cores",
            "Python, one after another",
            Some(4),
            (0.95, 1.2),
        ),
        Expectation::ratio(
            "Python's processes have a lock each.",
            Metric::Total,
            "Python multiprocessing, all cores",
            "Python, one after another",
            Some(4),
            (0.48, 0.65),
        ),
        Expectation::ratio(
            "asyncio is for waiting; computing in it is computing one after another.",
            Metric::Total,
            "Python asyncio",
            "Python, one after another",
            Some(4),
            (0.95, 1.1),
        ),
    ],
    control: "tasks",
    subjects: &[
        Subject::new("tasks", Model::Task, |setting| {
            peers::run::<Camshaft, _>(task::sums::<Camshaft>(setting))
        }),
        Subject::new("fibers", Model::Fiber, |setting| {
            on_fibers::run(move || fiber::sums(setting))
        }),
        Subject::new("native fibers", Model::Native, |setting| {
            on_native::run(move || native::sums(setting))
        }),
        Subject::new("tasks, spawn_blocking, all cores", Model::Task, |setting| {
            sys::unpin();
            peers::run::<Camshaft, _>(outside::task::sums::<Camshaft>(setting))
        }),
        Subject::new("threads, all cores", Model::Thread, |setting| {
            on_threads::run(|| thread::sums(setting))
        }),
        Subject::new("threads, one core", Model::Thread, |setting| {
            on_threads::run_on_one_core(|| thread::sums(setting))
        }),
        Subject::new("processes, all cores", Model::Process, processes),
        Subject::new("one after another", Model::Floor, one_after_another),
        Subject::new("Go, all cores", Model::Language, |setting| {
            go(setting, Cores::All)
        }),
        Subject::new("Go, one core", Model::Language, |setting| {
            go(setting, Cores::One)
        }),
        Subject::new("Python, one after another", Model::Language, |setting| {
            python("sequential", setting)
        }),
        Subject::new("Python asyncio", Model::Language, |setting| {
            python("asyncio", setting)
        }),
        Subject::new("Python threading, all cores", Model::Language, |setting| {
            python("threading", setting)
        }),
        Subject::new(
            "Python multiprocessing, all cores",
            Model::Language,
            |setting| python("multiprocessing", setting),
        ),
    ],
};

/// Terms of a sum.
fn terms(setting: Setting) -> u64 {
    match setting.scale {
        Scale::Smoke => 200_000,
        Scale::Quick => 1_000_000,
        Scale::Full => 20_000_000,
    }
}

/// The same in all languages.
fn sum(terms: u64) -> u64 {
    let (mut x, mut total) = (1_u64, 0);
    for _ in 0..terms {
        x = (x * 1_103_515_245 + 12_345) & 0x7fff_ffff;
        total += x;
    }
    total
}

in_models! { [task, fiber, native, thread] {
    /// Computes a sum, and sends it.
    fn worker(terms: u64, to: Sender<u64>) {
        wait!(to.send(sum(terms)));
    }

    /// Starts all, and waits for all.
    fn sums(setting: Setting) -> Sample {
        let meter = Meter::start();
        let (sender, results) = channel(setting.count());
        for _ in 0..setting.at {
            let sender = sender.clone();
            let terms = terms(setting);
            start!(worker(terms, sender));
        }
        for _ in 0..setting.at {
            wait!(results.receive());
        }
        meter.stop_whole(setting.at)
    }
} }

/// The same, each on a thread of the pool.
mod outside {
    use super::*;

    in_models! { [task] {
        /// Starts all, and waits for all.
        fn sums(setting: Setting) -> Sample {
            let meter = Meter::start();
            let mut handles = Vec::new();
            for _ in 0..setting.at {
                handles.push(spawn_blocking(move || sum(terms(setting))));
            }
            for handle in handles {
                assert!(wait!(handle).is_ok(), "a sum does not panic");
            }
            meter.stop_whole(setting.at)
        }
    } }
}

fn processes(setting: Setting) -> anyhow::Result<Outcome> {
    sys::unpin();
    let mut results = process::pipe()?;
    let meter = Meter::start();
    let mut children = Vec::new();
    for _ in 0..setting.at {
        children.push(process::fork(|| {
            // A sum that does not arrive is missed by the parent.
            let _ = results.send(sum(terms(setting)));
        })?);
    }
    for _ in 0..setting.at {
        results.receive()?;
    }
    for child in children {
        child.join()?;
    }
    Ok(process::with_children(meter.stop_whole(setting.at)).into())
}

fn one_after_another(setting: Setting) -> anyhow::Result<Outcome> {
    let meter = Meter::start();
    for _ in 0..setting.at {
        std::hint::black_box(sum(terms(setting)));
    }
    Ok(meter.stop_whole(setting.at).into())
}

fn go(setting: Setting, cores: Cores) -> anyhow::Result<Outcome> {
    langs::go_with("sums", setting, cores, &[terms(setting).to_string()])
}

fn python(way: &str, setting: Setting) -> anyhow::Result<Outcome> {
    langs::python(&[
        "sums",
        way,
        &setting.at.to_string(),
        &terms(setting).to_string(),
    ])
}
