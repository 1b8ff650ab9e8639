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
//! Invariants: HOME (see [`crate::header`]), and
//!
//! - **FOREVER**: a bundle is leaked at birth; references to it are `'static`.
//! - **ONE OWNER**: a bundle belongs to one executor or lies in the pool; the pool's lock carries HOME from thread to thread.

use std::cell::{Cell, RefCell};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex};

pub(crate) use self::home::Home;
use crate::blocking::Group;
use crate::chunk;
use crate::header::Header;
use crate::mailbox::Mailbox;
use crate::park::Unpark;
use crate::remote::Remote;
use crate::ring::Ring;
use crate::slots::Slots;
use crate::{fork, lock, quietly};

mod home;

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
    CURRENT.get().filter(|home| ptr::eq(home.bundle(), bundle))
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
