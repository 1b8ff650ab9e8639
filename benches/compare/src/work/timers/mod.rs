//! Workload 12: timers. The structures alone first, then whole runtimes; what is cancelled, then what fires.

mod alarms;
mod structures;
mod timeouts;

use crate::experiment::Experiment;

pub(crate) const EXPERIMENTS: &[Experiment] = &[
    structures::CANCEL,
    structures::FIRE,
    timeouts::EXPERIMENT,
    alarms::EXPERIMENT,
];

const SECOND: u64 = 1_000_000_000;
