//! The frame of a fiber, at the upper end of its stack, and the two switches: into it and out of it.
//!
//! ```text
//!   stack   [ guard │ … free … │ calls of the fiber │ root, closure │ frame ]
//!   thread  CURRENT ──> frame of the fiber that runs ──parent──> frame of the one that resumed it ──> … ──> null
//! ```
//!
//! Everything that a suspended fiber needs lies on its stack, whose first page is resident anyway; whoever owns the fiber
//! holds one pointer.
//!
//! Invariants:
//!
//! - **ONE THREAD**: a fiber is resumed and dropped on the thread that started it. A [`Core`] is not `Send`.
//! - **ON STACK**: a frame is valid from [`Core::start`] to the end of its [`Core`], and for ever if that is forgotten: then
//!   nobody frees or reuses the stack, and what was borrowed from it stays valid.
//! - **DONE FIRST**: a stack goes back to the pool only when its root function has returned, so that every destructor on it
//!   has run. Only `panic = "abort"`, where nothing can be unwound, leaves out the destructors; the stack is forgotten then.
//! - **RUNNING**: `waker` and `out` are valid while the fiber runs, that is, until [`Core::resume`] returns. A fiber cannot
//!   suspend inside of a poll (NOT IN POLL), so whoever sees them does so while it runs.
//! - **NOT IN POLL**: while a fiber polls a future, it is not suspended: `polling` is set, and everything that suspends
//!   refuses. Otherwise the context of that poll would outlive the call that lent it.

use std::any::Any;
use std::cell::Cell;
use std::io;
use std::mem::{ManuallyDrop, forget};
use std::num::NonZeroUsize;
use std::panic::{Location, resume_unwind};
use std::ptr::{self, NonNull};
use std::task::Waker;
use std::thread;

use corosensei::stack::StackPointer;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::arena::page_bytes;
#[cfg(feature = "inspect")]
use crate::look::{Listed, Waits};
use crate::pool;
use crate::stack::Stack;

thread_local! {
    /// The frame of the fiber that runs, or null. Without a destructor, so that a signal handler can look at it.
    static CURRENT: Cell<*const Frame> = const { Cell::new(ptr::null()) };
}

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// What unwinds a fiber that was dropped. It never leaves the crate.
pub(crate) struct Cancelled;

/// The switch itself.
type Switch = Coroutine<(), (), (), Region>;

/// Closures larger than this are boxed instead of being copied onto the stack: it has to fit below the frame.
const LARGEST_BODY: usize = 256;
const CACHE_LINE: usize = 64;
/// What corosensei keeps below the block, and touches at each switch: in one cache line with the beginning of the block.
pub(crate) const LINK: usize = 16;

/// What a fiber has besides its function.
#[derive(Debug)]
pub(crate) struct Birth {
    pub(crate) class: u8,
    pub(crate) name: Option<Box<str>>,
    /// Where it was made.
    pub(crate) origin: &'static Location<'static>,
}

/// What a fiber and those who run it tell each other: first what each switch touches.
#[repr(C)]
pub(crate) struct Frame {
    parent: Cell<*const Self>,
    yielder: Cell<*const Yielder<(), ()>>,
    /// The waker of the task that runs the fiber. Null in a generator, and while the fiber is unwound.
    waker: Cell<*const Waker>,
    /// Where the result goes, of whatever type.
    out: Cell<*mut ()>,
    pub(crate) polling: Cell<bool>,
    /// The fiber was dropped: it unwinds instead of waiting.
    cancelled: Cell<bool>,
    /// Its thread was unwinding when it was resumed, so `thread::panicking` says nothing about the fiber.
    outer_panic: Cell<bool>,
    pub(crate) is_generator: bool,
    /// What each wait leaves for those who look from outside: it fills the cache line.
    #[cfg(feature = "inspect")]
    pub(crate) waits: Waits,
    pub(crate) birth: Birth,
    stack: ManuallyDrop<Stack>,
    #[cfg(feature = "inspect")]
    pub(crate) listed: Listed,
}

/// What lies at the upper end of a stack.
#[repr(C)]
struct Block {
    switch: ManuallyDrop<Switch>,
    frame: Frame,
}

/// The part of a stack below the block.
struct Region {
    base: NonZeroUsize,
    limit: NonZeroUsize,
}

// SAFETY: GUARDED (see `crate::arena`): the page from `limit` on faults; between it and `base` there are more than 4096
// bytes, of a stack that nobody else uses.
unsafe impl corosensei::stack::Stack for Region {
    fn base(&self) -> StackPointer {
        self.base
    }

    fn limit(&self) -> StackPointer {
        self.limit
    }
}

/// A function that runs on a stack of its own, from its first resume to its end.
pub(crate) struct Core {
    block: NonNull<Block>,
}

impl Core {
    /// Prepares a stack on which `body` runs when it is resumed. The body must not unwind.
    pub(crate) fn start<F>(birth: Birth, is_generator: bool, body: F) -> io::Result<Self>
    where
        F: FnOnce(&Frame) + 'static,
    {
        let stack = pool::take(birth.class)?;
        if const { size_of::<F>() <= LARGEST_BODY } {
            Ok(Self::lay_out(stack, birth, is_generator, body))
        } else {
            let body = Box::new(body);
            let unboxed = move |frame: &Frame| (*body)(frame);
            Ok(Self::lay_out(stack, birth, is_generator, unboxed))
        }
    }

    #[inline]
    fn lay_out<F>(stack: Stack, birth: Birth, is_generator: bool, body: F) -> Self
    where
        F: FnOnce(&Frame) + 'static,
    {
        let address = ((stack.top() - size_of::<Block>()) & !(CACHE_LINE - 1)) - CACHE_LINE + LINK;
        let block = ptr::with_exposed_provenance_mut::<Block>(address);
        // SAFETY: an address within the stack, which is ours.
        let frame: *const Frame = unsafe { &raw const (*block).frame };
        let limit = stack.limit() - page_bytes();
        let region = Region {
            base: NonZeroUsize::new(address).expect("a stack is not at address zero"),
            limit: NonZeroUsize::new(limit).expect("a stack is not at address zero"),
        };
        #[cfg(camshaft_address)]
        sanitizer::forget(&stack);
        let root = move |yielder: &Yielder<(), ()>, ()| {
            // SAFETY: ON STACK.
            let frame = unsafe { &*frame };
            frame.yielder.set(yielder);
            body(frame);
        };
        // Small, and nothing of the stack below the block is used yet.
        let switch = Switch::with_stack(region, root);
        let frame = Frame {
            parent: Cell::new(ptr::null()),
            yielder: Cell::new(ptr::null()),
            waker: Cell::new(ptr::null()),
            out: Cell::new(ptr::null_mut()),
            polling: Cell::new(false),
            cancelled: Cell::new(false),
            outer_panic: Cell::new(false),
            is_generator,
            #[cfg(feature = "inspect")]
            waits: Waits::new(),
            birth,
            stack: ManuallyDrop::new(stack),
            #[cfg(feature = "inspect")]
            listed: Listed::new(),
        };
        let whole = Block {
            switch: ManuallyDrop::new(switch),
            frame,
        };
        // SAFETY: DISJOINT: this stack is ours, and at its upper end there is room for the block, aligned.
        unsafe { block.write(whole) };
        let core = Self {
            block: NonNull::new(block).expect("a stack is not at address zero"),
        };
        #[cfg(feature = "inspect")]
        core.frame().enlist();
        core
    }

    pub(crate) fn frame(&self) -> &Frame {
        // SAFETY: ON STACK. Only the other half of the block is ever borrowed mutably.
        unsafe { &(*self.block.as_ptr()).frame }
    }

    /// Runs the fiber until it suspends or ends; true if it has ended. Its result has gone to `out` then.
    #[inline]
    pub(crate) fn resume(&mut self, waker: Option<&Waker>, out: *mut ()) -> bool {
        let frame = self.frame();
        frame.waker.set(waker.map_or(ptr::null(), ptr::from_ref));
        frame.out.set(out);
        frame.outer_panic.set(thread::panicking());
        let frame = ptr::from_ref(frame);
        let parent = CURRENT.replace(frame);
        // SAFETY: ON STACK.
        unsafe { &*frame }.parent.set(parent);
        // SAFETY: ON STACK, and the fiber itself never touches this half of the block.
        let switch = unsafe { &mut (*self.block.as_ptr()).switch };
        let result = switch.resume(());
        CURRENT.set(parent);
        matches!(result, CoroutineResult::Return(()))
    }

    /// Has a suspended fiber run to its end, unwinding; its result, which may be [`Cancelled`], goes to `out`.
    ///
    /// False where nothing can be unwound, with `panic = "abort"`: then nothing was done.
    #[cold]
    pub(crate) fn cancel(&mut self, out: *mut ()) -> bool {
        // SAFETY: ON STACK, and the fiber does not run.
        let switch = unsafe { &(*self.block.as_ptr()).switch };
        if cfg!(panic = "abort") && switch.started() {
            return false;
        }
        self.frame().cancelled.set(true);
        let done = self.resume(None, out);
        debug_assert!(done, "a fiber that was cancelled does not suspend");
        true
    }

    /// Gives the stack back. The fiber has ended.
    #[inline]
    pub(crate) fn finish(self) {
        #[cfg(feature = "inspect")]
        self.frame().delist();
        // SAFETY: ON STACK; nothing refers to the block any more, and it is not used after this.
        let block = unsafe { self.block.read() };
        debug_assert!(block.switch.done());
        // The switch is not dropped: it has ended, so there is nothing left in it, and its drop would only look for that.
        let Frame { birth, stack, .. } = block.frame;
        drop(birth);
        pool::put(ManuallyDrop::into_inner(stack)); // DONE FIRST
        forget(self);
    }
}

impl Drop for Core {
    /// Only reached if a fiber is not to be unwound: its stack is forgotten (ON STACK).
    fn drop(&mut self) {}
}

#[cfg(camshaft_address)]
mod sanitizer {
    //! What AddressSanitizer is to know.

    use std::ffi::c_void;
    use std::ptr;

    use crate::stack::Stack;

    unsafe extern "C" {
        fn __asan_unpoison_memory_region(start: *const c_void, len: usize);
    }

    /// Has it forget what it knows of a stack that is used again. The first function on a stack never returns, so the marks
    /// around its locals stay, and lie within those of the next.
    pub(super) fn forget(stack: &Stack) {
        let start = ptr::with_exposed_provenance(stack.limit());
        // SAFETY: the stack is ours, and nothing runs on it.
        unsafe { __asan_unpoison_memory_region(start, stack.top() - stack.limit()) };
    }
}

/// The frame of the fiber that runs.
#[inline]
pub(crate) fn current<'a>() -> Option<&'a Frame> {
    // SAFETY: ON STACK: the fiber runs, so whoever has resumed it keeps its core. The lifetime ends with the call that is on
    // the fiber's stack: callers keep it in locals.
    unsafe { CURRENT.get().as_ref() }
}

/// Says again which fiber runs, after another one may have.
#[inline]
pub(crate) fn set_current(frame: &Frame) {
    CURRENT.set(frame);
}

impl Frame {
    /// The fiber that resumed this one, while it runs.
    #[inline]
    pub(crate) fn parent(&self) -> Option<&Self> {
        // SAFETY: ON STACK: whoever has resumed a fiber that runs, runs too.
        unsafe { self.parent.get().as_ref() }
    }

    /// The waker of the task, while it runs.
    #[inline]
    pub(crate) fn waker(&self) -> Option<&Waker> {
        // SAFETY: RUNNING.
        unsafe { self.waker.get().as_ref() }
    }

    /// Suspends this fiber, on whose behalf the caller runs.
    ///
    /// It is a part of whoever waits, and no call. A processor guesses where a call returns from the calls before it, and
    /// the last ones were those of whoever runs the other fibers; what is guessed wrong takes 13 ns, and nothing that comes
    /// after it is fetched meanwhile.
    #[inline(always)]
    pub(crate) fn switch_out(&self) {
        // SAFETY: the root has set it, and keeps it until it returns.
        let yielder = unsafe { &*self.yielder.get() };
        yielder.suspend(());
    }

    /// Where the result goes.
    pub(crate) fn out(&self) -> *mut () {
        self.out.get()
    }

    /// The fiber was dropped.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }

    /// The bytes of the stack that can be used.
    pub(crate) fn stack_bytes(&self) -> usize {
        self.stack.size()
    }

    /// Whether an address lies in the guard below the stack, or not further below it than a large frame may reach.
    pub(crate) fn guards(&self, address: usize) -> bool {
        let limit = self.stack.limit();
        (limit - page_bytes()..limit).contains(&address)
    }

    /// The address of the block that this is a part of.
    #[cfg(feature = "inspect")]
    pub(crate) fn block(&self) -> usize {
        ptr::from_ref(self).addr() - std::mem::offset_of!(Block, frame)
    }

    /// The addresses of the stack that can be used.
    #[cfg(feature = "inspect")]
    pub(crate) fn stack(&self) -> std::ops::Range<usize> {
        self.stack.limit()..self.stack.top()
    }

    /// How much of the stack lies between its end and an address on it.
    pub(crate) fn depth_of(&self, address: usize) -> usize {
        self.stack.top().saturating_sub(address)
    }

    /// Whether waiting is refused because the fiber unwinds.
    pub(crate) fn is_unwinding(&self) -> bool {
        // A fiber that was dropped has begun to unwind before it can ask.
        thread::panicking() && (self.cancelled.get() || !self.outer_panic.get())
    }

    /// Ends the fiber that was dropped, or what is left of it if somebody has caught the unwind before.
    #[cold]
    pub(crate) fn unwind(&self) -> ! {
        resume_unwind(Box::new(Cancelled));
    }
}
