//! The loop: what is ready has its turn, what slept long enough is ready, and if nothing is, the driver waits.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Block, Fiber, State};
use crate::models::stacks::{Stack, Stacks};

thread_local! {
    /// The scheduler that runs, or null.
    static SCHEDULER: Cell<*const Scheduler> = const { Cell::new(ptr::null()) };
}

/// Turns after which events and deadlines are looked at even if there is more to do.
const TURNS: u32 = 128;

/// What the scheduler waits in.
pub(crate) trait Driver {
    /// Waits for events, this long at most, and unparks whom they are for.
    fn wait(&self, at_most: Option<Duration>) -> io::Result<()>;

    /// Whether events can come at all.
    fn expects(&self) -> bool;
}

/// A driver for fibers that wait for each other and for time only.
#[derive(Debug)]
pub(crate) struct Nothing;

impl Driver for Nothing {
    fn wait(&self, at_most: Option<Duration>) -> io::Result<()> {
        if let Some(time) = at_most {
            thread::sleep(time);
        }
        Ok(())
    }

    fn expects(&self) -> bool {
        false
    }
}

/// A deadline, and a number that tells apart those who share it.
type Key = (Instant, u64);

/// One scheduler; there is one a thread.
pub(super) struct Scheduler {
    current: Cell<*const Block>,
    ready: RefCell<VecDeque<NonNull<Block>>>,
    stacks: RefCell<Stacks>,
    sleepers: RefCell<BTreeMap<Key, Fiber>>,
    number: Cell<u64>,
    driver: Rc<dyn Driver>,
}

/// Calls with the scheduler of this thread.
#[inline]
pub(super) fn with<T>(call: impl FnOnce(&Scheduler) -> T) -> T {
    // SAFETY: `enter` keeps it there while it is borrowed.
    let scheduler = unsafe { SCHEDULER.get().as_ref() };
    call(scheduler.expect("native fibers work inside of `native::run` only"))
}

/// The block of the fiber that runs.
#[inline]
pub(super) fn current() -> NonNull<Block> {
    let current = with(|scheduler| scheduler.current.get());
    NonNull::new(current.cast_mut()).expect("called on the stack of a native fiber only")
}

/// Puts a stack back. Without a scheduler nobody will need it.
#[inline]
pub(super) fn put(stack: Stack) {
    if !SCHEDULER.get().is_null() {
        with(|scheduler| scheduler.stacks.borrow_mut().put(stack));
    }
}

impl Scheduler {
    pub(super) fn new(driver: Rc<dyn Driver>) -> Self {
        Self {
            current: Cell::new(ptr::null()),
            ready: RefCell::default(),
            stacks: RefCell::new(Stacks::new()),
            sleepers: RefCell::default(),
            number: Cell::new(0),
            driver,
        }
    }

    /// Makes this the scheduler of the thread during a call.
    pub(super) fn enter<T>(&self, call: impl FnOnce() -> T) -> T {
        struct Leave;
        impl Drop for Leave {
            fn drop(&mut self) {
                SCHEDULER.set(ptr::null());
            }
        }
        let outer = SCHEDULER.replace(self);
        assert!(outer.is_null(), "one scheduler a thread");
        let _leave = Leave;
        call()
    }

    #[inline]
    pub(super) fn push(&self, block: NonNull<Block>) {
        self.ready.borrow_mut().push_back(block);
    }

    #[inline]
    pub(super) fn take_stack(&self) -> io::Result<Stack> {
        self.stacks.borrow_mut().take()
    }

    /// Adds an entry to the tree of those who wait for a time.
    pub(super) fn fall_asleep(&self, deadline: Instant, fiber: Fiber) -> Key {
        let key = (deadline, self.number.get());
        self.number.set(key.1 + 1);
        self.sleepers.borrow_mut().insert(key, fiber);
        key
    }

    /// Removes an entry; false if its time had come.
    pub(super) fn wake_up(&self, key: &Key) -> bool {
        let removed = self.sleepers.borrow_mut().remove(key);
        removed.is_some()
    }

    /// Runs all fibers until one is over.
    pub(super) fn run(&self, main: &Fiber) -> io::Result<()> {
        loop {
            let mut left = TURNS;
            while left > 0 {
                let Some(block) = self.pop() else { break };
                self.turn(block);
                if main.is_over() {
                    return Ok(());
                }
                left -= 1;
            }
            self.look_around()?;
        }
    }

    #[inline]
    fn pop(&self) -> Option<NonNull<Block>> {
        self.ready.borrow_mut().pop_front()
    }

    #[inline]
    fn turn(&self, block: NonNull<Block>) {
        self.current.set(block.as_ptr());
        let fiber = std::mem::ManuallyDrop::new(Fiber { block });
        if fiber.resume() {
            self.end(&fiber);
        }
        self.current.set(ptr::null());
    }

    /// Has those know who wait for it, and takes away the fiber's own share of its block.
    #[inline]
    fn end(&self, fiber: &Fiber) {
        let block = fiber.block();
        block.state.set(State::Over);
        if let Some(joiner) = block.joiner.take() {
            joiner.unpark();
        }
        drop(Fiber { block: fiber.block });
    }

    /// Has everything become ready whose time or event has come, and waits for the next if there is nothing else to do.
    fn look_around(&self) -> io::Result<()> {
        let busy = !self.ready.borrow().is_empty();
        let first = self.sleepers.borrow().keys().next().map(|key| key.0);
        if self.driver.expects() || !busy {
            assert!(
                busy || first.is_some() || self.driver.expects(),
                "every fiber is parked, and nothing will unpark one"
            );
            let at_most = match first {
                _ if busy => Some(Duration::ZERO),
                Some(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
                None => None,
            };
            self.driver.wait(at_most)?;
        }
        if first.is_some() {
            self.expire(Instant::now());
        }
        Ok(())
    }

    fn expire(&self, now: Instant) {
        loop {
            let mut sleepers = self.sleepers.borrow_mut();
            let Some(entry) = sleepers.first_entry() else {
                return;
            };
            if entry.key().0 > now {
                return;
            }
            let fiber = entry.remove();
            drop(sleepers);
            fiber.unpark();
        }
    }
}
