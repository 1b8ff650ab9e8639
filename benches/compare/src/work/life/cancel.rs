//! Lives that are ended from outside.

use std::cell::Cell;
use std::future::{Future, pending};
use std::hint::black_box;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use anyhow::ensure;
use camshaft::fiber;
use camshaft::runtime::Builder;
use camshaft::task::{JoinHandle, yield_now};

use crate::experiment::{Outcome, Setting};
use crate::measure::{Sample, repeat, repeat_async};
use crate::models::native;
use crate::models::process::{self, fork};

/// Lives between two looks at the clock.
const LIVES: u64 = 50;

/// What each frame holds: it counts the destructors that run.
struct Held(Rc<Cell<u64>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Waits for ever under so many frames.
fn descend(frames: u64, count: Rc<Cell<u64>>) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let held = Held(count.clone());
        if frames > 1 {
            descend(frames - 1, count).await;
        } else {
            pending::<()>().await;
        }
        black_box(&held);
    })
}

/// The same, with the frames on a stack.
#[inline(never)] // or several frames would be one
fn descend_on_stack(frames: u64, count: &Rc<Cell<u64>>, wait: fn()) {
    let held = Held(count.clone());
    if frames > 1 {
        descend_on_stack(frames - 1, count, wait);
    } else {
        wait();
    }
    black_box(&held);
}

/// Has lives cancelled on the executor, of either kind.
fn on_executor(
    setting: Setting,
    spawn: impl Fn(Rc<Cell<u64>>) -> JoinHandle<()>,
) -> anyhow::Result<Outcome> {
    let count = Rc::new(Cell::new(0));
    let mut lives = 0;
    let sample = Builder::new().build()?.block_on(async {
        let cancel = async || {
            for _ in 0..LIVES {
                let handle = spawn(count.clone());
                yield_now().await;
                handle.abort();
                black_box(handle.await.is_err());
            }
            lives += LIVES;
            LIVES
        };
        repeat_async(setting, cancel).await
    });
    finish(setting, sample, lives, &count)
}

fn finish(
    setting: Setting,
    sample: Sample,
    lives: u64,
    count: &Cell<u64>,
) -> anyhow::Result<Outcome> {
    let expected = lives * setting.at;
    ensure!(
        count.get() == expected,
        "{} destructors ran, {expected} should have",
        count.get()
    );
    Ok(sample.into())
}

/// Tasks: each frame is a box in the box above.
pub(super) fn tasks(setting: Setting) -> anyhow::Result<Outcome> {
    on_executor(setting, |count| camshaft::spawn(descend(setting.at, count)))
}

/// Fibers.
pub(super) fn fibers(setting: Setting) -> anyhow::Result<Outcome> {
    on_executor(setting, |count| {
        fiber::spawn(move || descend_on_stack(setting.at, &count, || fiber::wait(pending())))
    })
}

/// Fibers that are asked to end, and return through all frames, as one would have them do in a language without unwinding.
pub(super) fn returning(setting: Setting) -> anyhow::Result<Outcome> {
    let count = Rc::new(Cell::new(0));
    let mut lives = 0;
    let sample = Builder::new().build()?.block_on(async {
        let cancel = async || {
            for _ in 0..LIVES {
                let count = count.clone();
                let handle = fiber::spawn(move || {
                    // What it waits for comes, and it means that there is nothing more to do.
                    descend_on_stack(setting.at, &count, || fiber::wait(yield_now()));
                });
                yield_now().await;
                black_box(handle.await.is_err());
            }
            lives += LIVES;
            LIVES
        };
        repeat_async(setting, cancel).await
    });
    finish(setting, sample, lives, &count)
}

/// Fibers without futures.
pub(super) fn natives(setting: Setting) -> anyhow::Result<Outcome> {
    let count = Rc::new(Cell::new(0));
    let mine = count.clone();
    let (sample, lives) = native::run(Rc::new(native::Nothing), move || {
        let mut lives = 0;
        let sample = repeat(setting, || {
            for _ in 0..LIVES {
                let count = mine.clone();
                let fiber =
                    native::spawn(move || descend_on_stack(setting.at, &count, native::park));
                native::yield_now();
                fiber.cancel();
                black_box(fiber.join().is_err());
            }
            lives += LIVES;
            LIVES
        });
        (sample, lives)
    })?;
    finish(setting, sample, lives, &count)
}

/// Futures without an executor: made, polled once, dropped.
pub(super) fn boxed(setting: Setting) -> anyhow::Result<Outcome> {
    let count = Rc::new(Cell::new(0));
    let mut lives = 0;
    let mut context = Context::from_waker(Waker::noop());
    let sample = repeat(setting, || {
        for _ in 0..LIVES {
            let mut future = descend(setting.at, count.clone());
            black_box(future.as_mut().poll(&mut context).is_pending());
        }
        lives += LIVES;
        LIVES
    });
    finish(setting, sample, lives, &count)
}

/// Processes that are killed. Nothing of theirs is unwound; the kernel takes their memory.
pub(super) fn processes(setting: Setting) -> anyhow::Result<Outcome> {
    let mut failed = None;
    let sample = repeat(setting, || {
        match fork(|| {
            loop {
                std::thread::park();
            }
        }) {
            Ok(child) => drop(child),
            Err(error) => failed = Some(error),
        }
        1
    });
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(process::with_children(sample).into()),
    }
}
