//! What a recording keeps: the last polls, and of each task where it stands. There is none until somebody asks for one.
//!
//! ```text
//!   polls    a ring of the last N polls                  48 bytes each
//!   sides    for each slot of a chunk in use             32 bytes each
//!   marks    a ring of as many: who made tasks ready     12 bytes each
//!            between two polls
//!   ways     each type that was seen, with its states
//! ```
//!
//! Invariants:
//!
//! - **RECORDER**: `Local::recorder` is null, or a live box that is freed after it was taken out of there. A reference to
//!   what is behind it is made by whoever is on the home thread, and lives neither beside another one nor across user code,
//!   which may end the recording.
//! - **SIDES**: the side of a slot belongs to the task whose id it has; whatever else it says is nobody's. One that has the
//!   complement of an id says that the task was there when the recording began.

use std::collections::HashMap;
use std::ptr;
use std::sync::atomic::Ordering;

use super::Settings;
use super::clock::Clock;
use super::plan::Plan;
use super::room::{Room, Zero};
use super::wakes::Turn;
use super::ways::{Stand, Ways};
use crate::bundle::Home;
use crate::chunk::{Chunk, chunk_of};
use crate::header::{HEADER_BYTES, Header};
use crate::look::Kind;
use crate::raw::VTable;

/// Who made a task ready, if it was no task.
pub(super) mod source {
    /// Nobody knows: it was before the recording.
    pub(crate) const UNKNOWN: u8 = 0;
    /// I/O or a timer.
    pub(crate) const EVENT: u8 = 1;
    /// Another thread.
    pub(crate) const THREAD: u8 = 2;
    /// Code of this thread, between two runs.
    pub(crate) const OUTSIDE: u8 = 3;
}

/// What stands for the id of the root future.
pub(super) const ROOT: u64 = u64::MAX;

/// Bit of [`Record::to`]: the first poll of a task, which was spawned while this was recorded.
pub(super) const FIRST: u32 = 1 << 31;

/// Above these bits, [`Record::to`] has the poll's place among those with which it shares the time.
pub(super) const PLACE_SHIFT: u32 = 24;

/// One poll.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// The stamp before it, or before the first of those with which it shares the time.
    pub(super) start: u64,
    pub(super) task: u64,
    /// The stamp after the poll before; zero if that is not known.
    pub(super) since: u64,
    /// Which entry of the ready ring it took, and how many that had gained when it was over.
    pub(super) turn: Turn,
    /// Ticks of all the polls that share the time, if it is the last of them; else zero.
    pub(super) took: f32,
    pub(super) from: Stand,
    pub(super) to: Stand,
}

const _: () =
    assert!(size_of::<Record>() == 48 && size_of::<Side>() == 32 && size_of::<Mark>() == 12);

/// What is known of the task in a slot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Side {
    /// The task; zero is nobody's id.
    pub(super) task: u64,
    /// The stamp after its last poll, or before those with which that shares the time while it is not known; zero if it
    /// was not polled since the recording began.
    pub(super) since: u64,
    pub(super) polls: u64,
    /// 1 if it was spawned since the recording began, so that its first poll came of no wake; else 0.
    pub(super) first: u32,
    pub(super) stand: Stand,
}

/// Who made tasks ready between two polls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// How many entries the ready ring had gained then.
    pub(super) pushed: u32,
    /// The lower half of the number of the poll that came next.
    pub(super) poll: u32,
    pub(super) who: u8,
}

// SAFETY: numbers, of which zero is one.
unsafe impl Zero for Record {}
// SAFETY: the same.
unsafe impl Zero for Side {}
// SAFETY: the same.
unsafe impl Zero for Mark {}

pub(crate) struct Recorder {
    pub(super) clock: Clock,
    /// One more than are kept: that which is going on.
    polls: Room<Record>,
    /// The place of that.
    place: usize,
    /// How many polls were recorded in all.
    pub(super) count: u64,
    marks: Room<Mark>,
    /// How many marks were made in all.
    marked: usize,
    /// How many entries the ready ring had gained when the recording began.
    pub(super) origin: u32,
    sides: Vec<(&'static Chunk, Room<Side>)>,
    root: Room<Side>,
    /// The sides of those that share the time, of which the loop knows how many there are.
    pub(super) sharing: [*mut Side; SHARED as usize],
    /// Whether all polls since the last note were recorded.
    pub(super) synced: bool,
    /// How many turns the runtime's own tasks had had when the first poll was recorded.
    pub(super) background_before: Option<u64>,
    /// How many entries the ready ring had gained after the last poll or mark.
    pub(super) noted: usize,
    pub(super) ways: Ways,
    numbers: HashMap<usize, u16>,
    /// The tables and numbers of types that were seen last.
    recent: [(*const VTable, u16); RECENT],
    pub(super) settings: Settings,
    /// Whether every poll is timed on its own.
    pub(super) exact: bool,
    /// How many ticks the polls should take that share the time.
    pub(super) share: u64,
    /// From how many ticks on a poll is reported.
    pub(super) long: f32,
}

const RECENT: usize = 64;

/// The most polls that share the time: a batch.
pub(super) const SHARED: u32 = crate::executor::BATCH;

/// Types beyond that.
pub(super) const NO_KIND: u16 = u16::MAX;

/// Polls that share the time should take so long in nanoseconds, of which a look at the clock is a fiftieth or less.
const SHARE: u64 = 1000;

/// The most polls that are kept.
const MOST: usize = 1 << 28;

impl Recorder {
    pub(super) fn new(home: Home, settings: Settings) -> Self {
        let clock = Clock::start();
        let polls = settings.polls.clamp(1, MOST);
        Self {
            polls: Room::new(polls + 1),
            place: 0,
            count: 0,
            marks: Room::new(polls),
            marked: 0,
            origin: low(home.ring.pushed() as u64),
            sides: Vec::new(),
            root: Room::new(1),
            sharing: [ptr::null_mut(); SHARED as usize],
            synced: false,
            background_before: None,
            noted: home.ring.pushed(),
            ways: Ways::new(),
            numbers: HashMap::new(),
            recent: [(ptr::null(), 0); RECENT],
            exact: settings.exact || settings.long.is_some(),
            share: clock.ticks(SHARE),
            long: settings.long.map_or(f32::INFINITY, |long| {
                let nanos = u64::try_from(long.as_nanos()).unwrap_or(u64::MAX);
                clock.ticks(nanos - nanos / 64) as f32
            }),
            settings,
            clock,
        }
    }

    /// Notes of each task that it is there when the recording begins.
    pub(super) fn meet_all(&mut self, home: Home) {
        home.slots.for_each(|slot| {
            // SAFETY: STABLE, ALIGNED (see `crate::chunk`).
            let chunk: &'static Chunk = unsafe { &*chunk_of(slot) };
            let sides = Some(chunk.sides.get()).filter(|sides| !sides.is_null());
            let sides = sides.unwrap_or_else(|| self.add_sides(chunk));
            let side = Side {
                task: !id_of(slot),
                ..Side::default()
            };
            let place = sides.wrapping_add(chunk.index_of(slot) as usize);
            // SAFETY: there is one for each slot of the chunk.
            unsafe { place.write(side) };
            true
        });
    }

    /// How many of the polls that are over were of the runtime's own tasks.
    pub(super) fn background(&self, home: Home) -> u64 {
        // SAFETY: STABLE.
        let running = unsafe { home.running.get().as_ref() };
        let table = running.and_then(|header| header.vtable.get());
        let goes_on = table.is_some_and(|table| table.is_background);
        let turns = home.background_turns.get() - u64::from(goes_on);
        turns.saturating_sub(self.background_before.unwrap_or(turns))
    }

    /// What is known of the root future; nothing if its task is zero.
    pub(super) fn root(&self) -> Side {
        self.root.get(0)
    }

    /// Where that is.
    pub(super) fn root_side(&self) -> *mut Side {
        self.root.at(0)
    }

    /// Begins the record of the turn of the task that was taken from the ready ring as the last, in the place of the oldest
    /// poll.
    #[inline]
    pub(super) fn open(&self, home: Home, side: Side, now: u64, first: u32) -> *mut Record {
        let record = Record {
            start: now,
            task: side.task,
            since: side.since,
            turn: Turn {
                popped: low(home.ring.popped() as u64).wrapping_sub(1),
                pushed: 0,
            },
            took: 0.0,
            from: side.stand,
            to: first,
        };
        self.polls.set(self.place, record);
        self.polls.at(self.place)
    }

    /// The record that was begun is complete.
    #[inline]
    pub(super) fn close(&mut self) {
        self.count += 1;
        self.place += 1;
        if self.place == self.polls.len() {
            self.place = 0;
        }
    }

    /// The last poll that is over.
    pub(super) fn last(&self) -> *mut Record {
        let place = self.place.checked_sub(1);
        self.polls.at(place.unwrap_or(self.polls.len() - 1))
    }

    /// The last polls, no more than so many, oldest first, with their numbers.
    pub(super) fn records(&self, most: usize) -> impl Iterator<Item = (u64, Record)> {
        let room = self.polls.len();
        let kept = usize::try_from(self.count).unwrap_or(usize::MAX);
        let kept = kept.min(room - 1).min(most);
        let first = (self.place + room - kept) % room;
        let numbers = self.count - kept as u64..self.count;
        numbers.zip(
            (first..room)
                .chain(0..first)
                .map(|place| self.polls.get(place)),
        )
    }

    /// Notes that what the ready ring has gained was pushed between two polls.
    pub(super) fn mark(&mut self, pushed: usize, who: u8) {
        if pushed == self.noted {
            return;
        }
        self.noted = pushed;
        let mark = Mark {
            pushed: low(pushed as u64),
            poll: low(self.count),
            who,
        };
        self.marks.set(self.marked % self.marks.len(), mark);
        self.marked += 1;
    }

    /// The marks that are left, oldest first.
    pub(super) fn marks(&self) -> impl Iterator<Item = Mark> {
        let kept = self.marked.min(self.marks.len());
        (self.marked - kept..self.marked).map(|number| self.marks.get(number % self.marks.len()))
    }

    #[cold]
    #[inline(never)]
    pub(super) fn add_sides(&mut self, chunk: &'static Chunk) -> *mut Side {
        let room = Room::new(chunk.slots as usize);
        let sides = room.at(0);
        chunk.sides.set(sides);
        self.sides.push((chunk, room));
        sides
    }

    /// The number of a type that was seen before, by the table of its functions.
    #[inline]
    pub(super) fn recent(&self, table: &'static VTable) -> Option<u16> {
        let (known, number) = self.recent[recent_place(table)];
        ptr::eq(known, table).then_some(number)
    }

    /// The number of a type that was seen before.
    pub(super) fn number(&self, kind: &Kind) -> Option<u16> {
        let full = self.ways.is_full();
        let number = self.numbers.get(&kind.vtable).copied();
        number.or(full.then_some(NO_KIND))
    }

    /// Numbers a type.
    pub(super) fn add_kind(&mut self, kind: Kind, plan: Plan) -> u16 {
        let name = kind.vtable;
        let number = self.ways.add(kind, plan);
        self.numbers.insert(name, number);
        number
    }

    pub(super) fn remember(&mut self, table: &'static VTable, number: u16) {
        self.recent[recent_place(table)] = (table, number);
    }

    /// What is known of the task in a slot, if it was polled since the recording began.
    pub(super) fn known(&self, slot: *const Header, id: u64) -> Option<Side> {
        // SAFETY: STABLE, ALIGNED (see `crate::chunk`).
        let chunk = unsafe { &*chunk_of(slot) };
        let sides = chunk.sides.get();
        if sides.is_null() {
            return None;
        }
        // SAFETY: there is one for each slot of the chunk.
        let side = unsafe { sides.wrapping_add(chunk.index_of(slot) as usize).read() };
        (side.task == id).then_some(side)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        for (chunk, _) in &self.sides {
            chunk.sides.set(ptr::null_mut());
        }
    }
}

/// The lower half of a number.
#[expect(clippy::cast_possible_truncation, reason = "that is what is asked for")]
pub(super) fn low(number: u64) -> u32 {
    number as u32
}

fn recent_place(table: &'static VTable) -> usize {
    (ptr::from_ref(table).addr() / align_of::<VTable>()).wrapping_mul(0x9e37_79b9) >> 16
        & (RECENT - 1)
}

/// Where the future of a slot is.
#[inline]
pub(super) fn body(slot: *const Header) -> *const u8 {
    slot.cast::<u8>().wrapping_add(HEADER_BYTES)
}

/// The id of the task in a slot.
#[inline]
pub(super) fn id_of(slot: *const Header) -> u64 {
    // SAFETY: STABLE.
    unsafe { &*slot }.id.load(Ordering::Relaxed)
}
