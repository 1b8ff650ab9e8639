//! An experiment for the tests of the report: everything that a report must be able to show, in little.

use crate::experiment::{
    Axis, Claim, Expectation, Experiment, Model, Outcome, Scale, Setting, Subject,
};
use crate::measure::{Metric, Sample};
use crate::report::section::Section;
use crate::results::{Machine, Results, without_runs};

/// The experiment. Tasks cost 10 and grow; fibers cost 20 and don't, so they cross between 100 and 1000.
pub(crate) const EXPERIMENT: Experiment = Experiment {
    name: "switch",
    workload: 1,
    title: "A switch & its price",
    question: "What does it cost?",
    operation: "a switch",
    axis: Axis {
        label: "live tasks",
        smoke: &[1, 100],
        quick: &[1, 100, 1000, 10_000],
        full: &[1, 100, 1000, 10_000],
    },
    metric: Metric::Wall,
    also: &[Metric::Cpu, Metric::Allocations],
    expectations: &[
        Expectation {
            text: "A fiber costs twice as much.",
            claim: Claim::Ratio {
                of: "fiber",
                to: "task",
                at: Some(1),
                least: 1.5,
                most: 2.5,
                metric: Metric::Wall,
            },
        },
        Expectation {
            text: "It is never cheaper.",
            claim: Claim::Ratio {
                of: "fiber",
                to: "task",
                at: None,
                least: 1.0,
                most: 9.0,
                metric: Metric::Wall,
            },
        },
        Expectation {
            text: "They cross.",
            claim: Claim::Crosses {
                left: "task",
                right: "fiber",
                from: 100,
                to: 1000,
            },
        },
        Expectation {
            text: "Threads are slow.",
            claim: Claim::Ratio {
                of: "threads",
                to: "task",
                at: Some(10_000),
                least: 10.0,
                most: 1e6,
                metric: Metric::Wall,
            },
        },
    ],
    control: "task",
    subjects: &[
        Subject::new("loop", Model::Floor, nothing),
        Subject::new("task", Model::Task, nothing),
        Subject::new("boxed task", Model::Task, nothing),
        Subject::new("fiber", Model::Fiber, nothing),
        Subject::new("threads", Model::Thread, nothing),
    ],
};

fn nothing(_: Setting) -> anyhow::Result<Outcome> {
    Ok(Outcome::Skipped("a fixture".into()))
}

/// Results of so many rounds.
pub(crate) fn results(rounds: u32) -> Results {
    let mut results = Results {
        machine: Machine {
            unix_time: 1_700_000_000,
            kernel: "6.18".into(),
            cpu: "2 × A <fast> one".into(),
            memory: "24 GiB".into(),
            load_average: "0.1".into(),
            backend: "a ring".into(),
            versions: vec!["camshaft 0.1.0".into()],
        },
        scale: Scale::Quick,
        rounds,
        seed: 1,
        interrupted: false,
        format: crate::results::FORMAT,
        experiments: without_runs(&[EXPERIMENT]),
    };
    for (row, _) in EXPERIMENT.rows() {
        for &at in EXPERIMENT.axis.quick {
            let runs = results.runs_mut("switch", &row, at);
            for round in 0..rounds {
                runs.take(outcome(&row, at, round));
            }
        }
    }
    results
}

fn outcome(row: &str, at: u64, round: u32) -> Outcome {
    let grown = (at as f64).powf(0.15);
    let wall = match row {
        "loop" => 2.0,
        "task" => 10.0 * grown,
        "boxed task" => 12.0 * grown,
        "fiber" => 20.0 + at as f64 / 1e5,
        "threads" if at > 100 => return Outcome::Skipped("no room for <stacks>".into()),
        "threads" => 4000.0,
        _ => 10.02 * grown,
    };
    let wall = wall * (1.0 + f64::from(round) / 500.0);
    let sample = Sample::of(1000);
    sample
        .with(Metric::Wall, wall)
        .with(Metric::Cpu, wall * 0.9)
        .into()
}

/// The same as a section.
pub(crate) fn section(rounds: u32) -> Section {
    Section::new(
        EXPERIMENT,
        &results(rounds).experiments["switch"],
        Scale::Quick,
    )
}
