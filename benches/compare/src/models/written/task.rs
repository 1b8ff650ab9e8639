//! Workloads as `async fn`, on any runtime.

pub(crate) use crate::models::channel::{Receiver, Sender, channel, select};
use std::cell::Cell;
use std::rc::Rc;

/// Something that all can see to be over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flag(Rc<Cell<bool>>);

impl Flag {
    /// Raises it.
    pub(crate) fn raise(&self) {
        self.0.set(true);
    }

    /// Whether it is raised.
    pub(crate) fn is_raised(&self) -> bool {
        self.0.get()
    }
}

macro_rules! wait_in_task {
    ($operation:expr) => {
        $operation.await
    };
}
macro_rules! call_in_task {
    ($function:ident($($argument:expr),*)) => {
        $function::<R>($($argument),*).await
    };
}
macro_rules! start_in_task {
    ($function:ident($($argument:expr),*)) => {
        R::detach($function::<R>($($argument),*))
    };
}
macro_rules! sleep_in_task {
    ($time:expr) => {
        R::sleep($time)
    };
}
macro_rules! give_way_in_task {
    () => {
        R::yield_now().await
    };
}
pub(crate) use {
    call_in_task as call, give_way_in_task as give_way, sleep_in_task as sleep,
    start_in_task as start, wait_in_task as wait,
};
