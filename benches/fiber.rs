//! Fibers: their switches through the executor, their lives, and their memory while they wait.
//!
//! | group | line | what one iteration is |
//! |---|---|---|
//! | `resume` | `fiber/N` | one turn of one of N fibers: popped, polled, resumed, and suspended by `yield_now` |
//! | | `task/N` | the same turn of a task |
//! | | `floor/N` | corosensei's own switch into one of N bare coroutines, in turn, and back, on stacks that lie like ours |
//! | `life` | `fiber` | a function that does nothing: spawned, run on a stack from the pool, awaited |
//! | | `task` | the same as a task |
//! | | `floor` | a bare coroutine on a stack that is used again: made, resumed, over |
//! | | `fiber_aborted` | a fiber spawned, suspended once, aborted, awaited |
//! | | `task_aborted` | the same as a task |
//! | `generator` | `generator` | one value from a suspended function |
//! | | `floor` | one value by corosensei alone |
//!
//! The aim for a resume: at most 1.5 times `floor` plus `task`. After the groups a table tells the memory of parked fibers
//! in processes of their own: resident pages, page tables, all together.

mod common;

use std::env;
use std::error::Error;
use std::fs;
use std::future::pending;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use camshaft::fiber;
use camshaft::runtime::{Builder, Runtime};
use camshaft::task::yield_now;
use corosensei::stack::{Stack, StackPointer};
use corosensei::{Coroutine, CoroutineResult};
use criterion::{BenchmarkId, Criterion, criterion_group};

const FIBERS: [u64; 4] = [1, 100, 1000, 50_000];
const PARKED: [usize; 3] = [1000, 100_000, 1_000_000];

type Failure = Box<dyn Error>;

fn runtime() -> Runtime {
    Builder::new()
        .build()
        .expect("io_uring or epoll is available")
}

/// Has everything on the runtime run as many turns as there are iterations, and says how long that took.
fn turns(runtime: &Runtime, iterations: u64, live: u64) -> Duration {
    let rounds = iterations.div_ceil(live + 1);
    let elapsed = runtime.block_on(async {
        yield_now().await;
        let start = Instant::now();
        for _ in 0..rounds {
            yield_now().await;
        }
        start.elapsed()
    });
    elapsed.mul_f64(iterations as f64 / (rounds * (live + 1)) as f64)
}

/// Bytes from one bare stack to the next: as far as those of fibers lie apart.
const STRIDE: usize = 68 << 10;

/// A stack without a guard, for functions that are known to need little, on small pages like those of fibers.
struct Bare {
    top: StackPointer,
}

impl Bare {
    fn new() -> Self {
        let mut one = Self::many(1);
        one.pop().expect("one was asked for")
    }

    /// Their memory stays until the process ends.
    fn many(count: u64) -> Vec<Self> {
        let count = usize::try_from(count).expect("not more than there is memory for");
        // SAFETY: a fresh mapping touches no existing memory.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                count * STRIDE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        assert!(!std::ptr::eq(start, libc::MAP_FAILED), "no memory");
        // SAFETY: exactly the mapping just made.
        unsafe { libc::madvise(start, count * STRIDE, libc::MADV_NOHUGEPAGE) };
        let top = |n| StackPointer::new(start.addr() + n * STRIDE).expect("not at address zero");
        (1..=count).map(|n| Self { top: top(n) }).collect()
    }
}

// SAFETY: no guard, so this is for coroutines of this file only, which use a few hundred bytes of 68 KiB.
unsafe impl Stack for Bare {
    fn base(&self) -> StackPointer {
        self.top
    }

    fn limit(&self) -> StackPointer {
        StackPointer::new(self.top.get() - STRIDE).expect("not at address zero")
    }
}

/// Ends a coroutine without unwinding it.
fn give_up<Y>(bare: &mut Coroutine<(), Y, (), Bare>) {
    // SAFETY: those of this file have nothing on their stacks that has a destructor.
    unsafe { bare.force_reset() };
}

fn resume(c: &mut Criterion) {
    let mut group = common::group(c, "resume");
    for live in FIBERS {
        group.bench_function(BenchmarkId::new("fiber", live), |b| {
            let runtime = runtime();
            runtime.block_on(async {
                for _ in 0..live {
                    drop(fiber::spawn(|| {
                        loop {
                            fiber::yield_now();
                        }
                    }));
                }
            });
            b.iter_custom(|iterations| turns(&runtime, iterations, live));
        });
        group.bench_function(BenchmarkId::new("task", live), |b| {
            let runtime = runtime();
            for _ in 0..live {
                drop(runtime.spawn(async {
                    loop {
                        yield_now().await;
                    }
                }));
            }
            b.iter_custom(|iterations| turns(&runtime, iterations, live));
        });
        group.bench_function(BenchmarkId::new("floor", live), |b| {
            let mut queue: Vec<_> = Bare::many(live)
                .into_iter()
                .map(|stack| {
                    Coroutine::<(), (), (), Bare>::with_stack(stack, |yielder, ()| {
                        loop {
                            yielder.suspend(());
                        }
                    })
                })
                .collect();
            let mut at = 0;
            b.iter(|| {
                queue[at].resume(());
                at = if at + 1 == queue.len() { 0 } else { at + 1 };
            });
            queue.iter_mut().for_each(give_up);
        });
    }
    group.finish();
}

fn life(c: &mut Criterion) {
    let mut group = common::group(c, "life");
    group.bench_function("fiber", |b| {
        let runtime = runtime();
        b.iter_custom(|iterations| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..iterations {
                    black_box(fiber::spawn(|| black_box(1)).await.is_ok());
                }
                start.elapsed()
            })
        });
    });
    group.bench_function("task", |b| {
        let runtime = runtime();
        b.iter_custom(|iterations| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..iterations {
                    black_box(camshaft::spawn(async { black_box(1) }).await.is_ok());
                }
                start.elapsed()
            })
        });
    });
    group.bench_function("floor", |b| {
        let mut stack = Some(Bare::new());
        b.iter(|| {
            let taken = stack.take().expect("it was put back");
            let mut bare = Coroutine::<(), (), u32, _>::with_stack(taken, |_, ()| black_box(1));
            let ended = matches!(bare.resume(()), CoroutineResult::Return(1));
            stack = Some(bare.into_stack());
            ended
        });
    });
    group.bench_function("fiber_aborted", |b| {
        let runtime = runtime();
        b.iter_custom(|iterations| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..iterations {
                    let fiber = fiber::spawn(|| fiber::wait(pending::<()>()));
                    yield_now().await;
                    fiber.abort();
                    black_box(fiber.await.is_err());
                }
                start.elapsed()
            })
        });
    });
    group.bench_function("task_aborted", |b| {
        let runtime = runtime();
        b.iter_custom(|iterations| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..iterations {
                    let task = camshaft::spawn(pending::<()>());
                    yield_now().await;
                    task.abort();
                    black_box(task.await.is_err());
                }
                start.elapsed()
            })
        });
    });
    group.finish();
}

fn generator(c: &mut Criterion) {
    let mut group = common::group(c, "generator");
    group.bench_function("generator", |b| {
        let mut numbers = fiber::Generator::new(|out| {
            for n in 0_u64.. {
                out.give(n);
            }
        });
        b.iter(|| numbers.next());
    });
    group.bench_function("floor", |b| {
        let mut numbers = Coroutine::<(), u64, (), Bare>::with_stack(Bare::new(), |yielder, ()| {
            for n in 0.. {
                yielder.suspend(n);
            }
        });
        b.iter(|| numbers.resume(()));
        give_up(&mut numbers);
    });
    group.finish();
}

/// Kilobytes that `/proc/self/status` tells of.
fn status(field: &str) -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(field));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.ok_or("no such field")?.parse()?)
}

/// Parks so many fibers in this process, and tells the resident bytes and those of the page tables of each.
fn park(count: usize) -> Result<String, Failure> {
    let runtime = runtime();
    runtime.block_on(async {
        // What is there once is not counted.
        fiber::spawn(|| fiber::wait(yield_now())).await
    })?;
    let (resident, tables) = (status("VmRSS:")?, status("VmPTE:")?);
    runtime.block_on(async {
        for _ in 0..count {
            drop(fiber::spawn(|| fiber::wait(pending::<()>())));
        }
        yield_now().await;
    });
    let each = |now: u64, before: u64| (now - before) as f64 * 1024.0 / count as f64;
    let resident = each(status("VmRSS:")?, resident);
    let tables = each(status("VmPTE:")?, tables);
    let all = resident + tables;
    Ok(format!("{resident:>10.0} {tables:>12.0} {all:>12.0}"))
}

fn memory() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|word| !word.starts_with("--")) {
        return Ok(()); // only some of the groups were asked for
    }
    let test = arguments.iter().any(|word| word == "--test");
    println!(
        "{:<16} {:>10} {:>12} {:>12}",
        "parked fibers", "resident B", "page tables B", "together B"
    );
    for count in PARKED {
        let count = if test { count / 100 } else { count };
        let output = Command::new(env::current_exe()?)
            .args(["--park", &count.to_string()])
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        print!("{count:<16} {}", String::from_utf8(output.stdout)?);
    }
    Ok(())
}

criterion_group!(benches, resume, life, generator);

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [word, count] = &*arguments
        && word == "--park"
    {
        println!("{}", park(count.parse()?)?);
        return Ok(());
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    memory()
}
