//! Workloads on threads of the operating system, with the standard library's channels.

pub(crate) use super::fiber::call;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use camshaft_probe::sys;

use crate::experiment::Outcome;
use crate::measure::Sample;
use crate::models::stacks;

/// Runs a workload on threads that may use every core.
pub(crate) fn run(work: impl FnOnce() -> Sample) -> anyhow::Result<Outcome> {
    sys::unpin();
    Ok(work().into())
}

/// Runs a workload on threads that share the core of this process.
pub(crate) fn run_on_one_core(work: impl FnOnce() -> Sample) -> anyhow::Result<Outcome> {
    Ok(work().into())
}

/// Makes a bounded channel.
pub(crate) fn channel<T>(room: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::sync_channel(room);
    (Sender(sender), Receiver(receiver))
}

/// The end that sends.
#[derive(Clone, Debug)]
pub(crate) struct Sender<T>(mpsc::SyncSender<T>);

impl<T> Sender<T> {
    /// Blocks until there is room, and sends; `false` if nobody will receive it.
    pub(crate) fn send(&self, item: T) -> bool {
        self.0.send(item).is_ok()
    }
}

/// The end that receives.
#[derive(Debug)]
pub(crate) struct Receiver<T>(mpsc::Receiver<T>);

impl<T> Receiver<T> {
    /// Blocks until there is an item; `None` if none will come any more.
    pub(crate) fn receive(&self) -> Option<T> {
        self.0.recv().ok()
    }
}

/// Something that all can see to be over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flag(Arc<AtomicBool>);

impl Flag {
    /// Raises it.
    pub(crate) fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is raised.
    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Starts a thread that nobody joins, with as little memory as a thread needs here.
pub(crate) fn detach(work: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(stacks::SIZE).spawn(work);
    thread.expect("the system has room for another thread");
}

macro_rules! wait_in_thread {
    ($operation:expr) => {
        $operation
    };
}
macro_rules! start_in_thread {
    ($function:ident($($argument:expr),*)) => {
        detach(move || $function($($argument),*))
    };
}
macro_rules! sleep_in_thread {
    ($time:expr) => {
        std::thread::sleep($time)
    };
}
macro_rules! give_way_in_thread {
    () => {
        std::thread::yield_now()
    };
}
pub(crate) use {
    give_way_in_thread as give_way, sleep_in_thread as sleep, start_in_thread as start,
    wait_in_thread as wait,
};
