//! What a runtime says about itself, and that what its signatures mention can be named.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use camshaft::buf::BufGuard;
use camshaft::net::{IntoStdError, ReuniteError, TcpStream};
use camshaft::runtime::{BackendReport, Rung};
use camshaft::task::{self, AccessError, TaskLocalFuture};
use camshaft::task_local;
use common::{alone, is_epoll, runtime};

task_local! {
    static NUMBER: u32;
}

fn scoped<F: Future>(future: F) -> TaskLocalFuture<u32, F> {
    NUMBER.scope(7, future)
}

#[test]
fn what_public_signatures_mention_can_be_named() {
    let _alone = alone();
    let runtime = runtime();
    let outside: Result<u32, AccessError> = NUMBER.try_with(|number| *number);
    assert!(outside.is_err());
    let (number, name) = runtime.block_on(async {
        let named = task::Builder::new()
            .name("seven")
            .spawn(async { task::try_name() });
        (scoped(async { NUMBER.with(|n| *n) }).await, named.await)
    });
    assert_eq!((number, name.unwrap().as_deref()), (7, Some("seven")));
    let report: &BackendReport = runtime.backend_report();
    let rung: Option<Rung> = report.chosen();
    assert_eq!(rung.is_some(), !is_epoll());
    // Those that need a socket are only named.
    let _: Option<(BufGuard, ReuniteError, IntoStdError<TcpStream>)> = None;
}

#[test]
fn a_refused_nested_run_does_not_take_the_time_of_the_outer_one() {
    let _alone = alone();
    let runtime = runtime();
    let span = Duration::from_millis(30);
    let inside = runtime.block_on(async {
        let begin = Instant::now();
        thread::sleep(span);
        catch_unwind(AssertUnwindSafe(|| runtime.block_on(async {}))).expect_err("it is refused");
        let inside = begin.elapsed();
        assert!(runtime.metrics().busy >= inside);
        thread::sleep(span);
        assert!(runtime.metrics().busy >= inside + span);
        begin.elapsed()
    });
    assert!(runtime.metrics().busy >= inside);
}
