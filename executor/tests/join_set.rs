//! Join sets: results in the order of their ends, abort on drop, nothing lost.
#![allow(missing_docs)]

mod common;

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use camshaft_executor::{JoinSet, coop, yield_now};
use common::{Drops, Foreign, Gate, threaded, tracing};

#[test]
fn results_come_in_the_order_of_their_ends() {
    tracing().block_on(async {
        let gates: Vec<Gate> = (0..4).map(|_| Gate::new()).collect();
        let mut set = JoinSet::new();
        for (number, gate) in gates.iter().cloned().enumerate() {
            set.spawn(async move {
                gate.pass().await;
                number
            });
        }
        yield_now().await;
        assert!(set.try_join_next().is_none());
        for number in [2, 0, 3, 1] {
            gates[number].open();
            assert_eq!(set.join_next().await.unwrap().unwrap(), number);
        }
        assert!(set.join_next().await.is_none());
        assert!(set.is_empty());
    });
}

#[test]
fn a_large_set_gives_every_result_and_gives_way() {
    let executor = tracing();
    executor.block_on(async {
        let mut set = JoinSet::new();
        for number in 0..1000u64 {
            set.spawn(async move { number });
        }
        yield_now().await;
        let before = executor.stats().polls;
        let mut total = 0;
        while let Some(result) = set.join_next().await {
            total += result.unwrap();
        }
        assert_eq!(total, 499_500);
        assert!(
            executor.stats().polls >= before + 7,
            "the budget makes the joiner give way"
        );
    });
}

/// A set of `count` tasks that have ended.
async fn ended(count: usize) -> JoinSet<usize> {
    let mut set = JoinSet::new();
    for number in 0..count {
        set.spawn(async move { number });
    }
    yield_now().await;
    set
}

#[test]
fn results_taken_without_a_context_are_not_charged() {
    let (send, receive) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let numbers = tracing().block_on(async {
            let mut set = ended(200).await;
            let mut numbers = Vec::new();
            while let Some(result) = set.try_join_next() {
                numbers.push(result.unwrap());
            }
            // All in one poll, and the budget is whole: the task may take as many as ever.
            let left = poll_fn(|cx| {
                Poll::Ready((0..1000).position(|_| coop::poll_proceed(cx).is_pending()))
            });
            assert_eq!(left.await, Some(128));
            numbers
        });
        send.send(numbers).unwrap();
    });
    // A call that never returns is a failed test and not a hang.
    let numbers = receive.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    thread.join().unwrap();
}

#[test]
fn a_result_costs_one_unit_and_an_empty_budget_gives_way() {
    let executor = tracing();
    executor.block_on(async {
        let mut set = ended(200).await;
        let before = executor.stats().polls;
        for number in 0..128 {
            assert_eq!(set.join_next().await.unwrap().unwrap(), number);
        }
        assert_eq!(executor.stats().polls, before);
        {
            let mut next = pin!(set.join_next_with_id());
            let first = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx)));
            assert!(first.await.is_pending());
            // Woken for a later turn, in which the same result comes.
            assert_eq!(next.await.unwrap().unwrap().1, 128);
        }
        assert_eq!(executor.stats().polls, before + 1);
        set.shutdown().await;
        assert_eq!((set.len(), executor.stats().polls), (0, before + 1));
    });
}

#[test]
fn waiting_is_not_charged() {
    let executor = tracing();
    executor.block_on(async {
        let mut set = JoinSet::new();
        set.spawn(pending::<usize>());
        yield_now().await;
        let mut full = ended(1).await;
        let before = executor.stats().polls;
        poll_fn(|cx| {
            for _ in 0..1000 {
                assert!(pin!(set.join_next()).poll(cx).is_pending());
            }
            Poll::Ready(())
        })
        .await;
        assert_eq!(full.join_next().await.unwrap().unwrap(), 0);
        assert_eq!(executor.stats().polls, before);
    });
}

#[test]
fn errors_and_ids() {
    tracing().block_on(async {
        let mut set = JoinSet::new();
        let id = set.spawn(async { 1 }).id();
        let (joined, value) = set.join_next_with_id().await.unwrap().unwrap();
        assert_eq!((joined, value), (id, 1));
        let abort = set.spawn(pending());
        abort.abort();
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        let id = set.spawn(async { panic!("member") }).id();
        let error = set.join_next().await.unwrap().unwrap_err();
        assert!(error.is_panic() && error.id() == id);
    });
}

#[test]
fn dropping_aborts_and_detaching_does_not() {
    let executor = tracing();
    executor.block_on(async {
        let drops = Drops::new();
        let mut set = JoinSet::new();
        for _ in 0..3 {
            let token = drops.token();
            set.spawn(async move {
                let _token = token;
                pending::<()>().await;
            });
        }
        yield_now().await;
        drop(set);
        yield_now().await;
        assert_eq!(drops.count(), 3);

        let gate = Gate::new();
        let passing = gate.clone();
        let token = drops.token();
        let mut set = JoinSet::new();
        set.spawn(async move {
            let _token = token;
            passing.pass().await;
        });
        yield_now().await;
        set.detach_all();
        assert!(set.is_empty());
        assert!(set.join_next().await.is_none());
        drop(set);
        yield_now().await;
        assert_eq!(drops.count(), 3);
        gate.open();
        yield_now().await;
        assert_eq!(drops.count(), 4);
    });
    assert_eq!(executor.stats().tasks, 0);
}

#[test]
fn shutdown_waits_for_all() {
    tracing().block_on(async {
        let drops = Drops::new();
        let mut set = JoinSet::new();
        for _ in 0..5 {
            let token = drops.token();
            set.spawn(async move {
                let _token = token;
                pending::<()>().await;
            });
        }
        set.shutdown().await;
        assert_eq!((drops.count(), set.len()), (5, 0));
    });
}

#[test]
fn a_dropped_join_next_loses_nothing_and_the_last_waker_counts() {
    tracing().block_on(async {
        let gate = Gate::new();
        let passing = gate.clone();
        let mut set = JoinSet::new();
        set.spawn(async move {
            passing.pass().await;
            8
        });
        yield_now().await;
        let foreign = Arc::new(Foreign::default());
        let waker = Waker::from(Arc::clone(&foreign));
        {
            let mut next = pin!(set.join_next());
            assert!(
                next.as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
            );
            assert!(
                next.as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
        }
        gate.open();
        yield_now().await;
        assert_eq!(foreign.0.load(Ordering::SeqCst), 1);
        assert_eq!(set.join_next().await.unwrap().unwrap(), 8);
    });
}

#[test]
fn closures_on_other_threads() {
    threaded().block_on(async {
        let mut set = JoinSet::new();
        for number in 0..20 {
            set.spawn_blocking(move || number * 2);
        }
        let mut seen = Vec::new();
        while let Some(result) = set.join_next().await {
            seen.push(result.unwrap());
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..40).step_by(2).collect::<Vec<_>>());
    });
}
