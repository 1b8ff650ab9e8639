//! Workloads 4, second half, and 13: functions that are suspended with a value.
//!
//! A generator is the smallest coroutine: it runs until it has a value, and waits until somebody wants the next. `tree` and
//! `hanoi` are recursive: each value is many calls deep. `generator` is a loop, of which many live at once.

mod flat;
mod recursion;
mod slot;

use crate::experiment::{Axis, Expectation, Experiment, Model, Subject};
use crate::measure::Metric;

use recursion::{Hanoi, Step, Tree};

const BARE: &str = "bare coroutine";
const BY_HAND: &str = "iterator by hand";
const BOXED: &str = "futures in boxes";
const FIBER: &str = "generator in a fiber";
const THREAD: (u64, &str) = (10, "each value takes two switches of the kernel's");
const THREADS: (u64, &str) = (100, "a hundred threads say what more would");

const HEIGHTS: Axis = Axis {
    label: "deep",
    smoke: &[8],
    quick: &[1, 4, 8, 16],
    full: &[1, 2, 3, 4, 6, 8, 12, 16, 20],
};

/// The subjects of a recursion.
struct Recursive<S>(S);

impl<S: Step> Recursive<S> {
    const SUBJECTS: &[Subject] = &[
        Subject::new("callback", Model::Floor, recursion::callback::<S>),
        Subject::new(BY_HAND, Model::Machine, recursion::by_hand::<S>),
        Subject::new(BOXED, Model::Task, recursion::boxed::<S>),
        Subject::new(FIBER, Model::Fiber, recursion::fiber::<S>),
        Subject::new(BARE, Model::Floor, recursion::bare::<S>),
        Subject::new("thread and channel", Model::Thread, recursion::thread::<S>)
            .up_to(THREAD.0, THREAD.1),
    ];
}

pub(crate) const EXPERIMENTS: &[Experiment] = &[
    Experiment {
        name: "tree",
        workload: 4,
        title: "A recursive generator: a walk through a tree",
        question: "What does a value cost that comes from the middle of a recursion, to whoever wants one after the other?",
        operation: "a value, with its share of making and ending the generator",
        axis: HEIGHTS,
        metric: Metric::Cpu,
        also: &[Metric::Wall, Metric::Allocations],
        expectations: &[
            Expectation::crosses(
                "Each value of boxed futures is polled through all levels above it, and a fiber switches.",
                BOXED,
                FIBER,
                (1, 8),
            ),
            Expectation::ratio(
                "Sixteen levels are sixteen polls, and every second value an allocation.",
                Metric::Cpu,
                BOXED,
                FIBER,
                Some(16),
                (3.0, 10.0),
            ),
            Expectation::ratio(
                "Who keeps the path by hand beats the switch, but has to write it.",
                Metric::Cpu,
                BY_HAND,
                FIBER,
                Some(16),
                (0.1, 0.6),
            ),
            Expectation::ratio(
                "Two switches of the kernel's for a value.",
                Metric::Cpu,
                "thread and channel",
                FIBER,
                Some(8),
                (200.0, 3000.0),
            ),
        ],
        control: FIBER,
        subjects: Recursive::<Tree>::SUBJECTS,
    },
    Experiment {
        name: "hanoi",
        workload: 4,
        title: "A recursive generator: the towers of Hanoi",
        question: "Does it depend on the recursion?",
        operation: "a move, with its share of making and ending the generator",
        axis: Axis {
            smoke: &[8],
            quick: &[1, 16],
            ..HEIGHTS
        },
        metric: Metric::Cpu,
        also: &[Metric::Wall, Metric::Allocations],
        expectations: &[
            Expectation::ratio(
                "It is the same walk through another tree.",
                Metric::Cpu,
                BOXED,
                FIBER,
                Some(16),
                (3.0, 10.0),
            ),
            Expectation::ratio(
                "The path by hand has larger steps.",
                Metric::Cpu,
                BY_HAND,
                FIBER,
                Some(16),
                (0.1, 0.8),
            ),
        ],
        control: FIBER,
        subjects: Recursive::<Hanoi>::SUBJECTS,
    },
    Experiment {
        name: "generator",
        workload: 13,
        title: "Generators",
        question: "What does a value from a suspended loop cost, if it is one of many that take turns?",
        operation: "a value",
        axis: Axis {
            label: "alive",
            smoke: &[1, 100],
            quick: &[1, 1000, 100_000],
            full: &[1, 10, 100, 1000, 10_000, 100_000, 1_000_000],
        },
        metric: Metric::Cpu,
        also: &[Metric::Wall],
        expectations: &[
            Expectation::ratio(
                "A poll with a cell for the value is little more than a call.",
                Metric::Cpu,
                "future",
                FIBER,
                Some(1),
                (0.2, 0.8),
            ),
            Expectation::ratio(
                "A generator adds the checks of a fiber to the switch.",
                Metric::Cpu,
                FIBER,
                BARE,
                Some(1),
                (1.1, 2.0),
            ),
            Expectation::ratio(
                "Many stacks miss the caches, many states don't.",
                Metric::Cpu,
                FIBER,
                "future",
                Some(100_000),
                (3.0, 20.0),
            ),
            Expectation::ratio(
                "An interpreter takes its time for everything, so its generators are no worse than its calls.",
                Metric::Cpu,
                "Python generator",
                FIBER,
                Some(1),
                (3.0, 20.0),
            ),
            Expectation::ratio(
                "A goroutine and a channel go through a scheduler for each value.",
                Metric::Cpu,
                "goroutine and channel",
                FIBER,
                Some(1),
                (10.0, 50.0),
            ),
        ],
        control: FIBER,
        subjects: &[
            Subject::new("closure", Model::Floor, flat::closures),
            Subject::new(BY_HAND, Model::Machine, flat::by_hand),
            Subject::new("future", Model::Task, flat::futures),
            Subject::new(FIBER, Model::Fiber, flat::fibers),
            Subject::new(BARE, Model::Floor, flat::bare),
            Subject::new("thread and channel", Model::Thread, flat::threads)
                .up_to(THREADS.0, THREADS.1),
            Subject::new("Python generator", Model::Language, flat::python),
            Subject::new("goroutine and channel", Model::Language, flat::go),
        ],
    },
];
