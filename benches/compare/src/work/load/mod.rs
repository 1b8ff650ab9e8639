//! Workload 8: which model for which load. Waiting can be shared by all on one thread; computing can't.

mod sleeps;
mod sums;

use crate::experiment::Experiment;

pub(crate) const EXPERIMENTS: &[Experiment] = &[sleeps::EXPERIMENT, sums::EXPERIMENT];
