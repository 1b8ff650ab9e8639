//! What a runtime says about itself, and that what its signatures mention can be named.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use common::{alone, runtime};

#[test]
fn a_refused_nested_run_does_not_take_the_time_of_the_outer_one() {
    let _alone = alone();
    let runtime = runtime();
    let span = Duration::from_millis(30);
    runtime.block_on(async {
        thread::sleep(span);
        catch_unwind(AssertUnwindSafe(|| runtime.block_on(async {}))).expect_err("it is refused");
        assert!(runtime.metrics().busy >= span, "{:?}", runtime.metrics());
        thread::sleep(span);
    });
    let metrics = runtime.metrics();
    assert!(metrics.busy >= 2 * span, "{metrics:?}");
}
