//! Wakes from other threads: none is lost, and everything may be awaited and dropped anywhere.
#![allow(missing_docs)]

mod common;

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};

use camshaft_executor::{JoinHandle, block_on, spawn, yield_now};
use common::{Drops, Foreign, Gate, threaded, tracing};

/// A cell that threads add to and a task waits for.
#[derive(Default)]
struct Counter {
    value: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Counter {
    fn add(&self) {
        self.value.fetch_add(1, Ordering::Relaxed);
        let waker = self.waker.lock().unwrap().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn reaches(&self, wanted: usize) {
        poll_fn(|cx| {
            *self.waker.lock().unwrap() = Some(cx.waker().clone());
            if self.value.load(Ordering::Relaxed) >= wanted {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

#[test]
fn a_million_wakes_from_four_threads() {
    const EACH: usize = 250_000;
    let executor = threaded();
    let counters: Vec<Arc<Counter>> = (0..4).map(|_| Arc::default()).collect();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let counters = counters.clone();
            std::thread::spawn(move || {
                for round in 0..EACH {
                    counters[(thread + round) % 4].add();
                }
            })
        })
        .collect();
    executor.block_on(async {
        let tasks: Vec<JoinHandle<()>> = counters
            .iter()
            .cloned()
            .map(|counter| spawn(async move { counter.reaches(EACH).await }))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(executor.stats().polls > 0);
}

#[test]
fn hand_over_one_by_one() {
    // Each step needs a wake that arrives while the thread is parked or about to be.
    let executor = threaded();
    let counter = Arc::new(Counter::default());
    let (send, receive) = mpsc::channel::<()>();
    let other = Arc::clone(&counter);
    let thread = std::thread::spawn(move || {
        while receive.recv().is_ok() {
            other.add();
        }
    });
    executor.block_on(async {
        for step in 1..=20_000 {
            send.send(()).unwrap();
            counter.reaches(step).await;
        }
    });
    drop(send);
    thread.join().unwrap();
    assert!(executor.stats().wakes_remote > 0);
}

#[test]
fn a_handle_awaited_on_another_executor() {
    let executor = threaded();
    let (send, receive) = mpsc::channel::<JoinHandle<String>>();
    let thread =
        std::thread::spawn(move || block_on(async { receive.recv().unwrap().await.unwrap() }));
    let text = executor.block_on(async {
        let ready = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ready);
        send.send(spawn(async move {
            while !seen.load(Ordering::Relaxed) {
                yield_now().await;
            }
            "over there".to_owned()
        }))
        .unwrap();
        for _ in 0..1000 {
            yield_now().await;
        }
        ready.store(true, Ordering::Relaxed);
        while executor.stats().tasks > 0 {
            yield_now().await;
        }
        "here"
    });
    assert_eq!(
        (text, thread.join().unwrap().as_str()),
        ("here", "over there")
    );
}

#[test]
fn a_remote_joiner_is_woken_by_the_end() {
    for _ in 0..200 {
        let executor = threaded();
        let task = executor.spawn(async {
            for _ in 0..50 {
                yield_now().await;
            }
            1
        });
        let thread = std::thread::spawn(move || block_on(task).unwrap());
        executor.block_on(async {
            while executor.stats().tasks > 0 {
                yield_now().await;
            }
        });
        assert_eq!(thread.join().unwrap(), 1);
    }
}

#[test]
fn handles_dropped_and_aborted_from_afar() {
    let executor = threaded();
    let drops = Drops::new();
    let handle = executor.handle();
    let tasks: Vec<JoinHandle<()>> = (0..100)
        .map(|_| {
            let token = drops.token(); // insists on this thread
            executor.spawn(async move {
                let _token = token;
                pending::<()>().await;
            })
        })
        .collect();
    let (aborts, held): (Vec<_>, Vec<_>) = tasks
        .into_iter()
        .enumerate()
        .partition(|(at, _)| at % 2 == 0);
    let thread = std::thread::spawn(move || {
        for (_, task) in &aborts {
            task.abort();
            task.abort_handle().abort();
        }
        drop(aborts);
        drop(held);
        handle.spawn(async {})
    });
    executor.block_on(thread.join().unwrap()).unwrap();
    assert_eq!(drops.count(), 50);
    drop(executor);
    assert_eq!(drops.count(), 100);
}

#[test]
fn spawned_from_afar() {
    let executor = threaded();
    let home = std::thread::current().id();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let handle = executor.handle();
            std::thread::spawn(move || {
                let tasks: Vec<_> = (0..100)
                    .map(|number| {
                        handle.spawn(async move { (number, std::thread::current().id()) })
                    })
                    .collect();
                block_on(async {
                    for (number, task) in tasks.into_iter().enumerate() {
                        assert_eq!(task.await.unwrap(), (number, home));
                    }
                });
            })
        })
        .collect();
    let handle = executor.handle();
    let done = std::thread::spawn(move || {
        for thread in threads {
            thread.join().unwrap();
        }
        handle.spawn(async {})
    });
    executor.block_on(async {
        while !done.is_finished() {
            yield_now().await;
        }
    });
    executor.block_on(done.join().unwrap()).unwrap();
}

#[test]
fn a_remote_spawn_aborted_before_and_after_its_start() {
    let executor = threaded();
    let handle = executor.handle();
    let before = handle.spawn(pending::<()>());
    assert!(!before.is_finished());
    before.abort();
    assert!(executor.block_on(before).unwrap_err().is_cancelled());
    let after = handle.spawn(pending::<()>());
    executor.block_on(yield_now());
    assert_eq!(executor.stats().tasks, 1);
    let abort = after.abort_handle();
    std::thread::spawn(move || abort.abort()).join().unwrap();
    assert!(executor.block_on(after).unwrap_err().is_cancelled());
    assert_eq!(executor.stats().tasks, 0);
}

#[test]
fn the_id_is_the_same_on_both_sides() {
    let executor = threaded();
    let task = executor.handle().spawn(async { camshaft_executor::id() });
    let id = task.id();
    assert_eq!(executor.block_on(task).unwrap(), id);
}

#[test]
fn a_future_for_a_closed_executor_is_dropped_by_the_caller() {
    let executor = threaded();
    let handle = executor.handle();
    drop(executor);
    let drops = Drops::new();
    let token = drops.token();
    let task = handle.spawn(async move {
        let _token = &token;
        pending::<()>().await;
    });
    assert_eq!(drops.count(), 1);
    assert!(task.is_finished());
    let mut task = pin!(task);
    let polled = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Err(error)) if error.is_cancelled()));
}

#[test]
fn a_waker_registered_too_late_is_woken_at_once() {
    let executor = threaded();
    let foreign = Arc::new(Foreign::default());
    let waker = Waker::from(Arc::clone(&foreign));
    executor.block_on(async {
        let mut task = spawn(async {});
        // Asked for from afar while the task has not run; the request is read only after it has.
        let task = std::thread::spawn(move || {
            let polled = pin!(&mut task).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            task
        })
        .join()
        .unwrap();
        yield_now().await;
        assert!(task.is_finished());
        for _ in 0..100 {
            yield_now().await;
        }
    });
    assert_eq!(foreign.0.load(Ordering::SeqCst), 1);
}

/// Polls a handle once on another thread and expects nothing yet.
fn poll_afar<T: Send + 'static>(mut task: JoinHandle<T>, waker: &Waker) -> JoinHandle<T> {
    let waker = waker.clone();
    std::thread::spawn(move || {
        let polled = pin!(&mut task).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        task
    })
    .join()
    .unwrap()
}

/// Wakers that count.
fn foreign<const N: usize>() -> ([Arc<Foreign>; N], [Waker; N]) {
    let counters: [Arc<Foreign>; N] = std::array::from_fn(|_| Arc::default());
    let wakers = counters.each_ref().map(|one| Waker::from(Arc::clone(one)));
    (counters, wakers)
}

fn wakes<const N: usize>(counters: &[Arc<Foreign>; N]) -> [usize; N] {
    counters
        .each_ref()
        .map(|counter| counter.0.load(Ordering::SeqCst))
}

#[test]
fn the_last_waker_registered_from_afar_is_woken() {
    // Whether the requests are read together or one by one.
    for read_between in [false, true] {
        let executor = threaded();
        let gates = [Gate::new(), Gate::new()];
        let [mut task, mut second] = gates
            .clone()
            .map(|gate| executor.spawn(async move { gate.pass().await }));
        let (counters, wakers) = foreign::<4>();
        for turn in [0, 1, 0, 2, 2] {
            task = poll_afar(task, &wakers[turn]);
            second = poll_afar(second, &wakers[3]);
            if read_between {
                executor.block_on(yield_now());
            }
        }
        executor.block_on(async {
            yield_now().await;
            gates.iter().for_each(Gate::open);
            yield_now().await;
            assert!(task.is_finished() && second.is_finished());
        });
        assert_eq!(wakes(&counters), [0, 0, 1, 1]);
        drop(task);
        drop(second);
        executor.block_on(yield_now());
        let held = counters.each_ref().map(|one| Arc::strong_count(one) - 2);
        assert_eq!(held, [0; 4], "wakers are dropped once they are not needed");
    }
}

#[test]
fn a_handle_that_was_polled_at_home_in_between() {
    let executor = threaded();
    let gate = Gate::new();
    let passing = gate.clone();
    let (counters, wakers) = foreign::<2>();
    let mut task = executor.spawn(async move { passing.pass().await });
    task = poll_afar(task, &wakers[0]);
    executor.block_on(async {
        yield_now().await;
        let polled = pin!(&mut task).poll(&mut Context::from_waker(&wakers[1]));
        assert!(polled.is_pending());
        task = poll_afar(task, &wakers[0]);
        for _ in 0..100 {
            yield_now().await; // the mailbox is read between batches
        }
        gate.open();
        yield_now().await;
        assert!(task.is_finished());
    });
    assert_eq!(wakes(&counters), [1, 0]);
}

#[test]
fn the_same_waker_is_registered_once() {
    let executor = tracing();
    let (_, [waker, changed]) = foreign();
    let task = poll_afar(executor.spawn(pending::<()>()), &waker);
    let mut task = Some(task);
    let gate = Gate::new();
    let (opened, sent) = (gate.clone(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&sent);
    *executor.park().on_park.borrow_mut() = Some(Box::new(move |idle| {
        let Some(again) = task.take() else { return };
        let again = poll_afar(again, &waker);
        seen.lock().unwrap().push(idle.has_remote());
        let again = poll_afar(again, &changed);
        seen.lock().unwrap().push(idle.has_remote());
        drop(again);
        opened.open();
    }));
    executor.block_on(gate.pass());
    assert_eq!(*sent.lock().unwrap(), [false, true]);
}

#[test]
fn requests_about_one_task_all_count() {
    // They share one message: none may push another out, whatever the order.
    for order in [[0, 1, 2], [1, 0, 2], [0, 2, 1]] {
        let executor = threaded();
        let drops = Drops::new();
        let token = drops.token();
        let (counters, [waker]) = foreign::<1>();
        let task = executor.spawn(async move {
            let _token = token;
            pending::<()>().await;
        });
        let abort = task.abort_handle();
        let mut task = Some(task);
        for request in order {
            match request {
                0 => task = task.map(|task| poll_afar(task, &waker)),
                1 => {
                    let abort = abort.clone();
                    std::thread::spawn(move || abort.abort()).join().unwrap();
                }
                _ => {
                    let gone = task.take();
                    std::thread::spawn(move || drop(gone)).join().unwrap();
                }
            }
        }
        executor.block_on(yield_now());
        executor.block_on(yield_now());
        assert_eq!((drops.count(), executor.stats().tasks), (1, 0));
        assert_eq!(Arc::strong_count(&counters[0]), 2);
    }
}

#[test]
fn a_joiner_that_asks_in_the_last_poll_hears_of_the_end() {
    let executor = threaded();
    let (counters, [waker]) = foreign::<1>();
    let (send, receive) = mpsc::channel::<JoinHandle<()>>();
    let (back, returned) = mpsc::channel();
    let task = executor.spawn(async move {
        let own = receive.recv().unwrap();
        back.send(poll_afar(own, &waker)).unwrap();
    });
    send.send(task).unwrap();
    // Too short a run for the mail to be read between two batches, and nobody runs the executor again.
    executor.block_on(yield_now());
    assert_eq!(wakes(&counters), [1]);
    assert!(returned.recv().unwrap().is_finished());
}
