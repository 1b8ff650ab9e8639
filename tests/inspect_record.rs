//! What a recording tells of polls: from where to where, and who woke whom.
//!
//! A line that ends in `// @here` is meant where a test says `@here`. Where the tests were built without debug information,
//! states are not known, and nothing else changes.

#![cfg(feature = "inspect")]

mod common;
use common::*;

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Poll as Polled, Waker};
use std::time::Duration;

use camshaft::inspect::record::{self, Poll, Recording, Stand, WokenBy};
use camshaft::runtime::{Builder, Runtime};
use camshaft::task::{JoinHandle, spawn_blocking, yield_now};
use camshaft::time::{sleep, timeout};

fn recorded() -> Runtime {
    let builder = Builder::new().paused_clock(true).record(1000);
    builder.build().expect("a runtime can be built")
}

/// Whether this program can be looked into.
fn is_described() -> bool {
    common::is_described()
}

async fn inner() {
    yield_now().await; // @inner first
    sleep(Duration::from_secs(1)).await; // @inner second
}

async fn outer() {
    inner().await; // @outer first
    timeout(Duration::from_secs(9), inner()).await.ok(); // @outer second
}

/// A stand with marks in the place of lines: `outer@outer first -> inner@inner first -> YieldNow`.
fn text(stand: &Stand) -> String {
    let text = stand.to_string();
    let mut out = Vec::new();
    for part in text.split(" -> ") {
        let at = part.rsplit_once(" tests/inspect_record.rs:");
        let name = at.map_or(part, |(name, _)| name);
        let name = name.rsplit("::").next().unwrap_or_default();
        let line = at.and_then(|(_, line)| line.parse::<usize>().ok());
        let source = line.and_then(|line| include_str!("inspect_record.rs").lines().nth(line - 1));
        let mark = source.and_then(|line| line.rsplit_once("// "));
        out.push(format!("{name}{}", mark.map_or("", |(_, mark)| mark)));
    }
    out.join(" -> ")
}

fn id<T>(handle: &JoinHandle<T>) -> u64 {
    handle.id().to_string().parse().expect("it is a number")
}

fn of(recording: &Recording, task: u64) -> Vec<&Poll> {
    let polls = recording.polls().iter();
    polls.filter(|poll| poll.task == Some(task)).collect()
}

/// From where to where a task was polled.
fn steps(recording: &Recording, task: u64) -> Vec<(String, String)> {
    let polls = of(recording, task);
    let steps = polls.iter().map(|poll| (text(&poll.from), text(&poll.to)));
    steps.collect()
}

#[test]
fn each_poll_tells_where_it_began_and_where_it_ended() {
    let _alone = alone();
    let runtime = recorded();
    let task = runtime.block_on(async {
        let task = camshaft::spawn(outer());
        let number = id(&task);
        task.await.expect("it ends");
        number
    });
    let recording = runtime.recording().expect("it is recorded");
    if !is_described() {
        assert!(
            of(&recording, task)
                .iter()
                .all(|poll| poll.from == Stand::Unknown)
        );
        return;
    }
    let places = [
        "outer (not started)",
        "outer@outer first -> inner@inner first -> YieldNow",
        "outer@outer first -> inner@inner second -> Sleep",
        "outer@outer second -> Timeout -> inner@inner first -> YieldNow",
        "outer@outer second -> Timeout -> inner@inner second -> Sleep",
        "completed",
    ];
    let expected: Vec<_> = places
        .windows(2)
        .map(|two| (two[0].to_owned(), two[1].to_owned()))
        .collect();
    assert_eq!(steps(&recording, task), expected);
}

/// As [`inner`], and too large for a slot of the executor's.
async fn large() {
    let bytes = std::hint::black_box([7_u8; 5000]);
    inner().await; // @large
    std::hint::black_box(bytes);
}

#[test]
fn the_states_of_a_future_that_the_runtime_boxes_are_told() {
    let _alone = alone();
    assert!(size_of_val(&large()) > 5000);
    let runtime = recorded();
    let task = runtime.block_on(async {
        let task = camshaft::spawn(large());
        let number = id(&task);
        task.await.expect("it ends");
        number
    });
    let recording = runtime.recording().expect("it is recorded");
    let expected = [
        "large (not started)",
        "large@large -> inner@inner first -> YieldNow",
        "large@large -> inner@inner second -> Sleep",
    ];
    let polls = of(&recording, task);
    assert!(polls.iter().all(|poll| poll.of.ends_with("large")));
    if is_described() {
        let places: Vec<_> = polls.iter().map(|poll| text(&poll.from)).collect();
        assert_eq!(places, expected);
    }
}

/// Waits until it is woken, and leaves its waker where others find it.
async fn wait_for_wake(wakers: Rc<RefCell<Vec<Waker>>>) {
    let mut first = true;
    poll_fn(|cx| {
        if std::mem::take(&mut first) {
            wakers.borrow_mut().push(cx.waker().clone());
            return Polled::Pending;
        }
        Polled::Ready(())
    })
    .await;
}

#[test]
fn who_woke_a_task_is_told() {
    let _alone = alone();
    let runtime = recorded();
    let outside = runtime.spawn(async {});
    let (outside, ids) = runtime.block_on(async {
        let wakers = Rc::new(RefCell::new(Vec::new()));
        let by_root = camshaft::spawn(wait_for_wake(wakers.clone()));
        yield_now().await;
        wakers.take().into_iter().for_each(Waker::wake);
        let (ids, woken) = ([id(&by_root)], wakers.clone());
        by_root.await.expect("it ends");
        let by_task = camshaft::spawn(wait_for_wake(wakers));
        let waker = camshaft::spawn(async move { woken.take().into_iter().for_each(Waker::wake) });
        let by_itself = camshaft::spawn(yield_now());
        let by_timer = camshaft::spawn(sleep(Duration::from_millis(1)));
        let (parked, wait) = std::sync::mpsc::channel();
        let by_thread =
            camshaft::spawn(async { spawn_blocking(move || wait.recv()).await.expect("it ends") });
        let more = [
            id(&by_task),
            id(&waker),
            id(&by_itself),
            id(&by_timer),
            id(&by_thread),
        ];
        yield_now().await; // each of them was polled once, and none woken by a thread before
        parked.send(()).expect("the closure waits");
        for handle in [by_task, waker, by_itself, by_timer] {
            handle.await.expect("it ends");
        }
        by_thread.await.expect("it ends").expect("it was sent");
        let outside = id(&outside);
        (outside, [&ids[..], &more[..]].concat())
    });
    let recording = runtime.recording().expect("it is recorded");
    let who = |task| -> Vec<_> {
        let polls = of(&recording, task).into_iter();
        polls.map(|poll| (poll.first, poll.woken_by)).collect()
    };
    let spawned = (true, WokenBy::Root);
    assert_eq!(who(outside), [(true, WokenBy::Outside)]);
    assert_eq!(who(ids[0]), [spawned, (false, WokenBy::Root)]);
    assert_eq!(who(ids[1]), [spawned, (false, WokenBy::Task(ids[2]))]);
    assert_eq!(who(ids[2]), [spawned]);
    assert_eq!(who(ids[3]), [spawned, (false, WokenBy::Task(ids[3]))]);
    assert_eq!(who(ids[4]), [spawned, (false, WokenBy::Event)]);
    assert_eq!(who(ids[5]), [spawned, (false, WokenBy::Thread)]);
    let woken = of(&recording, ids[1])[1];
    let waking = woken
        .woken_in
        .and_then(|place| recording.polls().get(place));
    assert_eq!(waking.map(|poll| poll.task), Some(Some(ids[2])));
}

#[test]
fn the_root_future_is_recorded_too_and_each_run_has_its_own() {
    let _alone = alone();
    let runtime = recorded();
    runtime.block_on(yield_now());
    runtime.block_on(async { sleep(Duration::from_secs(1)).await }); // @second run
    let recording = runtime.recording().expect("it is recorded");
    assert_eq!(
        recording.missing.is_empty(),
        is_described(),
        "it says why places are not known"
    );
    let roots: Vec<_> = recording
        .polls()
        .iter()
        .filter(|poll| poll.task.is_none())
        .collect();
    let woken: Vec<_> = roots.iter().map(|poll| poll.woken_by).collect();
    assert_eq!(
        woken,
        [
            WokenBy::Outside,
            WokenBy::Root,
            WokenBy::Outside,
            WokenBy::Event
        ]
    );
    assert_eq!(roots[1].to, Stand::Completed);
    assert_eq!(roots[3].to, Stand::Completed);
    assert!(recording.tasks.is_empty(), "{:?}", recording.tasks);
    if is_described() {
        assert_eq!(text(&roots[0].from), "a place that is not known"); // written by hand
        assert!(
            text(&roots[2].to).ends_with("{async block}@second run -> Sleep"),
            "{}",
            roots[2].to
        );
    }
}

#[test]
fn the_last_polls_are_kept_and_the_rest_counted() {
    let _alone = alone();
    let builder = Builder::new().paused_clock(true).record(100);
    let runtime = builder.build().expect("a runtime can be built");
    runtime.block_on(async {
        for _ in 0..1000 {
            yield_now().await;
        }
        let recording = record::recording().expect("it is recorded");
        assert_eq!(recording.polls().len(), 100);
        assert_eq!(
            recording.recorded, 1000,
            "that which is going on is not among them"
        );
        let starts: Vec<_> = recording.polls().iter().map(|poll| poll.start).collect();
        assert!(starts.is_sorted());
        assert!(recording.polls().iter().all(|poll| poll.waited.is_some()));
        let ends = recording.polls().iter().map(|poll| poll.start + poll.took);
        assert!(
            ends.zip(starts.iter().skip(1))
                .all(|(end, next)| end <= *next)
        );
        assert!(*starts.last().expect("there are some") <= recording.taken);
    });
}

#[test]
fn a_later_task_in_the_same_place_is_another() {
    let _alone = alone();
    let runtime = recorded();
    runtime.block_on(async {
        let mut ids = Vec::new();
        for _ in 0..20 {
            let task = camshaft::spawn(outer());
            ids.push(id(&task));
            task.await.expect("it ends");
        }
        let stays = camshaft::spawn(pending::<()>());
        yield_now().await;
        let recording = record::recording().expect("it is recorded");
        for number in ids {
            let polls = of(&recording, number);
            assert_eq!(polls.len(), 5);
            assert!(polls[0].first && polls[0].waited.is_none());
            assert_eq!(polls[4].to, Stand::Completed);
        }
        let alive: Vec<_> = recording
            .tasks
            .iter()
            .filter_map(|task| task.task)
            .collect();
        assert_eq!(alive, [id(&stays)]);
        assert_eq!((recording.tasks[1].polls, recording.tasks[1].wakes), (1, 0));
    });
}

#[test]
fn how_a_task_ended_is_told() {
    let _alone = alone();
    let runtime = recorded();
    let ids = runtime.block_on(async {
        let panics = camshaft::spawn(async {
            yield_now().await;
            panic!("as meant");
        });
        let aborted = camshaft::spawn(pending::<()>());
        let early = camshaft::spawn(pending::<()>());
        let completes = camshaft::spawn(async {});
        let ids = [id(&panics), id(&aborted), id(&early), id(&completes)];
        early.abort();
        yield_now().await;
        aborted.abort();
        drop(panics);
        yield_now().await;
        yield_now().await;
        completes.await.expect("it ends");
        ids
    });
    let recording = runtime.recording().expect("it is recorded");
    let ends = ids.map(|task| {
        let polls = of(&recording, task);
        (polls.len(), polls.last().map(|poll| poll.to.clone()))
    });
    let expected = [
        (2, Some(Stand::Panicked)),
        (2, Some(Stand::Dropped)),
        (1, Some(Stand::Dropped)),
        (1, Some(Stand::Completed)),
    ];
    assert_eq!(ends, expected);
}

#[test]
fn a_panic_of_the_root_future_is_recorded() {
    let _alone = alone();
    let runtime = recorded();
    let run = || runtime.block_on(async { panic!("as meant") });
    let panic = catch_unwind(AssertUnwindSafe(run));
    assert!(panic.is_err());
    runtime.block_on(yield_now());
    let recording = runtime.recording().expect("it is recorded");
    let ends: Vec<_> = recording
        .polls()
        .iter()
        .map(|poll| poll.to.clone())
        .collect();
    assert_eq!(ends[0], Stand::Panicked);
    assert_eq!(ends.last(), Some(&Stand::Completed));
}

#[test]
fn a_dump_tells_since_when_and_how_often() {
    let _alone = alone();
    recorded().block_on(async {
        let task = camshaft::spawn(async {
            yield_now().await;
            yield_now().await;
            pending::<()>().await;
        });
        for _ in 0..4 {
            yield_now().await;
        }
        let dump = camshaft::inspect::dump();
        let found = dump.tasks.iter().find(|found| found.id == Some(id(&task)));
        let found = found.expect("it is alive");
        assert_eq!((found.polls, found.wakes), (Some(3), Some(2)));
        assert!(found.since.is_some());
        let text = dump.to_string();
        assert!(text.contains(" ago (polls: 3, wakes: 2)"), "{text}");
        record::stop();
        let dump = camshaft::inspect::dump();
        assert!(
            dump.tasks
                .iter()
                .all(|task| task.since.is_none() && task.polls.is_none())
        );
    });
}
