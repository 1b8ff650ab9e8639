//! Every operation of the crate, dropped at every stage: no descriptor stays open, every buffer is freed once and not written
//! to afterwards, and what was worked on is still of use, without a loss.
//!
//! The tests `cancel_*` look closer at single operations. This one is about all of them, and
//! [`scan::every_operation_has_a_row`] finds those that are missing.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/scratch.rs"]
mod scratch;

mod files;
mod lent;
mod others;
mod scan;
mod sockets;
mod streams;

use std::pin::Pin;
use std::process::Stdio;

use camshaft::process::Command;
use camshaft::runtime::Runtime;
use camshaft::signal::{SignalKind, signal};
use camshaft::task::yield_now;
use common::{alone, alone_at, fds, poll_once, runtime, small_runtime, tracked, turn, until};

/// Anything that goes on.
type Doing = Pin<Box<dyn Future<Output = ()>>>;

/// Something received.
type Receiving = Pin<Box<dyn Future<Output = Vec<u8>>>>;

/// What an operation works on.
struct Case {
    /// Begins the operation, and throws its output away.
    begin: Box<dyn Fn() -> Doing>,
    /// Has the other side do what the operation waits for.
    provoke: Box<dyn Fn()>,
    /// Checks that nothing was lost, and that the next operation works.
    check: Box<dyn FnOnce() -> Doing>,
}

/// The name of an operation in the sources, as [`scan`] finds it, and the object for it.
type Row = (&'static str, fn() -> Case);

/// Makes rows of operations on what `$make` sets up.
macro_rules! rows {
    ($make:ident: $($name:literal => |$it:ident| $body:expr;)+) => {
        vec![$((
            $name,
            (|| $make(|$it| Box::pin(async move { let _ = $body.await; }))) as fn() -> crate::Case,
        )),+]
    };
}
use rows;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Unpolled,
    BeforeSubmit,
    InFlight,
    CompletedUnpolled,
    Twice,
}

const STAGES: [Stage; 5] = [
    Stage::Unpolled,
    Stage::BeforeSubmit,
    Stage::InFlight,
    Stage::CompletedUnpolled,
    Stage::Twice,
];

/// All rows, when what the first use of some of them leaves for the process has been made.
fn all() -> Vec<Row> {
    let _alone = alone();
    runtime().block_on(async {
        Command::new("true").status().await.expect("a child");
        // Its end is waited for by a thread that has some descriptors as long as the process lives.
        let mut command = Command::new("cat");
        drop(command.stdin(Stdio::piped()).spawn().expect("a child"));
        drop(signal(SignalKind::user_defined2()).expect("a listener"));
    });
    [
        streams::rows(),
        sockets::rows(),
        files::rows(),
        others::rows(),
    ]
    .concat()
}

/// Begins, and drops at a stage. What is ready before that is not to be dropped any more.
async fn drop_at(stage: Stage, case: &Case) {
    let mut doing = (case.begin)();
    if stage == Stage::Unpolled || poll_once(doing.as_mut()).await.is_ready() {
        return;
    }
    if stage == Stage::BeforeSubmit {
        return;
    }
    turn().await;
    if stage == Stage::CompletedUnpolled {
        (case.provoke)();
        turn().await;
        turn().await;
    }
}

/// Checks, and waits until nothing is left: hangs if something stays.
fn finish(case: Case, before: usize, runtime: &Runtime) {
    runtime.block_on(async {
        (case.check)().await;
        drop((case.begin, case.provoke));
        // What was dropped may be in the kernel yet, or with a thread.
        until(|| tracked::live() == 0).await;
        until(|| runtime.metrics().ops_submitted == runtime.metrics().ops_completed).await;
    });
    settle(before);
}

/// As [`finish`], on a runtime of its own.
fn finish_elsewhere(case: Case, before: usize) {
    let runtime = runtime();
    finish(case, usize::MAX, &runtime);
    drop(runtime);
    settle(before);
}

/// Waits until no more descriptors are open than before.
fn settle(before: usize) {
    // A thread that resolved a name may have had some open when they were counted.
    while fds() > before {
        std::thread::yield_now();
    }
}

#[test]
fn dropped_at_every_stage() {
    let builds = [runtime, small_runtime].into_iter().cycle();
    for ((name, make), build) in all().into_iter().zip(builds) {
        for stage in STAGES {
            let _alone = alone_at(&format!("{name}, {stage:?}"));
            let before = fds();
            let runtime = build();
            let case = make();
            runtime.block_on(async {
                drop_at(stage, &case).await;
                if stage == Stage::Twice {
                    drop_at(stage, &case).await;
                }
            });
            // What is left is done on another runtime.
            drop(runtime);
            finish_elsewhere(case, before);
        }
    }
}

#[test]
fn dropped_and_used_again_on_the_same_runtime() {
    for (name, make) in all() {
        let _alone = alone_at(name);
        let runtime = runtime();
        let before = fds();
        for stage in STAGES {
            let case = make();
            runtime.block_on(async {
                drop_at(stage, &case).await;
                if stage == Stage::Twice {
                    drop_at(stage, &case).await;
                }
            });
            finish(case, before, &runtime);
        }
    }
}

#[test]
fn in_flight_at_teardown() {
    for (name, make) in all() {
        let _alone = alone_at(name);
        for turns in 0..2 {
            let before = fds();
            let runtime = runtime();
            let case = make();
            runtime.spawn((case.begin)());
            runtime.block_on(async {
                yield_now().await;
                for _ in 0..turns {
                    turn().await;
                }
            });
            drop(runtime);
            finish_elsewhere(case, before);
        }
    }
}

#[test]
fn dropped_after_its_runtime() {
    for (name, make) in all() {
        let _alone = alone_at(name);
        for provoked in [false, true] {
            let before = fds();
            let runtime = runtime();
            let case = make();
            let mut doing = (case.begin)();
            runtime.block_on(async {
                if poll_once(doing.as_mut()).await.is_pending() {
                    turn().await;
                    if provoked {
                        (case.provoke)();
                    }
                }
            });
            drop(runtime);
            drop(doing);
            finish_elsewhere(case, before);
        }
    }
}
