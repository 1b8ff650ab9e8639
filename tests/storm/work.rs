//! What goes around operations: time limits, tasks that are aborted, other threads.

use std::time::Duration;

use camshaft::task::{JoinHandle, spawn_blocking};
use camshaft::time::{Instant, sleep, timeout};

use crate::Doing;
use crate::common::{Random, poll_once};

/// Aborts its task when it is dropped.
struct Aborting(JoinHandle<()>);

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Puts an operation under a time limit, or leaves it as it is.
pub(crate) fn limited(doing: Doing, random: &mut Random) -> Doing {
    if !random.one_in(12) {
        return doing;
    }
    let limit = Duration::from_micros(random.next() % 300);
    Box::pin(async move {
        let _ = timeout(limit, doing).await;
    })
}

/// As [`limited`]; or puts it into a task of its own, which is dropped a little after it was aborted.
pub(crate) fn wrapped(doing: Doing, random: &mut Random) -> Doing {
    match random.below(12) {
        0 => limited(doing, random),
        1 => Box::pin(async move {
            let mut task = Aborting(camshaft::spawn(doing));
            if let Err(error) = (&mut task.0).await {
                assert!(error.is_cancelled(), "{error}");
            }
        }),
        _ => doing,
    }
}

/// A sleep, or work on another thread, at any stage.
pub(crate) struct Other(Option<Doing>);

impl Other {
    pub(crate) fn new() -> Self {
        Self(None)
    }

    fn begin(random: &mut Random) -> Doing {
        let number = random.next();
        match random.below(3) {
            0 => Box::pin(async move {
                let span = Duration::from_micros(number % 500);
                let begin = Instant::now();
                sleep(span).await;
                assert!(begin.elapsed() >= span);
            }),
            1 => Box::pin(async move {
                let answer = spawn_blocking(move || {
                    std::thread::sleep(Duration::from_micros(number % 100));
                    number ^ 1
                });
                assert_eq!(answer.await.expect("it runs"), number ^ 1);
            }),
            _ => Box::pin(async move {
                let task = camshaft::spawn(async move { number });
                if number.is_multiple_of(2) {
                    task.abort();
                    return;
                }
                assert_eq!(task.await.expect("it runs"), number);
            }),
        }
    }

    pub(crate) async fn step(&mut self, random: &mut Random) {
        let mut doing = self.0.take().unwrap_or_else(|| Self::begin(random));
        if poll_once(doing.as_mut()).await.is_pending() && !random.one_in(4) {
            self.0 = Some(doing);
        }
    }

    pub(crate) fn drop_operations(&mut self) {
        self.0 = None;
    }
}
