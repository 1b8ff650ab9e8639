//! A future that wakes itself for ever does not keep the others from I/O, timers, other threads and each other.

mod common;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use camshaft::runtime::{Builder, Spin};
use camshaft::task::{JoinSet, yield_now};
use camshaft::time::{Duration, sleep};
use common::{alone, pair, read_exactly};

/// Is never ready and always woken.
async fn restless(polls: Rc<Cell<u64>>) {
    poll_fn(|cx| {
        polls.set(polls.get() + 1);
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    })
    .await;
}

async fn rounds(n: u32) {
    let (client, server) = pair().await;
    for _ in 0..n {
        client.write_all(b"ping").await.0.expect("sent");
        assert_eq!(read_exactly(&server, 4).await, b"ping");
    }
}

#[test]
fn all_progress_beside_a_future_that_never_rests() {
    let _alone = alone();
    for spin in [Spin::Off, Spin::Adaptive, Spin::Always] {
        let runtime = Builder::new().spin(spin).build().expect("a runtime");
        runtime.block_on(async {
            let polls = Rc::new(Cell::new(0));
            for _ in 0..3 {
                camshaft::spawn(restless(polls.clone()));
            }
            camshaft::spawn(async {
                loop {
                    yield_now().await;
                }
            });
            let mut others = JoinSet::new();
            others.spawn(rounds(100));
            others.spawn(async {
                for _ in 0..10 {
                    sleep(Duration::from_millis(1)).await;
                }
            });
            let handle = runtime.handle();
            others.spawn(async move {
                for _ in 0..20 {
                    let handle = handle.clone();
                    let thread = std::thread::spawn(move || handle.spawn(async { 1 }));
                    let remote = camshaft::task::spawn_blocking(move || thread.join());
                    let task = remote.await.expect("runs").expect("no panic");
                    assert_eq!(task.await.expect("runs"), 1);
                }
            });
            let before = polls.get();
            while let Some(other) = others.join_next().await {
                other.expect("it progresses");
            }
            assert!(polls.get() > before, "and so do the restless");
        });
    }
}

#[test]
fn a_stream_that_is_always_ready_lets_others_run() {
    let _alone = alone();
    let runtime = Builder::new().build().expect("a runtime");
    runtime.block_on(async {
        let (client, server) = pair().await;
        camshaft::spawn(async move {
            loop {
                client.write_all(vec![0; 1 << 16]).await.0.expect("sent");
            }
        });
        camshaft::spawn(async move {
            let mut buf = Vec::with_capacity(4096);
            loop {
                buf.clear();
                buf = server.read(buf).await.1;
            }
        });
        sleep(Duration::from_millis(5)).await;
        rounds(50).await;
    });
}

#[test]
fn timers_that_are_always_due_let_others_run() {
    let _alone = alone();
    let runtime = Builder::new().build().expect("a runtime");
    runtime.block_on(async {
        for _ in 0..3 {
            camshaft::spawn(async {
                loop {
                    sleep(Duration::from_nanos(1)).await;
                }
            });
        }
        rounds(100).await;
    });
}
