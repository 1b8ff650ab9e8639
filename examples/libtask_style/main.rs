//! A TCP proxy in the manner of Plan 9's thread library and of libtask: tasks that block one by one, delays, channels.
//!
//! Run it with `cargo run --features stackful --example libtask_style`. It is the proxy, the server behind it and a client
//! in front, all on one thread. Each connection has a task for each direction, and every task says on one channel what it came
//! to:
//!
//! ```text
//!   10 ms: heartbeat 1
//!   20 ms: heartbeat 2
//!   23 ms: the client heard ping 1, ping 2, ping 3
//!   23 ms: 21 bytes to the server
//!   23 ms: the server echoed 21 bytes
//!   23 ms: 21 bytes to the client
//!   30 ms: heartbeat 3
//! a task that only yields had 1714550 turns meanwhile
//! ```

mod task;

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Write};
use std::rc::Rc;
use std::time::Instant;

use camshaft::fiber::{self, StdIo};
use camshaft::net::{TcpListener, TcpStream};

use task::{Chan, taskcreate, taskdelay, taskyield};

const STACK: usize = 64 << 10;

type Log = Rc<Chan<io::Result<String>>>;

/// Starts a task that says what it came to.
fn start(log: &Log, task: impl FnOnce() -> io::Result<String> + 'static) {
    let log = log.clone();
    taskcreate(STACK, move || log.send(task()));
}

/// Accepts, dials, and starts two tasks for each connection.
fn proxy(listener: &TcpListener, target: &str, log: &Log) -> io::Result<String> {
    loop {
        let client = Rc::new(fiber::wait(listener.accept())?.0);
        let server = Rc::new(fiber::wait(TcpStream::connect(target))?);
        let (from, to) = (client.clone(), server.clone());
        start(log, move || rwtask(&from, &to, "server"));
        start(log, move || rwtask(&server, &client, "client"));
    }
}

fn rwtask(from: &TcpStream, to: &TcpStream, whom: &str) -> io::Result<String> {
    let mut to = StdIo::new(to);
    let bytes = io::copy(&mut StdIo::new(from), &mut to)?;
    to.shutdown()?;
    Ok(format!("{bytes} bytes to the {whom}"))
}

fn echo(listener: &TcpListener) -> io::Result<String> {
    let (stream, _) = fiber::wait(listener.accept())?;
    let bytes = io::copy(&mut StdIo::new(&stream), &mut StdIo::new(&stream))?;
    Ok(format!("the server echoed {bytes} bytes"))
}

fn client(address: &str) -> io::Result<String> {
    let stream = fiber::wait(TcpStream::connect(address))?;
    let mut lines = BufReader::new(StdIo::new(&stream)).lines();
    let mut heard = Vec::new();
    for number in 1..=3 {
        taskdelay(7);
        writeln!(StdIo::new(&stream), "ping {number}")?;
        heard.extend(lines.next().transpose()?);
    }
    Ok(format!("the client heard {}", heard.join(", ")))
}

fn taskmain() -> io::Result<()> {
    let begun = Instant::now();
    let log: Log = Chan::create(4);
    let back = fiber::wait(TcpListener::bind("127.0.0.1:0"))?;
    let front = fiber::wait(TcpListener::bind("127.0.0.1:0"))?;
    let target = back.local_addr()?.to_string();
    let address = front.local_addr()?.to_string();
    start(&log, move || echo(&back));
    let ends = log.clone();
    start(&log, move || proxy(&front, &target, &ends));
    start(&log, move || client(&address));
    for number in 1..=3 {
        start(&log, move || {
            taskdelay(10 * number);
            Ok(format!("heartbeat {number}"))
        });
    }
    let turns = Rc::new(Cell::new(0));
    let had = turns.clone();
    taskcreate(STACK, move || {
        loop {
            had.set(had.get() + 1);
            taskyield();
        }
    });

    // All but the proxy come to an end.
    for _ in 0..7 {
        let said = log.recv()?;
        println!("{:>4} ms: {said}", begun.elapsed().as_millis());
    }
    let turns = turns.get();
    println!("a task that only yields had {turns} turns meanwhile");
    Ok(())
}

fn main() -> io::Result<()> {
    camshaft::block_on(async { fiber::spawn(taskmain).await? })
}
