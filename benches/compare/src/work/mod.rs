//! The workloads. A module each, with its experiments, what is expected of them, and the code of every subject.

/// Makes subjects: how they are driven, and then a model, a name and a server each.
macro_rules! rows {
    ($drive:ident: $($model:ident $name:literal $server:ident $(up to $last:literal: $why:literal)?,)*) => {
        &[$(Subject::new($name, Model::$model, |setting| $drive(setting, servers::$server))
            $(.up_to($last, $why))?),*]
    };
}

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
    let mut all = [
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
    .concat();
    all.sort_by_key(|experiment| experiment.workload);
    all
}
