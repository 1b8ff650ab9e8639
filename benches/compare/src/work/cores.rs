//! Workload 11: two cores, by two threads or by two processes.
//!
//! Each thread or process is pinned to a core and has a runtime and a listener of its own; the listeners share a port
//! (`SO_REUSEPORT`), and the kernel deals connections out. Nothing else is shared, so what can differ is what the kernel
//! keeps for a process: its table of descriptors, which more than one thread must look into with care, and its memory map.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use anyhow::anyhow;
use camshaft::runtime::Backend;
use camshaft_probe::client::Client;
use camshaft_probe::sys;

use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Setting, Subject};
use crate::measure::{Metric, Sample};
use crate::net::driven::Window;
use crate::net::process::Process;
use crate::net::work::Work;
use crate::net::{listen_together, serve_by_fibers, serve_by_tasks};
use crate::work::echo::servers::{Job, echo};

const CORES: [usize; 2] = [sys::SERVER_CORE, sys::LOAD_CORE];
/// Held open by each of two load clients.
const CONNECTIONS: usize = 64;
const MESSAGE: usize = 64;

pub(crate) const EXPERIMENTS: &[Experiment] = &[Experiment {
    name: "cores",
    workload: 11,
    title: "Two cores: threads or processes",
    question: "What does a second core bring, and does it matter whether a thread or a process uses it? The load comes from the same two cores, which can't be helped on a machine with two: it takes its share of both, so look at the CPU time as well, and at the right end, where the work outweighs the load.",
    operation: "a message of 64 bytes there and back on one of 128 connections, with work in between; the CPU time is that of all servers",
    axis: Axis {
        label: "ns of work for a message",
        smoke: &[20_000],
        quick: &[0, 20_000],
        full: &[0, 2_000, 5_000, 10_000, 20_000, 50_000],
    },
    metric: Metric::Wall,
    also: &[Metric::Cpu, Metric::P99, Metric::Load],
    expectations: &[
        Expectation::ratio(
            "Where work prevails, two cores do nearly twice as much as one.",
            Metric::Wall,
            "two threads",
            "one thread",
            Some(20_000),
            (0.5, 0.65),
        ),
        Expectation::ratio(
            "Without work the load client needs one of the two cores for itself, and nothing is gained.",
            Metric::Wall,
            "two threads",
            "one thread",
            Some(0),
            (0.85, 1.15),
        ),
        Expectation::ratio(
            "Who shares nothing does not care whether it is in one process.",
            Metric::Wall,
            "two processes",
            "two threads",
            Some(20_000),
            (0.95, 1.05),
        ),
        Expectation::ratio(
            "A process with one thread looks descriptors up without counting references, which is a little cheaper.",
            Metric::Cpu,
            "two processes",
            "two threads",
            Some(0),
            (0.93, 1.0),
        ),
        Expectation::ratio(
            "Fibers scale as tasks do.",
            Metric::Wall,
            "two threads, fibers",
            "two threads",
            Some(20_000),
            (0.95, 1.05),
        ),
    ],
    control: "two threads",
    subjects: &[
        Subject::new("one thread", Model::Floor, |at| run(at, 1, 1, tasks)),
        Subject::new("two threads", Model::Thread, |at| run(at, 1, 2, tasks)),
        Subject::new("two processes", Model::Process, |at| run(at, 2, 1, tasks)),
        Subject::new("two threads, fibers", Model::Fiber, |at| {
            run(at, 1, 2, fibers)
        }),
        Subject::new("two processes, fibers", Model::Fiber, |at| {
            run(at, 2, 1, fibers)
        }),
    ],
}];

type Serve = fn(TcpListener, Job) -> anyhow::Result<()>;

fn tasks(listener: TcpListener, job: Job) -> anyhow::Result<()> {
    serve_by_tasks(Backend::Auto, listener, move |stream| {
        echo::task(stream, job)
    })
}

fn fibers(listener: TcpListener, job: Job) -> anyhow::Result<()> {
    serve_by_fibers(Backend::Auto, listener, echo::fiber, job)
}

/// Starts so many processes with so many threads each, one a core, and drives them from both cores.
fn run(
    setting: Setting,
    processes: usize,
    threads: usize,
    serve: Serve,
) -> anyhow::Result<Outcome> {
    let work = Work::lasting(Duration::from_nanos(setting.at));
    let job = Job::for_messages(MESSAGE, work);
    let (address, mut listeners) = listen_together(processes * threads)?;
    let mut servers = Vec::new();
    let mut cores = CORES.into_iter();
    while !listeners.is_empty() {
        let places: Vec<Place> = cores.by_ref().zip(listeners.drain(..threads)).collect();
        let core = places[0].0;
        servers.push(Process::start(core, move |_| {
            serve_on_cores(places, job, serve)
        })?);
    }
    let sample = drive(&servers, address, setting);
    Ok(sample
        .map_err(|error| {
            let explain = |error, server: &mut Process| server.explain(error);
            servers.iter_mut().fold(error, explain)
        })?
        .into())
}

/// A core, and the listener that is served there.
type Place = (usize, TcpListener);

/// The first listener is served by the first thread, so that a process with one listener has one thread.
fn serve_on_cores(mut places: Vec<Place>, job: Job, serve: Serve) -> anyhow::Result<()> {
    let (_, first) = places.remove(0);
    for (core, listener) in places {
        thread::spawn(move || {
            sys::pin(core);
            if let Err(error) = serve(listener, job) {
                eprintln!("{error:#}");
            }
        });
    }
    serve(first, job)
}

/// Drives all servers from two threads that run wherever there is room.
fn drive(servers: &[Process], address: SocketAddr, setting: Setting) -> anyhow::Result<Sample> {
    sys::pin_to(&CORES);
    let time = setting.scale.window();
    let barrier = Barrier::new(CORES.len() + 1);
    thread::scope(|scope| {
        let load = || -> io::Result<Client> {
            let client = Client::connect(address, CONNECTIONS, vec![b'x'; MESSAGE], MESSAGE);
            let client = client.and_then(|mut client| client.run(time / 4).map(|()| client));
            // Twice, whatever has happened: the window is opened in between.
            barrier.wait();
            barrier.wait();
            let mut client = client?;
            client.run(time)?;
            Ok(client)
        };
        let threads = CORES.map(|_| scope.spawn(load));
        barrier.wait();
        let window = Window::open(servers);
        barrier.wait();
        let (mut replies, mut latencies) = (0, Vec::new());
        for thread in threads {
            let client = thread
                .join()
                .map_err(|_| anyhow!("a load client panicked"))??;
            replies += client.replies;
            latencies.extend(client.latencies_ns);
        }
        Ok(window.close(replies)?.with_latencies(latencies))
    })
}
