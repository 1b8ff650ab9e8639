//! Workload 7: a thousand DNS look-ups, one request and one reply each, by a function that reads the same for all models.
//!
//! The server is a stub on the loopback, in a process and on a core of its own, which answers each query after a delay.

mod blocking;
mod client;
mod multiplex;
mod stub;

#[path = "../../../../../examples/udp_dns/message.rs"]
mod message;

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use camshaft_probe::sys;

use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Setting, Subject};
use crate::measure::{Metric, Sample};
use crate::net::process::Process;

/// Look-ups in a run.
const LOOK_UPS: u16 = 1000;

/// Does all look-ups.
type Client = fn(SocketAddr) -> anyhow::Result<()>;

pub(crate) const EXPERIMENTS: &[Experiment] = &[Experiment {
    name: "dns",
    workload: 7,
    title: "A thousand DNS look-ups",
    question: "What does it take to make a client that asks one question after another ask a thousand at once? Each look-up has a socket of its own, a time limit and four tries.",
    operation: "1000 look-ups, from the first socket to the last answer; the CPU time is that of the client, for each, and the load that of the server",
    axis: Axis {
        label: "µs until the server answers",
        smoke: &[0, 200],
        quick: &[0, 1000],
        full: &[0, 100, 1000, 5000],
    },
    metric: Metric::Total,
    also: &[Metric::Cpu, Metric::Load],
    expectations: &[
        Expectation::ratio(
            "A thousand waits of a millisecond, against one.",
            Metric::Total,
            "one after another",
            "tasks",
            Some(1000),
            (40.0, 120.0),
        ),
        Expectation::ratio(
            "Without the delay there is still a wake-up for each of them.",
            Metric::Total,
            "one after another",
            "tasks",
            Some(0),
            (1.0, 4.0),
        ),
        Expectation::ratio(
            "The same text, and the same time.",
            Metric::Total,
            "fibers",
            "tasks",
            None,
            (0.9, 1.15),
        ),
        Expectation::ratio(
            "The function that blocks is fast as it is, once a fiber waits in it instead of a thread.",
            Metric::Total,
            "native fibers",
            "one after another",
            Some(1000),
            (0.005, 0.03),
        ),
        Expectation::ratio(
            "To start a thread for each is dearer than the look-up.",
            Metric::Total,
            "threads",
            "tasks",
            Some(1000),
            (1.5, 5.0),
        ),
        Expectation::ratio(
            "Most of a look-up is its socket; who tells answers apart by their numbers needs but one.",
            Metric::Total,
            "epoll loop, one socket",
            "tasks",
            None,
            (0.1, 0.6),
        ),
    ],
    control: "tasks",
    subjects: &[
        Subject::new("one after another", Model::Historic, |setting| {
            run(setting, client::one_after_another)
        }),
        Subject::new("threads", Model::Thread, |setting| {
            run(setting, client::threads)
        }),
        Subject::new("tasks", Model::Task, |setting| run(setting, client::tasks)),
        Subject::new("fibers", Model::Fiber, |setting| {
            run(setting, client::fibers)
        }),
        Subject::new("native fibers", Model::Native, |setting| {
            run(setting, client::native_fibers)
        }),
        Subject::new("epoll loop, one socket", Model::Epoll, |setting| {
            run(setting, multiplex::look_up_all)
        }),
    ],
}];

fn run(setting: Setting, client: Client) -> anyhow::Result<Outcome> {
    let socket = stub::socket()?;
    let server = socket.local_addr()?;
    let delay = Duration::from_micros(setting.at);
    let mut stub = Process::start(sys::LOAD_CORE, move |_| stub::serve(&socket, delay))?;
    // It starts.
    thread::sleep(Duration::from_millis(5));
    let (load, cpu, start) = (stub.cpu_ns(), sys::own_cpu_ns(), sys::now_ns());
    client(server).map_err(|error| stub.explain(error))?;
    let (cpu, total) = (sys::own_cpu_ns() - cpu, sys::now_ns() - start);
    // The accounts of the server are brought up to date.
    thread::sleep(Duration::from_millis(5));
    let load = stub.cpu_ns().saturating_sub(load);
    Ok(Sample::of(LOOK_UPS.into())
        .with(Metric::Total, total as f64)
        .with(Metric::Cpu, cpu as f64 / f64::from(LOOK_UPS))
        .with(Metric::Load, load as f64 / total as f64)
        .into())
}
