//! Workloads as functions on fibers without futures: the channel's core is the same, and a fiber itself is what is woken.

use std::rc::Rc;

pub(crate) use super::fiber::call;
pub(crate) use super::task::Flag;
pub(crate) use super::thread::wait;
use crate::experiment::Outcome;
use crate::measure::Sample;
use crate::models::channel::{self, Wake};
use crate::models::native::{self, Fiber};
use crate::models::room;

pub(crate) type Sender<T> = channel::Sender<T, Fiber>;
pub(crate) type Receiver<T> = channel::Receiver<T, Fiber>;

impl Wake for Fiber {
    fn wake(self) {
        self.unpark();
    }
}

/// Makes a bounded channel.
pub(crate) fn channel<T>(room: usize) -> (Sender<T>, Receiver<T>) {
    channel::channel(room)
}

impl<T> Sender<T> {
    /// Waits for room and sends; `false` if nobody will receive it.
    pub(crate) fn send(&self, mut item: T) -> bool {
        loop {
            match self.try_send(item, native::current) {
                Ok(sent) => return sent,
                Err((back, _)) => item = back,
            }
            native::park();
        }
    }
}

impl<T> Receiver<T> {
    /// Waits for an item; `None` if none will come any more.
    pub(crate) fn receive(&self) -> Option<T> {
        loop {
            if let Some(item) = self.try_receive(native::current) {
                return item;
            }
            native::park();
        }
    }
}

/// Waits for an item of any of these; `None` if all have ended.
pub(crate) fn select<T>(receivers: &[Receiver<T>], turn: &mut usize) -> Option<T> {
    loop {
        if let Some(item) = channel::try_select(receivers, turn, native::current) {
            return item;
        }
        native::park();
    }
}

/// Runs a workload on a fiber of a new scheduler.
pub(crate) fn run(work: impl FnOnce() -> Sample + 'static) -> anyhow::Result<Outcome> {
    Ok(native::run(Rc::new(native::Nothing), work)?.into())
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

macro_rules! start_in_native {
    ($function:ident($($argument:expr),*)) => {
        drop(crate::models::native::spawn(move || $function($($argument),*)))
    };
}
macro_rules! sleep_in_native {
    ($time:expr) => {
        crate::models::native::sleep($time)
    };
}
macro_rules! give_way_in_native {
    () => {
        crate::models::native::yield_now()
    };
}
pub(crate) use {
    give_way_in_native as give_way, sleep_in_native as sleep, start_in_native as start,
};
