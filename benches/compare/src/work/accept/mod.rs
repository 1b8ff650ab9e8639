//! Workload 5: a thousand connections at once, and a handler that takes its time.
//!
//! A well-known comparison says: a server that handles connections one after another takes about 6000 ms for a thousand,
//! an asynchronous one about 800. Both are replicated here, and the delay in the handler is a parameter: it explains the
//! first number (1000 × 6 ms), and the number of threads explains the second (6000 ms / 8). Whether the delay is a wait or
//! work makes all the difference to what a model can do about it, so there is an experiment for each.

mod epoll;
mod servers;
mod storm;

use std::time::Duration;

use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Setting, Subject};
use crate::measure::Metric;
use crate::net::listen;
use crate::net::process::Process;
use crate::net::work::Work;
use camshaft_probe::sys;
use servers::{Job, Pause, Server};

pub(crate) const EXPERIMENTS: &[Experiment] = &[WAIT, POOL, WORK];

const WAIT: Experiment = Experiment {
    name: "accept",
    workload: 5,
    title: "A thousand connections, and a handler that waits",
    question: "Why does one server take 6000 ms for 1000 connections and another 800? The handler reads, waits, and answers.",
    operation: "1000 connections are opened at once, each sends 64 bytes and is answered",
    axis: Axis {
        label: "µs that a handler waits",
        smoke: &[0, 1000],
        quick: &[0, 1000, 6000],
        full: &[0, 100, 1000, 6000],
    },
    metric: Metric::Total,
    also: &[Metric::Cpu, Metric::Load],
    expectations: &[
        Expectation::ratio(
            "6000 ms against 800 ms is 1000 × 6 ms, divided among eight threads; asynchrony has no part in it.",
            Metric::Total,
            "one after another",
            "pool of 8 threads",
            Some(6000),
            (7.0, 8.2),
        ),
        Expectation::ratio(
            "What waits at the same time waits once: tasks need 6 ms and what the sockets cost.",
            Metric::Total,
            "pool of 8 threads",
            "tasks",
            Some(6000),
            (15.0, 60.0),
        ),
        Expectation::ratio(
            "A blocking call in a task stops all others; an async server is then the one that takes 6000 ms.",
            Metric::Total,
            "tasks that block",
            "one after another",
            Some(1000),
            (0.95, 1.05),
        ),
        Expectation::ratio(
            "Fibers wait as tasks do.",
            Metric::Total,
            "fibers",
            "tasks",
            None,
            (0.9, 1.15),
        ),
        Expectation::ratio(
            "Without the delay, one after another is as good as anything, or better.",
            Metric::Total,
            "one after another",
            "tasks",
            Some(0),
            (0.5, 1.1),
        ),
        Expectation::ratio(
            "To start a thread costs more than what it does for a connection.",
            Metric::Total,
            "thread each",
            "tasks",
            Some(0),
            (1.2, 4.0),
        ),
        Expectation::ratio(
            "And to start a process costs several times that.",
            Metric::Total,
            "process each",
            "thread each",
            Some(0),
            (2.0, 10.0),
        ),
    ],
    control: "tasks",
    subjects: rows![waiting:
        Historic "one after another" inline,
        Task "tasks that block" tasks_blocking up to 1000: "it takes as long as one after another",
        Thread "pool of 8 threads" pool_of_8,
        Thread "thread each" threads,
        Process "process each" processes,
        Epoll "epoll loop" epoll,
        Task "tasks" tasks,
        Fiber "fibers" fibers,
        Native "native fibers" native_fibers,
    ],
};

const POOL: Experiment = Experiment {
    name: "accept_pool",
    title: "A thousand connections, and a pool of threads",
    question: "How many threads does a pool need until it is as good as tasks, if each handler waits for 6 ms?",
    axis: Axis {
        label: "threads in the pool",
        smoke: &[64],
        quick: &[8, 64, 512],
        full: &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000],
    },
    expectations: &[
        Expectation::ratio(
            "64 threads still need 16 rounds of 6 ms.",
            Metric::Total,
            "pool",
            "tasks (no pool)",
            Some(64),
            (2.0, 6.0),
        ),
        Expectation::ratio(
            "Hundreds of threads come close to tasks, and never beat them.",
            Metric::Total,
            "pool",
            "tasks (no pool)",
            Some(512),
            (1.0, 2.5),
        ),
    ],
    control: "tasks (no pool)",
    subjects: &[
        Subject::new("pool", Model::Thread, |setting| {
            storm(servers::pool, Pause::Wait(SIX), setting.count())
        }),
        Subject::new("tasks (no pool)", Model::Task, |_| {
            storm(servers::tasks, Pause::Wait(SIX), 0)
        }),
        Subject::new("fibers (no pool)", Model::Fiber, |_| {
            storm(servers::fibers, Pause::Wait(SIX), 0)
        }),
    ],
    ..WAIT
};

const WORK: Experiment = Experiment {
    name: "accept_work",
    title: "A thousand connections, and a handler that computes",
    question: "What if the handler does not wait, but computes for as long? The server has one core.",
    axis: Axis {
        label: "µs that a handler computes",
        smoke: &[100],
        quick: &[0, 250],
        full: &[0, 100, 1000, 6000],
    },
    expectations: &[
        Expectation::ratio(
            "Eight threads on one core compute no faster than one.",
            Metric::Total,
            "pool of 8 threads",
            "one after another",
            None,
            (0.9, 1.25),
        ),
        Expectation::ratio(
            "Nor do tasks: asynchrony is for waiting.",
            Metric::Total,
            "tasks",
            "one after another",
            None,
            (0.9, 1.25),
        ),
        Expectation::ratio(
            "Nor fibers.",
            Metric::Total,
            "fibers",
            "tasks",
            None,
            (0.9, 1.1),
        ),
    ],
    control: "tasks",
    subjects: rows![working:
        Historic "one after another" inline,
        Thread "pool of 8 threads" pool_of_8,
        Thread "thread each" threads,
        Task "tasks" tasks,
        Fiber "fibers" fibers,
        Native "native fibers" native_fibers,
    ],
    ..WAIT
};

const SIX: Duration = Duration::from_millis(6);

fn waiting(setting: Setting, server: Server) -> anyhow::Result<Outcome> {
    storm(server, Pause::Wait(Duration::from_micros(setting.at)), 0)
}

fn working(setting: Setting, server: Server) -> anyhow::Result<Outcome> {
    let work = Work::lasting(Duration::from_micros(setting.at));
    storm(server, Pause::Work(work), 0)
}

fn storm(server: Server, pause: Pause, threads: usize) -> anyhow::Result<Outcome> {
    let listener = listen()?;
    let address = listener.local_addr()?;
    let copy = listener.try_clone()?;
    let job = Job { pause, threads };
    let process = Process::start(sys::SERVER_CORE, move |family| server(copy, job, family))?;
    drop(listener);
    sys::pin(sys::LOAD_CORE);
    Ok(storm::measure(process, address)?.into())
}
