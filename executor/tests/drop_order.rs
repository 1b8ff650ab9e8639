//! Executors, handles, wakers and sets, dropped in any order and at any place.
#![allow(missing_docs)]

mod common;

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use camshaft_executor::{Executor, JoinHandle, JoinSet, ThreadPark, block_on, spawn, yield_now};
use common::{Drops, Gate, threaded, tracing};

#[test]
fn the_executor_before_handles_and_wakers() {
    let executor = tracing();
    let gate = Gate::new();
    let waiting = gate.clone();
    let (ready, waits, set) = executor.block_on(async {
        let ready = spawn(async { String::from("kept") });
        let waits = spawn(async move { waiting.pass().await });
        let mut set = JoinSet::new();
        set.spawn(pending::<()>());
        yield_now().await;
        (ready, waits, set)
    });
    let waker = gate.waker();
    drop(executor);
    waker.wake_by_ref();
    assert!(waits.is_finished());
    assert_eq!(block_on(ready).unwrap(), "kept");
    assert!(block_on(waits).unwrap_err().is_cancelled());
    drop(set);
    std::thread::spawn(move || waker.wake()).join().unwrap();
}

#[test]
fn handles_that_outlive_their_executor_keep_their_slots() {
    for _ in 0..100 {
        let executor = threaded();
        let kept: Vec<JoinHandle<usize>> = (0..50)
            .map(|number| executor.spawn(async move { number }))
            .collect();
        executor.block_on(async {
            while executor.stats().tasks > 0 {
                yield_now().await;
            }
        });
        drop(executor);
        // Adopts the memory of the first one.
        let next = threaded();
        let fresh: Vec<JoinHandle<usize>> = (0..50)
            .map(|number| next.spawn(async move { 100 + number }))
            .collect();
        next.block_on(async {
            for (number, task) in kept.into_iter().enumerate() {
                assert_eq!(task.await.unwrap(), number);
            }
            for (number, task) in fresh.into_iter().enumerate() {
                assert_eq!(task.await.unwrap(), 100 + number);
            }
        });
    }
}

#[test]
fn inside_of_another_executor() {
    let drops = Drops::new();
    block_on(async {
        let inner = threaded();
        let token = drops.token();
        let task = inner.spawn(async move {
            let _token = token;
            pending::<()>().await;
        });
        drop(inner);
        assert_eq!(drops.count(), 1);
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(spawn(async { 3 }).await.unwrap(), 3);
    });
}

#[test]
fn a_task_of_one_executor_awaited_on_another_of_the_same_thread() {
    let first = threaded();
    let second = threaded();
    let task = first.spawn(async { Rc::new(5) }); // not Send
    let waits = second.spawn(async move { *task.await.unwrap() });
    second.block_on(yield_now());
    first.block_on(yield_now());
    first.block_on(yield_now());
    assert_eq!(second.block_on(waits).unwrap(), 5);
}

#[test]
fn in_a_destructor_of_the_thread() {
    thread_local! {
        static KEPT: RefCell<Option<(Executor<ThreadPark>, Waker)>> = const { RefCell::new(None) };
    }
    let drops = Drops::new();
    let counted = drops.clone();
    let waker = Arc::new(Mutex::new(None));
    let outside = Arc::clone(&waker);
    std::thread::spawn(move || {
        KEPT.with(|_| {});
        let executor = threaded();
        let token = counted.token();
        drop(executor.spawn(async move {
            let _token = token;
            poll_fn(|cx| {
                *outside.lock().unwrap() = Some(cx.waker().clone());
                Poll::<()>::Pending
            })
            .await;
        }));
        executor.block_on(yield_now());
        let waker = waker.lock().unwrap().clone().unwrap();
        KEPT.with(|kept| *kept.borrow_mut() = Some((executor, waker)));
    })
    .join()
    .unwrap();
    assert_eq!(drops.count(), 1);
}

#[test]
fn futures_whose_drop_wakes_spawns_and_drops_handles() {
    struct Busy {
        gate: Gate,
        other: Option<JoinHandle<()>>,
        refused: Drops,
    }
    impl Drop for Busy {
        fn drop(&mut self) {
            self.gate.wake();
            drop(self.other.take());
            let token = self.refused.token();
            let task = spawn(async move { drop(token) });
            assert!(task.is_finished());
            task.abort();
        }
    }
    let executor = tracing();
    let refused = Drops::new();
    executor.block_on(async {
        for _ in 0..20 {
            let gate = Gate::new();
            let waiting = gate.clone();
            let other = Some(spawn(async move { waiting.pass().await }));
            let busy = Busy {
                gate,
                other,
                refused: refused.clone(),
            };
            drop(spawn(async move {
                let _busy = busy;
                pending::<()>().await;
            }));
        }
        yield_now().await;
    });
    drop(executor);
    assert_eq!(refused.count(), 20);
}

#[test]
fn the_drop_of_the_root_future_may_spawn() {
    struct Spawns(Rc<RefCell<Option<JoinHandle<u8>>>>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            *self.0.borrow_mut() = Some(spawn(async { 9 }));
        }
    }
    let executor = tracing();
    let task = Rc::default();
    let spawns = Spawns(Rc::clone(&task));
    executor.block_on(async move {
        let _spawns = spawns;
    });
    let task = task.borrow_mut().take().unwrap();
    assert_eq!(executor.block_on(task).unwrap(), 9);
}

#[test]
fn a_cycle_of_tasks_that_hold_each_other() {
    let drops = Drops::new();
    let executor = tracing();
    let slot: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
    let (token, held) = (drops.token(), Rc::clone(&slot));
    let first = executor.spawn(async move {
        let _token = token;
        let other = held.borrow_mut().take().unwrap();
        other.await.unwrap();
    });
    let token = drops.token();
    let second = executor.spawn(async move {
        let _token = token;
        first.await.unwrap();
    });
    *slot.borrow_mut() = Some(second);
    executor.block_on(yield_now());
    drop(executor);
    assert_eq!(drops.count(), 2);
}
