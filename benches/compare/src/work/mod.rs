//! The workloads. A module each, with its experiments, what is expected of them, and the code of every subject.

mod accept;
mod aio;
mod channels;
mod cores;
mod counters;
mod depth;
mod dns;
mod echo;
mod generators;
mod life;
mod load;
mod memory;
mod protocol;
mod runtimes;
mod switches;
mod timers;

use crate::experiment::Experiment;

/// All experiments in the order of the report.
pub(crate) fn all() -> Vec<Experiment> {
    [
        switches::EXPERIMENTS,
        life::EXPERIMENTS,
        memory::EXPERIMENTS,
        depth::EXPERIMENTS,
        accept::EXPERIMENTS,
        echo::EXPERIMENTS,
        aio::EXPERIMENTS,
        dns::EXPERIMENTS,
        load::EXPERIMENTS,
        channels::EXPERIMENTS,
        counters::EXPERIMENTS,
        cores::EXPERIMENTS,
        timers::EXPERIMENTS,
        generators::EXPERIMENTS,
        protocol::EXPERIMENTS,
        runtimes::EXPERIMENTS,
    ]
    .concat()
}
