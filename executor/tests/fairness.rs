//! Nobody starves: self-waking tasks, always-ready handles, and the ticks in between.
#![allow(missing_docs)]

mod common;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, ready};

use camshaft_executor::{JoinHandle, coop, spawn, yield_now};
use common::{Gate, tracing};

#[test]
fn a_self_waking_task_beside_others() {
    let executor = tracing();
    let spins = Rc::new(Cell::new(0u64));
    let counted = Rc::clone(&spins);
    executor.block_on(async {
        drop(spawn(poll_fn(move |cx| {
            counted.set(counted.get() + 1);
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        })));
        let others: Vec<JoinHandle<()>> = (0..9)
            .map(|_| {
                spawn(async {
                    for _ in 0..100 {
                        yield_now().await;
                    }
                })
            })
            .collect();
        for other in others {
            other.await.unwrap();
        }
    });
    assert!(
        (100..105).contains(&spins.get()),
        "one spin for each round of the others, not {}",
        spins.get()
    );
}

#[test]
fn a_yield_lets_every_ready_task_run() {
    let executor = tracing();
    let ran = Rc::new(Cell::new(0));
    executor.block_on(async {
        for _ in 0..1000 {
            let ran = Rc::clone(&ran);
            drop(spawn(async move { ran.set(ran.get() + 1) }));
        }
        yield_now().await;
        assert_eq!(ran.get(), 1000);
    });
}

#[test]
fn ticks_come_after_at_most_64_polls() {
    let executor = tracing();
    executor.block_on(async {
        for _ in 0..6400 {
            yield_now().await;
        }
    });
    assert_eq!(executor.park().ticks.get(), 100);
    assert_eq!(executor.park().parks.get(), 0);
}

#[test]
fn an_event_seen_by_a_tick_is_served_among_busy_tasks() {
    let executor = tracing();
    let gate = Gate::new();
    let (opened, passing) = (gate.clone(), gate.clone());
    *executor.park().on_tick.borrow_mut() = Some(Box::new(move || opened.open()));
    executor.block_on(async {
        drop(spawn(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        })));
        passing.pass().await;
    });
    assert_eq!(gate.polls(), 2);
}

#[test]
fn the_budget_ends_a_loop_over_what_is_always_ready() {
    let executor = tracing();
    executor.block_on(async {
        let other = Rc::new(Cell::new(false));
        let ran = Rc::clone(&other);
        drop(spawn(async move { ran.set(true) }));
        let mut rounds = 0;
        poll_fn(|cx| {
            while !other.get() {
                ready!(coop::poll_proceed(cx));
                rounds += 1;
            }
            Poll::Ready(())
        })
        .await;
        assert_eq!(rounds, 128);
    });
}

#[test]
fn many_handles_at_once_make_progress_whatever_the_budget() {
    tracing().block_on(async {
        let gates: Vec<Gate> = (0..500).map(|_| Gate::new()).collect();
        let mut tasks: Vec<_> = gates
            .iter()
            .cloned()
            .map(|gate| spawn(async move { gate.pass().await }))
            .collect();
        yield_now().await;
        let opener = spawn(async move {
            for gate in gates.iter().rev() {
                yield_now().await;
                gate.open();
            }
        });
        poll_fn(|cx| {
            tasks.retain_mut(|task| std::pin::Pin::new(task).poll(cx).is_pending());
            if tasks.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        opener.await.unwrap();
    });
}
