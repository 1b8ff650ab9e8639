//! Abort, in every state of a task: the future is dropped by the executor, never inside of `abort`.
#![allow(missing_docs)]

mod common;

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;

use camshaft_executor::{AbortHandle, spawn, yield_now};
use common::{Drops, Gate, tracing};

#[test]
fn never_polled() {
    let executor = tracing();
    let drops = Drops::new();
    let token = drops.token();
    executor.block_on(async {
        let task = spawn(async move {
            let _token = token;
            unreachable!("aborted before its first turn");
        });
        task.abort();
        assert_eq!(drops.count(), 0);
        assert!(!task.is_finished());
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!(drops.count(), 1);
    assert_eq!(executor.stats().tasks, 0);
}

#[test]
fn parked() {
    let executor = tracing();
    let drops = Drops::new();
    let token = drops.token();
    executor.block_on(async {
        let task = spawn(async move {
            let _token = token;
            pending::<()>().await;
        });
        yield_now().await;
        task.abort();
        assert_eq!(drops.count(), 0);
        yield_now().await;
        assert_eq!(drops.count(), 1);
        assert!(task.is_finished());
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn queued_and_twice() {
    let executor = tracing();
    let gate = Gate::new();
    let waiting = gate.clone();
    executor.block_on(async {
        let task = spawn(async move { waiting.pass().await });
        yield_now().await;
        gate.wake();
        task.abort();
        task.abort();
        gate.wake();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(gate.polls(), 1);
    });
}

#[test]
fn by_itself() {
    let executor = tracing();
    let own: Rc<RefCell<Option<AbortHandle>>> = Rc::default();
    let inner = Rc::clone(&own);
    executor.block_on(async {
        let task = spawn(async move {
            inner.borrow().as_ref().unwrap().abort();
            yield_now().await;
            unreachable!("aborted at its next turn");
        });
        *own.borrow_mut() = Some(task.abort_handle());
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn by_itself_in_its_last_poll() {
    let executor = tracing();
    let own: Rc<RefCell<Option<AbortHandle>>> = Rc::default();
    let inner = Rc::clone(&own);
    executor.block_on(async {
        let task = spawn(async move {
            inner.borrow().as_ref().unwrap().abort();
            5
        });
        *own.borrow_mut() = Some(task.abort_handle());
        assert_eq!(task.await.unwrap(), 5);
        yield_now().await;
        assert_eq!(spawn(async { 6 }).await.unwrap(), 6);
    });
}

#[test]
fn complete() {
    let executor = tracing();
    executor.block_on(async {
        let task = spawn(async { "kept" });
        yield_now().await;
        assert!(task.is_finished());
        task.abort();
        yield_now().await;
        assert_eq!(task.await.unwrap(), "kept");
    });
}

#[test]
fn a_later_task_in_the_same_slot_is_not_meant() {
    let executor = tracing();
    executor.block_on(async {
        let task = spawn(async {});
        let stale = task.abort_handle();
        task.await.unwrap();
        assert!(stale.is_finished());
        let gate = Gate::new();
        let next = spawn(async { 1 });
        stale.abort();
        assert_eq!(next.await.unwrap(), 1);
        assert!(stale.is_finished());
        drop(gate);
    });
}

#[test]
fn while_the_future_is_dropped() {
    struct Again(Rc<RefCell<Option<AbortHandle>>>);
    impl Drop for Again {
        fn drop(&mut self) {
            self.0.borrow().as_ref().unwrap().abort();
        }
    }
    let executor = tracing();
    let own: Rc<RefCell<Option<AbortHandle>>> = Rc::default();
    let again = Again(Rc::clone(&own));
    executor.block_on(async {
        let task = spawn(async move {
            let _again = again;
            pending::<()>().await;
        });
        *own.borrow_mut() = Some(task.abort_handle());
        yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        yield_now().await;
    });
    assert_eq!(executor.stats().tasks, 0);
}

#[test]
fn detached_and_aborted() {
    let executor = tracing();
    let drops = Drops::new();
    let token = drops.token();
    executor.block_on(async {
        let task = spawn(async move {
            let _token = token;
            pending::<()>().await;
        });
        let abort = task.abort_handle();
        drop(task);
        yield_now().await;
        abort.abort();
        yield_now().await;
        assert!(abort.is_finished());
    });
    assert_eq!(drops.count(), 1);
}
