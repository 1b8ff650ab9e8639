//! Requests to an executor that a plain wake cannot carry.
//!
//! Invariants: HOME, PUBLISHED, SLOT HELD (see [`crate::header`]), and
//!
//! - **PHASES**: an executor is Open, then Closing (spawns are refused, all tasks are about to end), then Closed (all tasks have
//!   ended). Whoever finds it Closed under the lock therefore also finds a terminal state in any of its slots.
//! - **EPOCH**: a bundle serves one executor after another; requests to spawn carry the epoch that they were meant for.
//! - **MATCH**: a message about a slot carries the id of its task and means nothing to a later task in the same slot.
//!
//! No user code runs under the lock: messages are moved out first.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::task::Waker;

use crate::bundle::{Bundle, Home};
use crate::header::{Header, state};
use crate::waker::{drop_quietly, wake_quietly};
use crate::{Id, lock, quietly, raw};

/// The address of a slot, on its way to the home thread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotRef {
    pub(crate) slot: *const Header,
    pub(crate) id: Id,
}

// SAFETY: only an address; what may be done with it depends on HOME and the atomics of the header.
unsafe impl Send for SlotRef {}
// SAFETY: the same.
unsafe impl Sync for SlotRef {}

/// Starts a task on the home thread; dropping it refuses the task.
pub(crate) type Start = Box<dyn FnOnce(Home) + Send>;

/// A request to the home thread.
pub(crate) enum Message {
    /// Wake this waker at the end of the task.
    Register(SlotRef, Waker),
    /// The join handle is gone.
    Detach(SlotRef),
    /// Drop the future at the task's next turn.
    Abort(SlotRef),
    /// Start a task.
    Spawn(Start),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Closing,
    Closed,
}

/// Requests that wait for the home thread, and whether it still takes them.
pub(crate) struct Mailbox {
    messages: VecDeque<Message>,
    phase: Phase,
    epoch: u64,
}

impl Mailbox {
    pub(crate) fn new() -> Self {
        Self {
            messages: VecDeque::new(),
            phase: Phase::Closed,
            epoch: 0,
        }
    }
}

impl Bundle {
    /// Asks for `waker` to be woken at the end of the task. False if the executor is Closed: the task has ended.
    pub(crate) fn register(&self, slot: SlotRef, waker: Waker) -> bool {
        let mut mailbox = lock(&self.shared.mailbox);
        if mailbox.phase == Phase::Closed {
            drop(mailbox);
            return false;
        }
        // A handle that is polled again and again keeps one place in the queue.
        if let Some(Message::Register(last, registered)) = mailbox.messages.back_mut()
            && *last == slot
        {
            let before = std::mem::replace(registered, waker);
            drop(mailbox);
            drop_quietly(Some(before));
            return true;
        }
        mailbox.messages.push_back(Message::Register(slot, waker));
        self.posted(mailbox);
        true
    }

    /// Tells the home thread, present or next, that a handle is gone.
    pub(crate) fn detach(&self, slot: SlotRef) {
        let mut mailbox = lock(&self.shared.mailbox);
        mailbox.messages.push_back(Message::Detach(slot));
        self.posted(mailbox);
    }

    /// Asks for the task's future to be dropped.
    pub(crate) fn abort(&self, slot: SlotRef) {
        let mut mailbox = lock(&self.shared.mailbox);
        if mailbox.phase != Phase::Closed {
            mailbox.messages.push_back(Message::Abort(slot));
            self.posted(mailbox);
        }
    }

    /// Asks for a task to be started by the executor of that epoch; hands the request back if it is closing.
    pub(crate) fn spawn(&self, epoch: u64, start: Start) -> Result<(), Start> {
        let mut mailbox = lock(&self.shared.mailbox);
        if mailbox.epoch != epoch || mailbox.phase != Phase::Open {
            drop(mailbox);
            return Err(start);
        }
        mailbox.messages.push_back(Message::Spawn(start));
        self.posted(mailbox);
        Ok(())
    }

    /// Raises the mail flag, gives the lock back, and then ends the park if there is one.
    fn posted(&self, mailbox: std::sync::MutexGuard<'_, Mailbox>) {
        let parked = self.shared.remote.post();
        drop(mailbox);
        if parked {
            self.unpark();
        }
    }
}

impl Home {
    /// Opens the mailbox for a new executor and returns its epoch.
    pub(crate) fn open_mailbox(self) -> u64 {
        let mut mailbox = lock(&self.bundle().shared.mailbox);
        mailbox.phase = Phase::Open;
        mailbox.epoch += 1;
        self.epoch.set(mailbox.epoch);
        mailbox.epoch
    }

    /// Refuses spawns from now on.
    pub(crate) fn begin_closing(self) {
        lock(&self.bundle().shared.mailbox).phase = Phase::Closing;
    }

    /// Takes no more requests but the end of handles. All tasks have ended.
    pub(crate) fn finish_closing(self) {
        lock(&self.bundle().shared.mailbox).phase = Phase::Closed;
        self.read_mail();
    }

    /// Deals with the messages that have arrived by now.
    #[cold]
    pub(crate) fn read_mail(self) {
        if !self.bundle().shared.remote.take_mail() {
            return;
        }
        let messages = std::mem::take(&mut lock(&self.bundle().shared.mailbox).messages);
        for message in messages {
            match message {
                Message::Register(slot, waker) => self.on_register(slot, waker),
                Message::Detach(slot) => self.on_detach(slot),
                // SAFETY: messages about slots are sent to the owner of the slot.
                Message::Abort(slot) => unsafe { self.abort(slot.slot, slot.id) },
                Message::Spawn(start) if self.closing.get() => quietly(|| drop(start)),
                Message::Spawn(start) => start(self),
            }
        }
    }

    fn on_register(self, slot: SlotRef, waker: Waker) {
        // SAFETY: STABLE.
        let header = unsafe { &*slot.slot };
        if header.id.load(Ordering::Relaxed) != slot.id.raw() {
            return drop_quietly(Some(waker)); // MATCH
        }
        if state::is_terminal(header.state.load(Ordering::Relaxed)) {
            return wake_quietly(waker);
        }
        // SAFETY: HOME.
        drop_quietly(unsafe { header.swap_join(Some(waker)) });
    }

    fn on_detach(self, slot: SlotRef) {
        // SAFETY: STABLE.
        let header = unsafe { &*slot.slot };
        // MATCH: it always does: the handle held the slot until this message.
        if header.id.load(Ordering::Relaxed) == slot.id.raw() && header.has_handle() {
            // SAFETY: HOME; the handle gave its slot up when it sent the message.
            unsafe { raw::detach(self, slot.slot) };
        }
    }
}
