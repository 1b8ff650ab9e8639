//! Wakes on the home thread: one poll each, in their order, and never a wrong task.
#![allow(missing_docs)]

mod common;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use camshaft_executor::{spawn, yield_now};
use common::{Gate, threaded, tracing};

#[test]
fn wakes_coalesce_to_one_poll() {
    let executor = tracing();
    let gate = Gate::new();
    let waiting = gate.clone();
    executor.block_on(async {
        spawn(async move { waiting.pass().await });
        yield_now().await;
        assert_eq!(gate.polls(), 1);
        for _ in 0..10 {
            gate.wake();
        }
        let before = executor.stats();
        yield_now().await;
        yield_now().await;
        assert_eq!(gate.polls(), 2);
        assert_eq!(executor.stats().wakes_remote, before.wakes_remote);
    });
}

#[test]
fn tasks_run_in_the_order_of_their_wakes() {
    let executor = tracing();
    let order = Rc::new(RefCell::new(Vec::new()));
    executor.block_on(async {
        let gates: Vec<Gate> = (0..5).map(|_| Gate::new()).collect();
        for (number, gate) in gates.iter().cloned().enumerate() {
            let order = Rc::clone(&order);
            spawn(async move {
                gate.pass().await;
                order.borrow_mut().push(number);
            });
        }
        yield_now().await;
        for number in [3, 0, 4, 1, 2] {
            gates[number].open();
        }
        yield_now().await;
    });
    assert_eq!(*order.borrow(), [3, 0, 4, 1, 2]);
}

#[test]
fn the_root_takes_its_turn() {
    let executor = tracing();
    let order = Rc::new(RefCell::new(Vec::new()));
    let log = |what: &'static str| order.borrow_mut().push(what);
    executor.block_on(async {
        for name in ["a", "b"] {
            let order = Rc::clone(&order);
            spawn(async move {
                order.borrow_mut().push(name);
                yield_now().await;
                order.borrow_mut().push(name);
            });
        }
        log("root");
        yield_now().await;
        log("root");
        yield_now().await;
        log("root");
    });
    assert_eq!(
        *order.borrow(),
        ["root", "a", "b", "root", "a", "b", "root"]
    );
}

#[test]
fn a_stale_waker_costs_one_poll_at_most() {
    let executor = threaded();
    executor.block_on(async {
        let gate = Gate::new();
        let waiting = gate.clone();
        // Boxed, like the second one, so that both need a slot of the same size.
        type Boxed = Pin<Box<dyn Future<Output = ()>>>;
        let first: Boxed = Box::pin(async move { waiting.pass().await });
        let first = spawn(first);
        yield_now().await;
        let stale = gate.waker();
        gate.open();
        first.await.unwrap();
        stale.wake_by_ref(); // to a free slot

        let polls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&polls);
        // Takes the slot that has just become free.
        let second: Boxed = Box::pin(poll_fn(move |_| {
            counted.set(counted.get() + 1);
            if counted.get() < 3 {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        }));
        let second = spawn(second);
        yield_now().await;
        assert_eq!(polls.get(), 1);
        stale.wake_by_ref();
        stale.wake_by_ref();
        yield_now().await;
        assert_eq!(polls.get(), 2);
        std::thread::spawn({
            let stale = stale.clone();
            move || stale.wake()
        })
        .join()
        .unwrap();
        second.await.unwrap();
        assert_eq!(polls.get(), 3);
    });
    drop(executor);
}

#[test]
fn a_wake_during_the_poll_is_another_poll() {
    let executor = tracing();
    let polls = Cell::new(0);
    executor.block_on(poll_fn(|cx| {
        polls.set(polls.get() + 1);
        cx.waker().wake_by_ref();
        if polls.get() == 3 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }));
    assert_eq!(polls.get(), 3);
    assert_eq!(executor.park().parks.get(), 0);
}

#[test]
fn a_waker_equals_its_clone() {
    tracing().block_on(poll_fn(|cx| {
        assert!(cx.waker().will_wake(&cx.waker().clone()));
        Poll::Ready(())
    }));
}

#[test]
fn wakes_from_park_and_tick_are_ordinary() {
    let executor = tracing();
    let gate = Gate::new();
    let opened = gate.clone();
    *executor.park().on_park.borrow_mut() = Some(Box::new(move |_| opened.open()));
    executor.block_on(gate.pass());
    assert_eq!(executor.park().parks.get(), 1);
    assert_eq!(executor.stats().wakes_local, 1);
}

#[test]
fn polls_are_counted() {
    let executor = tracing();
    executor.block_on(async {
        spawn(async {}).await.unwrap();
    });
    let stats = executor.stats();
    assert_eq!((stats.polls, stats.tasks), (3, 0));
}

#[test]
fn a_task_that_ends_while_it_is_queued_leaves_nothing_in_the_queue() {
    let executor = tracing();
    executor.block_on(async {
        // Detached, woken in its last poll: the slot must not be used again before the queue has let go of it.
        drop(spawn(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Ready(0u8)
        })));
        let polls = Rc::new(Cell::new(0));
        let spawned = Rc::clone(&polls);
        drop(spawn(async move {
            for _ in 0..40 {
                let counted = Rc::clone(&spawned);
                drop(spawn(poll_fn(move |_| {
                    counted.set(counted.get() + 1);
                    Poll::<u8>::Pending
                })));
            }
        }));
        for _ in 0..5 {
            yield_now().await;
        }
        assert_eq!(polls.get(), 40);
        assert_eq!(executor.stats().tasks, 40);
    });
}
