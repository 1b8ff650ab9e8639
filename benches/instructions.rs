//! Counts the instructions of one operation of the whole runtime, which unlike its nanoseconds are the same on every run.
//!
//! See `benches/README.md` for how to run it under callgrind, and for what came out. Without callgrind it only runs.
//!
//! Each operation is carried out [`COUNT`] times inside of the function `measured`, after as many times outside of it, so
//! that slots, queues and buffers have grown. What the kernel does is not counted.

#[path = "common/turns.rs"]
mod turns;
use turns::{Turn, alternate};

use std::error::Error;
use std::net;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Waker};

use camshaft::fs::tempfile;
use camshaft::net::TcpStream;
use camshaft::runtime::{Builder, Runtime};
use camshaft::task::yield_now;
use camshaft::time::{Duration, sleep};

const COUNT: u32 = 10_000;
/// Polls of leaf futures in one poll of a task, after which the others get their turn.
const BURST: u32 = 32;
/// Bytes of a read of a file.
const BLOCK: usize = 4096;
const OPERATIONS: [&str; 7] = [
    "spawn_join",
    "yield",
    "ping_pong",
    "wake",
    "sleep",
    "cached_read",
    "echo",
];

type Failure = Box<dyn Error>;

/// The one function whose instructions count.
#[inline(never)]
fn measured(runtime: &Runtime, work: Pin<&mut dyn Future<Output = ()>>) {
    runtime.block_on(work);
}

fn main() -> Result<(), Failure> {
    let named = std::env::args()
        .nth(1)
        .filter(|word| !word.starts_with('-'));
    for operation in OPERATIONS {
        if named.as_deref().is_none_or(|name| name == operation) {
            run(operation)?;
            println!("{operation}: {COUNT} times");
        }
    }
    match named {
        Some(name) if !OPERATIONS.contains(&&*name) => {
            Err(format!("no operation {name}: there are {OPERATIONS:?}").into())
        }
        _ => Ok(()),
    }
}

fn run(operation: &str) -> Result<(), Failure> {
    let runtime = Builder::new().build()?;
    match operation {
        "spawn_join" => twice(&runtime, async || {
            for _ in 0..COUNT {
                // A task that does nothing cannot fail.
                let _ = camshaft::spawn(async {}).await;
            }
        }),
        "yield" => twice(&runtime, async || {
            for _ in 0..COUNT {
                yield_now().await;
            }
        }),
        "sleep" => twice(&runtime, async || {
            for _ in 0..COUNT / BURST {
                for _ in 0..BURST {
                    let _ = pin!(sleep(Duration::from_secs(60)))
                        .poll(&mut Context::from_waker(Waker::noop()));
                }
                yield_now().await;
            }
        }),
        "wake" | "ping_pong" => {
            let turn = Rc::new(Turn::default());
            drop(runtime.spawn(alternate(turn.clone(), 1, u64::MAX)));
            // A wake is one of the two of a round trip.
            let rounds = if operation == "wake" {
                COUNT / 2
            } else {
                COUNT
            };
            twice(&runtime, async || {
                alternate(turn.clone(), 0, rounds.into()).await;
            });
        }
        "cached_read" => {
            let file = runtime.block_on(tempfile())?;
            runtime
                .block_on(file.write_all_at(vec![7; 16 * BLOCK], 0))
                .0?;
            let file = &file;
            twice(&runtime, async || {
                let mut buf = vec![0; BLOCK].into_boxed_slice();
                for n in 0..COUNT {
                    let offset = u64::from(n % 16) * BLOCK as u64;
                    (_, buf) = file.read_at(buf, offset).await;
                }
            });
        }
        _ => echo(&runtime)?,
    }
    Ok(())
}

fn echo(runtime: &Runtime) -> Result<(), Failure> {
    let listener = net::TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::from_std(net::TcpStream::connect(listener.local_addr()?)?)?;
    let server = TcpStream::from_std(listener.accept()?.0)?;
    drop(runtime.spawn(async move {
        let mut buf = Vec::with_capacity(64);
        loop {
            let (read, filled) = server.read(buf).await;
            if !matches!(read, Ok(1..)) {
                return;
            }
            let (_, mut sent) = server.write_all(filled).await;
            sent.clear();
            buf = sent;
        }
    }));
    let client = &client;
    twice(runtime, async || {
        let mut message = vec![7; 64];
        let mut answer = vec![0; 64].into_boxed_slice();
        for _ in 0..COUNT {
            (_, message) = client.write_all(message).await;
            (_, answer) = client.read_exact(answer).await;
        }
    });
    Ok(())
}

/// Runs the work to warm up, and then to be measured.
fn twice(runtime: &Runtime, work: impl AsyncFn()) {
    runtime.block_on(work());
    measured(runtime, pin!(work()));
}
