//! Spawning a task that does nothing, and awaiting its handle.
//!
//! | line | what one iteration is |
//! |---|---|
//! | `camshaft` | `spawn(async {}).await` in a running runtime: a slot, a turn in the ready queue, a wake of the awaiting task |
//! | `batch_1000` | the same, with 1000 spawned before the first is awaited |
//! | `floor` | a boxed future pushed on a `VecDeque`, popped and polled: no handle, no waker, no result |
//!
//! Left out: making the runtime, and tasks that wait for something. The floor allocates; camshaft recycles its slots.

use std::collections::VecDeque;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Instant;

use camshaft::runtime::Builder;
use criterion::{Criterion, criterion_group, criterion_main};

const BATCH: u64 = 1000;

fn spawn_join(c: &mut Criterion) {
    let runtime = Builder::new().build().expect("io_uring is available");
    let mut group = c.benchmark_group("spawn_join");
    group.bench_function("camshaft", |b| {
        b.iter_custom(|iterations| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..iterations {
                    camshaft::spawn(async {}).await.expect("the task ends");
                }
                start.elapsed()
            })
        });
    });
    group.bench_function("batch_1000", |b| {
        b.iter_custom(|iterations| {
            let mut handles = Vec::new();
            runtime.block_on(async {
                let start = Instant::now();
                let mut left = iterations;
                while left > 0 {
                    let batch = left.min(BATCH);
                    left -= batch;
                    handles.extend((0..batch).map(|_| camshaft::spawn(async {})));
                    for handle in handles.drain(..) {
                        handle.await.expect("the task ends");
                    }
                }
                start.elapsed()
            })
        });
    });
    group.bench_function("floor", |b| {
        let mut queue: VecDeque<Pin<Box<dyn Future<Output = ()>>>> = VecDeque::new();
        let mut context = Context::from_waker(Waker::noop());
        b.iter(|| {
            let value = black_box(1);
            queue.push_back(Box::pin(async move {
                black_box(value);
            }));
            let mut task = queue.pop_front().expect("just pushed");
            black_box(task.as_mut().poll(&mut context))
        });
    });
    group.finish();
}

criterion_group!(benches, spawn_join);
criterion_main!(benches);
