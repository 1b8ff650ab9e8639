//! Requests to an executor that a plain wake cannot carry.
//!
//! Invariants: HOME, PUBLISHED, SLOT HELD (see [`crate::header`]), and
//!
//! - **PHASES**: an executor is Open, then Closing (spawns are refused, all tasks are about to end), then Closed (all tasks have
//!   ended). Whoever finds it Closed under the lock therefore also finds a terminal state in any of its slots.
//! - **EPOCH**: a bundle serves one executor after another; requests to spawn carry the epoch that they were meant for.
//! - **MATCH**: a message about a slot carries the id of its task and means nothing to a later task in the same slot.
//! - **ONE LETTER**: a task has at most one message in the mailbox, which collects all that is asked about it; the slot's
//!   node remembers where it is. However long the home thread stays away, the tasks bound the mailbox, and the tasks on
//!   their way to it, which nothing bounds but who spawns them.
//!
//! No user code runs under the lock: messages are moved out first.

use std::sync::atomic::Ordering;
use std::task::Waker;

use crate::bundle::{Bundle, Home};
use crate::header::{Header, state};
use crate::waker::{drop_quietly, wake_quietly};
use crate::{Id, chunk, lock, quietly, raw};

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
enum Message {
    /// All that is asked about one task.
    Task(Letter),
    /// Start a task.
    Spawn(Start),
}

/// What the home thread is to do about a task, in this order.
struct Letter {
    slot: SlotRef,
    /// Wake this waker at the end of the task.
    register: Option<Waker>,
    /// Drop the future at the task's next turn.
    abort: bool,
    /// The join handle is gone.
    detach: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Closing,
    Closed,
}

/// Requests that wait for the home thread, and whether it still takes them.
pub(crate) struct Mailbox {
    messages: Vec<Message>,
    phase: Phase,
    epoch: u64,
}

impl Mailbox {
    pub(crate) fn new() -> Self {
        Self {
            messages: Vec::new(),
            phase: Phase::Closed,
            epoch: 0,
        }
    }
}

impl Mailbox {
    /// The message about the task, and whether it is new, so that it must be posted.
    fn letter(&mut self, slot: SlotRef) -> (&mut Letter, bool) {
        let node = chunk::node_of(slot.slot);
        let known = node.letter.load(Ordering::Relaxed) as usize;
        // The note may be from before the mailbox was emptied, or about an earlier task: only a MATCH is the one.
        let new =
            !matches!(self.messages.get(known), Some(Message::Task(letter)) if letter.slot == slot);
        let place = if new {
            let place = self.messages.len();
            node.letter
                .store(u32::try_from(place).unwrap_or(u32::MAX), Ordering::Relaxed);
            self.messages.push(Message::Task(Letter {
                slot,
                register: None,
                abort: false,
                detach: false,
            }));
            place
        } else {
            known
        };
        match &mut self.messages[place] {
            Message::Task(letter) => (letter, new),
            Message::Spawn(_) => unreachable!("the place holds a message about a task"),
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
        let (letter, new) = mailbox.letter(slot);
        let before = letter.register.replace(waker);
        self.posted(mailbox, new);
        drop_quietly(before);
        true
    }

    /// Tells the home thread, present or next, that a handle is gone.
    pub(crate) fn detach(&self, slot: SlotRef) {
        let mut mailbox = lock(&self.shared.mailbox);
        let (letter, new) = mailbox.letter(slot);
        letter.detach = true;
        let unused = letter.register.take();
        self.posted(mailbox, new);
        drop_quietly(unused);
    }

    /// Asks for the task's future to be dropped.
    pub(crate) fn abort(&self, slot: SlotRef) {
        let mut mailbox = lock(&self.shared.mailbox);
        if mailbox.phase != Phase::Closed {
            let (letter, new) = mailbox.letter(slot);
            letter.abort = true;
            self.posted(mailbox, new);
        }
    }

    /// Asks for a task to be started by the executor of that epoch; hands the request back if it is closing.
    pub(crate) fn spawn(&self, epoch: u64, start: Start) -> Result<(), Start> {
        let mut mailbox = lock(&self.shared.mailbox);
        if mailbox.epoch != epoch || mailbox.phase != Phase::Open {
            drop(mailbox);
            return Err(start);
        }
        mailbox.messages.push(Message::Spawn(start));
        self.posted(mailbox, true);
        Ok(())
    }

    /// Raises the mail flag for a new message, gives the lock back, and then ends the park if there is one.
    fn posted(&self, mailbox: std::sync::MutexGuard<'_, Mailbox>, new: bool) {
        let parked = new && self.shared.remote.post();
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
                Message::Task(letter) => self.on_letter(letter),
                Message::Spawn(start) if self.closing.get() => quietly(|| drop(start)),
                Message::Spawn(start) => start(self),
            }
        }
    }

    fn on_letter(self, letter: Letter) {
        let slot = letter.slot;
        if let Some(waker) = letter.register {
            self.on_register(slot, waker);
        }
        if letter.abort {
            // SAFETY: messages about slots are sent to the owner of the slot.
            unsafe { self.abort(slot.slot, slot.id) };
        }
        if letter.detach {
            self.on_detach(slot);
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
