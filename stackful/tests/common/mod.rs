//! What the tests share: things that tell when they are dropped, and a gate to wait at.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test uses its part"
)]

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::process::{Command, Output};
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Counts what is dropped.
#[derive(Clone, Default)]
pub struct Drops(Rc<Cell<usize>>);

pub struct Token(Drops);

impl Drops {
    pub fn count(&self) -> usize {
        self.0.get()
    }

    pub fn token(&self) -> Token {
        Token(self.clone())
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.0.set(self.0.count() + 1);
    }
}

/// Calls a function when it is dropped.
pub struct OnDrop<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A place where one task waits until it is opened.
#[derive(Clone, Default)]
pub struct Gate {
    open: Rc<Cell<bool>>,
    waker: Rc<RefCell<Option<Waker>>>,
}

impl Gate {
    pub fn open(&self) {
        self.open.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub async fn pass(&self) {
        poll_fn(|cx| {
            if self.open.get() {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// The text that a panic carries.
pub fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no text")
}

const CHILD: &str = "CAMSHAFT_TEST_CHILD";

/// Whether this process was started by [`in_child`].
pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs a test of this program in a process of its own. The test does nothing otherwise.
pub fn in_child(test: &str) -> Output {
    let program = std::env::current_exe().expect("the test program has a path");
    Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .env("RUST_BACKTRACE", "full")
        .output()
        .expect("the test program starts")
}
