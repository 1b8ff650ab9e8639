//! Two tasks that wake each other in turn.
//!
//! | line | what one iteration is |
//! |---|---|
//! | `camshaft` | a round trip: two wakes, two polls, two wakers stored and taken |
//! | `floor` | two indices pushed on and popped from a `VecDeque`, and the boxed futures behind them polled |
//!
//! Left out: spawning, and any channel; the tasks share two cells.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use camshaft::runtime::Builder;
use criterion::{Criterion, criterion_group, criterion_main};

/// A ball that lies on one side or the other.
#[derive(Default)]
struct Table {
    ball: Cell<u64>,
    waiting: RefCell<Option<Waker>>,
}

impl Table {
    /// Waits until the ball lies on `side`.
    async fn turn(&self, side: u64) {
        poll_fn(|cx| {
            if self.ball.get() % 2 == side {
                return Poll::Ready(());
            }
            *self.waiting.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn hit(&self) {
        self.ball.set(self.ball.get() + 1);
        let waker = self.waiting.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

async fn play(table: Rc<Table>, side: u64, rounds: u64) {
    for _ in 0..rounds {
        table.turn(side).await;
        table.hit();
    }
}

fn ping_pong(c: &mut Criterion) {
    let mut group = c.benchmark_group("ping_pong");
    group.bench_function("camshaft", |b| {
        let runtime = Builder::new().build().expect("io_uring is available");
        b.iter_custom(|iterations| {
            let table = Rc::new(Table::default());
            let pong = runtime.spawn(play(table.clone(), 1, iterations));
            let ping = runtime.spawn(play(table, 0, iterations));
            let start = Instant::now();
            runtime.block_on(async {
                ping.await.expect("ping ends");
                pong.await.expect("pong ends");
            });
            start.elapsed()
        });
    });
    group.bench_function("floor", |b| {
        let queue = Rc::new(RefCell::new(VecDeque::from([0])));
        let mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        for other in [1, 0] {
            let queue = queue.clone();
            tasks.push(Box::pin(poll_fn(move |_| {
                queue.borrow_mut().push_back(other);
                Poll::Pending
            })));
        }
        let mut context = Context::from_waker(Waker::noop());
        b.iter(|| {
            for _ in 0..2 {
                let next = queue
                    .borrow_mut()
                    .pop_front()
                    .expect("one is always queued");
                let _ = tasks[next].as_mut().poll(&mut context);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, ping_pong);
criterion_main!(benches);
