//! What the tests share: a park that traces, a gate to wait at, and futures that tell when they are dropped.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test uses its part"
)]

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Wake, Waker};

use camshaft_executor::{Executor, Idle, Park, ThreadPark, Unpark};

/// What a [`Tracing`] park calls when it is idle.
pub type ParkHook = Box<dyn FnMut(&Idle<'_>)>;

/// A park that counts what the executor does, runs a hook when it is idle, and never waits in vain: an idle executor
/// that nothing can wake is a failed test and not a hang.
#[derive(Default)]
pub struct Tracing {
    pub ticks: Cell<usize>,
    pub parks: Cell<usize>,
    pub on_park: RefCell<Option<ParkHook>>,
    pub on_tick: RefCell<Option<Box<dyn FnMut()>>>,
}

struct Nothing;

impl Unpark for Nothing {
    fn unpark(&self) {}
}

impl Park for Tracing {
    fn tick(&self) {
        self.ticks.set(self.ticks.get() + 1);
        if let Some(hook) = self.on_tick.borrow_mut().as_mut() {
            hook();
        }
    }

    fn park(&self, idle: &Idle<'_>) {
        self.parks.set(self.parks.get() + 1);
        assert!(
            self.parks.get() < 1_000_000,
            "nothing is ready and nothing will be"
        );
        if let Some(hook) = self.on_park.borrow_mut().as_mut() {
            hook(idle);
        }
    }

    fn unparker(&self) -> Arc<dyn Unpark> {
        Arc::new(Nothing)
    }
}

pub fn tracing() -> Executor<Tracing> {
    Executor::new(Tracing::default())
}

pub fn threaded() -> Executor<ThreadPark> {
    Executor::new(ThreadPark::new())
}

/// A place where one task waits until it is opened. Its waker can be had.
#[derive(Clone, Default)]
pub struct Gate(Rc<GateState>);

#[derive(Default)]
struct GateState {
    open: Cell<bool>,
    polls: Cell<usize>,
    waker: RefCell<Option<Waker>>,
}

impl Gate {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn open(&self) {
        self.0.open.set(true);
        self.wake();
    }

    pub fn wake(&self) {
        let waker = self.0.waker.borrow().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub fn waker(&self) -> Waker {
        self.0
            .waker
            .borrow()
            .clone()
            .expect("somebody waits at the gate")
    }

    pub fn polls(&self) -> usize {
        self.0.polls.get()
    }

    pub async fn pass(&self) {
        let state = Rc::clone(&self.0);
        poll_fn(move |cx| {
            state.polls.set(state.polls.get() + 1);
            if state.open.get() {
                return Poll::Ready(());
            }
            *state.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Counts how often it is dropped, and where.
#[derive(Clone, Default)]
pub struct Drops(Arc<AtomicUsize>);

impl Drops {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// A token that counts its drop and insists on the thread that made it.
    pub fn token(&self) -> Token {
        Token {
            drops: Arc::clone(&self.0),
            home: std::thread::current().id(),
        }
    }
}

pub struct Token {
    drops: Arc<AtomicUsize>,
    home: std::thread::ThreadId,
}

impl Drop for Token {
    fn drop(&mut self) {
        assert_eq!(
            self.home,
            std::thread::current().id(),
            "dropped on a foreign thread"
        );
        self.drops.fetch_add(1, Ordering::SeqCst);
    }
}

/// A waker that is not the executor's.
#[derive(Default)]
pub struct Foreign(pub AtomicUsize);

impl Wake for Foreign {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Panics when it is dropped.
pub struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("bomb");
    }
}
