//! Other threads: they spawn and wake while the loop runs, does I/O, and sleeps in the ring. No wake is lost.

mod common;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;

use camshaft::runtime::{Builder, Spin};
use camshaft::task::{JoinError, spawn_blocking, yield_now};
use common::{alone, pair, read_exactly, runtime};

const THREADS: usize = 4;

#[test]
fn a_million_wakes_from_four_threads() {
    let _alone = alone();
    // Spawned tasks are wakes too; each is counted by the task itself, on the loop's thread.
    const EACH: usize = 250_000;
    let runtime = runtime();
    runtime.block_on(async {
        let ran = Arc::new(AtomicUsize::new(0));
        let waker: Arc<Mutex<Option<Waker>>> = Arc::default();
        let expected = THREADS * EACH.div_ceil(50);
        let stop = Rc::new(Cell::new(false));
        poll_fn(|cx| {
            *waker.lock().expect("no panic") = Some(cx.waker().clone());
            Poll::Ready(())
        })
        .await;
        let echo = camshaft::spawn({
            let stop = stop.clone();
            async move {
                let (client, server) = pair().await;
                let mut rounds = 0_u64;
                while !stop.get() {
                    client.write_all(b"ping").await.0.expect("sent");
                    assert_eq!(read_exactly(&server, 4).await, b"ping");
                    rounds += 1;
                }
                rounds
            }
        });
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (handle, ran, waker) = (runtime.handle(), ran.clone(), waker.clone());
                thread::spawn(move || {
                    for n in 0..EACH {
                        let waker = waker.lock().expect("no panic").clone();
                        match &waker {
                            Some(waker) if n % 50 != 0 => waker.wake_by_ref(),
                            _ => {
                                let (ran, root) = (ran.clone(), waker);
                                drop(handle.spawn(async move {
                                    if ran.fetch_add(1, Ordering::Relaxed) + 1 == expected {
                                        root.expect("the root was polled").wake();
                                    }
                                }));
                            }
                        }
                    }
                })
            })
            .collect();
        poll_fn(|cx| {
            if ran.load(Ordering::Relaxed) < expected {
                return Poll::Pending; // the last task wakes
            }
            if threads.iter().all(|thread| thread.is_finished()) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref(); // they are about to end
            Poll::Pending
        })
        .await;
        for thread in threads {
            thread.join().expect("no panic");
        }
        stop.set(true);
        assert!(echo.await.expect("no panic") > 0);
    });
    assert!(runtime.metrics().wakes_remote > 0);
}

/// One wake at a time, each after the loop had nothing left to do: a lost one is a hang.
#[test]
fn each_single_wake_arrives() {
    let _alone = alone();
    for spin in [Spin::Off, Spin::Adaptive] {
        let runtime = Builder::new().spin(spin).build().expect("a runtime");
        runtime.block_on(async {
            let (ask, asked) = mpsc::channel::<(Waker, Arc<AtomicBool>)>();
            let waking = thread::spawn(move || {
                for (waker, flag) in asked {
                    flag.store(true, Ordering::Release);
                    waker.wake();
                }
            });
            for _ in 0..20_000 {
                let flag = Arc::new(AtomicBool::new(false));
                let mut sent = false;
                poll_fn(|cx| {
                    if flag.load(Ordering::Acquire) {
                        return Poll::Ready(());
                    }
                    if !sent {
                        sent = true;
                        ask.send((cx.waker().clone(), flag.clone()))
                            .expect("it listens");
                    }
                    Poll::Pending
                })
                .await;
            }
            drop(ask);
            waking.join().expect("no panic");
        });
    }
}

#[test]
fn a_task_spawned_while_the_loop_sleeps_runs() {
    let _alone = alone();
    let runtime = runtime();
    let handle = runtime.handle();
    let (tell, told) = mpsc::channel();
    let others: Vec<_> = (0..THREADS)
        .map(|n| {
            let (handle, tell) = (handle.clone(), tell.clone());
            thread::spawn(move || {
                for m in 0..500 {
                    let tell = tell.clone();
                    let task = handle.spawn(async move {
                        yield_now().await;
                        tell.send((n, m)).expect("somebody listens");
                    });
                    // Awaited on this thread, on a runtime of its own.
                    camshaft::block_on(task).expect("it ran");
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for other in others {
            let joined = spawn_blocking(move || other.join()).await;
            joined.expect("not cancelled").expect("no panic");
        }
    });
    drop(tell);
    assert_eq!(told.iter().count(), THREADS * 500);
}

#[test]
fn a_handle_outlives_its_runtime() {
    let _alone = alone();
    let runtime = runtime();
    let handle = runtime.handle();
    let ready = handle.spawn(async { 1 });
    let pending = handle.spawn(std::future::pending::<()>());
    runtime.block_on(async {
        yield_now().await;
        yield_now().await;
    });
    drop(runtime);
    let dropped = Arc::new(());
    let held = dropped.clone();
    let late = thread::spawn(move || handle.spawn(async move { drop(held) }))
        .join()
        .expect("no panic");
    assert_eq!(
        Arc::strong_count(&dropped),
        1,
        "the future is dropped at once"
    );
    camshaft::block_on(async {
        assert_eq!(ready.await.expect("it was ready"), 1);
        let cancelled = |result: Result<(), JoinError>| result.expect_err("gone").is_cancelled();
        assert!(cancelled(pending.await));
        assert!(cancelled(late.await));
    });
}
