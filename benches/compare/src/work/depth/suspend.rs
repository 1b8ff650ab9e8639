//! The ways down.

use std::hint::black_box;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use camshaft::fiber;
use camshaft::runtime::Builder;

use super::nested::{Depth, Descend};
use super::{Leaf, TURNS, leaf};
use crate::experiment::{Outcome, Setting};
use crate::measure::{Meter, Sample, repeat, repeat_async};
use crate::models::native;

/// The stack of a thousand calls, with room to spare.
const STACK: usize = 512 << 10;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// A suspension at the bottom.
    Suspension,
    /// The way to the bottom, a suspension, and the way back.
    Call,
}

/// Calls between two looks at the clock.
fn calls(setting: Setting) -> u64 {
    TURNS.div_ceil(setting.at)
}

async fn drive(
    setting: Setting,
    what: What,
    descend: impl AsyncFn(Leaf) -> Option<Sample>,
) -> Option<Sample> {
    match what {
        What::Suspension => descend(Leaf::Measured(setting)).await,
        What::Call => {
            let call = async || {
                for _ in 0..calls(setting) {
                    black_box(descend(Leaf::Once).await);
                }
                calls(setting)
            };
            Some(repeat_async(setting, call).await)
        }
    }
}

fn drive_on_stack(
    setting: Setting,
    what: What,
    descend: impl Fn(Leaf) -> Option<Sample>,
) -> Option<Sample> {
    match what {
        What::Suspension => descend(Leaf::Measured(setting)),
        What::Call => Some(repeat(setting, || {
            for _ in 0..calls(setting) {
                black_box(descend(Leaf::Once));
            }
            calls(setting)
        })),
    }
}

fn outcome(sample: Option<Sample>) -> anyhow::Result<Outcome> {
    Ok(sample.expect("who measures has a sample").into())
}

fn on_executor(work: impl Future<Output = Option<Sample>> + 'static) -> anyhow::Result<Outcome> {
    let sample = Builder::new()
        .build()?
        .block_on(async { camshaft::spawn(work).await })?;
    outcome(sample)
}

pub(super) fn nested(setting: Setting, what: What) -> anyhow::Result<Outcome> {
    fn down(
        setting: Setting,
        what: What,
        depth: impl Descend + 'static,
    ) -> anyhow::Result<Outcome> {
        on_executor(drive(setting, what, async move |leaf| {
            depth.descend(leaf).await
        }))
    }
    match setting.at {
        1 => down(setting, what, Depth::<1>),
        3 => down(setting, what, Depth::<3>),
        10 => down(setting, what, Depth::<10>),
        30 => down(setting, what, Depth::<30>),
        100 => down(setting, what, Depth::<100>),
        _ => Ok(Outcome::Skipped("not written out".into())),
    }
}

type Boxed = Pin<Box<dyn Future<Output = Option<Sample>>>>;

fn descend_boxed(depth: u64, what: Leaf) -> Boxed {
    Box::pin(async move {
        let found = match depth {
            1 => leaf::task(what).await,
            _ => descend_boxed(depth - 1, what).await,
        };
        black_box(());
        found
    })
}

pub(super) fn boxed(setting: Setting, what: What) -> anyhow::Result<Outcome> {
    on_executor(drive(setting, what, async move |leaf| {
        descend_boxed(setting.at, leaf).await
    }))
}

fn descend_in_tasks(depth: u64, what: Leaf) -> Boxed {
    Box::pin(async move {
        match depth {
            1 => leaf::task(what).await,
            _ => camshaft::spawn(descend_in_tasks(depth - 1, what))
                .await
                .expect("it neither panics nor is aborted"),
        }
    })
}

pub(super) fn tasks(setting: Setting, what: What) -> anyhow::Result<Outcome> {
    on_executor(drive(setting, what, async move |leaf| {
        descend_in_tasks(setting.at, leaf).await
    }))
}

/// Calls itself, and then who is at the bottom.
#[inline(never)] // or several calls would be one
fn descend(depth: u64, bottom: &mut dyn FnMut()) {
    match depth {
        1 => bottom(),
        _ => descend(depth - 1, bottom),
    }
    black_box(());
}

fn descend_to(depth: u64, bottom: impl Fn() -> Option<Sample>) -> Option<Sample> {
    let mut found = None;
    descend(depth, &mut || found = bottom());
    found
}

pub(super) fn fiber(setting: Setting, what: What) -> anyhow::Result<Outcome> {
    let down = move || {
        drive_on_stack(setting, what, |what| {
            descend_to(setting.at, || leaf::fiber(what))
        })
    };
    let sample = Builder::new()
        .build()?
        .block_on(async { fiber::Builder::new().stack_size(STACK).spawn(down).await })?;
    outcome(sample)
}

/// [`leaf`] without futures.
fn native_leaf(what: Leaf) -> Option<Sample> {
    native::yield_now();
    let Leaf::Measured(setting) = what else {
        return None;
    };
    Some(repeat(setting, || {
        for _ in 0..TURNS {
            native::yield_now();
        }
        TURNS
    }))
}

pub(super) fn native(setting: Setting, what: What) -> anyhow::Result<Outcome> {
    let sample = native::run(Rc::new(native::Nothing), move || {
        drive_on_stack(setting, what, |leaf| {
            descend_to(setting.at, || native_leaf(leaf))
        })
    })?;
    outcome(sample)
}

/// The recursion by hand: the frames lie in a vector, and the one on top is known.
struct Machine {
    frames: Vec<u64>,
    depth: u64,
    what: Leaf,
    /// The open window, and the suspensions in it.
    measured: Option<(Meter, u64)>,
}

impl Machine {
    fn new(depth: u64, what: Leaf) -> Self {
        Self {
            frames: Vec::new(),
            depth,
            what,
            measured: None,
        }
    }

    /// What [`leaf`] does between two suspensions; a result if there is no other.
    fn step(&mut self) -> Option<Option<Sample>> {
        let Leaf::Measured(setting) = self.what else {
            return Some(None);
        };
        let (meter, turns) = self.measured.get_or_insert_with(|| (Meter::start(), 0));
        *turns += 1;
        if *turns % TURNS == 0 && meter.is_over(setting) {
            return Some(Some(meter.stop(*turns)));
        }
        None
    }
}

impl Future for Machine {
    type Output = Option<Sample>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Sample>> {
        if self.frames.is_empty() {
            let depth = self.depth;
            (1..=depth)
                .rev()
                .for_each(|level| self.frames.push(black_box(level)));
        } else if let Some(found) = self.step() {
            while let Some(level) = self.frames.pop() {
                black_box(level);
            }
            return Poll::Ready(found);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

pub(super) fn machine(setting: Setting, what: What) -> anyhow::Result<Outcome> {
    on_executor(drive(setting, what, async move |leaf| {
        Machine::new(setting.at, leaf).await
    }))
}
