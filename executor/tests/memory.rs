//! What costs no memory, and what gives it back.
//!
//! One test function: the counters and the resident set belong to the whole process.
#![allow(missing_docs)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use camshaft_executor::{
    Executor, JoinHandle, JoinSet, Park, ThreadPark, block_on, spawn, yield_now,
};
use common::{Foreign, Gate, threaded, tracing};

struct Counting;

thread_local! {
    /// Of this thread alone: the test harness allocates on its own.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> usize {
    ALLOCATIONS.get()
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = text.lines().find(|line| line.starts_with("Rss:")).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
        * 1024
}

#[test]
fn memory() {
    steady_state_allocates_nothing();
    wakes_and_pushes_never_allocate();
    a_parked_task_is_small();
    a_spike_is_given_back();
    a_steady_load_is_not_trimmed();
    executors_are_recycled();
    slots_held_by_handles_are_recycled();
    requests_from_afar_are_bounded();
}

fn steady_state_allocates_nothing() {
    let executor = tracing();
    executor.block_on(async {
        let mut set = JoinSet::new();
        let mut round = async |rounds: usize| {
            for number in 0..rounds {
                assert_eq!(spawn(async move { number }).await.unwrap(), number);
                yield_now().await;
                set.spawn(async {});
                set.join_next().await.unwrap().unwrap();
            }
        };
        round(2000).await;
        let before = allocations();
        round(10_000).await;
        // A block of ids every now and then is an atomic, not an allocation.
        assert_eq!(allocations() - before, 0);
    });
}

fn wakes_and_pushes_never_allocate() {
    let executor = threaded();
    executor.block_on(async {
        let gates: Vec<Gate> = (0..10_000).map(|_| Gate::new()).collect();
        for gate in &gates {
            let gate = gate.clone();
            drop(spawn(async move { gate.pass().await }));
        }
        yield_now().await;
        let wakers: Vec<Waker> = gates.iter().map(Gate::waker).collect();
        let before = allocations();
        gates.iter().for_each(Gate::wake);
        assert_eq!(allocations() - before, 0);
        yield_now().await;
        let done = AtomicBool::new(false);
        let remote = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let before = allocations();
                    wakers.iter().for_each(Waker::wake_by_ref);
                    done.store(true, Ordering::SeqCst);
                    allocations() - before
                })
                .join()
                .unwrap()
        });
        assert_eq!(remote, 0);
        for _ in 0..100 {
            yield_now().await; // the inbox is looked at between batches
        }
        assert!(gates.iter().all(|gate| gate.polls() == 3));
    });
}

fn a_parked_task_is_small() {
    const TASKS: usize = 100_000;
    let executor = tracing();
    executor.block_on(async {
        let before = resident();
        for _ in 0..TASKS {
            drop(spawn(async { pending::<()>().await }));
        }
        yield_now().await;
        let each = (resident() - before) as f64 / TASKS as f64;
        println!("a parked task of one await: {each:.1} bytes");
        assert!(each <= 80.0, "{each} bytes");
    });
}

async fn hold_bytes<const N: usize>() {
    let kept = [1u8; N];
    yield_now().await;
    yield_now().await;
    assert!(std::hint::black_box(&kept).iter().all(|byte| *byte == 1));
}

fn a_spike_is_given_back() {
    const TASKS: usize = 200_000;
    let executor = threaded();
    let before = resident();
    executor.block_on(async {
        let kept: Vec<JoinHandle<()>> = (0..TASKS).map(|_| spawn(hold_bytes::<160>())).collect();
        yield_now().await;
        let spike = resident() - before;
        drop(kept);
        while executor.stats().tasks > 0 {
            yield_now().await;
        }
        // Whatever wakes the root now and then must not keep the memory from going. It goes after a tenth of a second of
        // quiet; how long that takes on a machine with other work to do is not what is tested.
        let quiet = Instant::now();
        let waker: Waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let clock = {
            let is_over = is_over.clone();
            std::thread::spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(20));
                    waker.wake_by_ref();
                }
            })
        };
        let mut left = spike;
        poll_fn(|_| {
            left = resident().saturating_sub(before);
            if left * 2 < spike || quiet.elapsed() > Duration::from_secs(20) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        is_over.store(true, Ordering::SeqCst);
        clock.join().unwrap();
        println!(
            "200k tasks of 200 B: {} KiB, after {:?} of quiet {} KiB",
            spike / 1024,
            quiet.elapsed(),
            left / 1024
        );
        assert!(left * 2 < spike, "{left} of {spike} bytes are still there");
    });
    // The memory works again.
    executor.block_on(async {
        for task in (0..1000)
            .map(|_| spawn(hold_bytes::<160>()))
            .collect::<Vec<_>>()
        {
            task.await.unwrap();
        }
    });
}

fn a_steady_load_is_not_trimmed() {
    let executor = tracing();
    let limits = Rc::new(Cell::new(0));
    let seen = Rc::clone(&limits);
    *executor.park().on_park.borrow_mut() = Some(Box::new(move |idle| {
        seen.set(seen.get() + usize::from(idle.limit().is_some()));
    }));
    executor.block_on(async {
        let kept: Vec<JoinHandle<()>> = (0..20_000).map(|_| spawn(pending())).collect();
        yield_now().await;
        let mut rounds = 0;
        poll_fn(|cx| {
            rounds += 1;
            cx.waker().wake_by_ref();
            if rounds == 100 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        drop(kept);
    });
    assert_eq!(limits.get(), 0);
}

fn executors_are_recycled() {
    let run = |count: usize| {
        for _ in 0..count {
            let executor = threaded();
            executor.block_on(async { spawn(async {}).await.unwrap() });
            let _left = executor.spawn(pending::<()>());
        }
    };
    run(1000);
    let before = resident();
    run(200_000);
    for _ in 0..100 {
        std::thread::spawn(run_on_thread).join().unwrap();
    }
    let grown = resident().saturating_sub(before);
    println!("200k executors later: {} KiB more", grown / 1024);
    assert!(grown < 1 << 20, "{grown} bytes more");
}

fn run_on_thread() {
    for _ in 0..20 {
        block_on(async { spawn(async {}).await.unwrap() });
    }
}

fn slots_held_by_handles_are_recycled() {
    let round = || {
        let executor = threaded();
        let tasks: Vec<JoinHandle<()>> = (0..100).map(|_| executor.spawn(pending())).collect();
        drop(executor);
        drop(tasks); // slots come back when the memory is adopted
    };
    (0..100).for_each(|_| round());
    let before = resident();
    (0..5000).for_each(|_| round());
    let grown = resident().saturating_sub(before);
    assert!(grown < 1 << 20, "{grown} bytes more");
    fn parks<P: Park>(_: &Executor<P>) {}
    parks(&Executor::new(ThreadPark::new()));
}

fn requests_from_afar_are_bounded() {
    const ROUNDS: usize = 200_000;
    let executor = threaded();
    let handle = executor.handle();
    let mut tasks: Vec<JoinHandle<()>> = (0..2).map(|_| executor.spawn(pending())).collect();
    let travelled = handle.spawn(pending::<()>());
    executor.block_on(yield_now());
    // Nobody reads the mail from here on.
    let grown = std::thread::spawn(move || {
        let wakers: Vec<Waker> = (0..2)
            .map(|_| Waker::from(Arc::new(Foreign::default())))
            .collect();
        let before = resident();
        for round in 0..ROUNDS {
            // One waker for one handle, and ever another for the other.
            for (waker, task) in [0, round % 2].into_iter().zip(&mut tasks) {
                let mut context = Context::from_waker(&wakers[waker]);
                assert!(Pin::new(task).poll(&mut context).is_pending());
            }
            for task in tasks.iter().chain([&travelled]) {
                task.abort();
                task.abort_handle().abort();
            }
        }
        resident().saturating_sub(before)
    })
    .join()
    .unwrap();
    println!("{ROUNDS} rounds of requests: {} KiB more", grown / 1024);
    assert!(grown < 1 << 20, "{grown} bytes more");
    executor.block_on(yield_now());
    assert_eq!(executor.stats().tasks, 0, "all were aborted");
}
