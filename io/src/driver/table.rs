//! The table of operations in flight.
//!
//! Pure bookkeeping: no system call, no unsafe, no user code. An entry is made when a request is submitted and goes when
//! its completion has been handed over; in between it is in one of three states:
//!
//! ```text
//!   submit ──> Waiting(waker) ── complete ──> Done(completion) ── poll ──> gone
//!                    │                              │
//!                  disown                         disown: handed straight to the orphan
//!                    v
//!              Orphaned(heir) ──── complete: the heir gets the completion ──> gone
//! ```
//!
//! A **flow** is an operation with many completions, such as a multishot accept. All of them go to its sink, whether anybody
//! waits or not, until one says that it is the last:
//!
//! ```text
//!   submit ──> Flowing(sink) ── complete, more to come ──> the sink gets it, and the entry stays
//!                    └───────── complete, the last ──────> the sink gets it, and the entry is gone
//! ```
//!
//! A send without a copy has two: the first says what was sent, the second that the memory is free. They are delivered
//! as one, when the second is there.
//!
//! Invariant **SERIAL**: a key names one operation for ever. Slots of the slab are reused, so a key carries a serial
//! number as well, and a completion whose serial does not match is not delivered to the newcomer.

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::rc::Rc;
use std::task::Waker;

use slab::Slab;

use super::completion::Completion;

/// Receives the completion of an operation whose future is gone.
pub(crate) type Heir = Box<dyn FnOnce(Completion)>;

/// Receives the completions of a flow.
pub(crate) trait Sink {
    /// One completion. Called with nothing borrowed. After one that has no [more](Completion::has_more), no other comes.
    fn take(&self, completion: Completion);
}

/// Names an operation in flight: slot in the low half, serial in the high half.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(u64);

impl Key {
    fn new(slot: usize, serial: u32) -> Self {
        Self((u64::from(serial) << 32) | slot as u64)
    }

    pub(crate) fn user_data(self) -> u64 {
        self.0
    }

    pub(crate) fn from_user_data(data: u64) -> Self {
        Self(data)
    }

    /// The user data of its cancellation.
    pub(crate) fn cancellation(self) -> u64 {
        self.0 | CANCELLATION
    }

    /// The operation whose cancellation has this user data.
    #[inline]
    pub(crate) fn of_cancellation(data: u64) -> Option<Self> {
        (data & CANCELLATION != 0).then_some(Self(data & !CANCELLATION))
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low half is the slot")]
    fn slot(self) -> usize {
        self.0 as u32 as usize
    }

    fn serial(self) -> u32 {
        u32::try_from(self.0 >> 32).unwrap_or(0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.slot(), self.serial())
    }
}

enum State {
    Waiting(Waker),
    Done(Completion),
    Orphaned(Heir),
    Flowing(Rc<dyn Sink>),
}

struct Entry {
    serial: u32,
    /// How many more of its cancellations may find nothing.
    chances: u8,
    state: State,
}

/// In the user data of a cancellation: a bit that no slot has.
const CANCELLATION: u64 = 1 << 31;

/// So often an operation is cancelled again. The kernel tries one 128 times at most before it waits for it on a thread,
/// where it is found.
const CHANCES: u8 = 200;

/// Who is to be told of a completion, outside any borrow.
pub(crate) enum Delivery {
    Wake(Waker),
    Inherit(Heir, Completion),
    Flow(Rc<dyn Sink>, Completion),
}

/// The operations that are in flight or whose completion nobody has looked at yet.
#[derive(Default)]
pub(crate) struct Table {
    entries: Slab<Entry>,
    serial: u32,
    in_flight: usize,
    orphans: usize,
    /// Sends without a copy whose memory is not free yet, with their results.
    sent: HashMap<u64, Completion>,
}

/// Serials stop short of this value, so that no key collides with the driver's own user data.
const SERIALS: u32 = u32::MAX - 1;

impl Table {
    /// Makes an entry for a request that is about to be submitted.
    #[inline]
    pub(crate) fn insert(&mut self, waker: Waker) -> Key {
        self.insert_as(State::Waiting(waker))
    }

    /// Makes an entry for a flow that is about to be submitted.
    pub(crate) fn insert_flow(&mut self, sink: Rc<dyn Sink>) -> Key {
        self.insert_as(State::Flowing(sink))
    }

    #[inline]
    fn insert_as(&mut self, state: State) -> Key {
        self.serial = (self.serial + 1) % SERIALS;
        let serial = self.serial;
        let slot = self.entries.insert(Entry {
            serial,
            chances: CHANCES,
            state,
        });
        self.in_flight += 1;
        Key::new(slot, serial)
    }

    /// Takes back an entry whose request never reached the queue, and returns its waker.
    pub(crate) fn retract(&mut self, key: Key) -> Option<Waker> {
        self.get(key)?;
        self.in_flight -= 1;
        match self.entries.remove(key.slot()).state {
            State::Waiting(waker) => Some(waker),
            State::Done(_) | State::Orphaned(_) | State::Flowing(_) => None,
        }
    }

    /// Records a completion. `None`: the key is stale, somebody already knows, or another completion is to come first.
    #[inline]
    pub(crate) fn complete(&mut self, key: Key, completion: Completion) -> Option<Delivery> {
        let completion = if completion.has_more() || completion.is_notice() {
            self.combine(key, completion)?
        } else {
            completion
        };
        let entry = self.get(key)?;
        match mem::replace(&mut entry.state, State::Done(completion)) {
            State::Waiting(waker) => {
                self.in_flight -= 1;
                Some(Delivery::Wake(waker))
            }
            State::Orphaned(heir) => {
                self.in_flight -= 1;
                self.orphans -= 1;
                self.entries.remove(key.slot());
                Some(Delivery::Inherit(heir, completion))
            }
            State::Flowing(sink) if completion.has_more() => {
                entry.state = State::Flowing(sink.clone());
                Some(Delivery::Flow(sink, completion))
            }
            State::Flowing(sink) => {
                self.in_flight -= 1;
                self.entries.remove(key.slot());
                Some(Delivery::Flow(sink, completion))
            }
            State::Done(first) => {
                entry.state = State::Done(first);
                None
            }
        }
    }

    /// Waits for the second completion of a send without a copy, and makes one of both. Others pass.
    #[cold]
    fn combine(&mut self, key: Key, completion: Completion) -> Option<Completion> {
        if matches!(self.get(key)?.state, State::Flowing(_)) {
            return Some(completion);
        }
        if completion.is_notice() {
            let sent = self.sent.remove(&key.user_data())?;
            return Some(sent.with_notice(completion));
        }
        self.sent.insert(key.user_data(), completion);
        None
    }

    /// Waits no longer for the notices of orphaned sends without a copy: their heirs are to keep the memory for ever.
    pub(crate) fn give_up_notices(&mut self) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        for (user_data, completion) in mem::take(&mut self.sent) {
            let key = Key::from_user_data(user_data);
            if self.is_orphaned(key) {
                deliveries.extend(self.complete(key, completion.without_notice()));
            } else {
                self.sent.insert(user_data, completion);
            }
        }
        deliveries
    }

    /// Takes the completion if it is there. Otherwise tells whether `waker` is the one that will be called.
    #[inline]
    pub(crate) fn poll(&mut self, key: Key, waker: &Waker) -> Polled {
        let entry = self.get(key).expect("an operation in flight has an entry");
        match &entry.state {
            State::Done(completion) => {
                let completion = *completion;
                self.entries.remove(key.slot());
                Polled::Done(completion)
            }
            State::Waiting(known) if known.will_wake(waker) => Polled::Waiting,
            State::Waiting(_) => Polled::WaitingForAnother,
            State::Orphaned(_) | State::Flowing(_) => {
                unreachable!("neither an orphan nor a flow has a future that polls it")
            }
        }
    }

    /// Has another waker called. Returns the one that is not to be called now: the caller drops it, outside the borrow.
    pub(crate) fn set_waker(&mut self, key: Key, waker: Waker) -> Waker {
        match self.get(key).map(|entry| &mut entry.state) {
            Some(State::Waiting(known)) => mem::replace(known, waker),
            _ => waker,
        }
    }

    /// Gives the operation to an heir because its future is gone. If the completion is already there, it comes back with
    /// the heir at once.
    pub(crate) fn disown(&mut self, key: Key, heir: Heir) -> Disowned {
        let Some(entry) = self.get(key) else {
            return Disowned::Unknown(heir);
        };
        match mem::replace(&mut entry.state, State::Orphaned(heir)) {
            State::Waiting(waker) => {
                self.orphans += 1;
                Disowned::InFlight(waker)
            }
            State::Done(completion) => match self.entries.remove(key.slot()).state {
                State::Orphaned(heir) => Disowned::Done(heir, completion),
                state => unreachable!("just replaced, found {}", state.name()),
            },
            State::Orphaned(_) | State::Flowing(_) => {
                unreachable!("disowned once, by the drop of its future")
            }
        }
    }

    /// Whether a flow has not had its last completion.
    pub(crate) fn is_flowing(&self, key: Key) -> bool {
        self.entries
            .get(key.slot())
            .is_some_and(|entry| entry.serial == key.serial())
    }

    /// Whether the future of an operation is gone, and its completion still to come.
    pub(crate) fn is_orphaned(&self, key: Key) -> bool {
        self.entries.get(key.slot()).is_some_and(|entry| {
            entry.serial == key.serial() && matches!(entry.state, State::Orphaned(_))
        })
    }

    /// Whether any operation in flight has lost its future.
    pub(crate) fn has_orphans(&self) -> bool {
        self.orphans > 0
    }

    /// No cancellation finds it as long as it is with a worker.
    pub(crate) fn set_with_worker(&mut self, key: Key, is_with_worker: bool) {
        if let Some(entry) = self.get(key) {
            entry.chances = if is_with_worker { 0 } else { CHANCES };
        }
    }

    /// The cancellation of an operation found nothing. Returns whether to try again: it may have been between two tries.
    #[cold]
    pub(crate) fn was_not_found(&mut self, key: Key) -> bool {
        // What was sent without a copy ends when the peer has it, and no sooner.
        let is_sent = self.sent.contains_key(&key.user_data());
        let Some(entry) = self.get(key).filter(|_| !is_sent) else {
            return false;
        };
        if matches!(entry.state, State::Done(_)) || entry.chances == 0 {
            return false;
        }
        entry.chances -= 1;
        true
    }

    /// The number of requests that the kernel may still be working on.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The keys of those requests.
    pub(crate) fn keys_in_flight(&self) -> impl Iterator<Item = Key> {
        self.entries
            .iter()
            .filter(|(_, entry)| !matches!(entry.state, State::Done(_)))
            .map(|(slot, entry)| Key::new(slot, entry.serial))
    }

    #[inline]
    fn get(&mut self, key: Key) -> Option<&mut Entry> {
        self.entries
            .get_mut(key.slot())
            .filter(|entry| entry.serial == key.serial())
    }
}

/// What became of an operation so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    Done(Completion),
    Waiting,
    /// Waiting, with a waker that does not wake who asks.
    WaitingForAnother,
}

/// What became of a disowned operation.
pub(crate) enum Disowned {
    /// Still in flight: cancel it. The waker is to be dropped outside the borrow.
    InFlight(Waker),
    /// It had completed: the heir gets this.
    Done(Heir, Completion),
    /// No such operation.
    Unknown(Heir),
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            Self::Waiting(_) => "waiting",
            Self::Done(_) => "done",
            Self::Orphaned(_) => "orphaned",
            Self::Flowing(_) => "flowing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    fn completion(result: i32) -> Completion {
        Completion::new(result, 0)
    }

    #[test]
    fn a_late_completion_does_not_reach_the_next_owner_of_the_slot() {
        let mut table = Table::default();
        let first = table.insert(Waker::noop().clone());
        assert!(table.complete(first, completion(1)).is_some());
        assert_eq!(
            table.poll(first, Waker::noop()),
            Polled::Done(completion(1))
        );
        let second = table.insert(Waker::noop().clone());
        assert_eq!(first.slot(), second.slot());
        assert!(table.complete(first, completion(2)).is_none());
        assert!(!matches!(
            table.poll(second, Waker::noop()),
            Polled::Done(_)
        ));
        assert_eq!(table.in_flight(), 1);
    }

    #[test]
    fn an_orphan_hands_its_completion_to_the_heir_and_frees_the_slot() {
        let mut table = Table::default();
        let key = table.insert(Waker::noop().clone());
        let seen = Rc::new(Cell::new(0));
        let heir = {
            let seen = seen.clone();
            Box::new(move |c: Completion| seen.set(c.result)) as Heir
        };
        assert!(matches!(table.disown(key, heir), Disowned::InFlight(_)));
        assert_eq!(table.in_flight(), 1);
        let Some(Delivery::Inherit(heir, done)) = table.complete(key, completion(7)) else {
            panic!("an orphan is inherited");
        };
        heir(done);
        assert_eq!((seen.get(), table.in_flight()), (7, 0));
        assert!(table.complete(key, completion(8)).is_none());
    }

    #[test]
    fn a_completed_operation_is_disowned_with_its_completion() {
        let mut table = Table::default();
        let key = table.insert(Waker::noop().clone());
        table.complete(key, completion(3));
        let Disowned::Done(_, done) = table.disown(key, Box::new(|_| ())) else {
            panic!("the completion was there");
        };
        assert_eq!(done, completion(3));
        assert!(matches!(
            table.disown(key, Box::new(|_| ())),
            Disowned::Unknown(_)
        ));
    }

    #[test]
    fn what_no_cancellation_finds_is_cancelled_again_unless_none_ever_will() {
        let mut table = Table::default();
        let key = table.insert(Waker::noop().clone());
        assert_eq!(Key::of_cancellation(key.cancellation()), Some(key));
        assert_eq!(Key::of_cancellation(key.user_data()), None);
        assert!((0..128).all(|_| table.was_not_found(key)));
        assert!(!(0..128).all(|_| table.was_not_found(key)), "for ever");
        table.set_with_worker(key, false);
        assert!(table.was_not_found(key));
        table.set_with_worker(key, true);
        assert!(!table.was_not_found(key), "with a worker");
        let sent = table.insert(Waker::noop().clone());
        let more = Completion::new(5, 1 << 1);
        assert!(more.has_more() && table.complete(sent, more).is_none());
        assert!(!table.was_not_found(sent), "until the notice");
        let done = table.insert(Waker::noop().clone());
        table.complete(done, completion(1));
        assert!(!table.was_not_found(done), "it has ended");
    }
}
