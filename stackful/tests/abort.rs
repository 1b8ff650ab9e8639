//! The end of a fiber that waits: its stack is unwound, whatever is on it.
#![allow(missing_docs)]

mod common;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use camshaft_executor::{Executor, ThreadPark, block_on, spawn, yield_now};
use camshaft_stackful::{Fiber, Generator, census, wait};
use common::{Drops, OnDrop, Token, message};

/// Waits for ever, `depth` calls deep, with a token in each.
fn descend(depth: usize, drops: &Drops) {
    let _token: Token = drops.token();
    match depth {
        0 => wait(pending()),
        _ => descend(depth - 1, drops),
    }
}

#[test]
fn abort_runs_every_destructor_and_gives_the_stack_back() {
    let drops = Drops::default();
    let ran = drops.clone();
    let live = census().live;
    block_on(async {
        let fiber = spawn(Fiber::new(move || descend(40, &ran)));
        yield_now().await;
        assert_eq!((drops.count(), census().live), (0, live + 1));
        fiber.abort();
        assert_eq!(drops.count(), 0, "not inside of abort");
        assert!(fiber.await.unwrap_err().is_cancelled());
        assert_eq!((drops.count(), census().live), (41, live));
    });
}

#[test]
fn the_end_of_a_runtime_unwinds_what_is_left() {
    let drops = Drops::default();
    let executor = Executor::new(ThreadPark::new());
    for _ in 0..10 {
        let drops = drops.clone();
        drop(executor.spawn(Fiber::new(move || descend(3, &drops))));
    }
    executor.block_on(yield_now());
    assert_eq!(drops.count(), 0);
    drop(executor);
    assert_eq!(drops.count(), 40);
}

#[test]
fn a_lock_is_released_and_poisoned_a_borrow_is_over() {
    let lock = Arc::new(Mutex::new(1));
    let cell = Rc::new(RefCell::new(1));
    let (held, borrowed) = (lock.clone(), cell.clone());
    block_on(async {
        let fiber = spawn(Fiber::new(move || {
            let mut guard = held.lock().unwrap();
            let mut borrow = borrowed.borrow_mut();
            *guard += 1;
            *borrow += 1;
            wait(pending::<()>());
        }));
        yield_now().await;
        assert!(lock.try_lock().is_err());
        assert!(cell.try_borrow().is_err());
        fiber.abort();
        assert!(fiber.await.unwrap_err().is_cancelled());
    });
    assert_eq!(*cell.borrow(), 2);
    assert!(lock.is_poisoned(), "as by a panic");
    let guard = lock.try_lock().unwrap_err();
    assert!(matches!(guard, std::sync::TryLockError::Poisoned(_)));
}

#[test]
fn the_drop_of_a_nested_fiber_unwinds_both() {
    let drops = Drops::default();
    let (outer, inner) = (drops.clone(), drops.clone());
    block_on(async {
        let fiber = spawn(Fiber::new(move || {
            let _token = outer.token();
            wait(Fiber::new(move || descend(4, &inner)));
        }));
        yield_now().await;
        fiber.abort();
        assert!(fiber.await.unwrap_err().is_cancelled());
    });
    assert_eq!(drops.count(), 6);
}

#[test]
fn a_generator_that_waits_for_its_fiber_is_unwound_with_it() {
    let drops = Drops::default();
    let (outer, inner) = (drops.clone(), drops.clone());
    block_on(async {
        let fiber = spawn(Fiber::new(move || {
            let _token = outer.token();
            let mut items = Generator::new(move |out| {
                out.give(1);
                descend(4, &inner);
            });
            assert_eq!(items.next(), Some(1));
            items.next()
        }));
        yield_now().await;
        assert_eq!(drops.count(), 0);
        fiber.abort();
        assert!(fiber.await.unwrap_err().is_cancelled());
    });
    assert_eq!(drops.count(), 6);
}

#[test]
fn whoever_catches_the_unwind_is_unwound_again() {
    let caught = Rc::new(Cell::new(0));
    let counted = caught.clone();
    let drops = Drops::default();
    let token = drops.token();
    block_on(async {
        let fiber = spawn(Fiber::new(move || {
            let _token = token;
            for _ in 0..3 {
                let waited = catch_unwind(AssertUnwindSafe(|| wait(pending::<()>())));
                assert_eq!(message(&*waited.unwrap_err()), "no text");
                counted.set(counted.get() + 1);
            }
            "kept on"
        }));
        yield_now().await;
        fiber.abort();
        // Its result comes too late.
        assert!(fiber.await.unwrap_err().is_cancelled());
    });
    assert_eq!((caught.get(), drops.count()), (3, 1));
}

#[test]
fn a_panic_on_the_way_out_is_the_tasks() {
    block_on(async {
        let fiber = spawn(Fiber::new(|| {
            let waited = catch_unwind(|| wait(pending::<()>()));
            assert!(waited.is_ok(), "after the unwind was caught");
        }));
        yield_now().await;
        fiber.abort();
        let error = fiber.await.unwrap_err();
        assert_eq!(message(&*error.into_panic()), "after the unwind was caught");
    });
}

#[test]
fn a_fiber_dropped_by_an_unwinding_thread_unwinds_too() {
    let drops = Drops::default();
    let (in_fiber, at_end) = (drops.clone(), drops.token());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        block_on(async move {
            let mut fiber = Box::pin(Fiber::new(move || descend(2, &in_fiber)));
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(fiber.as_mut().poll(cx)));
            assert!(polled.await.is_pending());
            let _at_end = at_end;
            panic!("on purpose");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(drops.count(), 4);
}

#[test]
fn a_panic_on_the_way_out_of_an_unwinding_thread_does_no_harm() {
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        block_on(async move {
            let mut fiber = Box::pin(Fiber::new(move || {
                let waited = catch_unwind(|| wait(pending::<()>()));
                assert!(waited.is_ok(), "after the unwind was caught");
            }));
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(fiber.as_mut().poll(cx)));
            assert!(polled.await.is_pending());
            panic!("the first");
        })
    }));
    assert_eq!(message(&*panicked.unwrap_err()), "the first");
}

#[test]
fn a_forgotten_fiber_keeps_its_stack_for_ever() {
    let drops = Drops::default();
    let in_fiber = drops.clone();
    let live = census().live;
    block_on(async {
        let mut fiber = Box::pin(Fiber::new(move || descend(2, &in_fiber)));
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(fiber.as_mut().poll(cx)));
        assert!(polled.await.is_pending());
        std::mem::forget(fiber);
    });
    assert_eq!((drops.count(), census().live), (0, live + 1));
}

#[test]
fn a_scope_of_threads_ends_before_the_stack() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = log.clone();
    block_on(async {
        let fiber = spawn(Fiber::new(move || {
            let on_the_stack = [1, 2, 3];
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let _log = OnDrop(|| seen.lock().unwrap().push(7));
            std::thread::scope(|scope| {
                let (numbers, log) = (&on_the_stack, &seen);
                scope.spawn(move || {
                    // Until the sender is dropped by the unwind.
                    assert!(stopped.recv().is_err());
                    log.lock().unwrap().push(numbers.iter().sum());
                });
                let _stop = stop;
                wait(pending::<()>());
            });
        }));
        yield_now().await;
        fiber.abort();
        assert!(fiber.await.unwrap_err().is_cancelled());
    });
    assert_eq!(*log.lock().unwrap(), [6, 7]);
}
