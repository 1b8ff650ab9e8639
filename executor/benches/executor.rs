//! What the executor's own paths cost, beside a bare queue.
//!
//! Each number is the time of one operation: a task spawned and joined, one yield, one round trip of two tasks, one resume
//! through 32 awaits, one wake from another thread until the woken task has run. Making the executor and its tasks is outside
//! of the timed part; `bare_queue` is the floor under a yield: a dynamic call between a pop and a push. I/O and timers are
//! left out: the executor parks the thread. Compare within one run only.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use camshaft_executor::{block_on, spawn, yield_now};
use criterion::{Criterion, criterion_group, criterion_main};

fn bare_queue(criterion: &mut Criterion) {
    let calls = Cell::new(0u64);
    let call: Box<dyn Fn()> = Box::new(|| calls.set(calls.get() + 1));
    let mut queue: VecDeque<&dyn Fn()> = VecDeque::from([&*call]);
    criterion.bench_function("bare_queue", |bencher| {
        bencher.iter(|| {
            if let Some(next) = std::hint::black_box(&mut queue).pop_front() {
                next();
                queue.push_back(next);
            }
        });
    });
}

fn spawn_join(criterion: &mut Criterion) {
    criterion.bench_function("spawn_join", |bencher| {
        bencher.iter_custom(|count| {
            block_on(async {
                let start = Instant::now();
                for number in 0..count {
                    std::hint::black_box(spawn(async move { number }).await).ok();
                }
                start.elapsed()
            })
        });
    });
}

/// Time of `count` yields, spread over `tasks` tasks that are all ready.
fn yields(tasks: u64, count: u64) -> Duration {
    block_on(async {
        let rounds = count.div_ceil(tasks);
        let handles: Vec<_> = (0..tasks)
            .map(|_| {
                spawn(async move {
                    for _ in 0..rounds {
                        yield_now().await;
                    }
                })
            })
            .collect();
        let start = Instant::now();
        for handle in handles {
            handle.await.ok();
        }
        start
            .elapsed()
            .mul_f64(count as f64 / (rounds * tasks) as f64)
    })
}

fn yielding(criterion: &mut Criterion) {
    for tasks in [1, 1000, 50_000] {
        criterion.bench_function(&format!("yield/{tasks}"), |bencher| {
            bencher.iter_custom(|count| yields(tasks, count));
        });
    }
}

/// A cell for one token and one waiter.
#[derive(Default)]
struct Baton {
    here: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Baton {
    fn pass(&self) {
        self.here.set(true);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    async fn take(&self) {
        poll_fn(|cx| {
            if self.here.replace(false) {
                return Poll::Ready(());
            }
            match &mut *self.waker.borrow_mut() {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
        .await;
    }
}

fn ping_pong(criterion: &mut Criterion) {
    criterion.bench_function("ping_pong", |bencher| {
        bencher.iter_custom(|count| {
            block_on(async {
                let (there, back) = (Rc::new(Baton::default()), Rc::new(Baton::default()));
                let (hear, answer) = (Rc::clone(&there), Rc::clone(&back));
                let other = spawn(async move {
                    for _ in 0..count {
                        hear.take().await;
                        answer.pass();
                    }
                });
                let start = Instant::now();
                for _ in 0..count {
                    there.pass();
                    back.take().await;
                }
                other.await.ok();
                start.elapsed()
            })
        });
    });
}

/// Wraps a future so often in others.
fn deep(
    depth: usize,
    inner: Pin<Box<dyn Future<Output = ()>>>,
) -> Pin<Box<dyn Future<Output = ()>>> {
    if depth == 0 {
        inner
    } else {
        deep(depth - 1, Box::pin(inner))
    }
}

fn await_chain(criterion: &mut Criterion) {
    criterion.bench_function("await_chain/32", |bencher| {
        bencher.iter_custom(|count| {
            block_on(async move {
                let innermost = async move {
                    for _ in 0..count {
                        yield_now().await;
                    }
                };
                let chain = deep(31, Box::pin(innermost));
                let start = Instant::now();
                chain.await;
                start.elapsed()
            })
        });
    });
}

fn wake_remote(criterion: &mut Criterion) {
    criterion.bench_function("wake_remote", |bencher| {
        bencher.iter_custom(|count| {
            let (send, receive) = mpsc::channel::<Waker>();
            let wakes = Arc::new(AtomicU64::new(0));
            let other = Arc::clone(&wakes);
            let waking = std::thread::spawn(move || {
                while let Ok(waker) = receive.recv() {
                    other.fetch_add(1, Ordering::Relaxed);
                    waker.wake();
                }
            });
            let took = block_on(async {
                let start = Instant::now();
                for wanted in 1..=count {
                    let mut asked = false;
                    poll_fn(|cx| {
                        if wakes.load(Ordering::Relaxed) == wanted {
                            return Poll::Ready(());
                        }
                        if !std::mem::replace(&mut asked, true) {
                            send.send(cx.waker().clone()).ok();
                        }
                        Poll::Pending
                    })
                    .await;
                }
                start.elapsed()
            });
            drop(send);
            waking.join().ok();
            took
        });
    });
}

criterion_group!(
    benches,
    bare_queue,
    spawn_join,
    yielding,
    ping_pong,
    await_chain,
    wake_remote
);
criterion_main!(benches);
