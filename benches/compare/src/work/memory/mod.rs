//! Workload 3: what it takes to wait.
//!
//! Everything is counted that a million of them would need: resident memory, the page tables above it, mappings (of which a
//! process may have 65,530 unless `vm.max_map_count` is raised), and, for threads, what the kernel keeps of each. Addresses
//! are not counted; there are enough.
//!
//! A task's frame is as large as what is alive across the wait. A stack is used by the page, so that the first bytes of a
//! frame cost a fiber nothing, and then a page at once.

mod grown;
mod waiting;

use crate::experiment::{Axis, Expectation, Experiment, Model, Subject};
use crate::measure::Metric;

const PAGE: &str = "a page for each stack";
const ALSO: &[Metric] = &[
    Metric::Resident,
    Metric::PageTables,
    Metric::Kernel,
    Metric::Mappings,
];
const QUESTION: &str = "How much memory of all kinds does one of many take that wait for an event?";
const OPERATION: &str = "one that waits";
const THREADS: (u64, &str) = (
    10_000,
    "each takes four mappings: its stack, the one for signals, and a guard for each",
);
const LARGE_STACKS: (u64, &str) = (100_000, "a million take a tebibyte of addresses");

const fn many(small: &'static [u64], quick: &'static [u64]) -> Axis {
    Axis {
        label: "waiting",
        smoke: small,
        quick,
        full: &[1000, 10_000, 100_000, 1_000_000],
    }
}

/// The subjects, with frames of a size.
struct Frames<const FRAME: usize>;

impl<const FRAME: usize> Frames<FRAME> {
    const SUBJECTS: &[Subject] = &[
        Subject::new(
            "hand-written, in a table",
            Model::Machine,
            waiting::machines::<FRAME>,
        ),
        Subject::new("future, in a table", Model::Floor, waiting::inline::<FRAME>),
        Subject::new("future, boxed", Model::Floor, waiting::boxed::<FRAME>),
        Subject::new("task", Model::Task, waiting::tasks::<FRAME>),
        Subject::new("fiber", Model::Fiber, waiting::fibers::<FRAME>),
        Subject::new(
            "fiber, stack of 1 MiB",
            Model::Floor,
            waiting::large_fibers::<FRAME>,
        )
        .up_to(LARGE_STACKS.0, LARGE_STACKS.1),
        Subject::new("native fiber", Model::Native, waiting::natives::<FRAME>),
        Subject::new(PAGE, Model::Floor, waiting::pages),
        Subject::new("thread", Model::Thread, waiting::threads::<FRAME>)
            .up_to(THREADS.0, THREADS.1),
    ];
}

pub(crate) const EXPERIMENTS: &[Experiment] = &[
    Experiment {
        name: "memory",
        workload: 3,
        title: "Waiting with nothing",
        question: QUESTION,
        operation: OPERATION,
        axis: many(&[1000], &[1000, 10_000, 100_000]),
        metric: Metric::Memory,
        also: ALSO,
        expectations: &[
            Expectation::ratio(
                "A fiber takes one page, its entry in a page table, and a task of the size of a pointer: 4.3 KiB.",
                Metric::Memory,
                "fiber",
                PAGE,
                Some(100_000),
                (1.0, 1.04),
            ),
            Expectation::ratio(
                "A task needs a cache line and its place in tables, and a stack a page.",
                Metric::Memory,
                "fiber",
                "task",
                Some(100_000),
                (40.0, 70.0),
            ),
            Expectation::ratio(
                "With 1 MiB each, two stacks share a page of the page table.",
                Metric::Memory,
                "fiber, stack of 1 MiB",
                "fiber",
                Some(100_000),
                (1.4, 1.6),
            ),
            Expectation::ratio(
                "A thread has a stack in the kernel, too, of 16 KiB, and three pages or four of its own.",
                Metric::Memory,
                "thread",
                "fiber",
                Some(10_000),
                (6.0, 12.0),
            ),
            Expectation::ratio(
                "What a task adds to its future is a header, and the place in a queue.",
                Metric::Memory,
                "task",
                "future, boxed",
                Some(100_000),
                (1.2, 3.0),
            ),
        ],
        control: "fiber",
        subjects: Frames::<0>::SUBJECTS,
    },
    Experiment {
        name: "memory_256",
        workload: 3,
        title: "Waiting with 256 bytes",
        question: QUESTION,
        operation: "one that waits, with 256 bytes that it needs afterwards",
        axis: many(&[1000], &[10_000]),
        metric: Metric::Memory,
        also: ALSO,
        expectations: &[
            Expectation::ratio(
                "The bytes find room in the fiber's page.",
                Metric::Memory,
                "fiber",
                PAGE,
                Some(10_000),
                (1.0, 1.04),
            ),
            Expectation::ratio(
                "A task is larger by them, so the distance shrinks.",
                Metric::Memory,
                "fiber",
                "task",
                Some(10_000),
                (8.0, 16.0),
            ),
        ],
        control: "fiber",
        subjects: Frames::<256>::SUBJECTS,
    },
    Experiment {
        name: "memory_4k",
        workload: 3,
        title: "Waiting with 4 KiB",
        question: QUESTION,
        operation: "one that waits, with 4096 bytes that it needs afterwards",
        axis: many(&[1000], &[10_000]),
        metric: Metric::Memory,
        also: ALSO,
        expectations: &[
            Expectation::ratio(
                "A page of bytes and a page of the fiber's own; the first of large frames is the worst for it.",
                Metric::Memory,
                "fiber",
                "task",
                Some(10_000),
                (1.7, 2.3),
            ),
            Expectation::ratio(
                "Pages of a size are what a stack is good at.",
                Metric::Memory,
                "fiber",
                PAGE,
                Some(10_000),
                (1.9, 2.1),
            ),
        ],
        control: "fiber",
        subjects: Frames::<4096>::SUBJECTS,
    },
];
