//! Random reads past the page cache (`O_DIRECT`, 4 KiB, 32 under way), beside fio. Prints a table.
//!
//! | row | what reads |
//! |---|---|
//! | `camshaft` | 32 tasks with a buffer each |
//! | `camshaft, registered` | the same with [`FixedBuf`]s |
//! | `ring` | a raw ring, entered for at least one completion; neither tasks nor futures |
//! | `fio`, `fio, registered` | `fio --ioengine=io_uring`, without and with `--fixedbufs`; left out if there is no fio |
//!
//! All read the same file of 256 MiB for about as long, one after the other, round by round; the medians of seven rounds are
//! shown. Processor time is that of the process, system time included, but not what the kernel does elsewhere for the disk. Only
//! the first two and the raw ring check the bytes. The file lies in the directory for temporary files: `TMPDIR` chooses another
//! disk, and has to where that directory is in memory.

mod common;
#[path = "common/files.rs"]
mod files;

use std::env;
use std::error::Error;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use camshaft::buf::{AlignedBuf, FixedBuf, IoBufMut};
use camshaft::fs::File;
use camshaft::runtime::Builder;
use files::{BLOCK, DEPTH, RawRing, Temporary, read_together};

type Failure = Box<dyn Error>;

/// Reads between two looks at the clock.
const BATCH: u64 = 16384;

const ROWS: [(&str, Reader); 5] = [
    ("camshaft", camshaft),
    ("camshaft, registered", camshaft_registered),
    ("ring", ring),
    ("fio", fio),
    ("fio, registered", fio_registered),
];

/// Reads for some time, or says why it can't.
type Reader = fn(&Plan, &Temporary) -> Result<Option<Outcome>, Failure>;

struct Plan {
    rounds: usize,
    blocks: u64,
    span: Duration,
}

/// What one row did in one round.
#[derive(Clone, Copy)]
struct Outcome {
    reads: f64,
    seconds: f64,
    cpu_seconds: f64,
}

fn main() -> Result<(), Failure> {
    let test = env::args().any(|word| word == "--test");
    let plan = if test {
        Plan {
            rounds: 1,
            blocks: 256,
            span: Duration::from_millis(10),
        }
    } else {
        Plan {
            rounds: 7,
            blocks: 65536,
            span: Duration::from_secs(2),
        }
    };
    let file = Temporary::new("direct", plan.blocks);
    let mut outcomes = ROWS.map(|_| Vec::new());
    for _ in 0..plan.rounds {
        for ((_, reader), outcomes) in ROWS.iter().zip(&mut outcomes) {
            outcomes.extend(reader(&plan, &file)?);
        }
    }
    println!(
        "{:<24} {:>12} {:>14}",
        "what reads", "reads/s", "CPU each, µs"
    );
    for ((name, _), outcomes) in ROWS.iter().zip(&outcomes) {
        if outcomes.is_empty() {
            println!("{name:<24} skipped: no fio on PATH");
            continue;
        }
        let rate = median(outcomes, |outcome| outcome.reads / outcome.seconds);
        let cpu = median(outcomes, |outcome| outcome.cpu_seconds / outcome.reads);
        println!("{name:<24} {rate:>12.0} {:>14.2}", cpu * 1e6);
    }
    Ok(())
}

fn median(outcomes: &[Outcome], number: impl Fn(&Outcome) -> f64) -> f64 {
    let mut numbers: Vec<f64> = outcomes.iter().map(number).collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Repeats `batch`, which reads so many blocks, until the time is over.
fn timed(plan: &Plan, mut batch: impl FnMut(u64)) -> io::Result<Option<Outcome>> {
    let reads = BATCH.min(plan.blocks);
    batch(DEPTH as u64);
    let (start, cpu) = (Instant::now(), cpu_seconds()?);
    let mut done = 0;
    while start.elapsed() < plan.span {
        batch(reads);
        done += reads;
    }
    Ok(Some(Outcome {
        reads: done as f64,
        seconds: start.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds()? - cpu,
    }))
}

fn by_tasks<B: IoBufMut>(
    plan: &Plan,
    file: &Temporary,
    buf: fn(usize) -> B,
) -> Result<Option<Outcome>, Failure> {
    let runtime = Builder::new().build()?;
    let file = Rc::new(File::from_std(file.open(libc::O_DIRECT)));
    // Within the runtime, which registers those that can be.
    let mut bufs: Vec<B> = runtime.block_on(async { (0..DEPTH).map(|_| buf(BLOCK)).collect() });
    Ok(timed(plan, |count| {
        let mine = std::mem::take(&mut bufs);
        bufs = runtime.block_on(read_together(&file, mine, count, plan.blocks));
    })?)
}

fn camshaft(plan: &Plan, file: &Temporary) -> Result<Option<Outcome>, Failure> {
    by_tasks(plan, file, AlignedBuf::zeroed)
}

fn camshaft_registered(plan: &Plan, file: &Temporary) -> Result<Option<Outcome>, Failure> {
    by_tasks(plan, file, FixedBuf::zeroed)
}

fn ring(plan: &Plan, file: &Temporary) -> Result<Option<Outcome>, Failure> {
    let (mut ring, file) = (RawRing::new(), file.open(libc::O_DIRECT));
    Ok(timed(plan, |count| ring.read(&file, count, plan.blocks))?)
}

fn fio(plan: &Plan, file: &Temporary) -> Result<Option<Outcome>, Failure> {
    run_fio(plan, &file.0, &[])
}

fn fio_registered(plan: &Plan, file: &Temporary) -> Result<Option<Outcome>, Failure> {
    run_fio(plan, &file.0, &["--fixedbufs"])
}

fn run_fio(plan: &Plan, path: &Path, more: &[&str]) -> Result<Option<Outcome>, Failure> {
    let mut command = Command::new("fio");
    command
        .args(["--name=reads", "--readonly", "--rw=randread", "--direct=1"])
        .args(["--ioengine=io_uring", "--bs=4k", "--time_based"])
        .args(["--norandommap", "--randrepeat=0"])
        .args(["--output-format=terse", "--terse-version=3"])
        .arg(format!("--iodepth={DEPTH}"))
        .arg(format!("--size={}", plan.blocks * BLOCK as u64))
        .arg(format!("--runtime={}ms", plan.span.as_millis()))
        .arg(format!("--filename={}", path.display()))
        .args(more);
    let output = match command.output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        output => output?,
    };
    let report = String::from_utf8_lossy(&output.stdout);
    let parsed = report.lines().find_map(parse_terse);
    if !output.status.success() || parsed.is_none() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?} failed: {report}{said}").into());
    }
    Ok(parsed)
}

/// Picks from a line of fio's terse format, version 3: KiB read, milliseconds, user and system time in percent.
fn parse_terse(line: &str) -> Option<Outcome> {
    let fields: Vec<&str> = line.split(';').collect();
    let number = |n: usize| fields.get(n)?.trim_end_matches('%').parse::<f64>().ok();
    let seconds = number(8)? / 1e3;
    Some(Outcome {
        reads: number(5)? * 1024.0 / BLOCK as f64,
        seconds,
        cpu_seconds: (number(87)? + number(88)?) / 100.0 * seconds,
    })
}

/// User and system time of this process.
fn cpu_seconds() -> io::Result<f64> {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the kernel writes one `rusage`.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it was written.
    let usage = unsafe { usage.assume_init() };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(seconds(usage.ru_utime) + seconds(usage.ru_stime))
}
