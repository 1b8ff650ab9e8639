//! When a recording begins and ends, and whose it is.

#![cfg(feature = "inspect")]

mod common;
use common::*;

use std::time::Duration;

use camshaft::inspect::record;
use camshaft::runtime::{Builder, Runtime};
use camshaft::task::yield_now;
use camshaft::time::sleep;

fn recorded() -> Runtime {
    let builder = Builder::new().paused_clock(true).record(1000);
    builder.build().expect("a runtime can be built")
}

#[test]
fn it_can_be_started_and_stopped_inside_of_a_task() {
    let _alone = alone();
    assert!(record::recording().is_none());
    record::start(8); // outside of a runtime it does nothing
    let runtime = paused();
    runtime.block_on(async {
        assert!(record::recording().is_none());
        let task = camshaft::spawn(async {
            for _ in 0..3 {
                record::start(64);
                let recording = record::recording().expect("it is recorded");
                assert_eq!((recording.recorded, recording.polls().len()), (0, 0));
                for _ in 0..100 {
                    yield_now().await;
                }
                let recording = record::recording().expect("it is recorded");
                // It begins with the next batch of 64.
                assert!((36..=200).contains(&recording.recorded), "{recording:?}");
                record::start(64);
                assert_eq!(
                    record::recording().map(|recording| recording.recorded),
                    Some(0)
                );
                yield_now().await;
                record::stop();
                assert!(record::recording().is_none());
                yield_now().await;
            }
        });
        task.await.expect("no assertion failed");
    });
    assert!(runtime.recording().is_none());
}

#[test]
fn a_state_that_was_not_to_be_had_is_told_the_next_time() {
    isolated(
        "a_state_that_was_not_to_be_had_is_told_the_next_time",
        || {
            let runtime = recorded();
            let states = || {
                runtime.block_on(async { sleeps().await });
                let recording = runtime.recording().expect("it is recorded");
                let last = recording.polls().last().map(|poll| poll.from.to_string());
                last.expect("it was polled")
            };
            let former = limit_fds(0);
            let without = states();
            limit_fds(former);
            assert_eq!(without, "a place that is not known");
            runtime.block_on(async { record::start(100) });
            let with = states();
            if is_described() {
                assert!(
                    with.contains("::sleeps tests/inspect_record_life.rs:"),
                    "{with}"
                );
            }
        },
    );
}

async fn sleeps() {
    sleep(Duration::from_millis(1)).await;
}

#[test]
fn runtimes_on_one_thread_have_recordings_of_their_own() {
    let _alone = alone();
    for _ in 0..3 {
        let runtime = recorded();
        let task = runtime.block_on(async {
            let task = camshaft::spawn(async {});
            let number = task.id().to_string();
            task.await.expect("it ends");
            number
        });
        let recording = runtime.recording().expect("it is recorded");
        let tasks: Vec<_> = recording
            .polls()
            .iter()
            .filter_map(|poll| poll.task)
            .map(|task| task.to_string())
            .collect();
        assert_eq!(tasks, [task]);
        drop(runtime);
        let next = paused(); // it has the memory of the other
        next.block_on(yield_now());
        assert!(next.recording().is_none());
        let (one, two) = (recorded(), recorded());
        one.block_on(async { assert_eq!(record::recording().map(|one| one.recorded), Some(0)) });
        assert_eq!(two.recording().map(|two| two.recorded), Some(0));
        assert_eq!(one.recording().map(|one| one.recorded), Some(1));
    }
}
