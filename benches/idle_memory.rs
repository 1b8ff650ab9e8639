//! The resident memory of things that wait. Prints a table; nothing is timed.
//!
//! | row | what each of the N is |
//! |---|---|
//! | parked task | a task that waits for a wake that never comes |
//! | … floor | a boxed future in a `Vec` |
//! | sleeping task | a task in a sleep of an hour |
//! | … floor | a boxed future, and an entry with its waker in a `BTreeMap` |
//! | idle connection | a task in `recv()` on a connection that is silent: no buffer is held |
//! | … with a buffer | a task in `read()` with a buffer of 4096 bytes |
//! | … floor | a socket and a boxed future in a `Vec` |
//!
//! Each row is a process of its own, so that no row uses what another has left. Left out: the memory of the kernel, which for
//! a connection is larger than all of this, and whatever a real task keeps across its awaits.

mod common;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs;
use std::future::{Future, pending};
use std::hint::black_box;
use std::net;
use std::pin::Pin;
use std::process::Command;
use std::task::Waker;

use camshaft::net::TcpStream;
use camshaft::runtime::{Builder, Runtime};
use camshaft::task::yield_now;
use camshaft::time::{Duration, sleep};

type Failure = Box<dyn Error>;
type Boxed = Pin<Box<dyn Future<Output = ()>>>;

const ROWS: [&str; 7] = [
    "parked task",
    "parked task, floor",
    "sleeping task",
    "sleeping task, floor",
    "idle connection",
    "idle connection with a buffer",
    "idle connection, floor",
];
const TASKS: usize = 200_000;
const CONNECTIONS: usize = 2000;
const HOUR: Duration = Duration::from_secs(3600);

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [word, row, count] = &*arguments
        && word == "--row"
    {
        println!("{}", measure(row, count.parse()?)?);
        return Ok(());
    }
    let test = arguments.iter().any(|word| word == "--test");
    let descriptors = common::descriptors();
    println!("{:<32} {:>8} {:>10}", "what waits", "N", "bytes each");
    for row in ROWS {
        let full = if row.contains("task") {
            TASKS
        } else {
            CONNECTIONS
        };
        let count = if test { full / 100 } else { full };
        if row.contains("connection") && descriptors < 2 * count + 64 {
            println!(
                "{row:<32} skipped: {} file descriptors are needed, {descriptors} allowed",
                2 * count + 64
            );
            continue;
        }
        let output = Command::new(env::current_exe()?)
            .args(["--row", row, &count.to_string()])
            .output()?;
        let bytes = String::from_utf8(output.stdout)?;
        if !output.status.success() {
            return Err(format!("{row}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        println!("{row:<32} {count:>8} {:>10}", bytes.trim());
    }
    Ok(())
}

/// The resident bytes that each of `count` takes.
fn measure(row: &str, count: usize) -> Result<usize, Failure> {
    let runtime = Builder::new().build()?;
    // What the first of each kind sets up is not counted.
    let first = fill(&runtime, row, 1)?;
    let before = resident()?;
    let rest = fill(&runtime, row, count)?;
    let after = resident()?;
    black_box((first, rest));
    Ok(after.saturating_sub(before) / count)
}

/// Makes what the row is about, and returns what must live on.
fn fill(runtime: &Runtime, row: &str, count: usize) -> Result<Box<dyn std::any::Any>, Failure> {
    let mut kept: Box<dyn std::any::Any> = Box::new(());
    match row {
        "parked task" => (0..count).for_each(|_| drop(runtime.spawn(pending::<()>()))),
        "sleeping task" => {
            (0..count).for_each(|_| drop(runtime.spawn(async { sleep(HOUR).await })));
        }
        "parked task, floor" => kept = Box::new(boxed(count)),
        "sleeping task, floor" => {
            let entries = (0..count).map(|n| (n, Waker::noop().clone()));
            kept = Box::new((boxed(count), entries.collect::<BTreeMap<usize, Waker>>()));
        }
        "idle connection, floor" => kept = Box::new((connect(count)?, boxed(count))),
        "idle connection" | "idle connection with a buffer" => {
            let lent = row == "idle connection";
            let mut clients = Vec::with_capacity(count);
            for (client, server) in connect(count)? {
                clients.push(client);
                let server = TcpStream::from_std(server)?;
                drop(runtime.spawn(async move {
                    if lent {
                        let _ = server.recv().await;
                    } else {
                        // Touched, as that of a connection that has already been used.
                        let mut buf = vec![1; 4096];
                        buf.clear();
                        let _ = server.read(buf).await;
                    }
                }));
            }
            kept = Box::new(clients);
        }
        _ => return Err(format!("no row {row}").into()),
    }
    runtime.block_on(async {
        yield_now().await;
        // Long enough to hand every operation to the kernel.
        sleep(Duration::from_millis(50)).await;
    });
    Ok(kept)
}

/// Futures as large as a task that waits for one thing.
fn boxed(count: usize) -> Vec<Boxed> {
    (0..count)
        .map(|n| {
            Box::pin(async move {
                pending::<()>().await;
                black_box(n);
            }) as Boxed
        })
        .collect()
}

fn connect(count: usize) -> Result<Vec<(net::TcpStream, net::TcpStream)>, Failure> {
    let listener = net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    (0..count)
        .map(|_| {
            let client = net::TcpStream::connect(address)?;
            Ok((client, listener.accept()?.0))
        })
        .collect()
}

/// The resident memory of this process, in bytes.
fn resident() -> Result<usize, Failure> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: usize = statm
        .split_whitespace()
        .nth(1)
        .ok_or("statm has two numbers and more")?
        .parse()?;
    Ok(pages * 4096)
}
