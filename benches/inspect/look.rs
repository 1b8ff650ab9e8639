//! Dumps, timed and weighed. Each row is a process of its own.

use std::fs;
use std::hint::black_box;
use std::net;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camshaft::inspect::Catalog;
use camshaft::net::TcpStream;
use camshaft::runtime::{Builder, Runtime};
use camshaft::task::yield_now;
use camshaft::time::sleep;

use crate::{Failure, heap};

const TASKS: usize = 10_000;
const READERS: usize = 400;
const ROUNDS: usize = 9;
/// Bytes of a program that the first dump should read in 50 ms.
const GOAL: u64 = 17_000_000;
const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn table(test: bool) -> Result<(), Failure> {
    let program = std::env::current_exe()?;
    let size = describe(&program.display().to_string())?;
    let rounds = if test { 1 } else { ROUNDS };
    let mut first = Vec::new();
    for _ in 0..rounds {
        first.push(child("first")?.trim().parse::<f64>()?);
    }
    first.sort_by(f64::total_cmp);
    let median = first[rounds / 2];
    println!(
        "first dump: {median:.1} ms, at best {:.1} ms; {:.0} MB/s of the file; the goal is {:.0} ms",
        first[0],
        megabytes(size) / median * 1000.0,
        50.0 * megabytes(size) / megabytes(GOAL),
    );
    println!(
        "\n{:<34} {:>10} {:>10} {:>10} {:>8} {:>10}",
        "later dumps", "dump ms", "text ms", "JSON ms", "groups", "the first"
    );
    let rows = ["3 trees", "10000 trees", "readers"].into_iter();
    for row in rows.chain(cfg!(feature = "stackful").then_some("fibers")) {
        print!("{}", child(row)?);
    }
    print!("\n{}", child("heap")?);
    Ok(())
}

/// Runs a row in a process of its own, and returns what it says.
fn child(row: &str) -> Result<String, Failure> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--look", row])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("{row} failed: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

pub(crate) fn row(row: &str) -> Result<(), Failure> {
    let runtime = Builder::new().build()?;
    match row {
        "first" => {
            fill(&runtime, "3 trees", 100)?;
            let begin = Instant::now();
            let dump = black_box(runtime.dump());
            println!("{:.3}", milliseconds(begin.elapsed()));
            for missing in dump.missing {
                eprintln!("{missing}");
            }
        }
        "heap" => weigh(&runtime)?,
        _ => {
            let count = if row == "readers" { READERS } else { TASKS };
            let kept = fill(&runtime, row, count)?;
            again(&runtime, &format!("{count} tasks, {row}"));
            drop(kept);
        }
    }
    Ok(())
}

fn again(runtime: &Runtime, title: &str) {
    let begin = Instant::now();
    drop(runtime.dump());
    let first = milliseconds(begin.elapsed());
    let mut times = [const { Vec::new() }; 3];
    let mut groups = 0;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let dump = runtime.dump();
        times[0].push(begin.elapsed());
        let begin = Instant::now();
        let text = dump.to_string();
        times[1].push(begin.elapsed());
        let begin = Instant::now();
        black_box(dump.to_json());
        times[2].push(begin.elapsed());
        groups = text.lines().filter(|line| !line.starts_with(' ')).count();
    }
    let [dump, text, json] = times.map(|mut times| {
        times.sort_unstable();
        milliseconds(times[ROUNDS / 2])
    });
    println!("{title:<34} {dump:>10.1} {text:>10.1} {json:>10.1} {groups:>8} {first:>10.1}");
}

fn weigh(runtime: &Runtime) -> Result<(), Failure> {
    let program = std::env::current_exe()?;
    let kilobytes = |bytes: usize| format!("{:>7.0} KiB", bytes as f64 / 1024.0);
    let say = |what: &str, before: usize| {
        let (stays, most) = (heap::live(), heap::take_most());
        let since = |bytes: usize| kilobytes(bytes.saturating_sub(before));
        println!("{what:<34} {} {}", since(stays), since(most));
    };
    println!("{:<34} {:>11} {:>11}", "heap", "stays", "at most");
    heap::take_most();
    let before = heap::live();
    let catalog = Catalog::open(&program)?;
    say("the index", before);
    drop(catalog);
    for kind in ["3 trees", "10000 trees"] {
        fill(runtime, kind, TASKS)?;
        let title = format!("after a dump of {TASKS} more, {kind}");
        let before = heap::live();
        heap::take_most();
        drop(runtime.dump());
        say(&title, before);
    }
    let before = heap::live();
    for _ in 0..10 {
        drop(runtime.dump());
    }
    say("after ten more", before);
    Ok(())
}

/// Opens a program, and says what there is to read.
pub(crate) fn program(path: &str) -> Result<(), Failure> {
    let size = describe(path)?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let before = heap::live();
        let begin = Instant::now();
        let catalog = Catalog::open(path)?;
        times.push((begin.elapsed(), heap::live() - before));
        black_box(catalog.missing());
    }
    times.sort_unstable();
    let (time, heap) = times[ROUNDS / 2];
    println!(
        "index: {:.1} ms, {:.0} MB/s of the file; {} KiB",
        milliseconds(time),
        megabytes(size) / time.as_secs_f64(),
        heap / 1024,
    );
    Ok(())
}

/// Says how large a program is and what its debug information takes of that. Returns the size of the file.
fn describe(path: &str) -> Result<u64, Failure> {
    let bytes = fs::read(path)?;
    let size = bytes.len() as u64;
    let (mut debug, mut entries) = (0, 0);
    for (name, size) in sections(&bytes).ok_or("no program for a 64-bit machine")? {
        if name.starts_with(b".debug_") {
            debug += size;
        }
        if name == b".debug_info" {
            entries = size;
        }
    }
    println!(
        "{path}: {:.1} MB, of which {:.1} debug information, of which {:.1} entries",
        megabytes(size),
        megabytes(debug),
        megabytes(entries),
    );
    Ok(size)
}

/// The names and sizes of the sections of an ELF file.
fn sections(file: &[u8]) -> Option<Vec<(&[u8], u64)>> {
    let number = |at: usize, size: usize| -> Option<u64> {
        let bytes = file.get(at..at + size)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        )
    };
    let place = |at, size| usize::try_from(number(at, size)?).ok();
    let (table, each, count, names) = (place(40, 8)?, place(58, 2)?, place(60, 2)?, place(62, 2)?);
    let names = place(table + names * each + 24, 8)?;
    let mut found = Vec::new();
    for at in (0..count).map(|section| table + section * each) {
        let name = file
            .get(names + place(at, 4)?..)?
            .split(|byte| *byte == 0)
            .next()?;
        found.push((name, number(at + 32, 8)?));
    }
    Some(found)
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Spawns tasks that wait, and returns what must live on.
fn fill(runtime: &Runtime, kind: &str, count: usize) -> Result<Vec<net::TcpStream>, Failure> {
    let mut kept = Vec::new();
    match kind {
        "3 trees" => {
            for number in 0..count {
                drop(match number % 3 {
                    0 => runtime.spawn(sleeps(number as u64)),
                    1 => runtime.spawn(serves()),
                    _ => runtime.spawn(async { drop(camshaft::spawn(waits()).await) }),
                });
            }
        }
        "10000 trees" => {
            for number in 0..count {
                drop(runtime.spawn(digits(4, number)));
            }
        }
        "readers" => {
            let listener = net::TcpListener::bind("127.0.0.1:0")?;
            for _ in 0..count {
                kept.push(net::TcpStream::connect(listener.local_addr()?)?);
                let server = TcpStream::from_std(listener.accept()?.0)?;
                drop(runtime.spawn(async move {
                    let _ = server.read(Vec::with_capacity(64)).await;
                }));
            }
        }
        #[cfg(feature = "stackful")]
        "fibers" => {
            for _ in 0..count {
                drop(runtime.spawn(camshaft::fiber::Fiber::new(|| calls(7))));
            }
        }
        _ => return Err(format!("no row {kind}").into()),
    }
    runtime.block_on(async {
        for _ in 0..3 {
            yield_now().await;
        }
    });
    Ok(kept)
}

/// Waits so many calls further down.
#[cfg(feature = "stackful")]
#[inline(never)]
fn calls(below: u32) {
    match below {
        0 => camshaft::fiber::wait(waits()),
        _ => calls(below - 1),
    }
    black_box(below);
}

async fn sleeps(number: u64) {
    sleep(HOUR + Duration::from_secs(number)).await;
}

async fn serves() {
    let buffer = [1u8; 200];
    handles(&buffer).await;
    black_box(buffer);
}

async fn handles(buffer: &[u8]) {
    let _ = camshaft::time::timeout(HOUR, waits()).await;
    black_box(buffer);
}

async fn waits() {
    std::future::pending::<()>().await;
}

/// Waits in a way that differs for every number of so many digits.
fn digits(left: u32, number: usize) -> Pin<Box<dyn Future<Output = ()>>> {
    if left == 0 {
        return Box::pin(waits());
    }
    let below = digits(left - 1, number / 10);
    macro_rules! ways {
        ($($digit:literal),*) => {
            match number % 10 {
                $($digit => Box::pin(way::<$digit>(below)),)*
                _ => unreachable!("a digit"),
            }
        };
    }
    ways!(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
}

async fn way<const DIGIT: u8>(below: Pin<Box<dyn Future<Output = ()>>>) {
    below.await;
}
