//! Fibers under a plain scheduler of their own, without futures: what a stackful runtime is when nobody asks it to be a
//! stackless one as well.
//!
//! In the style of NtyCo, libco and libtask, from their descriptions: one scheduler a thread, with a queue of what is
//! ready, a tree of what sleeps (and of what waits with a timeout), and an event loop below. A fiber calls, and the call
//! returns when what it waits for has come.
//!
//! ```text
//!   spawn ──▶ ready ──turn──▶ runs ──yield_now──▶ ready
//!               ▲               ├─park, readable─▶ parked ──unpark, driver──┐
//!               │               ├─sleep, timeout─▶ parked, and in the tree ─┤
//!               │               └─returns───────▶ over                      │
//!               └───────────────────────────────────────────────────────────┘
//! ```
//!
//! - [`run`] makes a scheduler and runs a function on it, as a fiber like any other, until that returns.
//! - [`spawn`], [`yield_now`], [`park`], [`Fiber::unpark`], [`sleep`], [`Fiber::join`], [`Fiber::cancel`].
//! - [`Driver`] is what the scheduler waits in when nothing is ready; [`Epoll`] is one, and has descriptors waited for.
//!
//! Better than its models where a comparison with camshaft's fibers would otherwise be unfair to it: corosensei's switch
//! instead of ucontext, guarded stacks that are used again (see [`stacks`](super::stacks)), and a block of data that lies
//! on the stack beside what the switch touches anyway. Two switches a turn are left, out of a fiber and into the next,
//! because the scheduler runs in between; a switch from fiber to fiber is among the historic rows.
//!
//! What it has not: anything across threads, priorities, results of fibers (write them to something shared).
//!
//! Invariants:
//!
//! - **ON STACK**: a block is valid as long as it has owners: handles, and the fiber itself until it is over. A fiber that
//!   is not over when its scheduler ends is forgotten, with its stack.
//! - **DONE FIRST**: a stack goes back only after its function has returned.
//! - **RUNNING**: the scheduler outlives all calls on stacks of its fibers, because [`run`] returns after them.

mod epoll;
mod scheduler;

use std::cell::{Cell, UnsafeCell};
use std::io;
use std::mem::ManuallyDrop;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::time::{Duration, Instant};

use corosensei::stack::StackPointer;
use corosensei::{Coroutine, CoroutineResult, Yielder};

pub(crate) use self::epoll::{Epoll, Interest, Policy, Watched};
use self::scheduler::Scheduler;
pub(crate) use self::scheduler::{Driver, Nothing};
use super::stacks::{STRIDE, Stack};

/// What a panic carries.
pub(crate) type Payload = Box<dyn std::any::Any + Send>;

/// What unwinds a fiber that was cancelled.
struct Cancelled;

type Switch = Coroutine<(), (), (), Region>;

/// Where a fiber is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// In the queue.
    Ready,
    /// On the processor.
    Running,
    /// Waits for [`Fiber::unpark`].
    Parked,
    /// Its function has returned.
    Over,
}

/// What lies at the upper end of a stack.
#[repr(C)]
struct Block {
    switch: UnsafeCell<ManuallyDrop<Switch>>,
    yielder: Cell<*const Yielder<(), ()>>,
    state: Cell<State>,
    /// It was unparked before it parked.
    token: Cell<bool>,
    cancelled: Cell<bool>,
    owners: Cell<u32>,
    /// Who waits for its end.
    joiner: Cell<Option<Fiber>>,
    panic: Cell<Option<Payload>>,
    stack: ManuallyDrop<Stack>,
}

/// The part of a stack below the block.
struct Region {
    base: NonZeroUsize,
    limit: NonZeroUsize,
}

// SAFETY: the lower part of a stack that is guarded and nobody else's; the block takes less than a page of sixteen.
unsafe impl corosensei::stack::Stack for Region {
    fn base(&self) -> StackPointer {
        self.base
    }

    fn limit(&self) -> StackPointer {
        self.limit
    }
}

/// A handle of a fiber. Dropping it detaches the fiber.
pub(crate) struct Fiber {
    block: NonNull<Block>,
}

impl Fiber {
    /// Lays a fiber out on a stack. Its own share of it is not a handle: the scheduler gives it up.
    #[inline]
    fn lay_out(stack: Stack, function: impl FnOnce() + 'static) -> Self {
        let address = stack.upper_end(size_of::<Block>());
        let block = ptr::with_exposed_provenance_mut::<Block>(address);
        let not_zero = |address| NonZeroUsize::new(address).expect("a stack is not at address 0");
        let region = Region {
            base: not_zero(address),
            limit: not_zero(stack.top() - STRIDE),
        };
        let root = move |yielder: &Yielder<(), ()>, ()| {
            // SAFETY: ON STACK: the fiber is not over.
            let block = unsafe { &*block };
            block.yielder.set(yielder);
            if block.cancelled.get() {
                return;
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(function)) {
                block.panic.set(Some(panic));
            }
        };
        let whole = Block {
            switch: UnsafeCell::new(ManuallyDrop::new(Switch::with_stack(region, root))),
            yielder: Cell::new(ptr::null()),
            state: Cell::new(State::Ready),
            token: Cell::new(false),
            cancelled: Cell::new(false),
            owners: Cell::new(2),
            joiner: Cell::new(None),
            panic: Cell::new(None),
            stack: ManuallyDrop::new(stack),
        };
        // SAFETY: the stack is ours, and at its upper end there is room for the block, aligned.
        unsafe { block.write(whole) };
        Self {
            block: NonNull::new(block).expect("a stack is not at address 0"),
        }
    }

    #[inline]
    fn block(&self) -> &Block {
        // SAFETY: ON STACK.
        unsafe { self.block.as_ref() }
    }

    /// Runs it until it suspends; true if it is over.
    #[inline]
    fn resume(&self) -> bool {
        let block = self.block();
        block.state.set(State::Running);
        // SAFETY: only the scheduler resumes, one fiber at a time, so nothing else refers to this part of the block.
        let switch = unsafe { &mut *block.switch.get() };
        matches!(switch.resume(()), CoroutineResult::Return(()))
    }

    /// Has it go on if it is parked, or not park next time.
    ///
    /// # Panics
    ///
    /// Panics outside of [`run`].
    #[inline]
    pub(crate) fn unpark(&self) {
        let block = self.block();
        match block.state.get() {
            State::Parked => {
                block.state.set(State::Ready);
                scheduler::with(|scheduler| scheduler.push(self.block));
            }
            State::Ready | State::Running => block.token.set(true),
            State::Over => {}
        }
    }

    /// Whether its function has returned.
    pub(crate) fn is_over(&self) -> bool {
        self.block().state.get() == State::Over
    }

    /// Waits until it is over. Fails with its panic, or with what unwound it if it was cancelled while it waited.
    ///
    /// # Panics
    ///
    /// Panics outside of [`run`].
    #[inline]
    pub(crate) fn join(self) -> Result<(), Payload> {
        while !self.is_over() {
            self.block().joiner.set(Some(current()));
            park();
        }
        self.block().panic.take().map_or(Ok(()), Err)
    }

    /// Has it unwind at its next turn. One that has not begun is over without having done anything.
    ///
    /// # Panics
    ///
    /// Panics outside of [`run`].
    pub(crate) fn cancel(&self) {
        self.block().cancelled.set(true);
        self.unpark();
    }
}

impl Clone for Fiber {
    #[inline]
    fn clone(&self) -> Self {
        let owners = &self.block().owners;
        owners.set(owners.get() + 1);
        Self { block: self.block }
    }
}

impl Drop for Fiber {
    #[inline]
    fn drop(&mut self) {
        let owners = &self.block().owners;
        owners.set(owners.get() - 1);
        if owners.get() > 0 {
            return;
        }
        // SAFETY: the last owner. The fiber is over, for it owns itself until then (DONE FIRST).
        let block = unsafe { self.block.read() };
        // The switch is not dropped: it has ended, so there is nothing left in it.
        drop((block.joiner, block.panic));
        scheduler::put(ManuallyDrop::into_inner(block.stack));
    }
}

impl std::fmt::Debug for Fiber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fiber")
            .field("state", &self.block().state.get())
            .finish_non_exhaustive()
    }
}

/// Runs a function as the first fiber of a new scheduler, until it returns. Fibers that are not over then are forgotten.
///
/// # Panics
///
/// Panics as the function does, and inside of another `run`.
pub(crate) fn run<T: 'static>(
    driver: Rc<dyn Driver>,
    main: impl FnOnce() -> T + 'static,
) -> io::Result<T> {
    let result = Rc::new(Cell::new(None));
    let out = result.clone();
    let scheduler = Scheduler::new(driver);
    let main = scheduler.enter(|| {
        let main = spawn(move || out.set(Some(main())));
        scheduler.run(&main)?;
        let panic = main.block().panic.take();
        drop(main);
        Ok::<_, io::Error>(panic)
    })?;
    match main {
        Some(panic) => resume_unwind(panic),
        None => Ok(result.take().expect("the first fiber has returned")),
    }
}

/// Makes a fiber; it starts at its turn.
///
/// # Panics
///
/// Panics outside of [`run`], and if there is no memory for a stack.
#[inline]
pub(crate) fn spawn(function: impl FnOnce() + 'static) -> Fiber {
    scheduler::with(|scheduler| {
        let stack = scheduler.take_stack().expect("memory for a stack");
        let fiber = Fiber::lay_out(stack, function);
        scheduler.push(fiber.block);
        fiber
    })
}

/// The fiber that runs.
///
/// # Panics
///
/// Panics outside of a fiber.
#[inline]
pub(crate) fn current() -> Fiber {
    let handle = ManuallyDrop::new(Fiber {
        block: scheduler::current(),
    });
    Fiber::clone(&handle)
}

/// Lets all others that are ready have their turn first.
///
/// # Panics
///
/// Panics outside of a fiber.
#[inline(always)] // a return after a switch is guessed wrong
pub(crate) fn yield_now() {
    let block = scheduler::current();
    scheduler::with(|scheduler| scheduler.push(block));
    suspend(block, State::Ready);
}

/// Waits for [`Fiber::unpark`]. It may return for no reason.
///
/// # Panics
///
/// Panics outside of a fiber.
#[inline(always)] // a return after a switch is guessed wrong
pub(crate) fn park() {
    let block = scheduler::current();
    // SAFETY: ON STACK: it runs.
    if !unsafe { block.as_ref() }.token.replace(false) {
        suspend(block, State::Parked);
    }
}

/// Waits for [`Fiber::unpark`] until a deadline; true if it came before that.
///
/// # Panics
///
/// Panics outside of a fiber.
pub(crate) fn park_until(deadline: Instant) -> bool {
    let fiber = current();
    let key = scheduler::with(|scheduler| scheduler.fall_asleep(deadline, fiber));
    // Whoever is cancelled meanwhile has its entry removed all the same.
    struct Entry((Instant, u64));
    impl Entry {
        fn remove(&self) -> bool {
            scheduler::with(|scheduler| scheduler.wake_up(&self.0))
        }
    }
    impl Drop for Entry {
        fn drop(&mut self) {
            self.remove();
        }
    }
    let entry = Entry(key);
    park();
    entry.remove()
}

/// Waits for a time.
///
/// # Panics
///
/// Panics outside of a fiber.
pub(crate) fn sleep(time: Duration) {
    let deadline = Instant::now() + time;
    while park_until(deadline) {}
}

/// Switches to the scheduler, in this state.
#[inline(always)] // a return after a switch is guessed wrong
fn suspend(block: NonNull<Block>, state: State) {
    // SAFETY: ON STACK: it runs.
    let block = unsafe { block.as_ref() };
    if !block.cancelled.get() {
        block.state.set(state);
        // SAFETY: its root has set it, and keeps it until the function has returned.
        let yielder = unsafe { &*block.yielder.get() };
        yielder.suspend(());
    }
    if block.cancelled.get() {
        resume_unwind(Box::new(Cancelled));
    }
}

#[cfg(test)]
mod tests;
