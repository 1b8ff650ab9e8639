//! Workload 4, first half: to be suspended in the middle of calls.
//!
//! A fiber is suspended and resumed where it is, however deep. A future is polled from the outermost in, and returns all the
//! way out; a recursion among futures must be boxed at each level. `depth` asks what a suspension costs at a depth,
//! `depth_calls` what the way down, one suspension, and the way back cost together.

mod nested;
mod suspend;

use camshaft::task::yield_now;

use crate::experiment::{Axis, Expectation, Experiment, Model, Setting, Subject};
use crate::measure::{Meter, Metric, Sample};
use crate::twice::twice;

use suspend::What;

const NESTED: (u64, &str) = (100, "a hundred functions are written out, which is enough");
const NATIVE: (u64, &str) = (300, "its stacks are of 64 KiB");
const BOXED: &str = "boxed futures";
const INLINE: &str = "futures in futures";
const A_TASK_EACH: &str = "a task for each call";

const DEPTH: Axis = Axis {
    label: "calls deep",
    smoke: &[10],
    quick: &[1, 10, 100, 1000],
    full: &[1, 3, 10, 30, 100, 300, 1000],
};

pub(crate) const EXPERIMENTS: &[Experiment] = &[
    Experiment {
        name: "depth",
        workload: 4,
        title: "Suspended deep in calls",
        question: "What does it cost to be suspended and resumed in the middle of calls, by how many there are?",
        operation: "a suspension and a resumption at that depth",
        axis: DEPTH,
        metric: Metric::Cpu,
        also: &[Metric::Wall],
        expectations: &[
            Expectation::crosses(
                "Each level of boxes is a poll by pointer, so a few of them cost what two switches do.",
                BOXED,
                "fiber",
                (1, 10),
            ),
            Expectation::crosses(
                "The compiler inlines nested futures, but each level keeps a state to look at.",
                INLINE,
                "fiber",
                (3, 30),
            ),
            Expectation::ratio(
                "A thousand polls against one switch.",
                Metric::Cpu,
                BOXED,
                "fiber",
                Some(1000),
                (50.0, 1000.0),
            ),
            Expectation::ratio(
                "If each call is a task of its own, only the innermost is polled: no depth, and no stack.",
                Metric::Cpu,
                A_TASK_EACH,
                "fiber",
                Some(100),
                (0.3, 1.0),
            ),
        ],
        control: "fiber",
        subjects: &[
            Subject::new("hand-written, with a stack", Model::Machine, |it| {
                suspend::machine(it, What::Suspension)
            }),
            Subject::new(INLINE, Model::Task, |it| {
                suspend::nested(it, What::Suspension)
            })
            .up_to(NESTED.0, NESTED.1),
            Subject::new(BOXED, Model::Task, |it| {
                suspend::boxed(it, What::Suspension)
            }),
            Subject::new(A_TASK_EACH, Model::Task, |it| {
                suspend::tasks(it, What::Suspension)
            }),
            Subject::new("fiber", Model::Fiber, |it| {
                suspend::fiber(it, What::Suspension)
            }),
            Subject::new("native fiber", Model::Native, |it| {
                suspend::native(it, What::Suspension)
            })
            .up_to(NATIVE.0, NATIVE.1),
        ],
    },
    Experiment {
        name: "depth_calls",
        workload: 4,
        title: "A deep call that waits",
        question: "What does a call cost that goes that deep, is suspended once, and returns?",
        operation: "the way down, a suspension, and the way back",
        axis: DEPTH,
        metric: Metric::Cpu,
        also: &[Metric::Wall, Metric::Allocations],
        expectations: &[
            Expectation::ratio(
                "A call is a nanosecond, and a boxed one an allocation, two polls, and a drop.",
                Metric::Cpu,
                BOXED,
                "fiber",
                Some(100),
                (5.0, 30.0),
            ),
            Expectation::crosses(
                "Nested futures need no allocation, but are made and moved as a whole.",
                INLINE,
                "fiber",
                (3, 100),
            ),
            Expectation::ratio(
                "A task for each call is the dearest: a life each.",
                Metric::Cpu,
                A_TASK_EACH,
                BOXED,
                Some(100),
                (1.2, 4.0),
            ),
        ],
        control: "fiber",
        subjects: &[
            Subject::new("hand-written, with a stack", Model::Machine, |it| {
                suspend::machine(it, What::Call)
            }),
            Subject::new(INLINE, Model::Task, |it| suspend::nested(it, What::Call))
                .up_to(NESTED.0, NESTED.1),
            Subject::new(BOXED, Model::Task, |it| suspend::boxed(it, What::Call)),
            Subject::new(A_TASK_EACH, Model::Task, |it| {
                suspend::tasks(it, What::Call)
            }),
            Subject::new("fiber", Model::Fiber, |it| suspend::fiber(it, What::Call)),
            Subject::new("native fiber", Model::Native, |it| {
                suspend::native(it, What::Call)
            })
            .up_to(NATIVE.0, NATIVE.1),
        ],
    },
];

/// Suspensions between two looks at the clock.
const TURNS: u64 = 100;

/// What is done at the bottom.
#[derive(Clone, Copy, Debug)]
pub(super) enum Leaf {
    /// One suspension.
    Once,
    /// As many as take the time.
    Measured(Setting),
}

twice! {
    /// The innermost call.
    fn leaf(what: Leaf) -> Option<Sample> {
        wait!(yield_now());
        let Leaf::Measured(setting) = what else {
            return None;
        };
        let meter = Meter::start();
        let mut turns = 0;
        loop {
            for _ in 0..TURNS {
                wait!(yield_now());
            }
            turns += TURNS;
            if meter.is_over(setting) {
                return Some(meter.stop(turns));
            }
        }
    }
}
