//! What is called inside of a fiber: waiting, giving way, asking who one is.

use std::cell::Cell;
use std::fmt;
use std::future::IntoFuture;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use crate::frame;
use crate::here::{self, Here, Refusal};

/// Waits until a future is ready, and returns its output. The fiber's task waits; other tasks run.
///
/// The future is polled on the fiber's stack with the waker of its task, so whatever works in a task works here: sockets,
/// sleeps, channels, other tasks' handles. It need not be `'static` and may borrow what lies on the stack. If it is ready at
/// once the fiber is not suspended.
///
/// In a generator, the fiber that uses the generator waits.
///
/// # Panics
///
/// With a message that says what to do instead: outside of a fiber; inside of a future that is itself polled by `wait` (use
/// `.await` there); and while the fiber unwinds, because it panicked or was dropped. A destructor that may run then asks
/// [`can_wait`] first: a panic that leaves a destructor while its thread unwinds makes Rust abort the process, which nobody
/// can prevent.
///
/// And with the panic of the future itself.
///
/// # Cancellation
///
/// If the fiber is aborted, or dropped, while it waits, `wait` does not return: it unwinds the stack, and the future is
/// dropped on the way. So what is true of dropping that future is true here.
///
/// # Examples
///
/// ```
/// use camshaft_executor::{block_on, spawn};
/// use camshaft_stackful::{Fiber, wait};
///
/// let sum = block_on(Fiber::new(|| {
///     let task = spawn(async { 40 });
///     wait(task).unwrap() + 2
/// }));
/// assert_eq!(sum, 42);
/// ```
// Always: if it were a call, the processor would guess its return wrong after each switch (see `Frame::switch_out`).
#[inline(always)]
#[track_caller]
pub fn wait<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let here = Here::enter("fiber::wait");
    loop {
        if let Poll::Ready(output) = poll(&here, future.as_mut()) {
            return output;
        }
        #[cfg(feature = "inspect")]
        let place = crate::look::place(&*future);
        #[cfg(feature = "inspect")]
        let _awaiting = here.task.waits.begin(&place);
        here.suspend();
    }
}

#[inline]
fn poll<F: Future>(here: &Here<'_>, future: Pin<&mut F>) -> Poll<F::Output> {
    let _polling = Polling::begin(&here.frame.polling);
    future.poll(&mut Context::from_waker(here.waker()))
}

/// A future is being polled, until this is dropped (NOT IN POLL, see [`crate::frame`]).
struct Polling<'a>(&'a Cell<bool>);

impl<'a> Polling<'a> {
    fn begin(flag: &'a Cell<bool>) -> Self {
        flag.set(true);
        Self(flag)
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Lets every other ready task run before the calling fiber goes on.
///
/// # Panics
///
/// As [`wait`].
///
/// # Cancellation
///
/// As [`wait`].
///
/// # Examples
///
/// ```
/// # use camshaft_executor::block_on;
/// use camshaft_stackful::{Fiber, yield_now};
///
/// block_on(Fiber::new(|| {
///     for _ in 0..3 {
///         yield_now();
///     }
/// }));
/// ```
// Always: as `wait`.
#[inline(always)]
#[track_caller]
pub fn yield_now() {
    let here = Here::enter("fiber::yield_now");
    here.waker().wake_by_ref();
    here.suspend();
}

/// Whether [`wait`] may be called here: in a fiber, which does not unwind, and outside of any poll on it.
///
/// For destructors that would rather wait, to send a last message for example, and do without if they cannot.
///
/// # Examples
///
/// ```
/// # use camshaft_executor::block_on;
/// use camshaft_stackful::{Fiber, can_wait};
///
/// assert!(!can_wait());
/// assert!(block_on(Fiber::new(can_wait)));
/// ```
#[must_use]
pub fn can_wait() -> bool {
    here::can_wait()
}

/// Returns what is known of the fiber that runs.
///
/// # Panics
///
/// Panics outside of a fiber; [`try_current`] asks first.
///
/// # Examples
///
/// ```
/// # use camshaft_executor::block_on;
/// use camshaft_stackful::{Builder, current};
///
/// let name = block_on(Builder::new().name("sorter").build(|| current().name().map(str::to_owned)));
/// assert_eq!(name.as_deref(), Some("sorter"));
/// ```
#[must_use]
#[track_caller]
pub fn current() -> Current {
    match try_current() {
        Some(current) => current,
        None => here::refuse("fiber::current", Refusal::Outside),
    }
}

/// Returns what is known of the fiber that runs, if one does. In a generator that is the generator.
#[must_use]
pub fn try_current() -> Option<Current> {
    let frame = frame::current()?;
    let here = 0_u8;
    Some(Current {
        name: frame.birth.name.clone(),
        origin: frame.birth.origin,
        stack_size: frame.stack_bytes(),
        stack_used: frame.depth_of((&raw const here).addr()),
    })
}

/// What is known of a fiber. See [`current`].
#[derive(Clone)]
pub struct Current {
    name: Option<Box<str>>,
    origin: &'static Location<'static>,
    stack_size: usize,
    stack_used: usize,
}

impl Current {
    /// The name that [`Builder::name`](crate::Builder::name) gave it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where it was made, in the source.
    #[must_use]
    pub fn origin(&self) -> &'static Location<'static> {
        self.origin
    }

    /// The bytes of its stack.
    #[must_use]
    pub fn stack_size(&self) -> usize {
        self.stack_size
    }

    /// How many bytes of its stack were used when [`current`] was called.
    #[must_use]
    pub fn stack_used(&self) -> usize {
        self.stack_used
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current")
            .field("name", &self.name)
            .field("origin", &format_args!("{}", self.origin))
            .field("stack_size", &self.stack_size)
            .field("stack_used", &self.stack_used)
            .finish()
    }
}
