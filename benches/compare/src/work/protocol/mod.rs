//! Workload 14: one protocol, written three ways.
//!
//! A client greets with its version, and is answered with ours. Then it asks for sums: it says how many numbers there are,
//! sends them one by one, and is answered. Zero numbers are a farewell. The server waits before each number.
//!
//! ```text
//!   Greeting ──version/version──▶ Idle ──n──▶ Adding ──number, n times/sum──▶ Idle ──0──▶ over
//! ```
//!
//! The `async fn` and the function of the fiber are one text. By hand, each place to wait is a state, and what is needed
//! there are its fields. All are futures, and a loop polls them, so that there is nothing but the protocol in the figures.

mod instructions;
mod line;
mod server;

use crate::experiment::{Axis, Expectation, Experiment, Model, Subject};
use crate::measure::Metric;

const ASYNC: &str = "async fn";
const BY_HAND: &str = "by hand";

pub(crate) const EXPERIMENTS: &[Experiment] = &[
    Experiment {
        name: "protocol",
        workload: 14,
        title: "One protocol, three ways",
        question: "Is what the compiler makes of an async fn what one would have written by hand? And what is a fiber \
                   beside it?",
        operation: "a request: so many numbers received one by one, and a sum sent",
        axis: Axis {
            label: "waits in a request",
            smoke: &[10],
            quick: &[1, 10, 100],
            full: &[1, 3, 10, 30, 100, 300],
        },
        metric: Metric::Cpu,
        also: &[
            Metric::Wall,
            Metric::Size,
            Metric::Polls,
            Metric::Allocations,
        ],
        expectations: &[
            Expectation::ratio(
                "By hand nothing is kept twice, so it is somewhat smaller.",
                Metric::Size,
                BY_HAND,
                ASYNC,
                Some(10),
                (0.5, 1.0),
            ),
            Expectation::ratio(
                "A fiber's state is a page of stack, whatever is in it.",
                Metric::Size,
                "fiber",
                ASYNC,
                Some(10),
                (30.0, 150.0),
            ),
            Expectation::ratio(
                "The compiler's machine is as fast as ours.",
                Metric::Cpu,
                BY_HAND,
                ASYNC,
                Some(10),
                (0.7, 1.2),
            ),
            Expectation::ratio(
                "A resume is two switches more than a poll.",
                Metric::Cpu,
                "fiber",
                ASYNC,
                Some(10),
                (1.5, 5.0),
            ),
            Expectation::ratio(
                "All are polled for each number and no more.",
                Metric::Polls,
                "fiber",
                ASYNC,
                Some(10),
                (0.999, 1.001),
            ),
        ],
        control: ASYNC,
        subjects: &[
            Subject::new(ASYNC, Model::Task, server::stackless),
            Subject::new(BY_HAND, Model::Machine, server::by_hand),
            Subject::new("fiber", Model::Fiber, server::stackful),
            Subject::new("bare coroutine", Model::Floor, server::bare),
        ],
    },
    Experiment {
        name: "instructions",
        workload: 14,
        title: "One protocol, three ways: instructions",
        question: "How many instructions is a request, in which way?",
        operation: "a request: so many numbers received one by one, and a sum sent",
        axis: Axis {
            label: "waits in a request",
            smoke: &[10],
            quick: &[10],
            full: &[1, 10, 100],
        },
        metric: Metric::Instructions,
        also: &[],
        expectations: &[
            Expectation::ratio(
                "The compiler's machine looks at its state as often as ours.",
                Metric::Instructions,
                BY_HAND,
                ASYNC,
                Some(10),
                (0.7, 1.1),
            ),
            Expectation::ratio(
                "A fiber's poll has a page of bookkeeping around the switch.",
                Metric::Instructions,
                "fiber",
                ASYNC,
                Some(10),
                (2.0, 6.0),
            ),
        ],
        control: ASYNC,
        subjects: &[
            Subject::new(ASYNC, Model::Task, |it| instructions::count(it, ASYNC)),
            Subject::new(BY_HAND, Model::Machine, |it| {
                instructions::count(it, BY_HAND)
            }),
            Subject::new("fiber", Model::Fiber, |it| instructions::count(it, "fiber")),
        ],
    },
];
