//! What recording costs a poll: the same work with the recorder off and on, by turns, in one process.
//!
//! ```console
//! $ CARGO_PROFILE_BENCH_DEBUG=full cargo bench --features inspect --bench recorder
//! $ cargo bench --bench recorder                     # the same work in a runtime that has no recorder
//! $ cargo bench --features inspect --bench recorder -- read yield/1     # the lines that have one of these in their name
//! ```
//!
//! | line | what one poll is |
//! |---|---|
//! | `yield/N` | one of N tasks gives way to the others |
//! | `nested/N` | the same, five `async fn`s deep |
//! | `ping_pong` | two tasks wake each other |
//! | `work` | a task computes for about half a microsecond and gives way |
//! | `read/N` | one of N tasks has read a byte of `/dev/zero` by the ring and reads the next; N are ready at a time |
//!
//! `off` is a poll without a recorder; `on` and `exact` are what it takes **more** with one, whose ring has room for 4096
//! polls; `exact` looks at the clock for each poll. `on` looks once for several of them, but what I/O has made ready begins with
//! a poll that has a look of its own: see `read`. Each number is the median of many rounds, and what is added is the
//! median of the differences of rounds that ran right after each other. `clock` is one look at the processor's clock, which
//! no exact record can go below. Without full debug information no states can be told, which is cheaper: this is said.

#[path = "common/turns.rs"]
mod turns;
use turns::{Turn, alternate};

use std::error::Error;
use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

use camshaft::fs::File;
use camshaft::runtime::{Builder, Runtime};
use camshaft::task::yield_now;
use camshaft::time::sleep;

const ROUNDS: usize = 201;
/// Polls in a round, or how long it is.
const POLLS: u32 = 40_000;
const TIME: Duration = Duration::from_millis(20);

#[derive(Clone, Copy)]
enum Mode {
    Off,
    #[cfg(feature = "inspect")]
    On,
    #[cfg(feature = "inspect")]
    Exact,
}

impl Mode {
    #[cfg(feature = "inspect")]
    fn set(self) {
        use camshaft::inspect::record;
        match self {
            Self::Off => record::stop(),
            Self::On => record::start(4096),
            Self::Exact => record::start_exact(4096),
        }
    }

    #[cfg(not(feature = "inspect"))]
    fn set(self) {
        let Self::Off = self;
    }
}

async fn yields() {
    loop {
        yield_now().await;
    }
}

async fn nested(depth: u32) {
    async fn a() {
        yields().await;
    }
    async fn b() {
        a().await;
    }
    async fn c() {
        b().await;
    }
    async fn d() {
        c().await;
    }
    black_box(depth);
    d().await;
}

async fn works() {
    let mut sum = 1u64;
    loop {
        for _ in 0..500 {
            sum = black_box(sum.wrapping_mul(6_364_136_223_846_793_005).rotate_left(9));
        }
        yield_now().await;
    }
}

async fn reads(file: Rc<File>) {
    let mut byte = Vec::with_capacity(1);
    loop {
        byte.clear();
        let read;
        (read, byte) = file.read_at(byte, 0).await;
        read.expect("there is no end of it");
    }
}

/// What the root future does while the tasks are measured.
#[derive(Clone, Copy)]
enum Root {
    /// It gives way, as a task more.
    Yields,
    Sleeps,
}

/// Nanoseconds of a poll in one round.
fn round(runtime: &Runtime, root: Root, mode: Mode) -> f64 {
    runtime.block_on(async {
        mode.set();
        for _ in 0..130 {
            yield_now().await; // it begins, and knows the types
        }
        let before = runtime.metrics().polls;
        let start = Instant::now();
        match root {
            Root::Sleeps => sleep(TIME).await,
            Root::Yields => {
                while runtime.metrics().polls - before < u64::from(POLLS) {
                    for _ in 0..8 {
                        yield_now().await;
                    }
                }
            }
        }
        let elapsed = start.elapsed();
        elapsed.as_nanos() as f64 / (runtime.metrics().polls - before) as f64
    })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn measure(name: &str, runtime: &Runtime, root: Root, rounds: usize) {
    let mut words = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .peekable();
    if words.peek().is_some() && !words.any(|word| name.contains(&word)) {
        return;
    }
    let others: &[(&str, Mode)] = &[
        #[cfg(feature = "inspect")]
        ("on", Mode::On),
        #[cfg(feature = "inspect")]
        ("exact", Mode::Exact),
    ];
    let mut off = Vec::new();
    let mut more = vec![Vec::new(); others.len()];
    for _ in 0..rounds {
        let before = round(runtime, root, Mode::Off);
        off.push(before);
        for ((_, mode), more) in others.iter().zip(&mut more) {
            more.push(round(runtime, root, *mode) - before);
        }
    }
    print!("{name:<14} off {:8.2} ns", median(&mut off));
    for ((name, _), more) in others.iter().zip(&mut more) {
        print!("   {name} {:+7.2} ns", median(more));
    }
    println!();
}

fn main() -> Result<(), Box<dyn Error>> {
    let test = std::env::args().any(|word| word == "--test");
    let rounds = if test { 1 } else { ROUNDS };
    #[cfg(feature = "inspect")]
    if let Err(missing) = camshaft::inspect::layout_of_val(&yields()) {
        println!("states are not told: {missing}");
    }
    for tasks in [1, 1000, 50_000] {
        let runtime = Builder::new().build()?;
        for _ in 0..tasks {
            drop(runtime.spawn(yields()));
        }
        measure(&format!("yield/{tasks}"), &runtime, Root::Yields, rounds);
    }
    for tasks in [1, 1000] {
        let runtime = Builder::new().build()?;
        for _ in 0..tasks {
            drop(runtime.spawn(nested(1)));
        }
        measure(&format!("nested/{tasks}"), &runtime, Root::Yields, rounds);
    }
    let runtime = Builder::new().build()?;
    let turn = Rc::new(Turn::default());
    drop(runtime.spawn(alternate(turn.clone(), 0, u64::MAX)));
    drop(runtime.spawn(alternate(turn, 1, u64::MAX)));
    measure("ping_pong", &runtime, Root::Yields, rounds);
    let runtime = Builder::new().build()?;
    drop(runtime.spawn(works()));
    measure("work", &runtime, Root::Sleeps, rounds);
    for tasks in [1, 64] {
        let runtime = Builder::new().build()?;
        let zero = Rc::new(runtime.block_on(File::open("/dev/zero"))?);
        for _ in 0..tasks {
            drop(runtime.spawn(reads(zero.clone())));
        }
        measure(&format!("read/{tasks}"), &runtime, Root::Sleeps, rounds);
    }
    #[cfg(target_arch = "x86_64")]
    println!("{:<14} {:12.2} ns", "clock", clock());
    Ok(())
}

/// Nanoseconds of a look at the processor's clock.
#[cfg(target_arch = "x86_64")]
fn clock() -> f64 {
    const LOOKS: u32 = 1_000_000;
    let start = Instant::now();
    for _ in 0..LOOKS {
        // SAFETY: every processor of this architecture has it.
        black_box(unsafe { std::arch::x86_64::_rdtsc() });
    }
    start.elapsed().as_nanos() as f64 / f64::from(LOOKS)
}
