//! What it costs that one could look at tasks: the same program with the feature `inspect` and without. Prints a table.
//!
//! ```console
//! $ cargo bench -p camshaft --bench inspect_unused --no-run       # prints the path of the one without
//! $ cargo bench -p camshaft --features inspect --bench inspect_unused -- --against PATH
//! ```
//!
//! The two take turns, as programs of their own, and the one without comes twice, to show what differs although nothing does.
//! Each number is the lower quartile of many runs: what else goes on in the machine makes some of them slower by half. Where
//! valgrind is installed, instructions are counted too. `-p camshaft` keeps other packages from switching the feature on. The
//! floor is the first column: nothing should differ.
//!
//! | row | one of it |
//! |---|---|
//! | `spawn_join` | a task that does nothing: spawned, run, awaited |
//! | `yield` | one task gives way to itself |
//! | `ping_pong` | a round trip of two tasks |
//! | parked task | the resident memory of a task that waits for ever |

#[path = "common/turns.rs"]
mod turns;
use turns::{Turn, alternate};

use std::error::Error;
use std::fs;
use std::future::pending;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::process::Command;
use std::rc::Rc;
use std::time::Instant;

use camshaft::runtime::{Builder, Runtime};
use camshaft::task::yield_now;

type Failure = Box<dyn Error>;

const KINDS: [&str; 3] = ["spawn_join", "yield", "ping_pong"];
/// Operations that are counted by valgrind, and that are timed.
const COUNTED: u64 = 10_000;
const TIMED: u64 = 3_000_000;
/// Tasks whose memory is measured.
const PARKED: usize = 200_000;
const ROUNDS: usize = 42;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |option: &str| {
        let place = arguments.iter().position(|word| word == option)?;
        arguments.get(place + 1)
    };
    let test = arguments.iter().any(|word| word == "--test");
    match (value("--work"), value("--against")) {
        (Some(kind), _) => println!("{}", work(kind)?),
        (_, Some(other)) => compare(other, test)?,
        _ if test => {
            for kind in KINDS {
                println!("{kind}: {} ns", work(&format!("{kind}:counted"))?);
            }
        }
        _ => println!(
            "give this path to `--against` of another build: {}",
            std::env::current_exe()?.display()
        ),
    }
    Ok(())
}

/// Compares this program with another build of it.
fn compare(other: &str, test: bool) -> Result<(), Failure> {
    let own = std::env::current_exe()?.display().to_string();
    let rounds = if test { 1 } else { ROUNDS };
    println!(
        "{:<24} {:>9} {:>9} {:>9} {:>15} {:>15}",
        "unused", "without", "again", "with", "again / without", "with / without"
    );
    let row = |name: String, [without, again, with]: [f64; 3]| {
        println!(
            "{name:<24} {without:>9.2} {again:>9.2} {with:>9.2} {:>15.3} {:>15.3}",
            again / without,
            with / without
        );
    };
    for kind in KINDS {
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        for round in 0..rounds {
            // Each comes first, second and last as often as the others.
            for place in 0..3 {
                let turn = (round + place) % 3;
                let program = [other, other, &own][turn];
                times[turn].push(number(program, kind)?);
            }
        }
        row(format!("{kind}, ns"), times.map(lower_quartile));
    }
    for kind in KINDS {
        let counts = [
            counted(other, kind),
            counted(other, kind),
            counted(&own, kind),
        ];
        match counts {
            [Some(without), Some(again), Some(with)] => {
                row(format!("{kind}, instructions"), [without, again, with]);
            }
            _ => println!("{kind}, instructions: valgrind is not installed"),
        }
    }
    let [without, again, with] = [other, other, &own].map(|program| number(program, "parked"));
    row("parked task, bytes".to_owned(), [without?, again?, with?]);
    Ok(())
}

fn lower_quartile(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 4]
}

/// What a program says of a kind of work.
fn number(program: &str, kind: &str) -> Result<f64, Failure> {
    let output = Command::new(program).args(["--work", kind]).output()?;
    let said = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(said.trim().parse()?)
}

/// The instructions of one operation, if they can be counted.
fn counted(program: &str, kind: &str) -> Option<f64> {
    let mut command = Command::new("valgrind");
    command.args([
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        "--collect-atstart=no",
        "--toggle-collect=*measured*",
    ]);
    let output = command
        .args([program, "--work", &format!("{kind}:counted")])
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let (_, count) = said.split_once("Collected : ")?;
    let count: f64 = count.split_whitespace().next()?.parse().ok()?;
    Some(count / COUNTED as f64)
}

/// Does the work. Returns the nanoseconds of one operation, or the bytes of one task.
fn work(kind: &str) -> Result<f64, Failure> {
    let runtime = Builder::new().build()?;
    if kind == "parked" {
        drop(runtime.spawn(pending::<()>()));
        let before = resident()?;
        (0..PARKED).for_each(|_| drop(runtime.spawn(pending::<()>())));
        runtime.block_on(yield_now());
        return Ok((resident()? - before) / PARKED as f64);
    }
    let (kind, count) = match kind.strip_suffix(":counted") {
        Some(kind) => (kind, COUNTED),
        None => (kind, TIMED),
    };
    let turn = Rc::new(Turn::default());
    let work = async || match kind {
        "spawn_join" => {
            for _ in 0..count {
                // A task that does nothing cannot fail.
                let _ = camshaft::spawn(async {}).await;
            }
        }
        "yield" => {
            for _ in 0..count {
                yield_now().await;
            }
        }
        _ => alternate(turn.clone(), 0, count).await,
    };
    if kind == "ping_pong" {
        drop(runtime.spawn(alternate(turn.clone(), 1, u64::MAX)));
    }
    runtime.block_on(work()); // slots and queues grow
    let begin = Instant::now();
    measured(&runtime, pin!(work()));
    Ok(begin.elapsed().as_nanos() as f64 / count as f64)
}

/// The one function whose instructions count. What type the work is, the compiler is not to find out in one of the programs and
/// miss in the other.
#[inline(never)]
fn measured(runtime: &Runtime, work: Pin<&mut dyn Future<Output = ()>>) {
    runtime.block_on(black_box(work));
    black_box(());
}

/// The resident memory of this process, in bytes.
fn resident() -> Result<f64, Failure> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages = statm
        .split_whitespace()
        .nth(1)
        .ok_or("statm has two numbers and more")?;
    Ok(pages.parse::<f64>()? * 4096.0)
}
