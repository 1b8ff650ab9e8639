//! A bundle: all the memory of one executor, made once and handed on from executor to executor.
//!
//! Wakers point into it and may outlive everything, so it is never freed. To keep the process's memory bounded it returns
//! to a pool when its executor is dropped, and the next executor, on any thread, adopts it as it is: slots, inbox and all.
//!
//! ```text
//!   Bundle ┬ Local    ready ring, slots, counters      HOME: the thread that runs the executor
//!          └ Shared   inbox, mailbox, unparker         anyone
//! ```
//!
//! [`Home`] is the proof, passed by value, that the holder is on the home thread: it is the only way to the `Local` half.
//!
//! Invariants: HOME, ONE ENTRY, SLOT HELD (see [`crate::header`]), ROOM (see [`crate::ring`]), and
//!
//! - **FOREVER**: a bundle is leaked at birth; references to it are `'static`.
//! - **ONE OWNER**: a bundle belongs to one executor or lies in the pool; the pool's lock carries HOME from thread to thread.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex};

use crate::blocking::Group;
use crate::chunk::{self, Chunk, class_of};
use crate::header::{HEADER_BYTES, Header, flag, run, state};
use crate::mailbox::Mailbox;
use crate::park::Unpark;
use crate::raw::{self, Job};
use crate::remote::Remote;
use crate::ring::Ring;
use crate::slots::Slots;
use crate::{Id, fork, id, lock, quietly};

thread_local! {
    /// The executor that this thread is running. Without a destructor, so that it can be asked at any time.
    static CURRENT: Cell<Option<Home>> = const { Cell::new(None) };
}

/// All the memory of one executor.
#[repr(C)]
pub(crate) struct Bundle {
    local: Local,
    pub(crate) shared: Shared,
}

// SAFETY: `Shared` is made of synchronised parts, and the way to `Local` leads through `Home`, which keeps HOME.
unsafe impl Sync for Bundle {}
// SAFETY: ONE OWNER: whatever `Local` holds is reached by one thread at a time, and user data in it never changes threads.
unsafe impl Send for Bundle {}

/// What only the home thread touches. What each turn touches comes first, on one cache line, wherever the features put the rest.
#[repr(C)]
pub(crate) struct Local {
    pub(crate) ring: Ring,
    /// The slot whose future is being polled, or null.
    pub(crate) running: Cell<*const Header>,
    /// The slot whose future is being dropped, or null.
    pub(crate) dropping: Cell<*const Header>,
    /// What is left of the running task's budget.
    pub(crate) budget: Cell<u32>,
    /// Spawns are refused.
    pub(crate) closing: Cell<bool>,
    pub(crate) tasks: Cell<u64>,
    next_id: Cell<u64>,
    last_id: Cell<u64>,
    pub(crate) wakes_local: Cell<u64>,
    pub(crate) wakes_remote: Cell<u64>,
    /// The slot of the root future, kept for good.
    root: Cell<*const Header>,
    /// The process, counted in forks, that the executor was made in.
    generation: Cell<usize>,
    /// Pops of the ring before this executor.
    pub(crate) popped_before: Cell<usize>,
    pub(crate) slots: Slots,
    /// Which of the bundle's executors this is.
    pub(crate) epoch: Cell<u64>,
    pub(crate) group: RefCell<Option<Arc<Group>>>,
    /// How many of the tasks serve the runtime and not the program.
    #[cfg(feature = "inspect")]
    pub(crate) background: Cell<u64>,
    /// Turns that those have had.
    #[cfg(feature = "inspect")]
    pub(crate) background_turns: Cell<u64>,
    /// The root future itself, while there is one.
    #[cfg(feature = "inspect")]
    pub(crate) root_future: Cell<Option<crate::look::Root>>,
    /// What it is doing: never [`Ready`](crate::look::Activity::Ready), which its slot says.
    #[cfg(feature = "inspect")]
    pub(crate) root_activity: Cell<crate::look::Activity>,
    /// What is being recorded; null if nothing is.
    #[cfg(feature = "inspect")]
    pub(crate) recorder: Cell<*mut crate::record::Recorder>,
    /// Whether turns are told to other threads.
    #[cfg(feature = "inspect")]
    pub(crate) watched: Cell<bool>,
    /// What a batch is being recorded in, which may have been ended since the batch began; else null.
    #[cfg(feature = "inspect")]
    pub(crate) recording: Cell<*mut crate::record::Recorder>,
    /// What a recording calls between two polls is running, which must not stop it.
    #[cfg(feature = "inspect")]
    pub(crate) noting: Cell<bool>,
    /// How the last task has ended that did not just complete, until somebody looks at this.
    #[cfg(feature = "inspect")]
    pub(crate) ended: Cell<crate::record::Ended>,
}

/// What any thread touches, on cache lines of its own.
#[repr(align(128))]
pub(crate) struct Shared {
    pub(crate) remote: Remote,
    pub(crate) mailbox: Mutex<Mailbox>,
    unparker: Mutex<Option<Arc<dyn Unpark>>>,
    #[cfg(feature = "inspect")]
    pub(crate) beat: crate::pulse::Beat,
}

impl Bundle {
    /// Links the slot into the inbox and ends the park: a wake from anywhere but the running executor.
    #[cold]
    #[inline(never)]
    pub(crate) fn wake_remote(&self, slot: *const Header) {
        let node = chunk::node_of(slot);
        // SAFETY: NODES STAY; the owner of a chunk never changes, so a node only ever meets this inbox.
        if unsafe { self.shared.remote.push(node) } {
            self.unpark();
        }
    }

    /// Calls the unparker of the executor that owns the bundle at the moment, with no lock held.
    pub(crate) fn unpark(&self) {
        let unparker = lock(&self.shared.unparker).clone();
        if let Some(unparker) = unparker {
            quietly(|| unparker.unpark());
        }
    }

    pub(crate) fn set_unparker(&self, unparker: Option<Arc<dyn Unpark>>) {
        let before = std::mem::replace(&mut *lock(&self.shared.unparker), unparker);
        quietly(|| drop(before));
    }
}

/// Proof of being on the home thread of a bundle; leads to its [`Local`] half.
#[derive(Clone, Copy)]
pub(crate) struct Home {
    bundle: &'static Bundle,
    not_send: PhantomData<*const ()>,
}

impl Deref for Home {
    type Target = Local;

    #[inline]
    fn deref(&self) -> &Local {
        &self.bundle.local
    }
}

impl Home {
    /// Takes a bundle from the pool, or makes one. The caller becomes its home.
    pub(crate) fn adopt() -> Self {
        let bundle = lock(pool())
            .pop()
            .unwrap_or_else(|| Box::leak(Box::new(Bundle::new())));
        let home = Self {
            bundle,
            not_send: PhantomData,
        }; // ONE OWNER
        home.generation.set(fork::generation());
        home.closing.set(false);
        home.popped_before.set(home.ring.popped());
        for counter in [&home.tasks, &home.wakes_local, &home.wakes_remote] {
            counter.set(0);
        }
        #[cfg(feature = "inspect")]
        home.background_turns.set(0);
        if home.root.get().is_null() {
            home.add_root();
        }
        home
    }

    /// Gives the bundle to the next executor.
    pub(crate) fn release(self) {
        lock(pool()).push(self.bundle);
    }

    #[inline]
    pub(crate) fn bundle(self) -> &'static Bundle {
        self.bundle
    }

    /// The slot of the root future.
    pub(crate) fn root(self) -> *const Header {
        self.root.get()
    }

    /// Whether the process was forked since the executor was made.
    #[inline]
    pub(crate) fn is_forked(self) -> bool {
        self.generation.get() != fork::generation()
    }

    /// Puts a task of this executor into the ready ring, unless it stands there or cannot run. True if it was put.
    ///
    /// # Safety
    ///
    /// The slot, of any age, belongs to this bundle.
    #[inline]
    pub(crate) unsafe fn schedule(self, slot: *const Header) -> bool {
        // SAFETY: STABLE; HOME.
        let header = unsafe { &*slot };
        let idle = header.run.get() == run::IDLE;
        if idle {
            header.run.set(run::QUEUED);
            // SAFETY: ROOM: an IDLE slot is not free. ONE ENTRY: it was not queued.
            unsafe { self.ring.push(slot) };
        }
        idle
    }

    /// Makes a task of the future and queues it.
    #[inline]
    pub(crate) fn start<F: Job>(self, id: Id, flags: u8, future: F) -> *const Header {
        debug_assert!(!raw::must_box::<F>());
        let slot = self
            .slots
            .take(const { raw::class_for::<F>() }, self.bundle, &self.ring);
        // SAFETY: HOME; the slot is free and of the class for `F`; whoever calls boxes what must be boxed.
        unsafe { raw::write(slot, id, flags, future) };
        self.tasks.set(self.tasks.get() + 1);
        // SAFETY: a slot of this bundle.
        unsafe { self.schedule(slot) };
        slot
    }

    /// Asks for the future of a task to be dropped at the task's next turn.
    ///
    /// # Safety
    ///
    /// The slot belongs to this bundle.
    pub(crate) unsafe fn abort(self, slot: *const Header, id: Id) {
        // SAFETY: STABLE; HOME.
        let header = unsafe { &*slot };
        let alive = header.id.load(Ordering::Relaxed) == id.raw()
            && header.state.load(Ordering::Relaxed) == state::LIVE;
        if alive {
            header.raise(flag::ABORTED);
            // SAFETY: the caller's.
            unsafe { self.schedule(slot) };
            header.run.set(run::MARKED);
        }
    }

    /// Puts a slot back.
    ///
    /// # Safety
    ///
    /// SLOT HELD: the state is terminal, no handle is left, and the slot is not queued.
    #[inline]
    pub(crate) unsafe fn free(self, slot: *const Header) {
        // SAFETY: STABLE.
        let header = unsafe { &*slot };
        header.state.store(state::FREE, Ordering::Release);
        // SAFETY: the caller's.
        unsafe { self.slots.give(slot) };
    }

    /// Deals with a dequeued slot that is not simply to be polled: drops an aborted future, frees an ended task.
    #[cold]
    pub(crate) fn sweep(self, slot: *const Header) {
        // SAFETY: STABLE; HOME.
        let header = unsafe { &*slot };
        if header.state.load(Ordering::Relaxed) == state::LIVE {
            header.run.set(run::IDLE);
            let table = header.vtable.get().expect("a live slot has a vtable");
            // SAFETY: HOME, LIVE.
            unsafe { (table.cancel)(self, slot) };
            return;
        }
        header.run.set(run::INERT);
        if !header.has_handle() {
            // SAFETY: SLOT HELD.
            unsafe { self.free(slot) };
        }
    }

    /// Schedules the tasks that other threads woke, oldest wake first.
    pub(crate) fn drain_inbox(self) {
        self.bundle.shared.remote.drain(|node| {
            // SAFETY: only nodes of this bundle's chunks are pushed to its inbox.
            let slot = unsafe { Chunk::slot_of(node) };
            // SAFETY: the same.
            if unsafe { self.schedule(slot) } {
                self.wakes_remote.set(self.wakes_remote.get() + 1);
            }
        });
    }

    /// The id of the task that is running, or whose future is being dropped.
    pub(crate) fn running_id(self) -> Option<Id> {
        let header = self.running_header()?;
        Some(Id::from_raw(header.id.load(Ordering::Relaxed)))
    }

    /// The name of the task that is running, or null. It goes with the future: while that is dropped there is none.
    pub(crate) fn running_name(self) -> *const str {
        let header = self.running_header().filter(|header| header.is_whole());
        match header.and_then(|header| Some((header, header.vtable.get()?))) {
            // SAFETY: HOME; it is LIVE and not ENDING.
            Some((header, table)) => unsafe { (table.name)(header) },
            None => raw::NAMELESS,
        }
    }

    fn running_header(self) -> Option<&'static Header> {
        let dropping = self.dropping.get();
        let slot = if dropping.is_null() {
            self.running.get()
        } else {
            dropping
        };
        // SAFETY: STABLE.
        unsafe { slot.as_ref() }
    }

    /// Makes this executor the current one of the thread and returns the one before.
    #[inline]
    pub(crate) fn enter(self) -> Option<Self> {
        CURRENT.replace(Some(self))
    }

    /// Names the next task.
    #[inline]
    pub(crate) fn next_id(self) -> Id {
        if self.next_id.get() == self.last_id.get() {
            let first = id::take_block();
            self.next_id.set(first);
            self.last_id.set(first + id::BLOCK);
        }
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        Id::from_raw(id)
    }

    /// Sets a slot aside for root futures. It stays LIVE, so that wakers of earlier runs are harmless as well.
    fn add_root(self) {
        let slot = self
            .slots
            .take(const { class_of(HEADER_BYTES) }, self.bundle, &self.ring);
        // SAFETY: STABLE; HOME.
        let header = unsafe { &*slot };
        header.id.store(self.next_id().raw(), Ordering::Relaxed);
        header.run.set(run::IDLE);
        header.state.store(state::LIVE, Ordering::Release);
        self.root.set(slot);
    }
}

impl Bundle {
    fn new() -> Self {
        let local = Local {
            ring: Ring::new(),
            slots: Slots::new(),
            running: Cell::new(ptr::null()),
            dropping: Cell::new(ptr::null()),
            budget: Cell::new(0),
            next_id: Cell::new(0),
            last_id: Cell::new(0),
            tasks: Cell::new(0),
            #[cfg(feature = "inspect")]
            background: Cell::new(0),
            #[cfg(feature = "inspect")]
            background_turns: Cell::new(0),
            popped_before: Cell::new(0),
            wakes_local: Cell::new(0),
            wakes_remote: Cell::new(0),
            closing: Cell::new(false),
            root: Cell::new(ptr::null()),
            #[cfg(feature = "inspect")]
            root_future: Cell::new(None),
            #[cfg(feature = "inspect")]
            root_activity: Cell::new(crate::look::Activity::Waiting),
            #[cfg(feature = "inspect")]
            recorder: Cell::new(ptr::null_mut()),
            #[cfg(feature = "inspect")]
            watched: Cell::new(false),
            #[cfg(feature = "inspect")]
            recording: Cell::new(ptr::null_mut()),
            #[cfg(feature = "inspect")]
            noting: Cell::new(false),
            #[cfg(feature = "inspect")]
            ended: Cell::default(),
            epoch: Cell::new(0),
            generation: Cell::new(0),
            group: RefCell::new(None),
        };
        let mailbox = Mutex::new(Mailbox::new());
        Self {
            local,
            shared: Shared {
                remote: Remote::new(),
                mailbox,
                unparker: Mutex::new(None),
                #[cfg(feature = "inspect")]
                beat: crate::pulse::Beat::new(),
            },
        }
    }
}

/// The executor that this thread is running.
#[inline]
pub(crate) fn current() -> Option<Home> {
    CURRENT.get()
}

/// The executor that this thread is running, if it owns `bundle`.
#[inline]
pub(crate) fn current_is(bundle: &Bundle) -> Option<Home> {
    CURRENT.get().filter(|home| ptr::eq(home.bundle, bundle))
}

/// Makes `home` the current executor of the thread, or none.
pub(crate) fn set_current(home: Option<Home>) {
    CURRENT.set(home);
}

type Pool = Mutex<Vec<&'static Bundle>>;

static POOL: AtomicPtr<Pool> = AtomicPtr::new(ptr::null_mut());

/// The bundles without an executor. Leaked, like what it holds.
fn pool() -> &'static Pool {
    fork::leaked(&POOL, || Mutex::new(Vec::new()))
}

/// Forgets, in a forked child, what another thread may have held at the time.
pub(crate) fn after_fork() {
    POOL.store(ptr::null_mut(), Ordering::Relaxed);
    set_current(None);
}
