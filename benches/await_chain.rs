//! Resuming a future that lies 32 awaits deep.
//!
//! | line | what one iteration is |
//! |---|---|
//! | `camshaft/32` | a wake and a poll that passes through 32 `async fn`s down to the one that yields |
//! | `camshaft/1` | the same with one `async fn`: the difference is the price of the 31 others |
//! | `floor` | the 32 polled by hand, with a waker that does nothing and no queue |
//!
//! Left out: building the chain. Stackless futures are polled from the outermost in; the compiler inlines what it can.
#![recursion_limit = "256"]

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use camshaft::runtime::Builder;
use criterion::{Criterion, criterion_group, criterion_main};

/// Pending every other time; wakes itself if asked to.
async fn leaf(rounds: u64, wake: bool) -> u64 {
    for _ in 0..rounds {
        let mut pending = true;
        std::future::poll_fn(|cx| {
            if !std::mem::take(&mut pending) {
                return Poll::Ready(());
            }
            if wake {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await;
    }
    rounds
}

macro_rules! chain {
    ($name:ident) => {
        async fn $name(rounds: u64, wake: bool) -> u64 {
            leaf(rounds, wake).await + 1
        }
    };
    ($name:ident $next:ident $($rest:ident)*) => {
        async fn $name(rounds: u64, wake: bool) -> u64 {
            $next(rounds, wake).await + 1
        }
        chain!($next $($rest)*);
    };
}

chain!(l32 l31 l30 l29 l28 l27 l26 l25 l24 l23 l22 l21 l20 l19 l18 l17 l16 l15 l14 l13 l12 l11 l10 l9 l8 l7 l6 l5 l4 l3 l2 l1);

fn await_chain(c: &mut Criterion) {
    let mut group = c.benchmark_group("await_chain");
    let runtime = Builder::new().build().expect("io_uring is available");
    group.bench_function("camshaft/32", |b| {
        b.iter_custom(|iterations| {
            let task = runtime.spawn(l32(iterations, true));
            let start = Instant::now();
            let depth = runtime.block_on(task).expect("the chain ends") - iterations;
            assert_eq!(depth, 32);
            start.elapsed()
        });
    });
    group.bench_function("camshaft/1", |b| {
        b.iter_custom(|iterations| {
            let task = runtime.spawn(l1(iterations, true));
            let start = Instant::now();
            runtime.block_on(task).expect("the chain ends");
            start.elapsed()
        });
    });
    group.bench_function("floor", |b| {
        let mut chain = pin!(l32(u64::MAX, false));
        let mut context = Context::from_waker(Waker::noop());
        b.iter(|| chain.as_mut().poll(&mut context));
    });
    group.finish();
}

criterion_group!(benches, await_chain);
criterion_main!(benches);
