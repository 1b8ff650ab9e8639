//! Fibers: tasks with a stack of their own, which wait in the middle of any function.
//!
//! ```
//! use camshaft::fiber;
//! use camshaft::time::{Duration, sleep};
//!
//! // Not async, and neither is what calls it.
//! fn blink(times: u32) -> u32 {
//!     (0..times).map(|_| { fiber::wait(sleep(Duration::from_millis(1))); 1 }).sum()
//! }
//!
//! camshaft::block_on(async {
//!     let left = fiber::spawn(|| blink(3));
//!     let right = fiber::spawn(|| blink(4));
//!     assert_eq!(left.await.unwrap() + right.await.unwrap(), 7);
//! });
//! ```
//!
//! A fiber is a task of the runtime like any other, with the same handle. It shares the ring, the timers and all channels
//! with tasks that are `async`; [`wait`] takes any future. What differs is where it keeps its state while it waits: on a
//! stack of 64 KiB of addresses, of which one page is memory as a rule, and not in a future that is as large as it needs
//! to be.
//!
//! | | `async fn` | fiber |
//! |---|---|---|
//! | waits in | functions that are `async`, all the way down | any function: callbacks, iterators, recursion, `Drop` |
//! | memory while it waits | what is alive across the await | a page of 4 KiB; more if calls are deep |
//! | resumed | through every future in between | in one switch, at whatever depth |
//! | borrows across a wait | checked by the compiler; `Send` too | as in a thread; see [below](#what-a-fiber-must-not-do) |
//! | cancelled | its future is dropped | its stack is unwound, and locks are poisoned |
//! | too deep a recursion | no limit, if boxed | ends the process, with a message |
//!
//! # I/O
//!
//! What takes owned buffers is waited for: `fiber::wait(stream.read(buf))`. For code that is written against `std::io`, and
//! for borrowed buffers, there is [`StdIo`], which says why that is sound.
//!
//! # What a fiber must not do
//!
//! - Hold a lock or a borrow while it waits that others on the thread need: a `RefCell` that is borrowed, a `std::sync`
//!   lock, the closure of `LocalKey::with` or `sync_scope`, of thread locals and task locals. The compiler does not warn
//!   here as it does for `.await`. To set a task local for a part of a fiber, run that part in a fiber of its own, as a
//!   future: `wait(KEY.scope(value, Fiber::new(|| ..)))`. A fiber that waits inside of a thread local's `with` must be
//!   over before the thread ends.
//! - Use more stack than it has. The page below each stack is guarded, and an overflow ends the process with a message that
//!   names the fiber. C code that was compiled without stack probes may step over the guard; give it room.
//! - Wait in a destructor that runs because the fiber unwinds: that panics, and a panic that leaves a destructor during an
//!   unwind makes Rust abort the process. [`can_wait`] asks.
//!
//! # Memory
//!
//! All stacks lie in one reserved range of addresses. Used stacks are used again, the last one first; the memory of those
//! that nobody needed for 200 ms goes back to the system when the runtime has nothing to do, or at once by [`trim`].
//! [`census`] counts them, and tells how deep they were used. Kernels before 6.13 have no lightweight guards, nor does
//! memory that is locked (`mlockall`), and then the sysctl `vm.max_map_count` allows about 32,000 stacks.

use camshaft_executor as executor;
pub use camshaft_stackful::{
    Census, Current, Fiber, Generator, Give, Guard, can_wait, census, current, trim, try_current,
    wait, yield_now,
};

pub use crate::compat::StdIo;
use crate::task::JoinHandle;

/// Spawns a function as a task with a stack of its own, of 64 KiB.
///
/// It starts at its turn, and may [`wait`]. Dropping the handle detaches it.
///
/// # Panics
///
/// Panics outside of a camshaft runtime. If there is no memory for a stack, the task panics.
///
/// # Cancellation
///
/// [`JoinHandle::abort`] unwinds the fiber's stack at its next turn; see [`Fiber`] for what follows from that.
///
/// # Examples
///
/// ```
/// use camshaft::fiber;
///
/// let answer = camshaft::block_on(async {
///     let task = camshaft::spawn(async { 40 });
///     fiber::spawn(|| fiber::wait(task).unwrap() + 2).await.unwrap()
/// });
/// assert_eq!(answer, 42);
/// ```
#[inline]
#[track_caller]
pub fn spawn<F, T>(function: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    executor::spawn(Fiber::new(function))
}

/// Spawns fibers with settings of their own.
///
/// # Examples
///
/// ```
/// use camshaft::fiber;
///
/// let name = camshaft::block_on(async {
///     let fiber = fiber::Builder::new().name("parser").stack_size(256 << 10);
///     fiber.spawn(|| fiber::current().name().map(str::to_owned)).await.unwrap()
/// });
/// assert_eq!(name.as_deref(), Some("parser"));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing unless `spawn` is called"]
pub struct Builder {
    stack: camshaft_stackful::Builder,
    task: Option<executor::Builder>,
}

impl Builder {
    /// Creates a builder of fibers without a name, with stacks of 64 KiB.
    pub fn new() -> Self {
        Self::default()
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
        self.stack = self.stack.stack_size(bytes);
        self
    }

    /// Names the fiber, and its task, for messages.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.stack = self.stack.name(name.clone());
        self.task = Some(executor::Builder::new().name(name));
        self
    }

    /// Spawns a function, as [`spawn`] does.
    ///
    /// # Panics
    ///
    /// Panics outside of a camshaft runtime.
    #[track_caller]
    pub fn spawn<F, T>(self, function: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        let fiber = self.stack.build(function);
        match self.task {
            Some(task) => task.spawn(fiber),
            None => executor::spawn(fiber),
        }
    }

    /// Makes a fiber that is not a task yet: await it, wait for it, or spawn it.
    #[track_caller]
    pub fn build<F, T>(self, function: F) -> Fiber<F, T>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        self.stack.build(function)
    }

    /// Makes a generator, as [`Generator::new`] does.
    ///
    /// # Panics
    ///
    /// Panics if there is no memory for a stack.
    #[track_caller]
    pub fn generator<T: 'static>(self, function: impl FnOnce(&Give<T>) + 'static) -> Generator<T> {
        self.stack.generator(function)
    }
}
