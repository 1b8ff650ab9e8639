//! Where a call comes from, and whether it may suspend there.

use std::task::Waker;
use std::thread;

use crate::frame::{Frame, current, set_current};

/// The fiber that runs, and the one whose task is asked to wait: another one if the first is a generator.
#[derive(Clone, Copy)]
pub(crate) struct Here<'a> {
    pub(crate) frame: &'a Frame,
    pub(crate) task: &'a Frame,
}

/// The fiber that waits if the fiber of this frame, which runs, asks for it: itself, or, for a generator, the one that
/// uses it. And whether a poll is under way on any stack from the one to the other.
#[inline]
fn task_of(frame: &Frame) -> Option<(&Frame, bool)> {
    let mut task = frame;
    let mut polling = frame.polling.get();
    while task.is_generator {
        task = task.parent()?;
        polling |= task.polling.get();
    }
    Some((task, polling))
}

/// [`wait`](crate::wait) could be called on the stack that runs.
pub(crate) fn can_wait() -> bool {
    let found = current().and_then(task_of);
    found.is_some_and(|(task, polling)| !polling && !task.is_unwinding())
}

impl Here<'_> {
    /// Where the caller is, if it may wait there.
    ///
    /// Panics otherwise, saying why. Unwinds if the fiber was dropped.
    #[inline]
    #[track_caller]
    pub(crate) fn enter(what: &str) -> Self {
        let Some(frame) = current() else {
            refuse(what, Refusal::Outside);
        };
        let Some((task, polling)) = task_of(frame) else {
            refuse(what, Refusal::Outside);
        };
        if polling {
            refuse(what, Refusal::InPoll);
        }
        enter(task, what);
        Self { frame, task }
    }

    /// The waker of the task.
    #[inline]
    pub(crate) fn waker(&self) -> &Waker {
        let waker = self.task.waker();
        waker.expect("a fiber that was not dropped is resumed with a waker")
    }

    /// Lets the task wait. Returns when it is polled again; unwinds if it is dropped.
    #[inline(always)]
    pub(crate) fn suspend(&self) {
        #[cfg(feature = "inspect")]
        self.task.waits.here();
        self.task.switch_out();
        set_current(self.frame);
        if self.task.is_cancelled() {
            self.task.unwind();
        }
    }
}

/// Refuses to suspend a fiber that unwinds; unwinds one again that was dropped.
#[inline]
#[track_caller]
pub(crate) fn enter(frame: &Frame, what: &str) {
    if frame.is_cancelled() || thread::panicking() {
        enter_unwinding(frame, what);
    }
}

#[cold]
#[track_caller]
fn enter_unwinding(frame: &Frame, what: &str) {
    if frame.is_unwinding() {
        refuse(what, Refusal::Unwinding);
    }
    if frame.is_cancelled() {
        frame.unwind();
    }
}

/// Why a fiber does not wait.
pub(crate) enum Refusal {
    Outside,
    InPoll,
    Unwinding,
}

#[cold]
#[track_caller]
pub(crate) fn refuse(what: &str, refusal: Refusal) -> ! {
    match refusal {
        Refusal::Outside => panic!(
            "camshaft: {what} was called outside of a fiber; call it in a function that fiber::spawn runs, or use .await \
             in a task"
        ),
        Refusal::InPoll => panic!(
            "camshaft: {what} was called inside of a future that is being polled on this fiber; use .await there"
        ),
        Refusal::Unwinding => panic!(
            "camshaft: {what} was called while the fiber unwinds, because it panicked or was dropped: probably in a \
             destructor, which must not wait then; ask fiber::can_wait() first"
        ),
    }
}
