//! What the home thread does with a bundle.
//!
//! Invariants: HOME, ONE ENTRY, SLOT HELD (see [`crate::header`]), ROOM (see [`crate::ring`]), ONE OWNER (see [`super`]).

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::Ordering;

use super::{Bundle, CURRENT, Local, pool};
use crate::chunk::{Chunk, class_of};
use crate::header::{HEADER_BYTES, Header, flag, run, state};
use crate::raw::{self, Job};
use crate::{Id, fork, id, lock};

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
