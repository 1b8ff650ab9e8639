//! Skynet: each node starts ten, which send it their sums; a leaf sends its number.

use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Setting, Subject};
use crate::langs::{self, Cores};
use crate::measure::{Meter, Metric, Sample};
use crate::models::written::{
    fiber as on_fibers, in_models, native as on_native, thread as on_threads,
};
use crate::peers::{self, Camshaft, Runtime, with_peers};

/// Children of a node, and room in its channel.
const FAN: usize = 10;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "skynet",
    workload: 9,
    title: "Channels: skynet",
    question: "What does a crowd cost in which each lives for one message?",
    operation: "a leaf, with its share of the nodes above; what it takes is warm, as in a second run",
    axis: Axis {
        label: "leaves",
        smoke: &[1000],
        quick: &[1000, 100_000],
        full: &[1000, 10_000, 100_000, 1_000_000],
    },
    metric: Metric::Cpu,
    also: &[Metric::Wall, Metric::Allocations],
    expectations: &[
        Expectation::ratio(
            "While a thousand stacks fit the caches, a fiber is a task and a switch.",
            Metric::Cpu,
            "fibers",
            "tasks",
            Some(1000),
            (1.1, 2.5),
        ),
        Expectation::ratio(
            "100,000 stacks do not: each start writes to a page that is out of the cache.",
            Metric::Cpu,
            "fibers",
            "tasks",
            Some(100_000),
            (2.0, 8.0),
        ),
        Expectation::ratio(
            "To start a thread costs some ten microseconds.",
            Metric::Cpu,
            "threads, one core",
            "tasks",
            Some(1000),
            (50.0, 500.0),
        ),
        Expectation::ratio(
            "Goroutines are stackful too, with stacks of 2 KiB that are used again.",
            Metric::Cpu,
            "Go, one core",
            "fibers",
            Some(100_000),
            (0.4, 1.5),
        ),
    ],
    control: "tasks",
    subjects: with_peers![tasks;
        Subject::new("tasks", Model::Task, tasks::<Camshaft>),
        Subject::new("fibers", Model::Fiber, |setting| {
            on_fibers::run_crowd(setting.at * 10 / 9, move || fiber::skynets(setting))
        }),
        Subject::new("native fibers", Model::Native, |setting| {
            on_native::run_crowd(setting.at * 10 / 9, move || native::skynets(setting))
        }),
        Subject::new("threads, all cores", Model::Thread, |setting| {
            on_threads::run(|| thread::skynets(setting))
        })
        .up_to(10_000, "the system has no room for 100,000 threads"),
        Subject::new("threads, one core", Model::Thread, |setting| {
            on_threads::run_on_one_core(|| thread::skynets(setting))
        })
        .up_to(10_000, "the system has no room for 100,000 threads"),
        peers::may!(may::skynets).up_to(1000, "with 100,000 leaves it did not end within two minutes"),
        Subject::new("Go, all cores", Model::Language, |setting| {
            langs::go("skynet", setting, Cores::All)
        }),
        Subject::new("Go, one core", Model::Language, |setting| {
            langs::go("skynet", setting, Cores::One)
        }),
    ],
};

fn tasks<R: Runtime>(setting: Setting) -> anyhow::Result<Outcome> {
    peers::run::<R, _>(task::skynets::<R>(setting))
}

in_models! { [task, fiber, native, thread, #[cfg(feature = "may")] may] {
    /// Sends the sum of the numbers of its leaves.
    fn skynet(to: Sender<u64>, number: u64, leaves: u64) {
        if leaves == 1 {
            wait!(to.send(number));
            return;
        }
        let (sender, sums) = channel(FAN);
        let share = leaves / FAN as u64;
        for child in 0..FAN as u64 {
            let sender = sender.clone();
            let first = number + child * share;
            start!(skynet(sender, first, share));
        }
        drop(sender);
        let mut sum = 0;
        while let Some(part) = wait!(sums.receive()) {
            sum += part;
        }
        wait!(to.send(sum));
    }

    /// Grows trees until the window is over.
    fn skynets(setting: Setting) -> Sample {
        let mut meter = None;
        let mut leaves = 0;
        loop {
            let (to, from) = channel(1);
            let all = setting.at;
            start!(skynet(to, 0, all));
            assert_eq!(wait!(from.receive()), Some(all * (all - 1) / 2), "no leaf is lost");
            // The first tree is not measured.
            let meter = *meter.get_or_insert_with(Meter::start);
            if leaves > 0 && meter.is_over(setting) {
                return meter.stop(leaves);
            }
            leaves += all;
        }
    }
} }
