//! Fibers as tasks of the runtime: handles, names, timers, and channels that they share with tasks.

#![cfg(feature = "stackful")]

mod common;
use common::*;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use camshaft::fiber::{self, Fiber};
use camshaft::runtime::Builder;
use camshaft::task::{self, JoinSet, yield_now};
use camshaft::time::{Instant, sleep, timeout};

/// A bounded channel for one receiver, on one thread.
struct Channel<T> {
    items: RefCell<VecDeque<T>>,
    room: usize,
    receiver: RefCell<Option<Waker>>,
    senders: RefCell<Vec<Waker>>,
}

impl<T> Channel<T> {
    fn new(room: usize) -> Rc<Self> {
        Rc::new(Self {
            items: RefCell::default(),
            room,
            receiver: RefCell::default(),
            senders: RefCell::default(),
        })
    }

    async fn send(&self, item: T) {
        let mut item = Some(item);
        poll_fn(|cx| {
            if self.items.borrow().len() == self.room {
                self.senders.borrow_mut().push(cx.waker().clone());
                return Poll::Pending;
            }
            self.items.borrow_mut().extend(item.take());
            if let Some(receiver) = self.receiver.take() {
                receiver.wake();
            }
            Poll::Ready(())
        })
        .await;
    }

    async fn recv(&self) -> T {
        poll_fn(|cx| {
            let Some(item) = self.items.borrow_mut().pop_front() else {
                *self.receiver.borrow_mut() = Some(cx.waker().clone());
                return Poll::Pending;
            };
            self.senders.take().into_iter().for_each(Waker::wake);
            Poll::Ready(item)
        })
        .await
    }
}

#[test]
fn fibers_and_tasks_exchange_a_million_messages() {
    const EACH: u64 = 250_000;
    let _alone = alone();
    let total = runtime().block_on(async {
        let (there, back) = (Channel::new(64), Channel::new(16));
        let mut senders = JoinSet::new();
        for sender in 0..4_u64 {
            let there = there.clone();
            let range = sender * EACH..(sender + 1) * EACH;
            if sender % 2 == 0 {
                senders.spawn(Fiber::new(move || {
                    range.for_each(|n| fiber::wait(there.send(n)));
                }));
            } else {
                senders.spawn(async move {
                    for n in range {
                        there.send(n).await;
                    }
                });
            }
        }
        let answers = back.clone();
        // A fiber hands on to a task.
        let relay = fiber::spawn(move || {
            for _ in 0..4 * EACH {
                let n = fiber::wait(there.recv());
                fiber::wait(answers.send(n));
            }
        });
        let mut sum = 0;
        for _ in 0..4 * EACH {
            sum += back.recv().await;
        }
        relay.await.expect("the relay ends");
        while let Some(sent) = senders.join_next().await {
            sent.expect("the senders end");
        }
        sum
    });
    let n = 4 * EACH;
    assert_eq!(total, n * (n - 1) / 2);
}

#[test]
fn a_hundred_thousand_fibers_wait_and_go_on() {
    const FIBERS: usize = 100_000;
    let _alone = alone();
    let runtime = runtime();
    let (waiting, done) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    runtime.block_on(async {
        let open = Rc::new(Cell::new(false));
        let mut fibers = Vec::with_capacity(FIBERS);
        for _ in 0..FIBERS {
            let (waiting, done, open) = (waiting.clone(), done.clone(), open.clone());
            fibers.push(fiber::spawn(move || {
                waiting.set(waiting.get() + 1);
                fiber::wait(sleep(Duration::from_millis(1)));
                while !open.get() {
                    fiber::yield_now();
                }
                done.set(done.get() + 1);
            }));
        }
        yield_now().await;
        assert_eq!((waiting.get(), fiber::census().live), (FIBERS, FIBERS));
        open.set(true);
        for fiber in fibers.split_off(FIBERS / 2) {
            fiber.await.expect("no fiber fails");
        }
        assert!(done.get() >= FIBERS / 2);
        // The other half is ended while it waits.
        let asleep = fiber::spawn(|| fiber::wait(pending::<()>()));
        yield_now().await;
        fibers.push(asleep);
        for fiber in fibers {
            fiber.abort();
            let _ = fiber.await;
        }
    });
    assert_eq!(fiber::census().live, 0);
    assert_eq!(runtime.metrics().tasks, 0);
}

#[test]
fn a_fiber_has_the_handle_the_name_and_the_id_of_a_task() {
    let _alone = alone();
    runtime().block_on(async {
        let fiber = fiber::Builder::new()
            .name("worker")
            .stack_size(100_000)
            .spawn(|| {
                let current = fiber::current();
                assert_eq!(current.stack_size(), 128 << 10);
                assert!(current.stack_used() > 0 && current.stack_used() < 64 << 10);
                assert!(current.origin().file().ends_with("tests/fiber.rs"));
                assert_eq!(current.name(), task::try_name().as_deref());
                (task::id(), current.name().map(str::to_owned))
            });
        let id = fiber.id();
        let (inside, name) = fiber.await.expect("it ends");
        assert_eq!((inside, name.as_deref()), (id, Some("worker")));

        let endless = fiber::spawn(|| fiber::wait(pending::<()>()));
        let handle = endless.abort_handle();
        yield_now().await;
        assert!(!handle.is_finished());
        handle.abort();
        assert!(endless.await.expect_err("aborted").is_cancelled());
    });
    let outside = panic_of(|| fiber::spawn(|| ()));
    assert!(
        outside.contains("outside of a camshaft runtime"),
        "{outside}"
    );
}

#[test]
fn timers_fire_in_order_for_fibers_and_tasks_together() {
    let _alone = alone();
    let runtime = Builder::new()
        .paused_clock(true)
        .build()
        .expect("a runtime");
    let order = Rc::new(RefCell::new(Vec::new()));
    runtime.block_on(async {
        let mut all = JoinSet::new();
        for n in (0..20_u64).rev() {
            let order = order.clone();
            let nap = Duration::from_millis(10 * n + 1);
            if n % 2 == 0 {
                all.spawn(Fiber::new(move || {
                    fiber::wait(sleep(nap));
                    order.borrow_mut().push(n);
                }));
            } else {
                all.spawn(async move {
                    sleep(nap).await;
                    order.borrow_mut().push(n);
                });
            }
        }
        while let Some(ended) = all.join_next().await {
            ended.expect("no panic");
        }
        // A timeout around a fiber unwinds it.
        let unwound = Rc::new(Cell::new(false));
        let flag = unwound.clone();
        let start = Instant::now();
        let late = timeout(
            Duration::from_secs(5),
            Fiber::new(move || {
                struct Flag(Rc<Cell<bool>>);
                impl Drop for Flag {
                    fn drop(&mut self) {
                        self.0.set(true);
                    }
                }
                let _flag = Flag(flag);
                fiber::wait(sleep(Duration::from_secs(50)));
            }),
        );
        assert!(late.await.is_err());
        assert!(unwound.get());
        assert_eq!(start.elapsed().as_secs(), 5);
    });
    assert!(order.borrow().iter().copied().eq(0..20));
}

#[test]
fn a_fiber_that_is_always_ready_lets_the_others_run() {
    let _alone = alone();
    runtime().block_on(async {
        let stop = Rc::new(Cell::new(false));
        let seen = stop.clone();
        // What is awaited is ready each time: only the budget of the task makes it give way.
        let busy = fiber::spawn(move || {
            let mut joined = 0_u64;
            while !seen.get() {
                let mut set = JoinSet::new();
                set.spawn(async {});
                fiber::yield_now();
                joined += u64::from(fiber::wait(set.join_next()).is_some());
            }
            joined
        });
        for _ in 0..100 {
            yield_now().await;
        }
        stop.set(true);
        assert!(busy.await.expect("it ends") >= 1);
    });
}
