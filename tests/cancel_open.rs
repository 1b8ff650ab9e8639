//! Opens dropped at every stage: the descriptor is closed.

mod common;

use std::pin::pin;

use camshaft::fs::File;
use camshaft::task::{JoinHandle, yield_now};
use common::{alone, fds, poll_and_drop, poll_once, runtime, small_runtime, turn, until};

#[test]
fn an_open_that_was_never_polled_opens_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        turn().await;
        let before = fds();
        drop(File::open("/proc/self/stat"));
        turn().await;
        assert_eq!(fds(), before);
    });
}

#[test]
fn an_open_dropped_before_it_was_submitted_leaves_nothing_open() {
    let _alone = alone();
    for runtime in [runtime(), small_runtime()] {
        runtime.block_on(async {
            turn().await;
            let before = fds();
            for _ in 0..100 {
                assert!(
                    poll_and_drop(File::open("/proc/self/stat"))
                        .await
                        .is_pending()
                );
            }
            until(|| runtime.metrics().ops_submitted == runtime.metrics().ops_completed).await;
            assert_eq!(fds(), before);
            assert!(runtime.metrics().ops_cancelled >= 100);
        });
    }
}

#[test]
fn an_open_that_completed_unseen_leaves_nothing_open() {
    let _alone = alone();
    runtime().block_on(async {
        turn().await;
        let before = fds();
        for _ in 0..100 {
            let mut opening = pin!(File::open("/proc/self/stat"));
            assert!(poll_once(opening.as_mut()).await.is_pending());
            until(|| fds() > before).await;
            turn().await;
        }
        assert_eq!(fds(), before);
    });
}

#[test]
fn an_open_dropped_in_flight_leaves_nothing_open() {
    let _alone = alone();
    runtime().block_on(async {
        turn().await;
        let before = fds();
        // Files of procfs are opened by a worker of the kernel, so that some of these are under way when they are dropped.
        for turns in 0..200 {
            let mut opening = Box::pin(File::open("/proc/self/stat"));
            assert!(poll_once(opening.as_mut()).await.is_pending());
            for _ in 0..turns % 3 {
                turn().await;
            }
            drop(opening);
        }
        until(|| fds() == before).await;
    });
}

#[test]
fn an_open_in_flight_at_teardown_leaves_nothing_open() {
    let _alone = alone();
    let before = fds();
    for turns in 0..20 {
        let runtime = runtime();
        let opening: Vec<_> = (0..20)
            .map(|_| runtime.spawn(async { drop(File::open("/proc/self/stat").await) }))
            .collect();
        runtime.block_on(async {
            for _ in 0..turns % 3 {
                yield_now().await;
            }
        });
        drop(runtime);
        assert!(opening.iter().all(JoinHandle::is_finished));
        assert_eq!(fds(), before);
    }
}
