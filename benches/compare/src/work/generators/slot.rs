//! A generator made of a future: what it gives lies in a cell, and the future is pending as long as it lies there.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Where values are handed over.
pub(super) struct Slot<T>(Cell<Option<T>>);

impl<T> Slot<T> {
    /// Gives a value, and waits until the next is wanted.
    #[inline]
    pub(super) fn give(&self, value: T) -> impl Future<Output = ()> {
        self.0.set(Some(value));
        let mut is_wanted = false;
        poll_fn(move |_| match std::mem::replace(&mut is_wanted, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
    }
}

/// The values of a future.
pub(super) struct Values<T, F: ?Sized> {
    slot: Rc<Slot<T>>,
    future: Pin<Box<F>>,
}

impl<T, F: Future<Output = ()>> Values<T, F> {
    pub(super) fn new(make: impl FnOnce(Rc<Slot<T>>) -> F) -> Self {
        let slot = Rc::new(Slot(Cell::new(None)));
        Self {
            future: Box::pin(make(slot.clone())),
            slot,
        }
    }
}

impl<T, F: Future<Output = ()> + ?Sized> Iterator for Values<T, F> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        let mut context = Context::from_waker(Waker::noop());
        match self.future.as_mut().poll(&mut context) {
            Poll::Pending => self.slot.0.take(),
            Poll::Ready(()) => None,
        }
    }
}
