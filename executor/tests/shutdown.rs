//! Closing: what is left is dropped at home, and nothing new is taken in.
#![allow(missing_docs)]

mod common;

use std::future::pending;
use std::rc::Rc;
use std::sync::mpsc;

use camshaft_executor::{Executor, block_on, spawn, spawn_blocking, yield_now};
use common::{Drops, Tracing, threaded, tracing};

#[test]
fn closing_drops_every_future_and_refuses_new_ones() {
    let executor = tracing();
    let drops = Drops::new();
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let token = drops.token();
            executor.spawn(async move {
                let _token = token;
                pending::<()>().await;
            })
        })
        .collect();
    executor.close();
    executor.close();
    assert_eq!(drops.count(), 10);
    assert_eq!(executor.stats().tasks, 0);
    let token = drops.token();
    let refused = executor.spawn(async move { drop(token) });
    assert_eq!(drops.count(), 11);
    executor.block_on(async {
        for task in tasks {
            assert!(task.await.unwrap_err().is_cancelled());
        }
        assert!(refused.await.unwrap_err().is_cancelled());
        assert!(spawn_blocking(|| ()).await.unwrap_err().is_cancelled());
    });
}

#[test]
fn closing_from_inside_of_a_task() {
    let executor: Rc<Executor<Tracing>> = Rc::new(tracing());
    let drops = Drops::new();
    let (inner, token, other) = (Rc::downgrade(&executor), drops.token(), drops.token());
    let closer = executor.spawn(async move {
        let _token = token;
        inner.upgrade().unwrap().close();
        yield_now().await;
        unreachable!("the running task is dropped at its next turn");
    });
    drop(executor.spawn(async move {
        let _token = other;
        pending::<()>().await;
    }));
    assert!(executor.block_on(closer).unwrap_err().is_cancelled());
    assert_eq!(drops.count(), 2);
}

#[test]
fn closing_from_inside_of_a_task_that_never_runs_again() {
    let executor: Rc<Executor<Tracing>> = Rc::new(tracing());
    let inner = Rc::downgrade(&executor);
    let closer = executor.spawn(async move {
        inner.upgrade().unwrap().close();
        pending::<()>().await;
    });
    let mut polls = 0;
    executor.block_on(std::future::poll_fn(|cx| {
        polls += 1;
        cx.waker().wake_by_ref();
        if polls == 2 {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    }));
    drop(executor);
    assert!(block_on(closer).unwrap_err().is_cancelled());
}

#[test]
fn a_remote_joiner_hears_of_the_end() {
    for _ in 0..100 {
        let executor = threaded();
        let task = executor.spawn(pending::<()>());
        let spawned = executor.handle().spawn(pending::<()>());
        let (send, receive) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            send.send(()).unwrap();
            block_on(async { (task.await.unwrap_err(), spawned.await.unwrap_err()) })
        });
        receive.recv().unwrap();
        drop(executor);
        let (first, second) = thread.join().unwrap();
        assert!(first.is_cancelled() && second.is_cancelled());
    }
}

#[test]
fn spawning_from_afar_during_the_end_resolves() {
    for _ in 0..100 {
        let executor = threaded();
        let handle = executor.handle();
        let thread = std::thread::spawn(move || {
            let tasks: Vec<_> = (0..100).map(|_| handle.spawn(async {})).collect();
            block_on(async {
                for task in tasks {
                    let _ = task.await;
                }
            });
        });
        executor.block_on(yield_now());
        drop(executor);
        thread.join().unwrap();
    }
}

#[test]
fn tasks_live_on_between_runs() {
    let executor = tracing();
    let task = executor.spawn(async {
        for _ in 0..3 {
            yield_now().await;
        }
        4
    });
    for _ in 0..4 {
        executor.block_on(yield_now());
    }
    assert!(task.is_finished());
    assert_eq!(
        executor.block_on(async { spawn(task).await.unwrap().unwrap() }),
        4
    );
}
