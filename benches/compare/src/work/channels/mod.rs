//! Workload 9: communicating over channels, all on one thread, with threads and goroutines beside.
//!
//! The channel of tasks and fibers is [one and the same](crate::models::channel), and so are the workloads: see
//! `in_models!`. Threads use the standard library's bounded channel, goroutines their own.

mod fan_in;
mod ping_pong;
mod pipeline;
mod sieve;
mod skynet;

use crate::experiment::Experiment;

pub(crate) const EXPERIMENTS: &[Experiment] = &[
    ping_pong::EXPERIMENT,
    pipeline::EXPERIMENT,
    sieve::EXPERIMENT,
    skynet::EXPERIMENT,
    fan_in::EXPERIMENT,
];
