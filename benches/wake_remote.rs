//! Waking a task from another thread.
//!
//! | line | what one iteration is |
//! |---|---|
//! | `parked` | the runtime's thread unparks a helper and waits in the ring; the helper wakes the task, through the eventfd |
//! | `spinning` | the same with `Spin::Always` and a helper that spins: no system call on either side |
//! | `floor` | as `parked`, but the thread waits in a `read` of an eventfd: no runtime |
//!
//! An iteration is a round trip of two threads; with fewer than two idle cores the spinning line measures the scheduler.
//! Left out: the work of the woken task.

mod common;

use std::fs::File;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use camshaft::runtime::{Builder, Spin};
use criterion::{Criterion, criterion_group, criterion_main};

/// What the two threads share: how many questions were asked, how many answered, and who waits for the answer.
#[derive(Default)]
struct Desk {
    asked: AtomicU64,
    answered: AtomicU64,
    waker: Mutex<Option<Waker>>,
    closed: AtomicBool,
}

impl Desk {
    fn waker(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.waker.lock().expect("nobody panics under the lock")
    }

    /// Answers until the desk is closed: the helper thread.
    fn serve(&self, spin: bool, mut answer: impl FnMut(&Self)) {
        let mut served = 0;
        while !self.closed.load(Ordering::Acquire) {
            if self.asked.load(Ordering::Acquire) == served {
                if spin {
                    std::hint::spin_loop();
                } else {
                    thread::park();
                }
                continue;
            }
            served += 1;
            answer(self);
        }
    }

    /// Wakes the task that waits.
    fn answer(&self) {
        let waker = {
            let mut waker = self.waker();
            self.answered.fetch_add(1, Ordering::Release);
            waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn round_trips(spin: Spin, iterations: u64) -> Duration {
    let desk = Arc::new(Desk::default());
    let helper = thread::spawn({
        let desk = desk.clone();
        move || desk.serve(spin == Spin::Always, Desk::answer)
    });
    let runtime = Builder::new()
        .spin(spin)
        .build()
        .expect("io_uring is available");
    let elapsed = runtime.block_on(async {
        let start = Instant::now();
        for round in 1..=iterations {
            desk.asked.store(round, Ordering::Release);
            helper.thread().unpark();
            poll_fn(|cx| {
                let mut waker = desk.waker();
                if desk.answered.load(Ordering::Acquire) == round {
                    return Poll::Ready(());
                }
                *waker = Some(cx.waker().clone());
                Poll::Pending
            })
            .await;
        }
        start.elapsed()
    });
    desk.closed.store(true, Ordering::Release);
    helper.thread().unpark();
    helper.join().expect("the helper ends");
    elapsed
}

fn round_trips_by_eventfd(iterations: u64) -> Duration {
    let desk = Arc::new(Desk::default());
    let event = Arc::new(common::eventfd());
    let helper = thread::spawn({
        let (desk, event) = (desk.clone(), event.clone());
        move || desk.serve(false, |_| signal(&event))
    });
    let start = Instant::now();
    for round in 1..=iterations {
        desk.asked.store(round, Ordering::Release);
        helper.thread().unpark();
        let mut count = [0; 8];
        (&*event)
            .read_exact(&mut count)
            .expect("an eventfd gives eight bytes");
    }
    let elapsed = start.elapsed();
    desk.closed.store(true, Ordering::Release);
    helper.thread().unpark();
    helper.join().expect("the helper ends");
    elapsed
}

fn signal(mut event: &File) {
    event
        .write_all(&1_u64.to_ne_bytes())
        .expect("an eventfd takes eight bytes");
}

fn wake_remote(c: &mut Criterion) {
    let mut group = c.benchmark_group("wake_remote");
    group.bench_function("parked", |b| b.iter_custom(|n| round_trips(Spin::Off, n)));
    group.bench_function("spinning", |b| {
        b.iter_custom(|n| round_trips(Spin::Always, n));
    });
    group.bench_function("floor", |b| b.iter_custom(round_trips_by_eventfd));
    group.finish();
}

criterion_group!(benches, wake_remote);
criterion_main!(benches);
