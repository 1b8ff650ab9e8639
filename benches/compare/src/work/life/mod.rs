//! Workload 2: what a life costs that does nothing: to be made, to run, to end, to be cancelled.
//!
//! | experiment | each of them | and so |
//! |---|---|---|
//! | `life` | runs to its end at its first turn | a fiber needs a stack for that turn only: all share one |
//! | `life_waiting` | waits once, with all others alive | as many stacks as there are fibers, from the pool |
//! | `life_cold` | the same, and the first ever in its process | memory comes from the kernel |
//! | `cancel` | is cancelled while it waits, with values on its frames that have destructors | they have to be found |

mod cancel;
mod live;

use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Subject};
use crate::measure::Metric;

use live::Window;

const BARE: &str = "bare coroutine";
const UCONTEXT: &str = "ucontext, same stack";
const THREAD_LIMIT: (u64, &str) = (1000, "a thousand threads say what more would");
const PROCESS_LIMIT: (u64, &str) = (100, "a hundred processes say what a thousand would");

pub(crate) const EXPERIMENTS: &[Experiment] = &[
    Experiment {
        name: "life",
        workload: 2,
        title: "A short life",
        question: "What does it cost to make something that runs, to run it to its end, and to learn of it?",
        operation: "one of them made, run, and awaited",
        axis: Axis {
            label: "at once",
            smoke: &[1],
            quick: &[1, 100, 10_000],
            full: &[1, 100, 10_000, 1_000_000],
        },
        metric: Metric::Cpu,
        also: &[Metric::Wall, Metric::Allocations],
        expectations: &[
            Expectation::ratio(
                "A fiber is a task, a pop from a pool of stacks, two switches and a push: two or three tasks.",
                Metric::Cpu,
                "fiber",
                "task",
                Some(1),
                (1.5, 3.5),
            ),
            Expectation::ratio(
                "The goal is 120 ns, which is six times what a task took when it was set.",
                Metric::Cpu,
                "fiber",
                "task",
                None,
                (0.0, 6.0),
            ),
            Expectation::ratio(
                "Without a task around it, a fiber is lighter.",
                Metric::Cpu,
                "native fiber",
                "fiber",
                Some(1),
                (0.3, 0.9),
            ),
            Expectation::ratio(
                "A thread needs the kernel for everything, and a fiber for nothing.",
                Metric::Cpu,
                "thread",
                "fiber",
                Some(1),
                (100.0, 1000.0),
            ),
            Expectation::ratio(
                "A process copies its page tables as well.",
                Metric::Cpu,
                "process",
                "thread",
                Some(1),
                (3.0, 20.0),
            ),
        ],
        control: "fiber",
        subjects: &[
            Subject::new("hand-written, in place", Model::Floor, live::machines),
            Subject::new("boxed future", Model::Floor, live::boxed),
            Subject::new("task", Model::Task, live::tasks_at_once),
            Subject::new("fiber", Model::Fiber, live::fibers_at_once),
            Subject::new("native fiber", Model::Native, live::natives_at_once),
            Subject::new(BARE, Model::Floor, live::bare_at_once),
            Subject::new(UCONTEXT, Model::Historic, live::ucontext),
            Subject::new("thread", Model::Thread, live::threads_at_once)
                .up_to(THREAD_LIMIT.0, THREAD_LIMIT.1),
            Subject::new("process", Model::Process, live::processes_at_once)
                .up_to(PROCESS_LIMIT.0, PROCESS_LIMIT.1),
        ],
    },
    Experiment {
        name: "life_waiting",
        workload: 2,
        title: "A life with a wait in it",
        question: "What does a life cost if all of them are alive at once, each with frames of its own, from a warm pool?",
        operation: "one of them made, suspended once, run to its end, and awaited",
        axis: Axis {
            label: "alive at once",
            smoke: &[100],
            quick: &[1, 10_000],
            full: &[1, 10, 100, 1000, 10_000, 100_000, 1_000_000],
        },
        metric: Metric::Cpu,
        also: &[Metric::Wall, Metric::Allocations],
        expectations: &[
            Expectation::ratio(
                "Two turns instead of one, and otherwise the same.",
                Metric::Cpu,
                "fiber",
                "task",
                Some(1),
                (1.5, 3.5),
            ),
            Expectation::ratio(
                "Ten thousand stacks do not fit into the caches: each life touches a page.",
                Metric::Cpu,
                "fiber",
                "task",
                Some(10_000),
                (3.0, 10.0),
            ),
        ],
        control: "fiber",
        subjects: &[
            Subject::new("task", Model::Task, |it| live::tasks(it, Window::Warm)),
            Subject::new("fiber", Model::Fiber, |it| live::fibers(it, Window::Warm)),
            Subject::new("native fiber", Model::Native, |it| {
                live::natives(it, Window::Warm)
            }),
            Subject::new(BARE, Model::Floor, |it| live::bare(it, Window::Warm)),
            Subject::new("bare coroutine, mapped anew", Model::Floor, |it| {
                live::mapped(it, Window::Warm)
            })
            .up_to(10_000, "two mappings each, of which there may be 65,530"),
            Subject::new("thread", Model::Thread, |it| {
                live::threads(it, Window::Warm)
            })
            .up_to(THREAD_LIMIT.0, THREAD_LIMIT.1),
            Subject::new("process", Model::Process, |it| {
                live::processes(it, Window::Warm)
            })
            .up_to(PROCESS_LIMIT.0, PROCESS_LIMIT.1),
        ],
    },
    Experiment {
        name: "life_cold",
        workload: 2,
        title: "The first lives of a process",
        question: "What do the first ones cost, when no pool has anything and memory comes from the kernel?",
        operation: "one of the first made, suspended once, run to its end, and awaited",
        axis: Axis {
            label: "alive at once",
            smoke: &[100],
            quick: &[100, 10_000],
            full: &[100, 1000, 10_000, 100_000, 1_000_000],
        },
        metric: Metric::Cpu,
        also: &[Metric::Wall, Metric::Allocations],
        expectations: &[
            Expectation::ratio(
                "A stack takes a guard and a page fault, each more than a microsecond's half; a task a slot.",
                Metric::Cpu,
                "fiber",
                "task",
                Some(10_000),
                (5.0, 40.0),
            ),
            Expectation::ratio(
                "The page fault is there whoever schedules.",
                Metric::Cpu,
                "fiber",
                "native fiber",
                Some(10_000),
                (0.8, 1.3),
            ),
            Expectation::ratio(
                "A cold fiber is still far from a thread.",
                Metric::Cpu,
                "thread",
                "fiber",
                Some(100),
                (3.0, 30.0),
            ),
        ],
        control: "fiber",
        subjects: &[
            Subject::new("task", Model::Task, |it| live::tasks(it, Window::Cold)),
            Subject::new("fiber", Model::Fiber, |it| live::fibers(it, Window::Cold)),
            Subject::new("native fiber", Model::Native, |it| {
                live::natives(it, Window::Cold)
            }),
            Subject::new(BARE, Model::Floor, |it| live::bare(it, Window::Cold)),
            Subject::new("bare coroutine, mapped anew", Model::Floor, |it| {
                live::mapped(it, Window::Cold)
            })
            .up_to(10_000, "two mappings each, of which there may be 65,530"),
            Subject::new("thread", Model::Thread, |it| {
                live::threads(it, Window::Cold)
            })
            .up_to(THREAD_LIMIT.0, THREAD_LIMIT.1),
            Subject::new("process", Model::Process, |it| {
                live::processes(it, Window::Cold)
            })
            .up_to(PROCESS_LIMIT.0, PROCESS_LIMIT.1),
        ],
    },
    Experiment {
        name: "cancel",
        workload: 2,
        title: "Cancelling",
        question: "What does it cost to end something in the middle, with all that it holds?",
        operation: "one made, suspended under that many frames with a destructor each, cancelled, and awaited",
        axis: Axis {
            label: "frames with a destructor",
            smoke: &[1],
            quick: &[1, 10, 100],
            full: &[1, 3, 10, 30, 100],
        },
        metric: Metric::Cpu,
        also: &[Metric::Wall, Metric::Allocations],
        expectations: &[
            Expectation::ratio(
                "Dropping a future is a call; a stack has to be unwound, frame by frame, by tables.",
                Metric::Cpu,
                "fiber",
                "task",
                Some(1),
                (15.0, 100.0),
            ),
            Expectation::ratio(
                "Each frame costs the unwinder as much again, and the boxes of the tasks an allocation.",
                Metric::Cpu,
                "fiber",
                "task",
                Some(100),
                (5.0, 40.0),
            ),
            Expectation::ratio(
                "The same unwinder.",
                Metric::Cpu,
                "native fiber",
                "fiber",
                None,
                (0.7, 1.2),
            ),
        ],
        control: "fiber",
        subjects: &[
            Subject::new("boxed future, dropped", Model::Floor, cancel::boxed),
            Subject::new("task", Model::Task, cancel::tasks),
            Subject::new("fiber", Model::Fiber, cancel::fibers),
            Subject::new(
                "fiber that returns an error",
                Model::Fiber,
                cancel::returning,
            ),
            Subject::new("native fiber", Model::Native, cancel::natives),
            Subject::new("thread", Model::Thread, |_| {
                Ok(Outcome::Skipped(
                    "a thread cannot be cancelled from outside with its destructors run".into(),
                ))
            }),
            Subject::new("process, killed", Model::Process, cancel::processes)
                .up_to(1, "no destructors run, whatever it holds"),
        ],
    },
];
