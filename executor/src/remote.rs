//! The way in for wakes from other threads: an intrusive inbox, a mail flag and the park handshake.
//!
//! Every slot of the executor has a [`Node`]. A wake from elsewhere claims the node with its `queued` flag and links it
//! into a lock-free stack; the home thread takes the whole stack at once, turns it round (first come, first served) and
//! schedules what it finds. Larger requests travel in a mailbox behind a lock, of which this module only sees a flag.
//!
//! ```text
//!   remote                                       home
//!   queued.swap(true) ── true: already linked    parked = true
//!   link the node into `head`                    fence(SeqCst)
//!   fence(SeqCst)                                head or mail set? ── yes: do not block
//!   parked? ── take it down: unpark              block
//! ```
//!
//! The two fences forbid the outcome in which the waker misses `parked` *and* the home thread misses the node.
//!
//! Invariants:
//!
//! - **ONE LINK**: a node is in the stack at most once. Whoever turns `queued` from false to true owns `next` until the
//!   node is in the stack; afterwards the home thread owns it until it turns `queued` back to false.
//! - **FLAG BEFORE TASK**: the home thread clears `queued` before the task is scheduled, by a read-modify-write, so that
//!   a wake which found the flag set happens before the poll that it asks for.
//! - **NODES STAY**: a node that has ever been pushed is never moved, zeroed or unmapped.
//!
//! This module knows nothing of tasks; `tests/loom.rs` explores its interleavings.

use std::ptr;

use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, Ordering, fence};

/// The inbox link of one slot. All zero bytes are a node at rest.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Node {
    next: AtomicPtr<Self>,
    queued: AtomicBool,
    /// Where the mailbox last put a message about the slot; read and written under the mailbox's lock.
    pub(crate) letter: AtomicU32,
}

#[cfg(loom)]
impl Default for Node {
    /// Creates a node at rest, for the model; the executor's own nodes are born as zeroed memory.
    fn default() -> Self {
        Self {
            next: AtomicPtr::new(ptr::null_mut()),
            queued: AtomicBool::new(false),
            letter: AtomicU32::new(0),
        }
    }
}

/// The shared end of one executor: the stack of nodes, the mail flag and the parked flag.
#[derive(Debug)]
pub(crate) struct Remote {
    head: AtomicPtr<Node>,
    mail: AtomicBool,
    parked: AtomicBool,
}

impl Remote {
    /// Creates an empty inbox of an executor that is not parked.
    pub(crate) fn new() -> Self {
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
            mail: AtomicBool::new(false),
            parked: AtomicBool::new(false),
        }
    }

    /// Links `node` unless it is linked already. Returns whether the caller must unpark the home thread.
    ///
    /// # Safety
    ///
    /// The node must stay where it is for as long as this inbox may be drained (NODES STAY), and must only ever be
    /// pushed to this one.
    pub(crate) unsafe fn push(&self, node: &Node) -> bool {
        if node.queued.swap(true, Ordering::AcqRel) {
            return false;
        }
        let link = ptr::from_ref(node).cast_mut();
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            node.next.store(head, Ordering::Relaxed);
            match self
                .head
                .compare_exchange_weak(head, link, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return self.notify(),
                Err(seen) => head = seen,
            }
        }
    }

    /// Announces that the mailbox has something in it. Returns whether the caller must unpark the home thread.
    pub(crate) fn post(&self) -> bool {
        self.mail.store(true, Ordering::Release);
        self.notify()
    }

    /// Takes the mail flag down. The home thread calls it before it empties the mailbox.
    pub(crate) fn take_mail(&self) -> bool {
        self.mail.load(Ordering::Relaxed) && self.mail.swap(false, Ordering::AcqRel)
    }

    /// Whether a node or mail is waiting: two plain loads.
    #[inline]
    pub(crate) fn pending(&self) -> bool {
        !self.head.load(Ordering::Relaxed).is_null() || self.mail.load(Ordering::Relaxed)
    }

    /// Calls `each` for every node that was linked when the call began, oldest first. Bounded by what was there.
    pub(crate) fn drain(&self, mut each: impl FnMut(&Node)) {
        let mut newest = self.head.swap(ptr::null_mut(), Ordering::Acquire);
        let mut oldest: *mut Node = ptr::null_mut();
        while !newest.is_null() {
            // SAFETY: NODES STAY, and ONE LINK makes `next` ours while `queued` is set.
            let node = unsafe { &*newest };
            let older = node.next.load(Ordering::Relaxed);
            node.next.store(oldest, Ordering::Relaxed);
            oldest = newest;
            newest = older;
        }
        while !oldest.is_null() {
            // SAFETY: as above; `next` is read before the flag gives the node away.
            let node = unsafe { &*oldest };
            oldest = node.next.load(Ordering::Relaxed);
            node.queued.swap(false, Ordering::AcqRel); // FLAG BEFORE TASK
            each(node);
        }
    }

    /// Declares that the home thread is about to block. False means that something came in: it must not.
    #[must_use]
    pub(crate) fn announce(&self) -> bool {
        self.parked.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.pending() {
            self.parked.store(false, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Takes the declaration back. The home thread calls it whenever it may have blocked.
    #[inline]
    pub(crate) fn unparked(&self) {
        if self.parked.load(Ordering::Relaxed) {
            self.parked.store(false, Ordering::Relaxed);
        }
    }

    /// Whether the home thread had declared itself parked; only one of several wakers is told so.
    fn notify(&self) -> bool {
        fence(Ordering::SeqCst);
        // Not a swap: one that fails writes nothing, which the model could not order against a later declaration.
        let (order, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
        self.parked.load(relaxed)
            && self
                .parked
                .compare_exchange(true, false, order, relaxed)
                .is_ok()
    }
}

impl Default for Remote {
    fn default() -> Self {
        Self::new()
    }
}
