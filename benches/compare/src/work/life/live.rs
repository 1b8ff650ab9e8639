//! Lives that end by themselves.

use std::future::ready;
use std::hint::black_box;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, RwLock};
use std::task::{Context, Poll, Waker};
use std::{io, thread};

use camshaft::fiber;
use camshaft::runtime::Builder;
use camshaft::task::{JoinHandle, yield_now};

use crate::experiment::{Outcome, Setting};
use crate::measure::{Meter, Sample, repeat, repeat_async};
use crate::models::native;
use crate::models::process::{self, fork};
use crate::models::room;
use crate::models::stacks::{self, Stacks};
use crate::models::switch::bare::Bare;
use crate::twice::twice;

/// Lives between two looks at the clock, or one of each if there are more.
const LIVES: u64 = 200;

/// Which lives are measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Window {
    /// All but the first, as long as the scale says.
    Warm,
    /// The first.
    Cold,
}

impl Window {
    fn measure(self, setting: Setting, mut batch: impl FnMut() -> u64) -> Sample {
        match self {
            Self::Warm => repeat(setting, batch),
            Self::Cold => {
                let meter = Meter::start();
                let ops = batch();
                meter.stop(ops)
            }
        }
    }

    async fn measure_async(self, setting: Setting, mut batch: impl AsyncFnMut() -> u64) -> Sample {
        match self {
            Self::Warm => repeat_async(setting, batch).await,
            Self::Cold => {
                let meter = Meter::start();
                let ops = batch().await;
                meter.stop(ops)
            }
        }
    }

    /// How often all live before the clock is looked at.
    fn rounds(self, setting: Setting) -> u64 {
        match self {
            Self::Warm => LIVES.div_ceil(setting.at),
            Self::Cold => 1,
        }
    }
}

twice! {
    /// Does nothing.
    fn live_at_once(n: u32) -> u32 {
        if n == 0 {
            wait!(ready(())); // never
        }
        black_box(n)
    }
}

twice! {
    /// Waits once.
    fn live_on(n: u32) -> u32 {
        wait!(yield_now());
        black_box(n)
    }
}

/// Lives on the executor, of either kind.
fn on_executor(
    setting: Setting,
    window: Window,
    spawn: impl Fn(u32) -> JoinHandle<u32>,
) -> anyhow::Result<Outcome> {
    let mut handles = Vec::with_capacity(setting.count());
    let rounds = window.rounds(setting);
    let sample = Builder::new().build()?.block_on(async {
        let live = async || {
            for _ in 0..rounds {
                handles.extend((0..setting.count()).map(|_| spawn(black_box(1))));
                for handle in handles.drain(..) {
                    black_box(handle.await.is_ok());
                }
            }
            rounds * setting.at
        };
        window.measure_async(setting, live).await
    });
    Ok(sample.into())
}

pub(super) fn tasks_at_once(setting: Setting) -> anyhow::Result<Outcome> {
    on_executor(setting, Window::Warm, |n| {
        camshaft::spawn(live_at_once::task(n))
    })
}

pub(super) fn fibers_at_once(setting: Setting) -> anyhow::Result<Outcome> {
    on_executor(setting, Window::Warm, |n| {
        fiber::spawn(move || live_at_once::fiber(n))
    })
}

pub(super) fn tasks(setting: Setting, window: Window) -> anyhow::Result<Outcome> {
    on_executor(setting, window, |n| camshaft::spawn(live_on::task(n)))
}

pub(super) fn fibers(setting: Setting, window: Window) -> anyhow::Result<Outcome> {
    match room::lacks(setting.at, room::STACK) {
        Some(why) => Ok(why),
        None => on_executor(setting, window, |n| fiber::spawn(move || live_on::fiber(n))),
    }
}

/// Lives on the scheduler without futures.
fn on_native(setting: Setting, window: Window, life: fn()) -> anyhow::Result<Outcome> {
    if let Some(why) = room::lacks(setting.at, room::STACK) {
        return Ok(why);
    }
    let sample = native::run(Rc::new(native::Nothing), move || {
        let rounds = window.rounds(setting);
        let mut fibers = Vec::with_capacity(setting.count());
        window.measure(setting, || {
            for _ in 0..rounds {
                fibers.extend((0..setting.count()).map(|_| native::spawn(life)));
                for fiber in fibers.drain(..) {
                    black_box(fiber.join().is_ok());
                }
            }
            rounds * setting.at
        })
    })?;
    Ok(sample.into())
}

pub(super) fn natives_at_once(setting: Setting) -> anyhow::Result<Outcome> {
    on_native(setting, Window::Warm, || {
        black_box(1);
    })
}

pub(super) fn natives(setting: Setting, window: Window) -> anyhow::Result<Outcome> {
    on_native(setting, window, native::yield_now)
}

/// Coroutines of corosensei on stacks from a pool, resumed by a loop.
fn on_stacks(
    setting: Setting,
    window: Window,
    life: fn(&corosensei::Yielder<(), ()>),
) -> anyhow::Result<Outcome> {
    if let Some(why) = room::lacks(setting.at, room::STACK) {
        return Ok(why);
    }
    let mut stacks = Stacks::new();
    let rounds = window.rounds(setting);
    let mut all: Vec<Bare> = Vec::with_capacity(setting.count());
    // Each round takes what the one before has put back, so no more are made than these.
    let sample = window.measure(setting, || {
        for _ in 0..rounds {
            for _ in 0..setting.count() {
                all.push(Bare::new(&mut stacks, life).expect("memory for a stack"));
            }
            for bare in &mut all {
                bare.next();
            }
            for mut bare in all.drain(..) {
                while bare.next_if_any().is_some() {}
                bare.end(&mut stacks);
            }
        }
        rounds * setting.at
    });
    Ok(sample.into())
}

pub(super) fn bare_at_once(setting: Setting) -> anyhow::Result<Outcome> {
    on_stacks(setting, Window::Warm, |_| {
        black_box(1);
    })
}

pub(super) fn bare(setting: Setting, window: Window) -> anyhow::Result<Outcome> {
    on_stacks(setting, window, |yielder| yielder.suspend(()))
}

/// As [`bare`], on stacks that are mapped when they are needed and unmapped when they are not.
pub(super) fn mapped(setting: Setting, window: Window) -> anyhow::Result<Outcome> {
    let rounds = window.rounds(setting);
    let sample = window.measure(setting, || {
        for _ in 0..rounds {
            let mut all: Vec<(Stacks, Bare)> = Vec::with_capacity(setting.count());
            for _ in 0..setting.count() {
                let mut stacks = Stacks::of_one().expect("memory for a stack");
                let bare = Bare::new(&mut stacks, |yielder| yielder.suspend(()));
                all.push((stacks, bare.expect("one was mapped")));
            }
            for (_, bare) in &mut all {
                bare.next();
            }
            for (mut stacks, mut bare) in all {
                while bare.next_if_any().is_some() {}
                bare.end(&mut stacks);
                stacks.unmap();
            }
        }
        rounds * setting.at
    });
    Ok(sample.into())
}

#[cfg(c_switches)]
pub(super) fn ucontext(setting: Setting) -> anyhow::Result<Outcome> {
    let mut stacks = Stacks::new();
    let sample = repeat(setting, || {
        for _ in 0..LIVES {
            let made = crate::models::switch::c::Context::new(&mut stacks);
            made.expect("memory for a stack").end(&mut stacks);
        }
        LIVES
    });
    Ok(sample.into())
}

#[cfg(not(c_switches))]
pub(super) fn ucontext(_: Setting) -> anyhow::Result<Outcome> {
    Ok(Outcome::Skipped(
        "there was no C compiler with ucontext at build time".into(),
    ))
}

/// Futures in boxes, each polled once.
pub(super) fn boxed(setting: Setting) -> anyhow::Result<Outcome> {
    let rounds = Window::Warm.rounds(setting);
    let mut all: Vec<Pin<Box<dyn Future<Output = u32>>>> = Vec::with_capacity(setting.count());
    let mut context = Context::from_waker(Waker::noop());
    let sample = repeat(setting, || {
        for _ in 0..rounds {
            for _ in 0..setting.count() {
                all.push(Box::pin(live_at_once::task(black_box(1))));
            }
            for mut future in all.drain(..) {
                black_box(future.as_mut().poll(&mut context).is_ready());
            }
        }
        rounds * setting.at
    });
    Ok(sample.into())
}

/// What [`live_at_once`] is, by hand.
struct Machine(u32);

impl Future for Machine {
    type Output = u32;

    #[inline(never)] // or nothing would be left of it
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u32> {
        Poll::Ready(self.0)
    }
}

/// State machines that lie in a table, without allocation.
pub(super) fn machines(setting: Setting) -> anyhow::Result<Outcome> {
    let rounds = Window::Warm.rounds(setting);
    let mut all = Vec::with_capacity(setting.count());
    let mut context = Context::from_waker(Waker::noop());
    let sample = repeat(setting, || {
        for _ in 0..rounds {
            all.extend((0..setting.count()).map(|_| Machine(black_box(1))));
            for mut machine in all.drain(..) {
                black_box(Pin::new(&mut machine).poll(&mut context).is_ready());
            }
        }
        rounds * setting.at
    });
    Ok(sample.into())
}

/// Threads. Those that wait, wait for a lock that is held until all are there.
fn on_threads(setting: Setting, window: Window, waits: bool) -> anyhow::Result<Outcome> {
    let gate = Arc::new(RwLock::new(()));
    let mut failed = None;
    let rounds = window.rounds(setting).min(20);
    let sample = window.measure(setting, || {
        for _ in 0..rounds {
            if let Err(error) = one_round(setting, &gate, waits) {
                failed = Some(error);
            }
        }
        rounds * setting.at
    });
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(sample.into()),
    }
}

fn one_round(setting: Setting, gate: &Arc<RwLock<()>>, waits: bool) -> io::Result<()> {
    let closed = waits.then(|| gate.write());
    let mut threads = Vec::with_capacity(setting.count());
    for _ in 0..setting.at {
        let gate = gate.clone();
        let life = move || {
            if waits {
                drop(gate.read());
            }
        };
        threads.push(
            thread::Builder::new()
                .stack_size(stacks::SIZE)
                .spawn(life)?,
        );
    }
    drop(closed);
    for thread in threads {
        thread.join().expect("it does not panic");
    }
    Ok(())
}

pub(super) fn threads_at_once(setting: Setting) -> anyhow::Result<Outcome> {
    on_threads(setting, Window::Warm, false)
}

pub(super) fn threads(setting: Setting, window: Window) -> anyhow::Result<Outcome> {
    on_threads(setting, window, true)
}

/// Processes. Those that wait, wait for the end of a pipe that is open until all are there.
fn on_processes(setting: Setting, window: Window, waits: bool) -> anyhow::Result<Outcome> {
    let mut failed = None;
    let rounds = window.rounds(setting).min(10);
    let sample = window.measure(setting, || {
        for _ in 0..rounds {
            if let Err(error) = one_family(setting, waits) {
                failed = Some(error);
            }
        }
        rounds * setting.at
    });
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(process::with_children(sample).into()),
    }
}

fn one_family(setting: Setting, waits: bool) -> io::Result<()> {
    use std::io::Read;

    let (end, open) = io::pipe()?;
    let mut open = Some(open);
    let children: io::Result<Vec<_>> = (0..setting.at)
        .map(|_| {
            fork(|| {
                drop(open.take());
                if waits {
                    // Nobody writes, so it ends with the pipe, well or not.
                    let _ = (&end).read(&mut [0]);
                }
            })
        })
        .collect();
    let children = children?;
    drop(open);
    children.into_iter().try_for_each(|child| child.join())
}

pub(super) fn processes_at_once(setting: Setting) -> anyhow::Result<Outcome> {
    on_processes(setting, Window::Warm, false)
}

pub(super) fn processes(setting: Setting, window: Window) -> anyhow::Result<Outcome> {
    on_processes(setting, window, true)
}
