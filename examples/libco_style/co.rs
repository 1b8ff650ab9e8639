//! What programs in this manner call, on top of fibers.
//!
//! One thing differs: `co_resume` has the other coroutine run at its next turn and not at once, so no resume nests in another.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use camshaft::fiber::{self, Fiber};
use camshaft::io::AsyncFd;
use camshaft::task::JoinHandle;
use camshaft::time::timeout;

/// A coroutine. It runs when it is resumed for the first time.
pub(crate) struct Co {
    function: Cell<Option<Box<dyn FnOnce()>>>,
    resumed: Cell<bool>,
    waker: Cell<Option<Waker>>,
    task: Cell<Option<JoinHandle<()>>>,
}

camshaft::task_local! {
    static SELF: Rc<Co>;
}

pub(crate) fn co_create(function: impl FnOnce() + 'static) -> Rc<Co> {
    Rc::new(Co {
        function: Cell::new(Some(Box::new(function))),
        resumed: Cell::new(false),
        waker: Cell::new(None),
        task: Cell::new(None),
    })
}

/// Starts a coroutine, or ends its `co_yield`.
pub(crate) fn co_resume(co: &Rc<Co>) {
    if let Some(function) = co.function.take() {
        let task = camshaft::spawn(SELF.scope(co.clone(), Fiber::new(function)));
        co.task.set(Some(task));
        return;
    }
    co.resumed.set(true);
    if let Some(waker) = co.waker.take() {
        waker.wake();
    }
}

/// Waits until somebody resumes this coroutine, or the time is up; true if somebody has.
pub(crate) fn co_yield(limit: Duration) -> bool {
    let this = SELF.with(Rc::clone);
    let resumed = poll_fn(|cx| match this.resumed.take() {
        true => Poll::Ready(()),
        false => {
            this.waker.set(Some(cx.waker().clone()));
            Poll::Pending
        }
    });
    fiber::wait(timeout(limit, resumed)).is_ok()
}

/// Runs whatever is ready until these coroutines have ended.
pub(crate) async fn co_eventloop(coroutines: &[Rc<Co>]) -> Result<(), Box<dyn Error>> {
    for co in coroutines {
        if let Some(task) = co.task.take() {
            task.await?;
        }
    }
    Ok(())
}

/// A condition variable: who waits for it, the first first.
#[derive(Default)]
pub(crate) struct Cond(RefCell<VecDeque<Rc<Co>>>);

pub(crate) fn co_cond_signal(cond: &Cond) {
    let first = cond.0.borrow_mut().pop_front();
    first.iter().for_each(co_resume);
}

pub(crate) fn co_cond_timedwait(cond: &Cond, limit: Duration) -> bool {
    let this = SELF.with(Rc::clone);
    cond.0.borrow_mut().push_back(this.clone());
    let signalled = co_yield(limit);
    cond.0.borrow_mut().retain(|it| !Rc::ptr_eq(it, &this));
    signalled
}

/// Waits until there is something to read, or the time is up.
pub(crate) fn co_poll(fd: &AsyncFd<UnixStream>, limit: Duration) -> io::Result<bool> {
    match fiber::wait(timeout(limit, fd.readable())) {
        Ok(ready) => ready.map(|_| true),
        Err(_) => Ok(false),
    }
}
