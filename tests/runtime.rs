//! What a runtime says about itself, and that what its signatures mention can be named.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use common::{alone, runtime};

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
