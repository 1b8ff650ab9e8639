//! What a run measures, and what it leaves out, seen from outside.

use std::process::{Command, Output};

use serde_json::Value;

/// Makes one run at the scale of smoke, as the plan does.
fn run(experiment: &str, row: &str, at: u64) -> Output {
    Command::new(env!("CARGO_BIN_EXE_camshaft-compare"))
        .args(["__run", experiment, row, &at.to_string(), "smoke"])
        .output()
        .expect("the comparison can be started")
}

/// The sample of a run.
fn sample(experiment: &str, row: &str, at: u64) -> Value {
    let output = run(experiment, row, at);
    let outcome: Value = serde_json::from_slice(&output.stdout).expect("a run prints its outcome");
    outcome
        .get("sample")
        .unwrap_or_else(|| panic!("{experiment}, {row}: {outcome}"))
        .clone()
}

fn number(of: &Value) -> f64 {
    of.as_f64().expect("it is a number")
}

#[test]
fn no_thread_starts_within_the_window() {
    for (experiment, threads) in [("ping_pong", 200), ("runtimes_yield", 100)] {
        let sample = sample(experiment, "threads, one core", 100);
        let allocations = number(&sample["values"]["allocations"]) * number(&sample["ops"]);
        // Each start takes some; what a thread allocates when it waits for the first time in its life is less.
        assert!(
            allocations < f64::from(threads),
            "{experiment}: {allocations} allocations within the window"
        );
    }
}

#[test]
fn a_pipeline_is_measured_by_full_channels() {
    let (stages, room) = (100, 1024);
    for row in ["tasks", "fibers", "native fibers"] {
        let hops = sample("pipeline", row, room)["ops"]
            .as_u64()
            .expect("hops are counted");
        let turn = (stages + 1) * room;
        assert!(
            hops.is_multiple_of(turn) && hops >= 8 * turn,
            "{row}: {hops} hops are no whole channels"
        );
    }
}
