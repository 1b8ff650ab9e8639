//! Giving way: `yield_now` with 1, 1000 and 50,000 tasks that do nothing else.
//!
//! | line | what one iteration is |
//! |---|---|
//! | `camshaft/N` | one task's turn: it is popped, polled, and queues itself again |
//! | `floor/N` | one boxed future popped from a `VecDeque`, polled, and pushed again; no waker |
//!
//! Left out: spawning. The main future yields along with the tasks; one of its turns is one round of all of them.

use std::collections::VecDeque;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use camshaft::runtime::Builder;
use camshaft::task::yield_now;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const TASKS: [u64; 3] = [1, 1000, 50_000];

async fn yield_forever() {
    loop {
        yield_now().await;
    }
}

/// What `iterations` turns took, if `turns` of them took `elapsed`.
fn scale(elapsed: Duration, iterations: u64, turns: u64) -> Duration {
    elapsed.mul_f64(iterations as f64 / turns as f64)
}

fn yields(c: &mut Criterion) {
    let mut group = c.benchmark_group("yield");
    for tasks in TASKS {
        group.bench_function(BenchmarkId::new("camshaft", tasks), |b| {
            let runtime = Builder::new().build().expect("io_uring is available");
            for _ in 0..tasks {
                drop(runtime.spawn(yield_forever()));
            }
            b.iter_custom(|iterations| {
                let rounds = iterations.div_ceil(tasks + 1);
                let elapsed = runtime.block_on(async {
                    yield_now().await;
                    let start = Instant::now();
                    for _ in 0..rounds {
                        yield_now().await;
                    }
                    start.elapsed()
                });
                scale(elapsed, iterations, rounds * (tasks + 1))
            });
        });
        group.bench_function(BenchmarkId::new("floor", tasks), |b| {
            let mut queue: VecDeque<Pin<Box<dyn Future<Output = ()>>>> = VecDeque::new();
            for _ in 0..tasks {
                let mut pending = true;
                queue.push_back(Box::pin(std::future::poll_fn(move |_| {
                    pending = black_box(pending);
                    std::task::Poll::Pending
                })));
            }
            let mut context = Context::from_waker(Waker::noop());
            b.iter(|| {
                let mut task = queue.pop_front().expect("every task is pushed again");
                let polled = task.as_mut().poll(&mut context);
                queue.push_back(task);
                polled
            });
        });
    }
    group.finish();
}

criterion_group!(benches, yields);
criterion_main!(benches);
