//! Workload 1: what a switch costs, and from how many on memory costs more.
//!
//! A turn is: control goes to one of N, and leaves it again. On the lower rungs somebody calls, resumes or polls one after
//! the other; with a scheduler each of them gives way, and the next has its turn. Processes and threads are pinned to one
//! core, as everything else here, so a hand-over is a switch of the kernel's and not a message between cores.
//!
//! Nobody waits, so CPU time is what counts, whoever else is on the machine. Only the claims about hand-overs between
//! threads and processes are about elapsed time: who hands over sleeps until it is woken.
//!
//! The same is asked twice: with turns in the order in which all lie in memory, and in a shuffled one. Who sits in a
//! contiguous table profits from the processor's fetching ahead in the first, which no server would see.

mod bare;
mod scheduled;

use crate::experiment::{Axis, Expectation, Experiment, Model, Subject};
use crate::measure::Metric;
use crate::models::order::Order;

const SWITCH: &str = "bare switch";
const SWITCH_AND_TASK: &str = "bare switch in a task";
const PROCESS_LIMIT: (u64, &str) = (100, "a hundred processes say what a thousand would");
const THREAD_LIMIT: (u64, &str) = (1000, "a thousand threads say what more would");

const LIVE: Axis = Axis {
    label: "live",
    smoke: &[1, 100],
    quick: &[1, 1000, 10_000, 100_000],
    full: &[1, 10, 100, 1000, 10_000, 100_000, 1_000_000],
};

pub(crate) const EXPERIMENTS: &[Experiment] = &[
    Experiment {
        name: "switch",
        workload: 1,
        title: "The switch ladder",
        question: "What does it cost to go into something that waits and out of it again, from a function call to a \
                   process, and from how many on does memory cost more than the switch?",
        operation: "a turn: control goes to one of them, and leaves it",
        axis: LIVE,
        metric: Metric::Cpu,
        also: &[Metric::Wall],
        expectations: &[
            Expectation::ratio(
                "Through the executor a fiber costs at most half more than a bare switch and a task's turn together.",
                Metric::Cpu,
                "fiber",
                SWITCH_AND_TASK,
                None,
                (0.0, 1.5),
            ),
            Expectation::ratio(
                "The bridge between fibers and futures costs a fifth at most, against a scheduler that knows fibers only.",
                Metric::Cpu,
                "fiber",
                "native fiber",
                None,
                (0.0, 1.2),
            ),
            Expectation::ratio(
                "One task's turn is cheaper than one fiber's: a poll is a call, and a resume two switches.",
                Metric::Cpu,
                "fiber",
                "task",
                Some(1),
                (1.2, 3.0),
            ),
            Expectation::ratio(
                "With many of them, a fiber misses its page, its page table and its frames, and a task one line.",
                Metric::Cpu,
                "fiber",
                "task",
                Some(100_000),
                (3.0, 20.0),
            ),
            Expectation::ratio(
                "A switch that the compiler inlines beats the classic function, which saves everything.",
                Metric::Cpu,
                "own assembly",
                SWITCH,
                Some(1),
                (1.1, 4.0),
            ),
            Expectation::ratio(
                "From fiber to fiber is half of into and out of.",
                Metric::Cpu,
                "own assembly, in a ring",
                "own assembly",
                Some(1),
                (0.4, 0.7),
            ),
            Expectation::ratio(
                "setjmp and longjmp save little more than assembly does, but scramble the addresses.",
                Metric::Cpu,
                "setjmp, longjmp",
                "own assembly",
                Some(1),
                (1.5, 6.0),
            ),
            Expectation::ratio(
                "ucontext asks the kernel for the signal mask at every switch.",
                Metric::Cpu,
                "ucontext",
                "own assembly",
                Some(1),
                (20.0, 200.0),
            ),
            Expectation::ratio(
                "A thread is two switches of the kernel's away.",
                Metric::Wall,
                "thread, by futex",
                "task",
                Some(1),
                (200.0, 2000.0),
            ),
            Expectation::ratio(
                "A process changes the page tables, too.",
                Metric::Wall,
                "process, by pipe",
                "thread, by futex",
                Some(1),
                (1.1, 3.0),
            ),
        ],
        control: "fiber",
        subjects: &[
            Subject::new("function call", Model::Floor, |it| {
                bare::calls(it, Order::Made)
            }),
            Subject::new("hand-written poll", Model::Machine, |it| {
                bare::machines(it, Order::Made)
            }),
            Subject::new("Future::poll", Model::Floor, |it| {
                bare::polls(it, Order::Made)
            }),
            Subject::new("task", Model::Task, |it| scheduled::tasks(it, Order::Made)),
            Subject::new("fiber", Model::Fiber, |it| {
                scheduled::fibers(it, Order::Made)
            }),
            Subject::new("native fiber", Model::Native, |it| {
                scheduled::natives(it, Order::Made)
            }),
            Subject::new(SWITCH, Model::Floor, |it| bare::corosensei(it, Order::Made)),
            Subject::new(SWITCH_AND_TASK, Model::Floor, |it| {
                scheduled::tasks_that_switch(it, Order::Made)
            }),
            Subject::new("own assembly", Model::Historic, |it| {
                bare::assembly(it, Order::Made)
            }),
            Subject::new("own assembly, in a ring", Model::Historic, |it| {
                bare::ring(it, Order::Made)
            }),
            Subject::new("setjmp, longjmp", Model::Historic, |it| {
                bare::setjmp(it, Order::Made)
            }),
            Subject::new("ucontext", Model::Historic, |it| {
                bare::ucontext(it, Order::Made)
            }),
            Subject::new("thread, by futex", Model::Thread, bare::threads)
                .up_to(THREAD_LIMIT.0, THREAD_LIMIT.1),
            Subject::new("process, by pipe", Model::Process, bare::processes)
                .up_to(PROCESS_LIMIT.0, PROCESS_LIMIT.1),
        ],
    },
    Experiment {
        name: "switch_shuffled",
        workload: 1,
        title: "The switch ladder, in shuffled order",
        question: "What does a turn cost if those who have it are scattered in memory, as those are that events wake?",
        operation: "a turn: control goes to one of them, and leaves it",
        axis: Axis {
            label: "live",
            smoke: &[100],
            quick: &[1000, 10_000, 100_000],
            full: &[100, 1000, 10_000, 100_000, 1_000_000],
        },
        metric: Metric::Cpu,
        also: &[Metric::Wall],
        expectations: &[
            Expectation::ratio(
                "Nobody fetches ahead any more, so tasks miss as well, and lose some of their lead.",
                Metric::Cpu,
                "fiber",
                "task",
                Some(100_000),
                (1.5, 4.0),
            ),
            Expectation::ratio(
                "The misses are those of the stacks, so the scheduler does not matter.",
                Metric::Cpu,
                "fiber",
                "native fiber",
                Some(100_000),
                (0.8, 1.2),
            ),
            Expectation::ratio(
                "The goal holds for scattered fibers, too.",
                Metric::Cpu,
                "fiber",
                SWITCH_AND_TASK,
                None,
                (0.0, 1.5),
            ),
        ],
        control: "fiber",
        subjects: &[
            Subject::new("hand-written poll", Model::Machine, |it| {
                bare::machines(it, Order::Shuffled)
            }),
            Subject::new("Future::poll", Model::Floor, |it| {
                bare::polls(it, Order::Shuffled)
            }),
            Subject::new("task", Model::Task, |it| {
                scheduled::tasks(it, Order::Shuffled)
            }),
            Subject::new("fiber", Model::Fiber, |it| {
                scheduled::fibers(it, Order::Shuffled)
            }),
            Subject::new("native fiber", Model::Native, |it| {
                scheduled::natives(it, Order::Shuffled)
            }),
            Subject::new(SWITCH, Model::Floor, |it| {
                bare::corosensei(it, Order::Shuffled)
            }),
            Subject::new(SWITCH_AND_TASK, Model::Floor, |it| {
                scheduled::tasks_that_switch(it, Order::Shuffled)
            }),
            Subject::new("own assembly, in a ring", Model::Historic, |it| {
                bare::ring(it, Order::Shuffled)
            }),
        ],
    },
];
