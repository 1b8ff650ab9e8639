//! The blocking pool: bounded, joined at the end, and never in the way of a panic.
#![allow(missing_docs)]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};

use camshaft_executor::{JoinSet, block_on, blocking, spawn_blocking, yield_now};
use common::{Drops, threaded, tracing};

#[test]
fn runs_elsewhere_and_returns() {
    let home = std::thread::current().id();
    let there = block_on(async {
        spawn_blocking(|| std::thread::current().id())
            .await
            .unwrap()
    });
    assert_ne!(home, there);
}

#[test]
fn block_on_is_allowed_there() {
    let sum = block_on(async {
        spawn_blocking(|| block_on(async { spawn_blocking(|| 20).await.unwrap() + 1 }))
            .await
            .unwrap()
    });
    assert_eq!(sum, 21);
}

/// All tests that fill the pool, in one, so that they do not disturb each other.
#[test]
fn the_pool_is_bounded_and_aborts_what_waits() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let executor = threaded();
    executor.block_on(async {
        let mut set = JoinSet::new();
        for _ in 0..700 {
            let (gate, running, most) =
                (Arc::clone(&gate), Arc::clone(&running), Arc::clone(&most));
            set.spawn_blocking(move || {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                let open = gate.0.lock().unwrap();
                drop(gate.1.wait_while(open, |open| !*open).unwrap());
                running.fetch_sub(1, Ordering::SeqCst);
            });
        }
        while running.load(Ordering::SeqCst) < 400 {
            yield_now().await;
        }
        // Behind the others in the queue: it cannot have started.
        let waiting = spawn_blocking(|| unreachable!("aborted before it started"));
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        while let Some(result) = set.join_next().await {
            result.unwrap();
        }
    });
    assert!(most.load(Ordering::SeqCst) <= blocking::MAX_THREADS);
}

#[test]
fn an_executor_waits_for_what_has_started() {
    let done = Arc::new(AtomicBool::new(false));
    let executor = threaded();
    let (started, has_started) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let seen = Arc::clone(&done);
    let mut task = None;
    executor.block_on(async {
        task = Some(spawn_blocking(move || {
            started.send(()).unwrap();
            let _ = may_go.recv();
            seen.store(true, Ordering::SeqCst);
            3
        }));
    });
    let task = task.unwrap();
    has_started.recv().unwrap();
    let handle = executor.handle();
    let opener = std::thread::spawn(move || {
        // An executor that refuses is being closed: from then on it must wait.
        while !handle.spawn(async {}).is_finished() {
            std::thread::yield_now();
        }
        for _ in 0..1000 {
            std::thread::yield_now();
        }
        drop(go);
    });
    drop(executor);
    let in_time = done.load(Ordering::SeqCst);
    opener.join().unwrap();
    assert!(in_time);
    assert_eq!(block_on(task).unwrap(), 3);
}

#[test]
fn closures_in_flight_are_counted_until_their_wake() {
    let executor = tracing();
    let seen = Arc::new(AtomicUsize::new(0));
    let most = Arc::clone(&seen);
    let (go, may_go) = mpsc::channel();
    *executor.park().on_park.borrow_mut() = Some(Box::new(move |idle| {
        most.fetch_max(idle.blocking_in_flight(), Ordering::SeqCst);
        let _ = go.send(());
        while idle.blocking_in_flight() > 0 && !idle.has_remote() {
            std::thread::yield_now();
        }
        assert!(
            idle.has_remote(),
            "the wake comes before the count goes down"
        );
    }));
    executor.block_on(async {
        let one = spawn_blocking(move || may_go.recv().map_or(0, |()| 1));
        assert_eq!(one.await.unwrap(), 1);
    });
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[test]
fn an_abandoned_result_is_dropped_somewhere() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let count = Arc::new(AtomicUsize::new(0));
    let executor = threaded();
    let output = Counted(Arc::clone(&count));
    executor.block_on(async {
        let (send, receive) = mpsc::channel();
        drop(spawn_blocking(move || {
            send.send(()).unwrap();
            output
        }));
        receive.recv().unwrap();
    });
    drop(executor);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let _ = Drops::new();
}
