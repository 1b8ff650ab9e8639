//! Workloads as functions on the stackful coroutines of may, with one worker, and its channels, which have no bound.

pub(crate) use super::thread::{Flag, wait};

use anyhow::anyhow;
use may::sync::mpsc;

use crate::experiment::Outcome;
use crate::measure::Sample;

/// Runs a workload in a coroutine.
pub(crate) fn run(work: impl FnOnce() -> Sample + Send + 'static) -> anyhow::Result<Outcome> {
    may::config().set_workers(1);
    let sample = spawn(work).join();
    Ok(sample.map_err(|_| anyhow!("the workload panicked"))?.into())
}

/// Starts a coroutine.
pub(crate) fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> may::coroutine::JoinHandle<T> {
    // SAFETY: no workload keeps a reference to a thread local across a wait, and none needs more than the default stack.
    unsafe { may::coroutine::spawn(work) }
}

/// Makes a channel, which has room for any number of items.
pub(crate) fn channel<T>(_: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel();
    (Sender(sender), Receiver(receiver))
}

/// The end that sends.
#[derive(Clone, Debug)]
pub(crate) struct Sender<T>(mpsc::Sender<T>);

impl<T> Sender<T> {
    /// Sends; `false` if nobody will receive it.
    pub(crate) fn send(&self, item: T) -> bool {
        self.0.send(item).is_ok()
    }
}

/// The end that receives.
#[derive(Debug)]
pub(crate) struct Receiver<T>(mpsc::Receiver<T>);

impl<T> Receiver<T> {
    /// Waits for an item; `None` if none will come any more.
    pub(crate) fn receive(&self) -> Option<T> {
        self.0.recv().ok()
    }
}

macro_rules! start_in_may {
    ($function:ident($($argument:expr),*)) => {
        drop(crate::models::written::may::spawn(move || $function($($argument),*)))
    };
}
macro_rules! sleep_in_may {
    ($time:expr) => {
        ::may::coroutine::sleep($time)
    };
}
macro_rules! give_way_in_may {
    () => {
        ::may::coroutine::yield_now()
    };
}
pub(crate) use {give_way_in_may as give_way, sleep_in_may as sleep, start_in_may as start};
