//! The floor below the executors: a bare ready queue on one thread.
//!
//! A task is one `Rc` allocation with its future boxed inside; a wake is a plain flag and a push. Nothing is atomic, so
//! its wakers must never leave the thread, which no real runtime may assume: `Waker` is `Send`. It has no timers, no
//! sockets and no way to wait, catches no panic and owns no task beyond its wakers.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use crate::tasks::{Tasks, yield_by_wake};
use crate::workload::Workload;

/// The workloads that a bare queue can do.
pub(super) fn takes(workload: Workload) -> bool {
    matches!(
        workload,
        Workload::SpawnJoin
            | Workload::Yield1
            | Workload::Yield1000
            | Workload::PingPong
            | Workload::AwaitChain
    )
}

thread_local! {
    static READY: RefCell<VecDeque<Rc<Task>>> = const { RefCell::new(VecDeque::new()) };
}

struct Task {
    queued: Cell<bool>,
    future: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
}

impl Task {
    fn enqueue(self: &Rc<Self>) {
        if !self.queued.replace(true) {
            READY.with_borrow_mut(|ready| ready.push_back(Rc::clone(self)));
        }
    }

    fn poll(self: Rc<Self>) {
        self.queued.set(false);
        // SAFETY: VTABLE keeps the contract for pointers from `Rc::into_raw`; nothing here leaves the thread.
        let waker = unsafe { Waker::new(Rc::as_ptr(&self).cast(), &VTABLE) };
        // The waker borrows the count that `self` holds.
        let waker = ManuallyDrop::new(waker);
        let mut future = self.future.borrow_mut();
        let Some(running) = future.as_mut() else {
            return;
        };
        if running
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
        {
            *future = None;
        }
    }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |task| {
        // SAFETY: `task` came from `Rc::into_raw` and the waker that is cloned holds a count.
        unsafe { Rc::increment_strong_count(task.cast::<Task>()) };
        RawWaker::new(task, &VTABLE)
    },
    // SAFETY: the waker is consumed, and its count with it.
    |task| unsafe { Rc::from_raw(task.cast::<Task>()) }.enqueue(),
    // SAFETY: the waker lives on; its count is borrowed.
    |task| ManuallyDrop::new(unsafe { Rc::from_raw(task.cast::<Task>()) }).enqueue(),
    // SAFETY: the waker is consumed, and its count with it.
    |task| drop(unsafe { Rc::from_raw(task.cast::<Task>()) }),
);

/// A result and whoever waits for it.
struct Joint<T> {
    result: Cell<Option<T>>,
    waiter: Cell<Option<Waker>>,
}

struct Join<T>(Rc<Joint<T>>);

impl<T> Future for Join<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        if let Some(result) = self.0.result.take() {
            return Poll::Ready(result);
        }
        self.0.waiter.set(Some(context.waker().clone()));
        Poll::Pending
    }
}

pub(super) struct Queue;

impl Tasks for Queue {
    fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> io::Result<T> {
        let mut root = pin!(Self::spawn(future));
        while let Some(task) = READY.with_borrow_mut(VecDeque::pop_front) {
            task.poll();
        }
        match root.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Ok(result),
            Poll::Pending => Err(io::Error::other(
                "every task is parked and nothing can wake one",
            )),
        }
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let joint = Rc::new(Joint {
            result: Cell::new(None),
            waiter: Cell::new(None),
        });
        let theirs = Rc::clone(&joint);
        Self::detach(async move {
            theirs.result.set(Some(future.await));
            if let Some(waiter) = theirs.waiter.take() {
                waiter.wake();
            }
        });
        Join(joint)
    }

    fn detach(future: impl Future<Output = ()> + 'static) {
        Rc::new(Task {
            queued: Cell::new(false),
            future: RefCell::new(Some(Box::pin(future))),
        })
        .enqueue();
    }

    fn yield_now() -> impl Future<Output = ()> {
        yield_by_wake()
    }
}
