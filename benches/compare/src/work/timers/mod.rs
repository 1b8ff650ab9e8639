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

/// A small generator: timers shall not be armed in the order in which they fire.
#[derive(Clone, Copy, Debug)]
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
