//! The executor: the loop that polls what is ready, and the end of everything.
//!
//! ```text
//!   loop   fork? → inbox, mail → ≤ 64 polls → more ready ? tick : park
//! ```
//!
//! The root future has a slot of its own, without a body: it is polled where it stands, in the frame of `block_on`, in
//! its turn among the tasks.
//!
//! Invariants: HOME, ONE ENTRY (see [`crate::header`]), ONE OWNER (see [`crate::bundle`]), PHASES (see [`crate::mailbox`]), and
//!
//! - **LAST MAIL**: whoever asks from afar to be told of a task's end looks at the state again after it has asked, and
//!   `block_on` looks at the mail again after its last poll, a fence between the two on either side: one of them sees the
//!   other. Otherwise a joiner would wait for the next `block_on` although the task has ended.

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::pin::{Pin, pin};
use std::ptr;
use std::sync::atomic::{Ordering, fence};
use std::task::{Context, Poll};

use crate::builder::Plain;
use crate::bundle::{Home, set_current};
use crate::header::{Header, run, state};
use crate::join::JoinHandle;
use crate::park::{Idle, Park};
use crate::waker::waker_of;
use crate::{Handle, blocking, coop, fork, quietly};

/// Polls between two ticks.
pub(crate) const BATCH: u32 = 64;

/// A single-threaded executor: a ready queue, the tasks in it, and a way to sleep.
///
/// It owns its tasks. They run only inside of [`block_on`](Self::block_on), in the order in which they were woken, and
/// live on between calls. Dropping the executor drops every future that is left, on this thread.
///
/// The executor stays on the thread that made it:
///
/// ```compile_fail
/// use camshaft_executor::{Executor, ThreadPark};
/// let executor = Executor::new(ThreadPark::new());
/// std::thread::spawn(move || drop(executor));
/// ```
///
/// # Examples
///
/// ```
/// use camshaft_executor::{Executor, ThreadPark, spawn};
///
/// let executor = Executor::new(ThreadPark::new());
/// let total = executor.block_on(async {
///     let one = spawn(async { 1 });
///     let two = spawn(async { 2 });
///     one.await.unwrap() + two.await.unwrap()
/// });
/// assert_eq!(total, 3);
/// ```
pub struct Executor<P: Park> {
    home: Home,
    epoch: u64,
    name: Option<Box<str>>,
    park: ManuallyDrop<P>,
    not_send: PhantomData<*const ()>,
}

/// Counters of an executor since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Tasks that are alive now.
    pub tasks: u64,
    /// Turns taken by tasks and by root futures: polls, and drops of aborted futures.
    pub polls: u64,
    /// Wakes on the home thread that made a task ready.
    pub wakes_local: u64,
    /// Wakes from elsewhere that made a task ready.
    pub wakes_remote: u64,
}

impl Stats {
    pub(crate) fn of(home: Home) -> Self {
        let tasks = home.tasks.get();
        let polls = (home.ring.popped() - home.popped_before.get()) as u64;
        #[cfg(feature = "inspect")]
        let (tasks, polls) = (
            tasks.saturating_sub(home.background.get()),
            polls.saturating_sub(home.background_turns.get()),
        );
        Self {
            tasks,
            polls,
            wakes_local: home.wakes_local.get(),
            wakes_remote: home.wakes_remote.get(),
        }
    }
}

impl<P: Park> Executor<P> {
    /// Creates an executor that sleeps by means of `park`.
    pub fn new(park: P) -> Self {
        Self::build(park, None)
    }

    /// Creates an executor with a name, which its panics mention.
    pub fn with_name(park: P, name: impl Into<String>) -> Self {
        Self::build(park, Some(name.into().into_boxed_str()))
    }

    fn build(park: P, name: Option<Box<str>>) -> Self {
        fork::watch();
        let unparker = park.unparker();
        let home = Home::adopt();
        home.bundle().set_unparker(Some(unparker));
        let epoch = home.open_mailbox();
        let park = ManuallyDrop::new(park);
        Self {
            home,
            epoch,
            name,
            park,
            not_send: PhantomData,
        }
    }

    /// Returns what the executor sleeps by.
    pub fn park(&self) -> &P {
        &self.park
    }

    /// Returns the name of the executor.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns a handle that spawns from any thread.
    pub fn handle(&self) -> Handle {
        Handle::new(self.home.bundle(), self.epoch)
    }

    #[cfg(feature = "inspect")]
    pub(crate) fn home(&self) -> Home {
        self.home
    }

    /// Returns the counters.
    pub fn stats(&self) -> Stats {
        Stats::of(self.home)
    }

    /// Spawns a task, inside or outside of [`block_on`](Self::block_on). It runs when `block_on` does.
    ///
    /// A closed executor refuses: the future is dropped and the handle resolves to cancelled.
    ///
    /// # Panics
    ///
    /// Panics in a process that was forked since the executor was made.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        JoinHandle::spawn(self.home, Plain(future))
    }

    /// Runs `future` and the tasks until the future is done. The tasks that are left stay for the next call.
    ///
    /// The future may borrow, and is polled in its turn among the tasks, first come, first served.
    ///
    /// # Panics
    ///
    /// Panics when the thread is already running a camshaft runtime, or in a process that was forked since the executor
    /// was made. A panic of the future, or of the [`Park`], passes through; the executor can be used again.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.run(future, ())
    }

    /// As [`block_on`](Self::block_on). The guard is dropped before the future.
    #[inline]
    #[track_caller]
    pub(crate) fn run<F: Future, G>(&self, future: F, guard: G) -> F::Output {
        let _entered = Entered::new(self);
        let mut future = pin!(future); // dropped before `_entered`, so that its drop may still spawn
        let home = self.home;
        #[cfg(feature = "inspect")]
        home.root_future.set(Some(crate::look::Root {
            address: ptr::from_ref(&*future).addr(),
            kind: crate::look::kind::<F>,
        }));
        #[cfg(feature = "inspect")]
        let _before_drop = crate::look::BeforeDrop::new(home);
        let _guard = guard;
        let root = home.root();
        let waker = waker_of(root);
        let mut context = Context::from_waker(&waker);
        // SAFETY: the root's slot belongs to this executor.
        unsafe { home.schedule(root) };
        #[cfg(feature = "inspect")]
        home.begin_run();
        loop {
            self.check_fork();
            #[cfg(feature = "inspect")]
            let arrived = home.ring.pushed();
            if home.bundle().shared.remote.pending() {
                home.drain_inbox();
                home.read_mail();
            }
            #[cfg(not(feature = "inspect"))]
            let output = self.batch(future.as_mut(), &mut context);
            #[cfg(feature = "inspect")]
            let output = self.inspected_batch(future.as_mut(), &mut context, arrived);
            if let Some(output) = output {
                return output;
            }
            if !home.ring.is_empty() {
                self.park.tick();
            } else if !home.bundle().shared.remote.pending() {
                let idle = Idle::new(home);
                self.park.park(&idle);
                home.bundle().shared.remote.unparked();
                if idle.limit().is_some() {
                    home.slots.quiet_tick(&home.ring);
                }
            }
        }
    }

    /// Runs what is ready, but no more than is between two ticks. Returns the output of the root future, if it is done.
    ///
    /// A function of its own, so that this loop is the same whatever is around it.
    #[inline(never)]
    pub(crate) fn batch<F: Future>(
        &self,
        mut future: Pin<&mut F>,
        context: &mut Context<'_>,
    ) -> Option<F::Output> {
        let home = self.home;
        let root = home.root();
        for _ in 0..BATCH {
            let slot = home.ring.pop()?;
            home.budget.set(coop::BUDGET);
            if !ptr::eq(slot, root) {
                home.turn(slot);
                continue;
            }
            // SAFETY: STABLE; HOME.
            unsafe { &*root }.run.set(run::IDLE);
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Some(output);
            }
        }
        None
    }

    /// Drops every future that is left, on this thread, and refuses new ones. A second call does nothing.
    ///
    /// Handles of those tasks resolve to cancelled. Closures of `spawn_blocking` that have started are waited for, those
    /// that wait in the queue are dropped. Called from inside of a task, that task is dropped at its next turn.
    /// Panics of the futures' drops end in the tasks' handles.
    pub fn close(&self) {
        if self.home.closing.replace(true) || self.home.is_forked() {
            return;
        }
        let before = self.home.enter();
        self.home.begin_closing();
        self.home.read_mail();
        self.cancel_all();
        blocking::close(self.home);
        if self.home.running.get().is_null() {
            self.home.finish_closing(); // PHASES: otherwise a task has not ended yet, and the drop finishes
        }
        set_current(before);
    }

    /// Drops the futures of all tasks but the one that is running. One pass is enough: spawns are refused.
    fn cancel_all(&self) {
        let home = self.home;
        if home.tasks.get() == 0 {
            return;
        }
        home.slots.for_each(|slot| {
            // SAFETY: STABLE; HOME.
            let header = unsafe { &*slot };
            if ptr::eq(slot, home.root()) || header.state.load(Ordering::Relaxed) != state::LIVE {
                return true;
            }
            if ptr::eq(slot, home.running.get()) {
                let id = crate::Id::from_raw(header.id.load(Ordering::Relaxed));
                // SAFETY: a slot of this executor.
                unsafe { home.abort(slot, id) };
                return true;
            }
            let table = header.vtable.get().expect("a live slot has a vtable");
            // SAFETY: HOME, LIVE, and not being polled.
            unsafe { (table.cancel)(home, slot) };
            home.tasks.get() > 0
        });
    }

    #[inline]
    fn check_fork(&self) {
        if self.home.is_forked() {
            panic_forked(self.name());
        }
    }
}

impl Home {
    /// Runs one task, or deals with a slot that is not to be run.
    #[inline]
    pub(crate) fn turn(self, slot: *const Header) {
        // SAFETY: STABLE; HOME.
        if unsafe { &*slot }.run.get() == run::QUEUED {
            // SAFETY: it is QUEUED.
            unsafe { self.poll(slot) };
        } else {
            self.running.set(slot);
            self.sweep(slot);
            self.running.set(ptr::null());
        }
    }

    /// Polls the task of a slot that was taken from the ring.
    ///
    /// # Safety
    ///
    /// It is QUEUED.
    #[inline(always)]
    pub(crate) unsafe fn poll(self, slot: *const Header) {
        self.ring.prefetch(2);
        self.running.set(slot);
        // SAFETY: STABLE; HOME.
        let header = unsafe { &*slot };
        debug_assert_eq!(header.run.get(), run::QUEUED, "ONE ENTRY");
        header.run.set(run::IDLE);
        let table = header.vtable.get().expect("a queued slot has a vtable");
        // SAFETY: HOME; a slot that is QUEUED is LIVE.
        unsafe { (table.poll)(self, slot) };
        self.running.set(ptr::null());
    }
}

impl<P: Park> fmt::Debug for Executor<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("name", &self.name)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl<P: Park> Drop for Executor<P> {
    fn drop(&mut self) {
        if self.home.is_forked() {
            return; // nothing here is this process's own: leak it
        }
        self.close();
        let home = self.home;
        let before = home.enter();
        self.cancel_all();
        home.finish_closing();
        // SAFETY: dropped once, and not used after.
        quietly(|| unsafe { ManuallyDrop::drop(&mut self.park) });
        home.bundle().set_unparker(None);
        home.drain_inbox();
        home.read_mail();
        while let Some(slot) = home.ring.pop() {
            // SAFETY: STABLE; HOME.
            let header = unsafe { &*slot };
            if ptr::eq(slot, home.root()) {
                header.run.set(run::IDLE);
            } else {
                home.sweep(slot);
            }
        }
        home.slots.trim_all(&home.ring);
        set_current(before);
        #[cfg(feature = "inspect")]
        home.stop_recording();
        #[cfg(feature = "inspect")]
        home.watched.set(false);
        home.release(); // ONE OWNER: from here on it may be another's
    }
}

/// The thread is running an executor, until this is dropped.
struct Entered(Home);

impl Entered {
    #[track_caller]
    fn new<P: Park>(executor: &Executor<P>) -> Self {
        executor.check_fork();
        let home = executor.home;
        if let Some(running) = home.enter() {
            set_current(Some(running));
            panic!(
                "camshaft: block_on was called on a thread that is already running a camshaft runtime; \
                 await the future or spawn it, or call block_on from spawn_blocking"
            );
        }
        Self(home)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.running.set(ptr::null());
        #[cfg(feature = "inspect")]
        self.0.root_future.set(None);
        self.0.bundle().shared.remote.unparked();
        if !self.0.is_forked() {
            fence(Ordering::SeqCst);
            self.0.read_mail(); // LAST MAIL
        }
        set_current(None);
    }
}

#[cold]
pub(crate) fn panic_forked(name: Option<&str>) -> ! {
    let (name, space) = name.map_or(("", ""), |name| (name, " "));
    panic!(
        "camshaft: the runtime{space}{name} was made before this process was forked and cannot be used in the child; \
         make a new one there"
    );
}
