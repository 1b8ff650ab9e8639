//! A fiber as a future: polling it resumes it.
//!
//! ```text
//!   waiting to start ── first poll: takes a stack ──> started ── its function returns or panics ──> over
//!        │ dropped: the closure is dropped               │ dropped: unwinds; the stack goes back
//! ```
//!
//! The future is small: before it is started it holds the closure, and then a pointer to the stack.

use std::fmt;
use std::marker::PhantomData;
use std::mem::{forget, replace};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use crate::frame::{Birth, Cancelled, Core, Frame, Payload};
use crate::stack::{class_of, size_of_class};

/// The size of a stack unless another is asked for.
pub(crate) const DEFAULT_CLASS: u8 = match class_of(64 << 10) {
    Some(class) => class,
    None => panic!("the default is one of the sizes"),
};

/// Makes fibers with settings of their own.
///
/// # Examples
///
/// ```
/// # use camshaft_executor::block_on;
/// use camshaft_stackful::Builder;
///
/// fn depth(n: u32) -> u32 {
///     if n == 0 { 0 } else { 1 + depth(std::hint::black_box(n - 1)) }
/// }
///
/// let deep = Builder::new().name("deep").stack_size(1 << 20).build(|| depth(3000));
/// assert_eq!(block_on(deep), 3000);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing unless `build` or `spawn` is called"]
pub struct Builder {
    class: u8,
    name: Option<Box<str>>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// Creates a builder of fibers without a name, with stacks of 64 KiB.
    pub const fn new() -> Self {
        Self {
            class: DEFAULT_CLASS,
            name: None,
        }
    }

    /// Sets the size of the stack in bytes, rounded up to a power of two and to 32 KiB at least.
    ///
    /// Memory is used by the page of 4 KiB, and only as far as calls have reached, so large stacks cost addresses more than
    /// memory.
    ///
    /// # Panics
    ///
    /// Panics if it is more than 1 GiB.
    #[track_caller]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        let Some(class) = class_of(bytes) else {
            panic!(
                "camshaft: a fiber's stack of {bytes} bytes was asked for; it may have 1 GiB at most"
            );
        };
        self.class = class;
        self
    }

    /// Names the fiber, for messages: that of an overflow, for example.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into().into_boxed_str());
        self
    }

    /// Makes a fiber, which runs when it is polled: await it, wait for it in another fiber, or spawn it.
    #[track_caller]
    pub fn build<F, T>(self, function: F) -> Fiber<F, T>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        Fiber {
            state: State::Waiting(self.birth(), function),
            output: PhantomData,
        }
    }

    #[track_caller]
    pub(crate) fn birth(self) -> Birth {
        Birth {
            class: self.class,
            name: self.name,
            origin: Location::caller(),
        }
    }
}

/// A function on a stack of its own, as a future: it may [`wait`](crate::wait), and the future is pending then.
///
/// It takes a stack when it is polled for the first time, and gives it back when the function has returned.
///
/// It stays on its thread:
///
/// ```compile_fail
/// let fiber = camshaft_stackful::Fiber::new(|| ());
/// std::thread::spawn(move || drop(fiber));
/// ```
///
/// The function is `'static`, because a future can be forgotten, and a stack with it; what its frames had promised to the
/// owner of a borrow, by a scope of threads for example, would never be kept:
///
/// ```compile_fail
/// let text = String::from("borrowed");
/// let fiber = camshaft_stackful::Fiber::new(|| println!("{text}"));
/// ```
///
/// # Panics
///
/// Polling it panics as its function does; if there is no memory for a stack; and after it is over.
///
/// # Cancellation
///
/// Dropping a fiber that waits unwinds its stack: every destructor on it runs, at once, on this thread, as after a panic,
/// but no message is printed. Three things follow from its being an unwind: `std::thread::panicking()` is true meanwhile,
/// so a `std::sync::Mutex` that the fiber has locked is poisoned; a destructor that panics makes Rust abort the process;
/// and a `catch_unwind` around a wait catches it, in vain, because the next wait unwinds again. With `panic = "abort"`
/// nothing can be unwound: the stack with all that is on it is leaked.
///
/// # Examples
///
/// ```
/// # use camshaft_executor::{block_on, yield_now};
/// use camshaft_stackful::{Fiber, wait};
///
/// let fiber = Fiber::new(|| {
///     wait(yield_now());
///     "done"
/// });
/// assert_eq!(block_on(fiber), "done");
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Fiber<F, T> {
    state: State<F>,
    output: PhantomData<fn() -> T>,
}

enum State<F> {
    Waiting(Birth, F),
    Started(Core),
    Over,
}

/// Whatever is pinned of it lies on its stack.
impl<F, T> Unpin for Fiber<F, T> {}

impl<F, T> Fiber<F, T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    /// Makes a fiber without a name and with a stack of 64 KiB. [`Builder`] makes others.
    #[track_caller]
    pub fn new(function: F) -> Self {
        Builder::new().build(function)
    }
}

/// What a function came to.
pub(crate) type Outcome<T> = Result<T, Payload>;

impl<F, T> Fiber<F, T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    /// Takes a stack.
    #[inline]
    fn start(&mut self) -> Option<&mut Core> {
        if let State::Waiting(..) = self.state
            && let State::Waiting(birth, function) = replace(&mut self.state, State::Over)
        {
            let body = move |frame: &Frame| {
                // Not through `catch_unwind`, which would copy both several times: either may be large, and the stack small.
                let mut function = Some(function);
                let ran = catch_unwind(AssertUnwindSafe(|| {
                    if let Some(function) = function.take() {
                        let output = function();
                        // SAFETY: the type is the same as below.
                        unsafe { leave(frame, Ok::<T, Payload>(output)) };
                    }
                }));
                if let Err(panic) = ran {
                    // SAFETY: the type is that of the place that `poll` and `cancel` have for a fiber with this output.
                    unsafe { leave::<T>(frame, Err(panic)) };
                }
            };
            self.state = State::Started(start(birth, false, body));
            #[cfg(feature = "inspect")]
            if let State::Started(core) = &self.state {
                core.frame().owned_by(core);
            }
        }
        match &mut self.state {
            State::Started(core) => Some(core),
            State::Waiting(..) | State::Over => None,
        }
    }
}

/// Leaves what a function came to with whoever has resumed its fiber.
///
/// # Safety
///
/// The place that they have made for it is an `Option<Outcome<T>>`.
#[inline]
unsafe fn leave<T>(frame: &Frame, outcome: Outcome<T>) {
    let out = frame.out().cast::<Option<Outcome<T>>>();
    // SAFETY: RUNNING (see `crate::frame`): they wait for this.
    unsafe { *out = Some(outcome) };
}

/// Starts a fiber; panics if there is no stack for it.
#[inline]
pub(crate) fn start<F: FnOnce(&Frame) + 'static>(
    birth: Birth,
    is_generator: bool,
    body: F,
) -> Core {
    let (class, origin) = (birth.class, birth.origin);
    match Core::start(birth, is_generator, body) {
        Ok(core) => core,
        Err(error) => panic_without_stack(class, origin, &error),
    }
}

#[cold]
fn panic_without_stack(class: u8, origin: &Location<'_>, error: &std::io::Error) -> ! {
    panic!(
        "camshaft: there is no stack of {} KiB for the fiber made at {origin}: {error}; run fewer fibers at once, raise the \
         memory limit, or on kernels before 6.13 the sysctl vm.max_map_count",
        size_of_class(class) >> 10
    );
}

impl<F, T> Future for Fiber<F, T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut outcome: Option<Outcome<T>> = None;
        let core = self
            .start()
            .expect("camshaft: a fiber was polled after it had ended");
        if !core.resume(Some(cx.waker()), (&raw mut outcome).cast()) {
            return Poll::Pending;
        }
        finish(&mut self.state);
        match outcome.expect("a fiber that has ended leaves its outcome") {
            Ok(output) => Poll::Ready(output),
            Err(panic) => resume_unwind(panic),
        }
    }
}

#[inline]
fn finish<F>(state: &mut State<F>) {
    if let State::Started(core) = replace(state, State::Over) {
        core.finish();
    }
}

impl<F, T> Drop for Fiber<F, T> {
    #[inline]
    fn drop(&mut self) {
        if let State::Started(_) = self.state {
            self.cancel();
        }
    }
}

impl<F, T> Fiber<F, T> {
    #[cold]
    fn cancel(&mut self) {
        let State::Started(core) = &mut self.state else {
            return;
        };
        let mut outcome: Option<Outcome<T>> = None;
        if core.cancel((&raw mut outcome).cast()) {
            finish(&mut self.state);
            settle(outcome);
        }
    }
}

/// Deals with what a fiber came to that nobody waits for.
pub(crate) fn settle<T>(outcome: Option<Outcome<T>>) {
    match outcome {
        Some(Err(panic)) if panic.is::<Cancelled>() => {}
        // It has been reported, and there is no way for it to go on.
        Some(Err(panic)) if thread::panicking() => forget(panic),
        Some(Err(panic)) => resume_unwind(panic),
        Some(Ok(output)) => drop(output),
        None => {}
    }
}

impl<F, T> fmt::Debug for Fiber<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Waiting(..) => "waiting to start",
            State::Started(_) => "started",
            State::Over => "over",
        };
        f.debug_struct("Fiber")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

const _: () = assert!(
    size_of::<Fiber<[u8; 0], ()>>() <= 40,
    "parked fibers are many"
);
