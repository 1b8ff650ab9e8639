//! Workloads as functions on fibers of our executor, which wait for the same futures as tasks.

pub(crate) use super::task::Flag;
use crate::experiment::Outcome;
use crate::measure::Sample;
pub(crate) use crate::models::channel::{Receiver, Sender, channel, select};
use crate::models::room;

/// Runs a workload on a fiber of a new runtime.
pub(crate) fn run(work: impl FnOnce() -> Sample + 'static) -> anyhow::Result<Outcome> {
    let runtime = camshaft::runtime::Builder::new().build()?;
    Ok(runtime
        .block_on(async { camshaft::fiber::spawn(work).await })?
        .into())
}

/// As [`run`], for a workload of so many fibers at once; it is skipped where there is no memory for them.
pub(crate) fn run_crowd(
    count: u64,
    work: impl FnOnce() -> Sample + 'static,
) -> anyhow::Result<Outcome> {
    match room::lacks(count, room::STACK) {
        Some(lacks) => Ok(lacks),
        None => run(work),
    }
}

macro_rules! wait_in_fiber {
    ($operation:expr) => {
        camshaft::fiber::wait($operation)
    };
}
macro_rules! call_in_fiber {
    ($function:ident($($argument:expr),*)) => {
        $function($($argument),*)
    };
}
macro_rules! start_in_fiber {
    ($function:ident($($argument:expr),*)) => {
        drop(camshaft::fiber::spawn(move || $function($($argument),*)))
    };
}
macro_rules! sleep_in_fiber {
    ($time:expr) => {
        camshaft::time::sleep($time)
    };
}
macro_rules! give_way_in_fiber {
    () => {
        camshaft::fiber::yield_now()
    };
}
pub(crate) use {
    call_in_fiber as call, give_way_in_fiber as give_way, sleep_in_fiber as sleep,
    start_in_fiber as start, wait_in_fiber as wait,
};
