//! Many send and one receives: from a channel of each, with select, or from one channel for all.

use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Setting, Subject};
use crate::langs::{self, Cores};
use crate::measure::{Meter, Metric, Sample};
use crate::models::written::{
    fiber as on_fibers, in_models, native as on_native, thread as on_threads,
};
use crate::peers::{self, Camshaft, Runtime, with_peers};

/// Room in each channel.
const ROOM: usize = 16;

/// Messages between two looks at the clock.
const BATCH: u64 = 64;

/// Goroutines have a select for 2, 4 and 8.
const CASES: &str = "the cases of a select in Go are written down: up to 8 here";

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "fan_in",
    workload: 9,
    title: "Channels: fan-in with select",
    question: "What does it cost to wait for whichever of several channels is first, and is one channel for all cheaper?",
    operation: "a message that is received",
    axis: Axis {
        label: "producers",
        smoke: &[4],
        quick: &[2, 8, 64],
        full: &[2, 4, 8, 16, 64, 256],
    },
    metric: Metric::Cpu,
    also: &[Metric::Wall, Metric::Allocations],
    expectations: &[
        Expectation::ratio(
            "A select that looks for the next channel with an item finds one at once: as cheap as one channel.",
            Metric::Cpu,
            "tasks",
            "tasks, one channel",
            Some(8),
            (0.6, 1.5),
        ),
        Expectation::ratio(
            "The receiver of a select waits rarely: stackful and stackless tie.",
            Metric::Cpu,
            "fibers",
            "tasks",
            None,
            (0.9, 1.4),
        ),
        Expectation::ratio(
            "A goroutine locks every channel of its select, in order, before it looks.",
            Metric::Cpu,
            "Go, one core",
            "fibers",
            Some(8),
            (3.0, 15.0),
        ),
    ],
    control: "fibers",
    subjects: with_peers![tasks;
        Subject::new("tasks", Model::Task, tasks::<Camshaft>),
        Subject::new("fibers", Model::Fiber, |setting| {
            on_fibers::run(move || fiber::fan_in(setting))
        }),
        Subject::new("native fibers", Model::Native, |setting| {
            on_native::run(move || native::fan_in(setting))
        }),
        Subject::new("tasks, one channel", Model::Task, |setting| {
            peers::run::<Camshaft, _>(merged::task::fan_in::<Camshaft>(setting))
        }),
        Subject::new("fibers, one channel", Model::Fiber, |setting| {
            on_fibers::run(move || merged::fiber::fan_in(setting))
        }),
        Subject::new("threads, all cores, one channel", Model::Thread, |setting| {
            on_threads::run(|| merged::thread::fan_in(setting))
        }),
        Subject::new("threads, one core, one channel", Model::Thread, |setting| {
            on_threads::run_on_one_core(|| merged::thread::fan_in(setting))
        }),
        Subject::new("Go, all cores", Model::Language, |setting| {
            langs::go("select", setting, Cores::All)
        })
        .up_to(8, CASES),
        Subject::new("Go, one core", Model::Language, |setting| {
            langs::go("select", setting, Cores::One)
        })
        .up_to(8, CASES),
        Subject::new("Go, one core, one channel", Model::Language, |setting| {
            langs::go("merge", setting, Cores::One)
        }),
    ],
};

fn tasks<R: Runtime>(setting: Setting) -> anyhow::Result<Outcome> {
    peers::run::<R, _>(task::fan_in::<R>(setting))
}

in_models! { [task, fiber, native] {
    /// Sends until nobody listens.
    fn produce(to: Sender<u64>) {
        let mut number = 0;
        while wait!(to.send(number)) {
            number += 1;
        }
    }

    /// Receives from a channel of each.
    fn fan_in(setting: Setting) -> Sample {
        let mut receivers = Vec::new();
        for _ in 0..setting.at {
            let (to, from) = channel(ROOM);
            start!(produce(to));
            receivers.push(from);
        }
        let mut turn = 0;
        wait!(select(&receivers, &mut turn));
        let meter = Meter::start();
        let mut count = 0;
        loop {
            for _ in 0..BATCH {
                wait!(select(&receivers, &mut turn));
            }
            count += BATCH;
            if meter.is_over(setting) {
                return meter.stop(count);
            }
        }
    }
} }

mod merged {
    //! One channel for all.

    use super::*;

    in_models! { [task, fiber, thread] {
        /// Sends until nobody listens.
        fn produce(to: Sender<u64>) {
            let mut number = 0;
            while wait!(to.send(number)) {
                number += 1;
            }
        }

        /// Receives from the channel of all.
        fn fan_in(setting: Setting) -> Sample {
            let (sender, receiver) = channel(ROOM);
            for _ in 0..setting.at {
                let to = sender.clone();
                start!(produce(to));
            }
            wait!(receiver.receive());
            let meter = Meter::start();
            let mut count = 0;
            loop {
                for _ in 0..BATCH {
                    wait!(receiver.receive());
                }
                count += BATCH;
                if meter.is_over(setting) {
                    return meter.stop(count);
                }
            }
        }
    } }
}
