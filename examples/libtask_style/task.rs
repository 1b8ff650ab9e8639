//! What programs in this manner call, on top of fibers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use camshaft::fiber;
use camshaft::time::sleep;

/// Starts a task with a stack of so many bytes.
pub(crate) fn taskcreate(stack: usize, task: impl FnOnce() + 'static) {
    drop(fiber::Builder::new().stack_size(stack).spawn(task));
}

/// Lets the other tasks run.
pub(crate) fn taskyield() {
    fiber::yield_now();
}

pub(crate) fn taskdelay(ms: u64) {
    fiber::wait(sleep(Duration::from_millis(ms)));
}

/// A channel: who sends waits while it is full, who receives waits while it is empty.
pub(crate) struct Chan<T> {
    items: RefCell<VecDeque<T>>,
    room: usize,
    waiting: RefCell<Vec<Waker>>,
}

impl<T> Chan<T> {
    pub(crate) fn create(room: usize) -> Rc<Self> {
        let (items, waiting) = Default::default();
        Rc::new(Self {
            items,
            room,
            waiting,
        })
    }

    pub(crate) fn send(&self, item: T) {
        let mut item = Some(item);
        self.change(|items| {
            let there_is_room = items.len() < self.room;
            there_is_room.then(|| items.extend(item.take()))
        });
    }

    pub(crate) fn recv(&self) -> T {
        self.change(VecDeque::pop_front)
    }

    /// Waits until a change can be made, makes it, and lets all others look again.
    fn change<R>(&self, mut try_it: impl FnMut(&mut VecDeque<T>) -> Option<R>) -> R {
        let made = fiber::wait(poll_fn(|cx| match try_it(&mut self.items.borrow_mut()) {
            Some(made) => Poll::Ready(made),
            None => {
                self.waiting.borrow_mut().push(cx.waker().clone());
                Poll::Pending
            }
        }));
        self.waiting.take().into_iter().for_each(Waker::wake);
        made
    }
}
