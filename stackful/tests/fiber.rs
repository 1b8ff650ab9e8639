//! Fibers among tasks: waiting, giving way, being nested, and where waiting is refused.
#![allow(missing_docs)]

mod common;

use std::cell::RefCell;
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use camshaft_executor::{block_on, spawn, task_local, yield_now};
use camshaft_stackful::{Builder, Fiber, can_wait, current, try_current, wait};
use common::{Drops, Gate, OnDrop, message};

/// The message of the panic that a call must end with.
fn refusal<T>(call: impl FnOnce() -> T) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(call)) else {
        panic!("it was not refused");
    };
    message(&*panic).to_owned()
}

#[test]
fn waits_for_tasks_and_borrows_from_its_stack() {
    let gate = Gate::default();
    let opened = gate.clone();
    let total = block_on(async move {
        let fiber = spawn(Fiber::new(move || {
            let mut numbers = vec![1, 2, 3];
            let borrowed = &mut numbers;
            wait(async {
                gate.pass().await;
                borrowed.push(4);
            });
            numbers.iter().sum::<u32>()
        }));
        yield_now().await;
        assert!(!fiber.is_finished());
        opened.open();
        fiber.await.unwrap()
    });
    assert_eq!(total, 10);
}

#[test]
fn a_future_that_is_ready_does_not_suspend() {
    let mut fiber = pin!(Fiber::new(|| wait(ready(7)) + wait(async { 35 })));
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(fiber.as_mut().poll(&mut context), Poll::Ready(42));
    let again = refusal(|| fiber.as_mut().poll(&mut context));
    assert!(again.contains("after it had ended"), "{again}");
}

#[test]
fn giving_way_lets_all_others_run_once() {
    let order = Rc::new(RefCell::new(Vec::new()));
    block_on(async {
        let tasks: Vec<_> = (0..3)
            .map(|id| {
                let order = order.clone();
                spawn(Fiber::new(move || {
                    for round in 0..3 {
                        order.borrow_mut().push((round, id));
                        camshaft_stackful::yield_now();
                    }
                }))
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let expected: Vec<_> = (0..3)
        .flat_map(|round| (0..3).map(move |id| (round, id)))
        .collect();
    assert_eq!(*order.borrow(), expected);
}

#[test]
fn fibers_nest_and_each_is_the_current_one_while_it_runs() {
    let named = |name: &'static str| Builder::new().name(name);
    let name = || current().name().map(str::to_owned).unwrap_or_default();
    let gate = Gate::default();
    let inner_gate = gate.clone();
    let outer = named("outer").stack_size(128 << 10).build(move || {
        let inner = named("inner").stack_size(33_000).build(move || {
            assert_eq!(current().stack_size(), 64 << 10);
            wait(inner_gate.pass());
            name()
        });
        let inner = wait(inner);
        (inner, name(), current().stack_size())
    });
    let (inner, outer, size) = block_on(async move {
        let outer = spawn(outer);
        yield_now().await;
        assert!(try_current().is_none());
        gate.open();
        outer.await.unwrap()
    });
    assert_eq!((&*inner, &*outer, size), ("inner", "outer", 128 << 10));
}

#[test]
fn task_locals_hold_inside() {
    task_local! {
        static USER: &'static str;
    }
    block_on(async {
        let fiber = spawn(USER.scope(
            "ada",
            Fiber::new(|| {
                camshaft_stackful::yield_now();
                let inner = wait(USER.scope(
                    "bob",
                    Fiber::new(|| {
                        camshaft_stackful::yield_now();
                        USER.get()
                    }),
                ));
                (USER.get(), inner)
            }),
        ));
        yield_now().await;
        assert!(USER.try_with(|_| ()).is_err());
        assert_eq!(fiber.await.unwrap(), ("ada", "bob"));
    });
}

#[test]
fn waiting_outside_of_a_fiber_is_refused() {
    let message = refusal(|| wait(ready(1)));
    assert!(message.contains("outside of a fiber"), "{message}");
    let message = refusal(camshaft_stackful::yield_now);
    assert!(message.contains("outside of a fiber"), "{message}");
    let message = refusal(current);
    assert!(message.contains("outside of a fiber"), "{message}");
    block_on(async {
        let message = refusal(|| wait(ready(1)));
        assert!(message.contains("use .await in a task"), "{message}");
    });
    // Nor is a fiber that was suspended the current one.
    let mut fiber = pin!(Fiber::new(|| wait(pending::<()>())));
    let mut context = Context::from_waker(Waker::noop());
    assert!(fiber.as_mut().poll(&mut context).is_pending());
    assert!(!can_wait());
    refusal(|| wait(ready(1)));
}

#[test]
fn waiting_inside_of_a_poll_is_refused_and_the_fiber_goes_on() {
    let answer = block_on(Fiber::new(|| {
        let refused = wait(poll_fn(|_| {
            assert!(!can_wait());
            Poll::Ready(refusal(|| wait(ready(1))))
        }));
        assert!(refused.contains("use .await there"), "{refused}");
        assert!(can_wait());
        wait(async {
            yield_now().await;
            5
        })
    }));
    assert_eq!(answer, 5);
}

#[test]
fn waiting_in_a_destructor_works_unless_the_fiber_unwinds() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let wait_on_drop = |log: &Rc<RefCell<Vec<String>>>| {
        let log = log.clone();
        OnDrop(move || {
            let could = can_wait();
            let said =
                catch_unwind(|| wait(yield_now())).map_err(|panic| message(&*panic).to_owned());
            log.borrow_mut().push(format!("{could} {said:?}"));
        })
    };
    let (first, second, third) = (wait_on_drop(&log), wait_on_drop(&log), wait_on_drop(&log));
    block_on(async move {
        spawn(Fiber::new(move || drop(first))).await.unwrap();
        let panicked = spawn(Fiber::new(move || {
            let _second = second;
            panic!("on purpose");
        }));
        assert!(panicked.await.unwrap_err().is_panic());
        let aborted = spawn(Fiber::new(move || {
            let _third = third;
            wait(pending::<()>());
        }));
        yield_now().await;
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
    });
    let log = log.borrow();
    assert_eq!(log[0], "true Ok(())");
    for refused in &log[1..] {
        assert!(refused.starts_with("false Err("), "{refused}");
        assert!(refused.contains("while the fiber unwinds"), "{refused}");
    }
    assert_eq!(log.len(), 3);
}

#[test]
fn a_fiber_of_a_runtime_that_runs_in_a_destructor_may_wait() {
    let ran = Rc::new(RefCell::new(None));
    let seen = ran.clone();
    let unwinding = move || {
        let _run = OnDrop(|| {
            assert!(std::thread::panicking());
            *seen.borrow_mut() = Some(block_on(Fiber::new(|| {
                wait(async {
                    yield_now().await;
                    3
                })
            })));
        });
        panic!("on purpose");
    };
    refusal(unwinding);
    assert_eq!(*ran.borrow(), Some(3));
}

#[test]
fn a_large_closure_and_a_large_result_find_room() {
    let large = [7_u8; 3000];
    let result = block_on(Fiber::new(move || {
        wait(yield_now());
        large
    }));
    assert!(result.iter().all(|byte| *byte == 7));
    #[repr(align(64))]
    struct Aligned(u8);
    let aligned = Aligned(9);
    let (aligned, address) = block_on(Fiber::new(move || {
        let address = (&raw const aligned).addr();
        (aligned, address)
    }));
    assert_eq!((aligned.0, address % 64), (9, 0));
}

#[test]
fn what_was_never_run_is_only_dropped() {
    let drops = Drops::default();
    let before = camshaft_stackful::census().live;
    let token = drops.token();
    let fiber = Fiber::new(move || {
        let _token = &token;
        unreachable!("it is never polled");
    });
    assert_eq!(camshaft_stackful::census().live, before);
    drop::<Fiber<_, ()>>(fiber);
    assert_eq!(drops.count(), 1);
}
