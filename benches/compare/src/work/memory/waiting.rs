//! Those that wait, of every kind. A hundred are made before the first look, so that what there is once is not counted.

use std::any::Any;
use std::future::{Pending, pending};
use std::hint::black_box;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;

use camshaft::fiber;
use camshaft::runtime::Builder;
use camshaft::task::yield_now;
use pin_project_lite::pin_project;

use super::grown::{Kernel, Usage};
use crate::experiment::{Outcome, Setting};
use crate::models::native;
use crate::models::room;
use crate::models::stacks::{self, Stacks};
use crate::twice::twice;

const FIRST: u64 = 100;

twice! {
    /// Waits for ever, with a frame of so many bytes.
    fn wait_with[const FRAME: usize](n: u8) {
        let frame = [n; FRAME];
        black_box(&frame);
        wait!(pending::<()>());
        black_box(&frame);
    }
}

/// Makes the first, looks, makes the others, and looks again. What is made is kept.
fn grow(
    setting: Setting,
    kernel: Kernel,
    mut make: impl FnMut(u64) -> anyhow::Result<Box<dyn Any>>,
) -> anyhow::Result<Outcome> {
    let first = make(FIRST)?;
    let before = Usage::now()?;
    let others = make(setting.at)?;
    let sample = before.grown(setting.at, kernel)?;
    // Nothing of it is needed, and to take it all down would take as long as to make it.
    std::mem::forget((first, others));
    Ok(sample.into())
}

/// How much memory there must be.
fn lacks(setting: Setting, own: u64, frame: usize) -> Option<Outcome> {
    room::lacks(
        setting.at,
        own + (frame as u64).next_multiple_of(own.min(4096)),
    )
}

pub(super) fn tasks<const FRAME: usize>(setting: Setting) -> anyhow::Result<Outcome> {
    if let Some(why) = lacks(setting, 128, FRAME) {
        return Ok(why);
    }
    let runtime = Builder::new().build()?;
    grow(setting, Kernel::Nothing, |count| {
        runtime.block_on(async {
            for _ in 0..count {
                drop(camshaft::spawn(wait_with::task::<FRAME>(1)));
            }
            yield_now().await;
        });
        Ok(Box::new(()))
    })
}

pub(super) fn fibers<const FRAME: usize>(setting: Setting) -> anyhow::Result<Outcome> {
    on_stacks::<FRAME>(setting, stacks::SIZE)
}

pub(super) fn large_fibers<const FRAME: usize>(setting: Setting) -> anyhow::Result<Outcome> {
    on_stacks::<FRAME>(setting, 1 << 20)
}

fn on_stacks<const FRAME: usize>(setting: Setting, stack: usize) -> anyhow::Result<Outcome> {
    if let Some(why) = lacks(setting, room::STACK, FRAME) {
        return Ok(why);
    }
    let runtime = Builder::new().build()?;
    grow(setting, Kernel::Nothing, |count| {
        runtime.block_on(async {
            for _ in 0..count {
                let fiber = fiber::Builder::new().stack_size(stack);
                drop(fiber.spawn(|| wait_with::fiber::<FRAME>(1)));
            }
            yield_now().await;
        });
        Ok(Box::new(()))
    })
}

pub(super) fn natives<const FRAME: usize>(setting: Setting) -> anyhow::Result<Outcome> {
    if let Some(why) = lacks(setting, room::STACK, FRAME) {
        return Ok(why);
    }
    native::run(Rc::new(native::Nothing), move || {
        grow(setting, Kernel::Nothing, |count| {
            for _ in 0..count {
                drop(native::spawn(|| {
                    let frame = [1_u8; FRAME];
                    black_box(&frame);
                    native::park();
                    black_box(&frame);
                }));
            }
            native::yield_now();
            Ok(Box::new(()))
        })
    })?
}

/// What no stack can do without: a page of memory, where it begins.
pub(super) fn pages(setting: Setting) -> anyhow::Result<Outcome> {
    if let Some(why) = lacks(setting, room::STACK, 0) {
        return Ok(why);
    }
    let mut stacks = Stacks::new();
    grow(setting, Kernel::Nothing, |count| {
        for _ in 0..count {
            stacks.take()?.touch();
        }
        Ok(Box::new(()))
    })
}

/// Polls what waits for the first time.
fn begin(future: Pin<&mut (impl Future + ?Sized)>) {
    let poll = future.poll(&mut Context::from_waker(Waker::noop()));
    debug_assert!(poll.is_pending());
}

pub(super) fn boxed<const FRAME: usize>(setting: Setting) -> anyhow::Result<Outcome> {
    if let Some(why) = lacks(setting, 64, FRAME) {
        return Ok(why);
    }
    grow(setting, Kernel::Nothing, |count| {
        let boxed = (0..count).map(|_| {
            let mut future = Box::pin(wait_with::task::<FRAME>(1));
            begin(future.as_mut());
            future
        });
        Ok(Box::new(boxed.collect::<Vec<_>>()))
    })
}

/// Futures that lie in one table. Such a table cannot grow, because they are pinned.
pub(super) fn inline<const FRAME: usize>(setting: Setting) -> anyhow::Result<Outcome> {
    if let Some(why) = lacks(setting, 64, FRAME) {
        return Ok(why);
    }
    grow(setting, Kernel::Nothing, |count| {
        let futures = (0..count).map(|_| wait_with::task::<FRAME>(1));
        Ok(Box::new(started::all(futures.collect())))
    })
}

#[allow(unsafe_code, reason = "std has no table of what is pinned")]
mod started {
    use std::pin::Pin;

    /// Polls all for the first time, where they will lie for ever.
    pub(super) fn all<F: Future>(futures: Box<[F]>) -> Pin<Box<[F]>> {
        let mut futures = Box::into_pin(futures);
        for at in 0..futures.len() {
            let all = futures.as_mut();
            // SAFETY: a part of what is pinned, and is not moved until it is dropped where it lies.
            let one = unsafe { all.map_unchecked_mut(|all| &mut all[at]) };
            super::begin(one);
        }
        futures
    }
}

pin_project! {
    /// What [`wait_with`] is, by hand.
    struct Machine<T> {
        frame: T,
        #[pin]
        wait: Pending<()>,
    }
}

impl<T> Future for Machine<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let poll = this.wait.poll(context);
        black_box(this.frame);
        poll
    }
}

/// State machines in a table, which can grow: they need no pinning, and one that waits holds nothing but its frame.
pub(super) fn machines<const FRAME: usize>(setting: Setting) -> anyhow::Result<Outcome> {
    if let Some(why) = lacks(setting, 64, FRAME) {
        return Ok(why);
    }
    grow(setting, Kernel::Nothing, |count| {
        let made = (0..count).map(|_| Machine {
            frame: [1; FRAME],
            wait: pending(),
        });
        let mut all: Vec<Machine<[u8; FRAME]>> = made.collect();
        all.iter_mut().for_each(|machine| begin(Pin::new(machine)));
        Ok(Box::new(all))
    })
}

pub(super) fn threads<const FRAME: usize>(setting: Setting) -> anyhow::Result<Outcome> {
    if let Some(why) = lacks(setting, 40 << 10, FRAME) {
        return Ok(why);
    }
    let outcome = grow(setting, Kernel::Objects, |count| {
        let (ready, all) = std::sync::mpsc::channel();
        for _ in 0..count {
            let ready = ready.clone();
            thread::Builder::new()
                .stack_size(stacks::SIZE)
                .spawn(move || {
                    let frame = [1_u8; FRAME];
                    black_box(&frame);
                    // Whoever counts them is there.
                    let _ = ready.send(());
                    loop {
                        thread::park();
                        black_box(&frame);
                    }
                })?;
        }
        let there = all.iter().take(usize::try_from(count)?).count();
        anyhow::ensure!(there as u64 == count, "a thread has ended");
        Ok(Box::new(()))
    });
    Ok(outcome.unwrap_or_else(|error| {
        Outcome::Skipped(format!("so many threads cannot be made: {error}"))
    }))
}
