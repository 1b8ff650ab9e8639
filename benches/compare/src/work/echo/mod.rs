//! Workload 6: echo, on every model and with every way to wait for sockets.
//!
//! The server has a process and a core of its own, the load client the other ones. What a message costs the server is its
//! CPU time: on a loopback the elapsed time is that of the slower of the two.

mod aio;
mod machine;
pub(crate) mod servers;

use std::time::Duration;

use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Setting, Subject};
use crate::measure::Metric;
use crate::net::driven::{Load, closed_loop};
use crate::net::listen;
use crate::net::paced::{self, open_loop};
use crate::net::process::Process;
use crate::net::work::Work;
use servers::{Job, Server};

pub(crate) const EXPERIMENTS: &[Experiment] = &[CONNECTIONS, SIZE, SHARE, RATE];

const CONNECTIONS: Experiment = Experiment {
    name: "echo",
    workload: 6,
    title: "Echo: the model, and the registration of sockets",
    question: "How much of the cost of an echo of 64 bytes is the model, and how much the way in which sockets are waited for? (The load client works as hard as a bare loop, so the elapsed time is that of the slower of the two, and the CPU time of the server is what counts.)",
    operation: "a message of 64 bytes there and back; the CPU time is that of the server",
    axis: Axis {
        label: "connections",
        smoke: &[1, 64],
        quick: &[1, 64, 1000],
        full: &[1, 4, 16, 64, 256, 1000, 4000],
    },
    metric: Metric::Cpu,
    also: &[Metric::Wall, Metric::P50, Metric::P99, Metric::Load],
    expectations: &[
        Expectation::ratio(
            "A switch of stacks is a hundredth of what the sockets cost, so fibers and tasks tie.",
            Metric::Cpu,
            "fibers, ring",
            "tasks, ring",
            None,
            (0.95, 1.1),
        ),
        Expectation::ratio(
            "They tie on epoll as well.",
            Metric::Cpu,
            "fibers, epoll",
            "tasks, epoll",
            None,
            (0.95, 1.1),
        ),
        Expectation::ratio(
            "What the compiler makes of an async function is what one would have written.",
            Metric::Cpu,
            "hand-written, ring, polled",
            "tasks, ring, polled",
            None,
            (0.95, 1.1),
        ),
        Expectation::ratio(
            "Executor, wakers and futures add little to a bare loop on the ring.",
            Metric::Cpu,
            "tasks, ring",
            "ring loop",
            Some(64),
            (1.0, 1.15),
        ),
        Expectation::ratio(
            "Two switches and a scheduler add little to a bare loop on epoll.",
            Metric::Cpu,
            "native fibers, edge",
            "epoll loop, edge",
            Some(64),
            (1.0, 1.1),
        ),
        Expectation::ratio(
            "One-shot registration costs a system call more a message, and that is more than any model does.",
            Metric::Cpu,
            "epoll loop, one-shot",
            "epoll loop, edge",
            None,
            (1.03, 1.3),
        ),
        Expectation::ratio(
            "To add and to remove is one call more than to arm again, and a tree is changed twice.",
            Metric::Cpu,
            "native fibers, add and remove",
            "native fibers, one-shot",
            Some(64),
            (1.02, 1.3),
        ),
        Expectation::ratio(
            "Level-triggered epoll looks at each socket once more, but that takes no call.",
            Metric::Cpu,
            "epoll loop, level",
            "epoll loop, edge",
            None,
            (0.95, 1.1),
        ),
        Expectation::ratio(
            "Linux aio is one-shot, too, but arms all sockets of a turn in one call.",
            Metric::Cpu,
            "aio loop",
            "epoll loop, one-shot",
            Some(64),
            (0.75, 1.0),
        ),
        Expectation::ratio(
            "One call a turn instead of two a message.",
            Metric::Cpu,
            "ring loop",
            "epoll loop, edge",
            Some(64),
            (0.6, 0.95),
        ),
        Expectation::ratio(
            "With one connection there is nothing to put together, and the ring is no cheaper.",
            Metric::Cpu,
            "ring loop",
            "epoll loop, edge",
            Some(1),
            (0.95, 1.5),
        ),
        Expectation::ratio(
            "A switch of threads is dearer than one of fibers, but there is no epoll to ask.",
            Metric::Cpu,
            "threads",
            "epoll loop, edge",
            Some(1000),
            (1.1, 2.5),
        ),
        Expectation::ratio(
            "A switch between processes changes the address space as well.",
            Metric::Cpu,
            "processes",
            "threads",
            Some(64),
            (1.0, 1.5),
        ),
    ],
    control: "tasks, ring",
    subjects: rows![by_connections:
        Epoll "epoll loop, edge" epoll_edge,
        Epoll "epoll loop, level" epoll_level,
        Epoll "epoll loop, one-shot" epoll_one_shot,
        Historic "aio loop" aio,
        Ring "ring loop" ring,
        Task "tasks, ring" tasks,
        Fiber "fibers, ring" fibers,
        Task "tasks, epoll" tasks_epoll,
        Fiber "fibers, epoll" fibers_epoll,
        Task "tasks, ring, lent" tasks_lent,
        Task "tasks, ring, polled" tasks_polled,
        Machine "hand-written, ring, polled" machines,
        Fiber "fibers, ring, std::io" fibers_std,
        Native "native fibers, edge" native_edge,
        Native "native fibers, one-shot" native_one_shot,
        Native "native fibers, add and remove" native_add_remove,
        Thread "threads" threads,
        Process "processes" processes up to 256: "thousands of processes would measure the machine, not the model",
    ],
};

const SIZE: Experiment = Experiment {
    name: "echo_size",
    title: "Echo: larger messages",
    question: "Where do the bytes cost more than everything else? (64 connections.)",
    operation: "a message there and back; the CPU time is that of the server",
    axis: Axis {
        label: "bytes of a message",
        smoke: &[64],
        quick: &[64, 4096, 16384],
        full: &[64, 256, 1024, 4096, 16384],
    },
    expectations: &[
        Expectation::ratio(
            "Fibers and tasks tie at every size.",
            Metric::Cpu,
            "fibers, ring",
            "tasks, ring",
            None,
            (0.95, 1.1),
        ),
        Expectation::ratio(
            "With 16 KiB to copy twice, a system call more is lost in it.",
            Metric::Cpu,
            "epoll loop, one-shot",
            "epoll loop, edge",
            Some(16384),
            (0.97, 1.08),
        ),
        Expectation::ratio(
            "Reads that look as if they blocked copy once more, and so do writes.",
            Metric::Cpu,
            "fibers, ring, std::io",
            "fibers, ring",
            Some(16384),
            (1.05, 1.5),
        ),
    ],
    subjects: rows![by_size:
        Epoll "epoll loop, edge" epoll_edge,
        Epoll "epoll loop, one-shot" epoll_one_shot,
        Ring "ring loop" ring,
        Task "tasks, ring" tasks,
        Fiber "fibers, ring" fibers,
        Fiber "fibers, ring, std::io" fibers_std,
        Native "native fibers, edge" native_edge,
        Thread "threads" threads,
    ],
    ..CONNECTIONS
};

const SHARE: Experiment = Experiment {
    name: "echo_work",
    title: "Echo with work: when the model no longer matters",
    question: "From how much work for each message on does it not matter which model serves it? (64 connections, 64 bytes.)",
    operation: "a message of 64 bytes there and back, with work in between; the CPU time is that of the server",
    axis: Axis {
        label: "ns of work for a message",
        smoke: &[0, 20_000],
        quick: &[0, 5_000, 20_000],
        full: &[0, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000],
    },
    expectations: &[
        Expectation::ratio(
            "Fibers and tasks tie with and without work.",
            Metric::Cpu,
            "fibers, ring",
            "tasks, ring",
            None,
            (0.95, 1.1),
        ),
        Expectation::ratio(
            "Without work, threads cost far more than tasks.",
            Metric::Cpu,
            "threads",
            "tasks, ring",
            Some(0),
            (1.2, 2.5),
        ),
        Expectation::ratio(
            "With 20 µs of work it is less than a tenth.",
            Metric::Cpu,
            "threads",
            "tasks, ring",
            Some(20_000),
            (1.0, 1.1),
        ),
        Expectation::ratio(
            "And between the best loop on a ring and the best on epoll there is nothing left.",
            Metric::Cpu,
            "ring loop",
            "epoll loop, edge",
            Some(20_000),
            (0.93, 1.03),
        ),
        Expectation::ratio(
            "(After the above was refuted.) What the ring saves is wake-ups: each reply that is sent at once wakes a client that sleeps. A loop on epoll that sends at the end of its turn saves them, too.",
            Metric::Cpu,
            "epoll loop, sends last",
            "ring loop",
            Some(20_000),
            (0.95, 1.05),
        ),
    ],
    subjects: rows![by_work:
        Epoll "epoll loop, edge" epoll_edge,
        Epoll "epoll loop, sends last" epoll_late,
        Ring "ring loop" ring,
        Task "tasks, ring" tasks,
        Fiber "fibers, ring" fibers,
        Native "native fibers, edge" native_edge,
        Thread "threads" threads,
    ],
    ..CONNECTIONS
};

const RATE: Experiment = Experiment {
    name: "echo_rate",
    title: "Echo at a given rate: latencies",
    question: "How long does a message take if clients do not wait for each other? (64 connections, 64 bytes, open loop.)",
    operation: "a message of 64 bytes there and back; latencies count from when it was due",
    axis: Axis {
        label: "messages a second",
        smoke: &[10_000],
        quick: &[10_000, 50_000],
        full: &[10_000, 20_000, 50_000, 100_000, 150_000, 200_000],
    },
    metric: Metric::P99,
    also: &[Metric::P50, Metric::Cpu],
    expectations: &[
        Expectation::ratio(
            "Below saturation a latency is made of wake-ups, and those are the same for fibers and tasks.",
            Metric::P50,
            "fibers, ring",
            "tasks, ring",
            None,
            (0.8, 1.25),
        ),
        Expectation::ratio(
            "The ring has no shorter way to the thread that waits than epoll has.",
            Metric::P50,
            "ring loop",
            "epoll loop, edge",
            Some(10_000),
            (0.85, 1.2),
        ),
    ],
    subjects: rows![by_rate:
        Epoll "epoll loop, edge" epoll_edge,
        Ring "ring loop" ring,
        Task "tasks, ring" tasks,
        Fiber "fibers, ring" fibers,
        Native "native fibers, edge" native_edge,
        Thread "threads" threads,
    ],
    ..CONNECTIONS
};

fn by_connections(setting: Setting, server: Server) -> anyhow::Result<Outcome> {
    drive(setting, server, setting.count(), 64, Work::NONE)
}

fn by_size(setting: Setting, server: Server) -> anyhow::Result<Outcome> {
    drive(setting, server, 64, setting.count(), Work::NONE)
}

fn by_work(setting: Setting, server: Server) -> anyhow::Result<Outcome> {
    let work = Work::lasting(Duration::from_nanos(setting.at));
    drive(setting, server, 64, 64, work)
}

fn drive(
    setting: Setting,
    server: Server,
    connections: usize,
    message: usize,
    work: Work,
) -> anyhow::Result<Outcome> {
    let (process, address) = start(server, Job::for_messages(message, work))?;
    let load = Load {
        connections,
        message,
    };
    Ok(closed_loop(process, address, load, setting)?.into())
}

fn by_rate(setting: Setting, server: Server) -> anyhow::Result<Outcome> {
    // Some that come together are read together.
    let job = Job::for_messages(paced::MESSAGE * 16, Work::NONE);
    let (process, address) = start(server, job)?;
    open_loop(process, address, setting.at, setting)
}

fn start(server: Server, job: Job) -> anyhow::Result<(Process, std::net::SocketAddr)> {
    let listener = listen()?;
    let address = listener.local_addr()?;
    let copy = listener.try_clone()?;
    let core = camshaft_probe::sys::SERVER_CORE;
    let process = Process::start(core, move |family| server(copy, job, family))?;
    drop(listener);
    Ok((process, address))
}
