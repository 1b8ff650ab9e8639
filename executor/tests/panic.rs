//! Panics, wherever user code can run: the executor stays usable, and whoever holds a handle is told.
#![allow(missing_docs)]

mod common;

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use camshaft_executor::{Executor, JoinHandle, Park, spawn, spawn_blocking, yield_now};
use common::{Bomb, Drops, Gate, threaded, tracing};

fn still_works<P: Park>(executor: &Executor<P>) {
    assert_eq!(
        executor.block_on(async { spawn(async { 7 }).await.unwrap() }),
        7
    );
    assert_eq!(executor.stats().tasks, 0);
}

fn message(error: camshaft_executor::JoinError) -> &'static str {
    assert!(error.is_panic() && !error.is_cancelled());
    error
        .into_panic()
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap()
}

#[test]
fn in_a_poll() {
    let executor = tracing();
    let drops = Drops::new();
    let token = drops.token();
    let error = executor.block_on(async {
        spawn(async move {
            let _token = token;
            yield_now().await;
            panic!("poll")
        })
        .await
        .unwrap_err()
    });
    assert!(error.to_string().contains("poll"));
    assert!(format!("{error:?}").contains("poll"));
    assert_eq!(message(error), "poll");
    assert_eq!(drops.count(), 1);
    still_works(&executor);
}

#[test]
fn in_a_poll_without_a_handle() {
    let executor = tracing();
    executor.block_on(async {
        drop(spawn(async { panic!("nobody asks") }));
        yield_now().await;
    });
    still_works(&executor);
}

/// A future that is done at once and panics when it is dropped.
struct DropBomb;

impl Future for DropBomb {
    type Output = u32;

    fn poll(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u32> {
        Poll::Ready(1)
    }
}

impl Drop for DropBomb {
    fn drop(&mut self) {
        panic!("future");
    }
}

#[test]
fn in_the_drop_of_a_completed_future() {
    let executor = tracing();
    let error = executor.block_on(async { spawn(DropBomb).await.unwrap_err() });
    assert_eq!(message(error), "future");
    executor.block_on(async {
        drop(spawn(DropBomb));
        yield_now().await;
    });
    still_works(&executor);
}

#[test]
fn in_the_drop_of_an_aborted_future() {
    let executor = tracing();
    let error = executor.block_on(async {
        let task = spawn(async {
            let _bomb = Bomb;
            pending::<()>().await;
        });
        yield_now().await;
        task.abort();
        task.await.unwrap_err()
    });
    assert_eq!(message(error), "bomb");
    still_works(&executor);
}

#[test]
fn in_a_poll_and_in_the_drop() {
    struct Twice;
    impl Future for Twice {
        type Output = ();
        fn poll(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            panic!("first")
        }
    }
    impl Drop for Twice {
        fn drop(&mut self) {
            panic!("second")
        }
    }
    let executor = tracing();
    let error = executor.block_on(async { spawn(Twice).await.unwrap_err() });
    assert_eq!(message(error), "first");
    still_works(&executor);
}

#[test]
fn in_the_drop_of_an_output() {
    let executor = tracing();
    executor.block_on(async {
        drop(spawn(async { Bomb })); // nobody takes it
        let task = spawn(async { Bomb });
        yield_now().await;
        assert!(task.is_finished());
        drop(task); // dropped with the handle
    });
    let task: JoinHandle<Bomb> = executor.spawn(async { Bomb });
    executor.block_on(yield_now());
    executor.block_on(yield_now());
    assert!(task.is_finished());
    drop(task); // the same from outside
    still_works(&executor);
}

#[test]
fn in_the_drop_of_a_payload() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic_any(Bomb);
        }
    }
    let executor = tracing();
    executor.block_on(async {
        drop(spawn(async { panic_any(Payload) }));
        let held = spawn(async { panic_any(Payload) });
        yield_now().await;
        drop(held);
    });
    still_works(&executor);
}

struct Rude(&'static str);

impl Wake for Rude {
    fn wake(self: Arc<Self>) {
        if self.0 == "wake" {
            panic!("wake");
        }
    }
}

impl Drop for Rude {
    fn drop(&mut self) {
        if self.0 == "drop" {
            panic!("drop");
        }
    }
}

#[test]
fn in_a_foreign_waker() {
    for when in ["wake", "drop"] {
        let executor = tracing();
        executor.block_on(async {
            let gate = Gate::new();
            let passing = gate.clone();
            let mut task = spawn(async move { passing.pass().await });
            yield_now().await;
            {
                let waker = Waker::from(Arc::new(Rude(when)));
                let mut cx = Context::from_waker(&waker);
                assert!(std::pin::Pin::new(&mut task).poll(&mut cx).is_pending());
            }
            gate.open();
            yield_now().await;
            assert!(task.is_finished());
            task.await.unwrap();
        });
        still_works(&executor);
    }
}

#[test]
fn in_the_root_future() {
    let executor = tracing();
    let drops = Drops::new();
    let token = drops.token();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        executor.block_on(async {
            let _token = token;
            yield_now().await;
            panic!("root")
        })
    }));
    assert!(caught.is_err());
    assert_eq!(drops.count(), 1);
    still_works(&executor);
}

#[test]
fn in_park_and_in_tick() {
    let executor = tracing();
    *executor.park().on_park.borrow_mut() = Some(Box::new(|idle| {
        assert!(idle.announce());
        panic!("park")
    }));
    assert!(catch_unwind(AssertUnwindSafe(|| executor.block_on(pending::<()>()))).is_err());
    executor.park().on_park.replace(None);
    still_works(&executor);

    *executor.park().on_tick.borrow_mut() = Some(Box::new(|| panic!("tick")));
    let spinning = || {
        executor.block_on(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
    };
    assert!(catch_unwind(AssertUnwindSafe(spinning)).is_err());
    executor.park().on_tick.replace(None);
    still_works(&executor);
}

#[test]
fn in_the_closing_of_an_executor() {
    let executor = tracing();
    let drops = Drops::new();
    let token = drops.token();
    executor.block_on(async {
        drop(spawn(async {
            let _bomb = Bomb;
            pending::<()>().await;
        }));
        drop(spawn(async move {
            let _token = token;
            pending::<()>().await;
        }));
        yield_now().await;
    });
    drop(executor);
    assert_eq!(drops.count(), 1);
}

#[test]
fn while_the_thread_unwinds() {
    let drops = Drops::new();
    let token = drops.token();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let executor = tracing();
        let _task = executor.spawn(async move {
            let _token = token;
            let _bomb = Bomb;
            pending::<()>().await;
        });
        executor.block_on(yield_now());
        panic!("outer");
    }));
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"outer"));
    assert_eq!(drops.count(), 1);
}

#[test]
fn in_a_blocking_closure() {
    let executor = threaded();
    let error =
        executor.block_on(async { spawn_blocking(|| panic!("closure")).await.unwrap_err() });
    assert_eq!(message(error), "closure");
    still_works(&executor);
}

#[test]
fn in_a_task_from_a_handle() {
    let executor = threaded();
    let handle = executor.handle();
    let task = std::thread::spawn(move || handle.spawn(async { panic!("afar") }))
        .join()
        .unwrap();
    let error = executor.block_on(task).unwrap_err();
    assert_eq!(message(error), "afar");
    still_works(&executor);
}

#[test]
#[should_panic(expected = "polled after it had given its result")]
fn a_handle_polled_again() {
    tracing().block_on(async {
        let mut task = spawn(async {});
        (&mut task).await.unwrap();
        let _ = task.await;
    });
}

#[test]
#[should_panic(expected = "outside of a camshaft runtime")]
fn spawning_outside() {
    drop(spawn(async {}));
}

#[test]
#[should_panic(expected = "already running a camshaft runtime")]
fn nesting() {
    tracing().block_on(async { tracing().block_on(async {}) });
}
