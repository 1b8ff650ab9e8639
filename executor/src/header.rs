//! The header in front of every task: who runs it, whose it is, and where it stands.
//!
//! ```text
//!   slot: [ vtable | id | state, run, flags | join waker ][ future, later its output … ]
//!           8        8    8                   16            from 8 bytes on
//! ```
//!
//! `state` is the outcome, published once; `run` says whether the slot stands in the ready ring:
//!
//! ```text
//!          spawn                 run, pending
//!   INERT ──────► QUEUED ───────────────────────► IDLE
//!     ▲             │  ▲            wake           │
//!     │             │  └───────────────────────────┤
//!     │             │ aborted, or ended            │ aborted
//!     │             ▼ while queued                 │
//!     └───────── MARKED ◄──────────────────────────┘
//!    dequeued, if ended; else the future is dropped first
//! ```
//!
//! Invariants:
//!
//! - **HOME**: everything but `id` and `state` is touched only by the thread that runs the owner, while it runs it (the
//!   bundle's lock passes ownership on). There it is plain memory: no read-modify-write is ever needed.
//! - **ONE ENTRY**: a slot stands in the ready ring at most once, exactly while `run` is QUEUED or MARKED.
//! - **PUBLISHED**: `state` becomes terminal by a Release store after the future was dropped, the result was written and the
//!   join waker was taken out. From then on the body belongs to the join handle, on whatever thread that is.
//! - **SLOT HELD**: a slot is free again only when its state is terminal, its handle is gone and `run` is INERT.
//! - **ZERO IS FREE**: a slot of zero bytes (fresh, or given back to the kernel) is FREE and INERT with an id of nobody, so
//!   a stale waker that looks at it does nothing.

use std::cell::{Cell, UnsafeCell};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::Waker;

use crate::raw::VTable;

/// Values of [`Header::state`].
pub(crate) mod state {
    /// No task: the slot is free.
    pub(crate) const FREE: u8 = 0;
    /// The body holds a future.
    pub(crate) const LIVE: u8 = 1;
    /// The body holds the output.
    pub(crate) const COMPLETE: u8 = 2;
    /// The body holds a pointer to the panic's payload.
    pub(crate) const PANICKED: u8 = 3;
    /// The future was dropped before it was done; the body is empty.
    pub(crate) const CANCELLED: u8 = 4;
    /// The result was taken; the body is empty.
    pub(crate) const TAKEN: u8 = 5;

    /// Whether a task in this state will never run again.
    #[inline]
    pub(crate) const fn is_terminal(state: u8) -> bool {
        state != LIVE
    }
}

/// Values of [`Header::run`].
pub(crate) mod run {
    /// Not in the ring, and wakes do nothing: free, or ended.
    pub(crate) const INERT: u8 = 0;
    /// Not in the ring: waiting for a wake, or running.
    pub(crate) const IDLE: u8 = 1;
    /// In the ring, to be polled.
    pub(crate) const QUEUED: u8 = 2;
    /// In the ring, but not to be polled: aborted, or ended since it was queued.
    pub(crate) const MARKED: u8 = 3;
}

/// Bits of [`Header::flags`].
pub(crate) mod flag {
    /// A join handle holds the slot.
    pub(crate) const HANDLE: u8 = 1;
    /// The future is to be dropped at the task's next turn.
    pub(crate) const ABORTED: u8 = 2;
    /// The future is being dropped, or is gone: what the body holds is nobody's to look at. Stays until the slot's next task.
    pub(crate) const ENDING: u8 = 4;
}

/// The head of a slot; the body follows at once.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) vtable: Cell<Option<&'static VTable>>,
    pub(crate) id: AtomicU64,
    pub(crate) state: AtomicU8,
    pub(crate) run: Cell<u8>,
    pub(crate) flags: Cell<u8>,
    pub(crate) join: UnsafeCell<Option<Waker>>,
}

/// Bytes in front of a body.
pub(crate) const HEADER_BYTES: usize = size_of::<Header>();

const _: () = assert!(HEADER_BYTES == 40 && align_of::<Header>() == 8);

impl Header {
    /// Whether a join handle holds the slot. HOME.
    #[inline]
    pub(crate) fn has_handle(&self) -> bool {
        self.flags.get() & flag::HANDLE != 0
    }

    /// Whether the body holds a future that is whole: its name may be asked for, and its bytes mean something. HOME.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        self.state.load(Ordering::Relaxed) == state::LIVE && self.flags.get() & flag::ENDING == 0
    }

    /// Sets bits of `flags`. HOME.
    #[inline]
    pub(crate) fn raise(&self, bits: u8) {
        self.flags.set(self.flags.get() | bits);
    }

    /// Clears bits of `flags`. HOME.
    #[inline]
    pub(crate) fn lower(&self, bits: u8) {
        self.flags.set(self.flags.get() & !bits);
    }

    /// Replaces the join waker and returns the one before, which the caller drops when no borrow is held.
    ///
    /// # Safety
    ///
    /// HOME.
    #[inline]
    pub(crate) unsafe fn swap_join(&self, waker: Option<Waker>) -> Option<Waker> {
        // SAFETY: HOME; the reference ends here, and no user code runs while it lives.
        let slot = unsafe { &mut *self.join.get() };
        std::mem::replace(slot, waker)
    }
}
