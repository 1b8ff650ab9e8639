//! Many who only sleep: the classic argument for and against every model, and what a call that blocks does to it.

use std::thread::sleep as block;
use std::time::Duration;

use camshaft::task::spawn_blocking;
use camshaft_probe::sys;

use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Scale, Setting, Subject};
use crate::langs::{self, Cores};
use crate::measure::{Meter, Metric, Sample};
use crate::models::process;
use crate::models::written::{
    fiber as on_fibers, in_models, native as on_native, thread as on_threads,
};
use crate::peers::{self, Camshaft, Runtime, with_peers};

/// Why rows in which one waits for the other end early.
const ONE_BY_ONE: &str = "as many times the sleep: with 5 it is seen already";

/// Why Python's processes end early.
const PROCESSES: &str = "a process each: with 100 it is seen already";

/// Why rows with a pool end early.
const POOL: &str = "the pool has 512 threads: as many times the sleep as it is filled";

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "sleeps",
    workload: 8,
    title: "Waiting: N × sleep",
    question: "How long do N sleeps of a second take together, and what does a call that blocks do to green threads? \
               (The sleep is 10 ms in a smoke run and 100 ms in a quick one.)",
    operation: "one who sleeps: made, asleep, awake, over",
    axis: Axis {
        label: "sleepers",
        smoke: &[5],
        quick: &[5, 100],
        full: &[1, 5, 100, 1000, 10_000],
    },
    metric: Metric::Total,
    also: &[Metric::Cpu],
    expectations: &[
        Expectation::ratio(
            "Five tasks sleep at once: the time of one sleep, and a fifth of five.",
            Metric::Total,
            "tasks",
            "one after another",
            Some(5),
            (0.19, 0.22),
        ),
        Expectation::ratio(
            "Five fibers do the same.",
            Metric::Total,
            "fibers",
            "tasks",
            Some(5),
            (0.95, 1.05),
        ),
        Expectation::ratio(
            "A blocking call in a task stops its thread, and with it all others: five times as long.",
            Metric::Total,
            "tasks, blocking call",
            "tasks",
            Some(5),
            (4.5, 5.2),
        ),
        Expectation::ratio(
            "A fiber has a stack of its own, but no thread of its own: the same.",
            Metric::Total,
            "fibers, blocking call",
            "tasks, blocking call",
            Some(5),
            (0.95, 1.05),
        ),
        Expectation::ratio(
            "spawn_blocking gives each such call a thread, and the tasks wait as usual.",
            Metric::Total,
            "tasks, spawn_blocking",
            "tasks",
            Some(5),
            (0.95, 1.2),
        ),
        Expectation::ratio(
            "The pool has 512 threads; the thousandth sleep waits for one.",
            Metric::Total,
            "tasks, spawn_blocking",
            "tasks",
            Some(1000),
            (1.9, 2.2),
        ),
        Expectation::ratio(
            "Threads sleep as well as tasks do; each costs some ten microseconds more.",
            Metric::Cpu,
            "threads, one core",
            "tasks",
            Some(100),
            (5.0, 100.0),
        ),
        Expectation::ratio(
            "A process costs several times a thread.",
            Metric::Cpu,
            "processes, all cores",
            "threads, all cores",
            Some(100),
            (2.0, 20.0),
        ),
        Expectation::ratio(
            "Python's asyncio waits no worse than its threads.",
            Metric::Cpu,
            "Python asyncio",
            "Python threading, all cores",
            Some(100),
            (0.2, 1.1),
        ),
    ],
    control: "tasks",
    subjects: with_peers![tasks;
        Subject::new("tasks", Model::Task, tasks::<Camshaft>),
        Subject::new("fibers", Model::Fiber, |setting| {
            on_fibers::run(move || fiber::sleepers(setting, false))
        }),
        Subject::new("native fibers", Model::Native, |setting| {
            on_native::run(move || native::sleepers(setting, false))
        }),
        Subject::new("tasks, blocking call", Model::Task, |setting| {
            peers::run::<Camshaft, _>(task::sleepers::<Camshaft>(setting, true))
        })
        .up_to(5, ONE_BY_ONE),
        Subject::new("fibers, blocking call", Model::Fiber, |setting| {
            on_fibers::run(move || fiber::sleepers(setting, true))
        })
        .up_to(5, ONE_BY_ONE),
        Subject::new("tasks, spawn_blocking", Model::Task, |setting| {
            peers::run::<Camshaft, _>(outside::task::sleepers::<Camshaft>(setting))
        })
        .up_to(1000, POOL),
        Subject::new("fibers, spawn_blocking", Model::Fiber, |setting| {
            on_fibers::run(move || outside::fiber::sleepers(setting))
        })
        .up_to(1000, POOL),
        Subject::new("threads, all cores", Model::Thread, |setting| {
            on_threads::run(|| thread::sleepers(setting, false))
        }),
        Subject::new("threads, one core", Model::Thread, |setting| {
            on_threads::run_on_one_core(|| thread::sleepers(setting, false))
        }),
        Subject::new("processes, all cores", Model::Process, processes)
            .up_to(1000, "the system has room for some thousands"),
        Subject::new("one after another", Model::Floor, one_after_another).up_to(5, ONE_BY_ONE),
        Subject::new("Go, all cores", Model::Language, |setting| {
            let more = [nap(setting).as_millis().to_string()];
            langs::go_with("sleeps", setting, Cores::All, &more)
        }),
        Subject::new("Go, one core", Model::Language, |setting| {
            let more = [nap(setting).as_millis().to_string()];
            langs::go_with("sleeps", setting, Cores::One, &more)
        }),
        Subject::new("Python asyncio", Model::Language, |setting| {
            python("sleeps", "asyncio", setting)
        }),
        Subject::new("Python asyncio, blocking call", Model::Language, |setting| {
            python("blocking", "asyncio", setting)
        })
        .up_to(5, ONE_BY_ONE),
        Subject::new("Python threading, all cores", Model::Language, |setting| {
            python("sleeps", "threading", setting)
        })
        .up_to(1000, "beyond, it takes longer to start the threads than to sleep"),
        Subject::new("Python multiprocessing, all cores", Model::Language, |setting| {
            python("sleeps", "multiprocessing", setting)
        })
        .up_to(100, PROCESSES),
        peers::may!(|setting| may::sleepers(setting, false)),
    ],
};

/// How long each sleeps.
fn nap(setting: Setting) -> Duration {
    Duration::from_millis(match setting.scale {
        Scale::Smoke => 10,
        Scale::Quick => 100,
        Scale::Full => 1000,
    })
}

fn tasks<R: Runtime>(setting: Setting) -> anyhow::Result<Outcome> {
    peers::run::<R, _>(task::sleepers::<R>(setting, false))
}

in_models! { [task, fiber, native, thread, #[cfg(feature = "may")] may] {
    /// Sleeps, or blocks its thread, and says so.
    fn sleeper(time: Duration, blocking: bool, awake: Sender<()>) {
        if blocking {
            block(time);
        } else {
            wait!(sleep!(time));
        }
        wait!(awake.send(()));
    }

    /// Starts all, and waits for all.
    fn sleepers(setting: Setting, blocking: bool) -> Sample {
        let meter = Meter::start();
        let (sender, awake) = channel(setting.count());
        for _ in 0..setting.at {
            let sender = sender.clone();
            let time = nap(setting);
            start!(sleeper(time, blocking, sender));
        }
        for _ in 0..setting.at {
            wait!(awake.receive());
        }
        meter.stop_whole(setting.at)
    }
} }

/// The same, with a thread of the pool for each sleep.
mod outside {
    use super::*;

    in_models! { [task, fiber] {
        /// Has another thread sleep.
        fn sleeper(time: Duration, awake: Sender<()>) {
            let slept = spawn_blocking(move || block(time));
            assert!(wait!(slept).is_ok(), "a sleep does not panic");
            wait!(awake.send(()));
        }

        /// Starts all, and waits for all.
        fn sleepers(setting: Setting) -> Sample {
            let meter = Meter::start();
            let (sender, awake) = channel(setting.count());
            for _ in 0..setting.at {
                let sender = sender.clone();
                let time = nap(setting);
                start!(sleeper(time, sender));
            }
            for _ in 0..setting.at {
                wait!(awake.receive());
            }
            meter.stop_whole(setting.at)
        }
    } }
}

fn processes(setting: Setting) -> anyhow::Result<Outcome> {
    sys::unpin();
    let meter = Meter::start();
    let children = (0..setting.at).map(|_| process::fork(|| block(nap(setting))));
    for child in children.collect::<Result<Vec<_>, _>>()? {
        child.join()?;
    }
    let sample = meter.stop_whole(setting.at);
    Ok(process::with_children(sample).into())
}

fn one_after_another(setting: Setting) -> anyhow::Result<Outcome> {
    let meter = Meter::start();
    for _ in 0..setting.at {
        block(nap(setting));
    }
    Ok(meter.stop_whole(setting.at).into())
}

fn python(workload: &str, way: &str, setting: Setting) -> anyhow::Result<Outcome> {
    let seconds = nap(setting).as_secs_f64();
    langs::python(&[workload, way, &setting.at.to_string(), &seconds.to_string()])
}
