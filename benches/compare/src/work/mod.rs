//! The workloads. A module each, with its experiments, what is expected of them, and the code of every subject.

mod accept;
mod aio;
mod channels;
mod cores;
mod counters;
mod dns;
mod depth;
mod echo;
mod generators;
mod life;
mod load;
mod runtimes;
mod memory;
mod switches;
mod timers;

use crate::experiment::Experiment;

/// All experiments in the order of the report.
pub(crate) fn all() -> Vec<Experiment> {
    [
        switches::EXPERIMENTS,
        life::EXPERIMENTS,
        accept::EXPERIMENTS,
        memory::EXPERIMENTS,
        depth::EXPERIMENTS,
        generators::EXPERIMENTS,
        echo::EXPERIMENTS,
        aio::EXPERIMENTS,
        dns::EXPERIMENTS,
        load::EXPERIMENTS,
        channels::EXPERIMENTS,
        counters::EXPERIMENTS,
        cores::EXPERIMENTS,
        timers::EXPERIMENTS,
        runtimes::EXPERIMENTS,
    ]
    .concat()
}
