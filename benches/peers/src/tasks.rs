//! The workloads that need no socket, generic over the system.
//!
//! Set-up is outside the windows. Every window is opened and closed inside a task, because the root future of several
//! systems is not scheduled like a task. What a system does when it starts and ends is not measured.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::process;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::measure::{Meter, Sample};
use crate::remote::{self, Bell};
use crate::workload::{Scale, Workload};
use camshaft_probe::sys;

/// What a system must offer for these workloads.
pub(crate) trait Tasks: Sized + 'static {
    /// Runs `future` as the root of a new runtime on this thread.
    fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> io::Result<T>;
    /// Starts a task; the future returned joins it; the task may end when that future is dropped.
    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static;
    /// Starts a task that nobody joins.
    fn detach(future: impl Future<Output = ()> + 'static);
    /// Lets other tasks run: the system's own way, or [`yield_by_wake`] where it has none.
    fn yield_now() -> impl Future<Output = ()>;
}

/// The systems that have timers.
pub(crate) trait Sleeps: Tasks {
    /// Completes when `duration` has passed.
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static;
}

/// Runs a workload that needs no timer; `None` if `workload` is not one.
pub(crate) fn measure<S: Tasks>(workload: Workload, scale: Scale) -> Option<io::Result<Sample>> {
    Some(match workload {
        Workload::SpawnJoin => in_task::<S, _>(spawn_join::<S>(scale)),
        Workload::Yield1 => in_task::<S, _>(yield_one::<S>(scale)),
        Workload::Yield1000 => in_task::<S, _>(yield_many::<S>(1000, scale)),
        Workload::PingPong => in_task::<S, _>(ping_pong::<S>(scale)),
        Workload::AwaitChain => in_task::<S, _>(await_chain(scale)),
        Workload::ParkedRss => {
            in_task::<S, _>(resident::<S, _>(|| ParkForever { waker: None })).flatten()
        }
        Workload::WakeRemote => wake_remote::<S>(2000 * scale.factor),
        _ => return None,
    })
}

/// As [`measure`], with the workloads that need timers.
pub(crate) fn measure_all<S: Sleeps>(
    workload: Workload,
    scale: Scale,
) -> Option<io::Result<Sample>> {
    let hour = Duration::from_secs(3600);
    Some(match workload {
        Workload::TimerCancel => in_task::<S, _>(timer_cancel::<S>(scale)),
        Workload::TimerFire => in_task::<S, _>(timer_fire::<S>(100_000)),
        Workload::SleepingRss => {
            in_task::<S, _>(resident::<S, _>(move || S::sleep(hour))).flatten()
        }
        _ => return measure::<S>(workload, scale),
    })
}

/// Runs `work` in a task of a new runtime, and ends the process' need of that runtime with it.
pub(crate) fn in_task<S: Tasks, T: 'static>(
    work: impl Future<Output = T> + 'static,
) -> io::Result<T> {
    S::run(async move { S::spawn(work).await })
}

/// Repeats `$step` in batches until the window of `$scale` is over, and returns the sample of all steps.
macro_rules! measure_repeated {
    ($scale:expr, $step:expr) => {{
        let meter = Meter::start();
        let mut count = 0;
        while !meter.is_over($scale) {
            for _ in 0..BATCH {
                $step;
            }
            count += BATCH;
        }
        meter.stop(count)
    }};
}

/// Steps between two looks at the clock.
const BATCH: u64 = 1000;

async fn spawn_join<S: Tasks>(scale: Scale) -> Sample {
    for _ in 0..BATCH {
        S::spawn(async {}).await;
    }
    measure_repeated!(scale, S::spawn(async {}).await)
}

async fn yield_one<S: Tasks>(scale: Scale) -> Sample {
    measure_repeated!(scale, S::yield_now().await)
}

/// The first task looks at the clock for all of them.
async fn yield_many<S: Tasks>(tasks: u64, scale: Scale) -> Sample {
    let over = Rc::new(Cell::new(false));
    let yielder = |over: Rc<Cell<bool>>| async move {
        let mut count = 0;
        while !over.get() {
            S::yield_now().await;
            count += 1;
        }
        count
    };
    let meter = Rc::new(Meter::start());
    let clock = {
        let (meter, over) = (Rc::clone(&meter), Rc::clone(&over));
        S::spawn(async move {
            let mut count = 0;
            while !meter.is_over(scale) {
                for _ in 0..8 {
                    S::yield_now().await;
                }
                count += 8;
            }
            over.set(true);
            count
        })
    };
    let others: Vec<_> = (1..tasks)
        .map(|_| S::spawn(yielder(Rc::clone(&over))))
        .collect();
    let mut count = clock.await;
    for other in others {
        count += other.await;
    }
    meter.stop(count)
}

/// Whose turn it is, and the waker of each side: the same plain cells for every system.
#[derive(Default)]
struct Turns {
    turn: Cell<usize>,
    over: Cell<bool>,
    wakers: [Cell<Option<Waker>>; 2],
}

impl Turns {
    async fn take(&self, side: usize) {
        poll_fn(|context| {
            if self.turn.get() == side {
                return Poll::Ready(());
            }
            self.wakers[side].set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    fn pass(&self, side: usize) {
        self.turn.set(1 - side);
        if let Some(waker) = self.wakers[1 - side].take() {
            waker.wake();
        }
    }
}

async fn ping_pong<S: Tasks>(scale: Scale) -> Sample {
    let turns = Rc::new(Turns::default());
    let theirs = Rc::clone(&turns);
    let other = S::spawn(async move {
        while !theirs.over.get() {
            theirs.take(1).await;
            theirs.pass(1);
        }
    });
    let sample = measure_repeated!(scale, {
        turns.pass(0);
        turns.take(0).await;
    });
    turns.over.set(true);
    turns.pass(0);
    other.await;
    sample
}

/// Defines one `async fn` per name, each awaiting the next; the last yields.
macro_rules! chain {
    ($name:ident) => {
        async fn $name() {
            yield_by_wake().await;
        }
    };
    ($name:ident $next:ident $($rest:ident)*) => {
        async fn $name() {
            $next().await;
        }
        chain!($next $($rest)*);
    };
}

chain! {
    level_1 level_2 level_3 level_4 level_5 level_6 level_7 level_8 level_9 level_10 level_11 level_12 level_13
    level_14 level_15 level_16 level_17 level_18 level_19 level_20 level_21 level_22 level_23 level_24 level_25
    level_26 level_27 level_28 level_29 level_30 level_31 level_32
}

async fn await_chain(scale: Scale) -> Sample {
    measure_repeated!(scale, level_1().await)
}

async fn timer_cancel<S: Sleeps>(scale: Scale) -> Sample {
    let mut random = 1_u64;
    let mut some_time = move || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(10_000 + (random >> 33) % 60_000)
    };
    let mut live: Vec<_> = (0..10_000)
        .map(|_| Box::pin(S::sleep(some_time())))
        .collect();
    for sleep in &mut live {
        poll_once(sleep.as_mut()).await;
    }
    S::yield_now().await;
    let mut turn = 0_u64;
    measure_repeated!(scale, {
        poll_once(pin!(S::sleep(some_time()))).await;
        turn += 1;
        // Lets the system see to its timers now and then.
        if turn.is_multiple_of(256) {
            S::yield_now().await;
        }
    })
}

async fn poll_once(mut future: Pin<&mut impl Future<Output = ()>>) {
    poll_fn(|context| {
        assert!(
            future.as_mut().poll(context).is_pending(),
            "a sleep of seconds is pending at first"
        );
        Poll::Ready(())
    })
    .await;
}

async fn timer_fire<S: Sleeps>(count: u64) -> Sample {
    let lateness = Rc::new(RefCell::new(Vec::with_capacity(
        usize::try_from(count).unwrap_or(0),
    )));
    let meter = Meter::start();
    let base = Instant::now() + Duration::from_millis(300);
    let mut joins = Vec::new();
    for index in 0..count {
        // A multiplier prime to the count visits each slot of the second once, in a scattered order.
        let slot = index * 61_803 % count;
        let deadline = base + Duration::from_secs(1).mul_f64(slot as f64 / count as f64);
        let lateness = Rc::clone(&lateness);
        joins.push(S::spawn(async move {
            S::sleep(deadline.saturating_duration_since(Instant::now())).await;
            let late = Instant::now().saturating_duration_since(deadline);
            lateness
                .borrow_mut()
                .push(u64::from(late.subsec_nanos()) + late.as_secs() * 1_000_000_000);
        }));
    }
    for join in joins {
        join.await;
    }
    let sample = meter.stop(count);
    sample.with_latencies(lateness.take())
}

/// Growth of resident memory per task that awaits a future made by `make`.
async fn resident<S: Tasks, F: Future<Output = ()> + 'static>(
    make: impl Fn() -> F,
) -> io::Result<Sample> {
    let count = 100_000;
    let before = sys::resident_bytes(process::id())?;
    for _ in 0..count {
        S::detach(make());
    }
    // The queue is first in, first out: when this one is done, all others were polled.
    S::spawn(async {}).await;
    let after = sys::resident_bytes(process::id())?;
    Ok(Sample::resident(count, after.saturating_sub(before)))
}

/// Pending for ever; keeps its waker, as whoever waits for something does.
struct ParkForever {
    waker: Option<Waker>,
}

impl Future for ParkForever {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

fn wake_remote<S: Tasks>(count: u64) -> io::Result<Sample> {
    let bell = Arc::new(Bell::default());
    let ringer = remote::ringer(Arc::clone(&bell), count);
    let sample = in_task::<S, _>(async move {
        let mut latencies = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        let meter = Meter::start();
        for _ in 0..count {
            latencies.push(bell.rung().await);
        }
        meter.stop(count).with_latencies(latencies)
    });
    ringer.join().unwrap_or(());
    sample
}

/// Wakes its own task and returns pending once: the yield for systems that offer none.
pub(crate) fn yield_by_wake() -> impl Future<Output = ()> {
    let mut yielded = false;
    poll_fn(move |context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
}
