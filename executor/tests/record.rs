//! What a recording keeps of polls, whatever happens between two of them.

#![cfg(feature = "inspect")]

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use camshaft_executor::record::{self, Next, Plan, Poll, Settings, Snapshot, Stand, Step};
use camshaft_executor::{Executor, Id, ThreadPark, spawn, yield_now};

fn settings() -> Settings {
    Settings::new(1024, |_| Plan::default())
}

/// Settings that report every poll.
fn reporting(report: impl Fn(&Snapshot) + 'static) -> Settings {
    let mut settings = settings();
    settings.long = Some(Duration::ZERO);
    settings.report = Rc::new(report);
    settings
}

fn recorded(settings: Settings) -> Executor<ThreadPark> {
    let executor = Executor::new(ThreadPark::new());
    assert!(executor.start_recording(settings));
    executor
}

async fn yields(times: usize) {
    for _ in 0..times {
        yield_now().await;
    }
}

fn sits(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {}
}

fn of(snapshot: &Snapshot, task: Id) -> Vec<Poll> {
    let polls = snapshot.polls.iter();
    polls
        .filter(|poll| poll.task == Some(task))
        .copied()
        .collect()
}

#[test]
fn what_a_recording_calls_can_neither_begin_nor_end_one() {
    thread_local!(static ASKED: Cell<u32> = const { Cell::new(0) });
    let ask = || {
        assert!(!record::start(settings()));
        record::stop();
        ASKED.set(ASKED.get() + 1);
    };
    let executor = recorded(Settings::new(1024, |_| {
        assert!(!record::start(Settings::new(1, |_| Plan::default())));
        record::stop();
        ASKED.set(ASKED.get() + 1);
        Plan::default()
    }));
    executor.block_on(async { spawn(yields(1)).await.expect("it ends") });
    assert!(ASKED.replace(0) > 0);
    assert!(executor.start_recording(reporting(move |_| ask())));
    executor.block_on(async { spawn(yields(1)).await.expect("it ends") });
    assert!(ASKED.get() > 0);
    assert!(executor.recording().is_some());
}

#[test]
fn one_is_running_while_it_is_polled_and_nobody_else() {
    let running = || -> Vec<Option<Id>> {
        let snapshot = record::snapshot().expect("it is recorded");
        let tasks = snapshot.tasks.into_iter();
        tasks
            .filter(|task| task.running)
            .map(|task| task.task)
            .collect()
    };
    let between = Rc::new(RefCell::new(Vec::new()));
    let told = between.clone();
    let executor = recorded(reporting(move |snapshot| {
        if snapshot.polls.iter().all(|poll| poll.task.is_some()) {
            told.borrow_mut().push(running());
        }
    }));
    executor.block_on(async {
        let task = spawn(async move {
            yield_now().await;
            running()
        });
        let id = task.id();
        assert_eq!(running(), [None]);
        assert_eq!(task.await.expect("it ends"), [Some(id)]);
        yield_now().await;
        assert_eq!(running(), [None]);
    });
    assert_eq!(*between.borrow(), [[], []], "after the turns of the task");
}

/// Asks for a recording when it is dropped.
struct Asks(Rc<Cell<Option<bool>>>);

impl Drop for Asks {
    fn drop(&mut self) {
        self.0.set(Some(record::start(settings())));
    }
}

#[test]
fn settings_that_are_dropped_begin_no_recording() {
    let executor = Executor::new(ThreadPark::new());
    let answer = Rc::new(Cell::new(None));
    executor.block_on(async {
        let asks = Asks(answer.clone());
        assert!(record::start(reporting(move |_| {
            let _ = &asks;
        })));
        assert!(record::start(settings()));
        assert_eq!(answer.get(), Some(false));
        assert_eq!(record::settings().map(|settings| settings.long), Some(None));
    });
}

#[test]
fn a_recording_that_is_ended_in_a_poll_is_out_of_the_way_of_the_next() {
    let dropped = Rc::new(Cell::new(0));
    let count = dropped.clone();
    let executor = Executor::new(ThreadPark::new());
    executor.block_on(async {
        let neighbour = spawn(yields(400));
        let busy = spawn(async move {
            for round in 0..100 {
                let counted = Counts(count.clone());
                assert!(record::start(reporting(move |_| {
                    let _ = &counted;
                })));
                if round % 2 == 0 {
                    record::stop();
                    assert!(record::snapshot().is_none());
                    assert!(record::start(settings()));
                }
                yields(round % 3).await;
                let recording = record::snapshot().expect("it was started");
                assert!(recording.polls.len() < 12, "{recording:?}");
            }
            record::stop();
        });
        busy.await.expect("nothing fails in it");
        yields(2).await;
        assert_eq!(dropped.get(), 100, "all are gone");
        neighbour.await.expect("it ends");
    });
    assert!(executor.recording().is_none());
}

#[test]
fn whoever_ends_a_recording_may_end_in_the_same_poll() {
    let executor = recorded(settings());
    executor.block_on(async { record::stop() });
    assert!(executor.start_recording(settings()));
    let run = || {
        executor.block_on(async {
            record::stop();
            panic!("as meant");
        });
    };
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    assert!(executor.recording().is_none());
    // And a task that is dropped because it was aborted.
    let task = executor.spawn(async {
        let _stops = Stops;
        pending::<()>().await;
    });
    executor.block_on(yields(1));
    assert!(executor.start_recording(settings()));
    task.abort();
    executor.block_on(yields(3));
    assert!(executor.recording().is_none());
}

/// Ends the recording when it is dropped.
struct Stops;

impl Drop for Stops {
    fn drop(&mut self) {
        record::stop();
    }
}

thread_local! {
    static CLOSED: Cell<Option<&'static Executor<ThreadPark>>> = const { Cell::new(None) };
}

#[test]
fn a_task_whose_plan_closes_the_executor_is_not_polled() {
    let executor: &'static _ = Box::leak(Box::new(recorded(Settings::new(16, |_| {
        CLOSED.get().expect("it is set").close();
        Plan::default()
    }))));
    CLOSED.set(Some(executor));
    let polled = Rc::new(Cell::new(false));
    let (polls, owned) = (polled.clone(), vec![1, 2, 3]);
    let task = executor.spawn(async move {
        polls.set(!owned.is_empty());
    });
    executor.block_on(async {});
    assert!(!polled.get());
    assert!(task.is_finished());
    assert_eq!(executor.stats().tasks, 0);
}

#[test]
fn a_plan_for_larger_futures_is_not_used() {
    let executor = recorded(Settings::new(16, |_| {
        let step = Step {
            offset: 1 << 30,
            width: 8,
            base: 0,
            next: vec![Next::State(0)],
            otherwise: Next::State(1),
        };
        // SAFETY: it is used for no future, since none is that large.
        unsafe { Plan::new(2 << 30, &[step]) }.expect("the step is within")
    }));
    executor.block_on(async { spawn(yields(2)).await.expect("it ends") });
    let recording = executor.recording().expect("it is recorded");
    let known = |poll: &&Poll| matches!(poll.to, Stand::At(_));
    assert_eq!(recording.polls.iter().find(known), None);
}

#[test]
fn the_last_polls_are_kept_in_their_order_whatever_room_there_is() {
    for room in [1, 2, 3, 63, 64, 65, 200] {
        for exact in [false, true] {
            let mut settings = Settings::new(room, |_| Plan::default());
            settings.exact = exact;
            let executor = recorded(settings);
            let order = Rc::new(RefCell::new(Vec::new()));
            executor.block_on(async {
                for times in 1..30 {
                    let order = order.clone();
                    let task = spawn(async move {
                        for _ in 0..times {
                            order.borrow_mut().push(Some(camshaft_executor::id()));
                            yield_now().await;
                        }
                        order.borrow_mut().push(Some(camshaft_executor::id()));
                    });
                    drop(task);
                }
                for turn in 0..40 {
                    order.borrow_mut().push(None);
                    yield_now().await;
                    let seen = record::snapshot().expect("it is recorded");
                    assert_eq!(seen.polls.len(), room.min(order.borrow().len()), "{turn}");
                }
                order.borrow_mut().push(None);
            });
            let recording = executor.recording().expect("it is recorded");
            let told: Vec<_> = recording.polls.iter().map(|poll| poll.task).collect();
            let order = order.borrow();
            assert_eq!(recording.recorded, order.len() as u64);
            assert_eq!(told, order[order.len().saturating_sub(room)..], "{room}");
        }
    }
}

/// Counts its drops.
struct Counts(Rc<Cell<u32>>);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn panics_of_reports_and_plans_end_there() {
    let executor = recorded(reporting(|_| panic!("as meant")));
    executor.block_on(async { spawn(yields(1)).await.expect("it ends") });
    assert!(executor.start_recording(Settings::new(16, |_| panic!("as meant"))));
    executor.block_on(async { spawn(yields(1)).await.expect("it ends") });
    assert!(
        executor
            .recording()
            .is_some_and(|recording| recording.recorded > 2)
    );
}

#[test]
fn nothing_is_reported_while_a_panic_leaves_the_root_future() {
    let seen = Rc::new(Cell::new(0));
    let executor = recorded(reporting({
        let seen = seen.clone();
        move |_| seen.set(seen.get() + u32::from(std::thread::panicking()))
    }));
    let run = || executor.block_on(async { panic!("as meant") });
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    assert_eq!(seen.get(), 0);
    let recording = executor.recording().expect("it is recorded");
    assert_eq!(
        recording.polls.last().map(|poll| poll.to),
        Some(Stand::Panicked)
    );
}

#[test]
fn a_task_that_was_there_before_is_no_new_one_whoever_spawned_it() {
    let executor = Executor::new(ThreadPark::new());
    let handle = executor.handle();
    executor.block_on(async {
        let old = std::thread::spawn(move || {
            let old = handle.spawn(async { pending::<()>().await });
            (old, handle)
        });
        let (old, handle) = old.join().expect("it ends");
        yields(200).await;
        old.abort(); // it is polled again in the recording
        let here = spawn(yields(1000));
        assert!(record::start(settings()));
        yields(200).await;
        let remote = std::thread::spawn(move || {
            let (tell, told) = std::sync::mpsc::channel();
            let new = handle.spawn(async move { yields(3).await });
            tell.send(new.id()).expect("the other end is here");
            told.recv().expect("it was sent")
        });
        let new = remote.join().expect("it ends");
        yields(200).await;
        let recording = record::snapshot().expect("it is recorded");
        assert!(of(&recording, here.id()).iter().all(|poll| !poll.first));
        assert!(of(&recording, old.id()).iter().all(|poll| !poll.first));
        let firsts: Vec<_> = of(&recording, new).iter().map(|poll| poll.first).collect();
        assert_eq!(firsts, [true, false, false, false]);
    });
}

#[test]
fn a_slow_poll_among_fast_ones_is_told_as_one_of_them() {
    const SLOW: Duration = Duration::from_millis(64);
    let executor = recorded(settings());
    let slow = executor.block_on(async {
        for _ in 0..40 {
            drop(spawn(yields(10)));
        }
        let slow = spawn(async {
            yields(3).await;
            sits(SLOW);
            yield_now().await;
        });
        let id = slow.id();
        slow.await.expect("it ends");
        id
    });
    let recording = executor.recording().expect("it is recorded");
    let poll = of(&recording, slow)[3];
    assert!(poll.shared_took >= SLOW, "{poll:?}");
    let together: Vec<_> = recording
        .polls
        .iter()
        .filter(|other| other.shared_start == poll.shared_start)
        .collect();
    assert_eq!(together.len(), poll.shared as usize);
    let sum: Duration = together.iter().map(|poll| poll.took).sum();
    assert!(sum <= poll.shared_took);
    // The task had to wait for nothing but the others.
    let next = of(&recording, slow)[4];
    let waited = next.start - (poll.start + poll.took);
    assert_eq!(next.waited, Some(waited), "{poll:?} {next:?}");
    for other in &together {
        assert_eq!(other.shared_took, poll.shared_took);
        assert!((poll.shared_start..=poll.shared_start + poll.shared_took).contains(&other.start));
    }
}

#[test]
fn since_when_a_task_waits_is_not_before_its_last_poll() {
    const SLOW: Duration = Duration::from_millis(64);
    let executor = recorded(settings());
    let ended = Rc::new(Cell::new(None));
    let (ends, mut slow) = (ended.clone(), None);
    executor.block_on(async {
        for _ in 0..40 {
            drop(spawn(yields(10)));
        }
        let task = spawn(async move {
            yields(3).await;
            sits(SLOW);
            ends.set(Some(Instant::now()));
            pending::<()>().await;
        });
        slow = Some(task.id());
        yields(12).await;
    });
    let recording = executor.recording().expect("it is recorded");
    let ended = ended.get().expect("it ran").elapsed();
    let task = recording.tasks.iter().find(|task| task.task == slow);
    let since = task.and_then(|task| task.since).expect("it was polled");
    assert!(since <= ended, "{since:?} of {ended:?}");
}

#[test]
fn a_new_run_begins_with_a_poll_of_its_own_time() {
    let executor = recorded(settings());
    executor.block_on(yields(3000));
    for _ in 0..10 {
        drop(executor.spawn(yields(1)));
    }
    executor.block_on(yields(2));
    let recording = executor.recording().expect("it is recorded");
    let root = recording
        .polls
        .iter()
        .rposition(|poll| poll.waited.is_none() && poll.task.is_none());
    let tasks = root.expect("it was polled") - 10;
    assert_eq!(
        recording.polls[tasks].shared, 1,
        "{:?}",
        recording.polls[tasks]
    );
}

#[test]
fn polls_of_which_only_some_are_kept_share_what_all_took() {
    let executor = recorded(Settings::new(8, |_| Plan::default()));
    executor.block_on(async {
        for _ in 0..40 {
            drop(spawn(yields(5)));
        }
        yields(9).await;
    });
    let recording = executor.recording().expect("it is recorded");
    assert_eq!(recording.polls.len(), 8);
    for poll in &recording.polls {
        let end = poll.start + poll.took;
        assert!(poll.start >= poll.shared_start, "{poll:?}");
        assert!(end <= poll.shared_start + poll.shared_took, "{poll:?}");
        assert!(poll.took <= poll.shared_took / poll.shared + Duration::from_nanos(1));
    }
}

#[test]
fn more_than_can_be_kept_takes_no_memory_before_it_is_there() {
    let executor = recorded(Settings::new(1 << 28, |_| Plan::default()));
    executor.block_on(yields(100));
    assert_eq!(
        executor.recording().map(|recording| recording.recorded),
        Some(101)
    );
}
