//! The server: a runtime on a thread of its own, and what it has used.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, RecvError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use camshaft::net::{TcpListener, TcpStream};
use camshaft::runtime::{Builder, Runtime, Spin};
use camshaft::task;

use crate::system;

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// The backend and its rung.
    pub(crate) about: String,
    phases: Sender<Phase>,
    thread: JoinHandle<Result<Cost>>,
}

/// What happens to the server next.
struct Phase;

/// What the server used while it was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) bytes: u64,
    pub(crate) cpu: Duration,
    pub(crate) enters: u64,
    pub(crate) allocations: u64,
}

impl Server {
    /// Starts the server and waits until it listens.
    pub(crate) fn start(spin: Spin, size: u32) -> Result<Self> {
        let (phases, phase) = mpsc::channel();
        let (started, start) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("server".to_owned())
            .spawn(move || run(spin, size, &started, phase))?;
        match start.recv() {
            Ok((address, about)) => Ok(Self {
                address,
                about,
                phases,
                thread,
            }),
            Err(_) => Err(match join(thread) {
                Err(error) => error,
                Ok(_) => anyhow!("the server ended before it began"),
            }),
        }
    }

    /// Starts to count what the server uses, and at the second call ends that.
    pub(crate) fn next_phase(&self) -> Result<()> {
        self.phases.send(Phase).context("the server is gone")
    }

    /// Stops the server and tells what it used.
    pub(crate) fn stop(self) -> Result<Cost> {
        drop(self.phases);
        join(self.thread)
    }
}

fn join(thread: JoinHandle<Result<Cost>>) -> Result<Cost> {
    thread.join().map_err(|_| anyhow!("the server panicked"))?
}

fn run(
    spin: Spin,
    size: u32,
    started: &Sender<(SocketAddr, String)>,
    phase: Receiver<Phase>,
) -> Result<Cost> {
    let runtime = Builder::new().spin(spin).name("echo").build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        started.send((listener.local_addr()?, about(&runtime)))?;
        let echoed = Rc::new(Cell::new(0));
        camshaft::spawn(accept(listener, size as usize, echoed.clone()));
        // Threads of the pool wait for the main thread; this one never does. Asked for ahead, so as not to be counted.
        let phase = next(phase).await??;
        let end = next(phase);
        let before = used(&runtime, &echoed);
        let phase = end.await??;
        let after = used(&runtime, &echoed);
        let _stopped = next(phase).await?;
        Ok(Cost {
            bytes: after.bytes - before.bytes,
            cpu: after.cpu - before.cpu,
            enters: after.enters - before.enters,
            allocations: after.allocations - before.allocations,
        })
    })
}

/// Waits for the next phase, and gives the channel back. An error means that there is none.
fn next(phase: Receiver<Phase>) -> task::JoinHandle<Result<Receiver<Phase>, RecvError>> {
    task::spawn_blocking(move || phase.recv().map(|Phase| phase))
}

async fn accept(listener: TcpListener, size: usize, echoed: Rc<Cell<u64>>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let echoed = echoed.clone();
                camshaft::spawn(async move {
                    if let Err(error) = echo(&stream, size, &echoed).await {
                        eprintln!("a connection of the server: {error}");
                    }
                });
            }
            Err(error) => eprintln!("the server did not accept a connection: {error}"),
        }
    }
}

async fn echo(stream: &TcpStream, size: usize, echoed: &Cell<u64>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buf = Vec::with_capacity(size);
    loop {
        let (read, filled) = stream.read(buf).await;
        match read? {
            0 => return Ok(()),
            n => echoed.set(echoed.get() + n as u64),
        }
        let (written, mut sent) = stream.write_all(filled).await;
        written?;
        sent.clear();
        buf = sent;
    }
}

fn about(runtime: &Runtime) -> String {
    match runtime.backend_report().chosen() {
        Some(rung) => format!("{}, {rung}", runtime.backend()),
        None => runtime.backend().to_string(),
    }
}

fn used(runtime: &Runtime, echoed: &Cell<u64>) -> Cost {
    Cost {
        bytes: echoed.get(),
        cpu: system::thread_cpu(),
        enters: runtime.metrics().enters,
        allocations: system::thread_allocations(),
    }
}
