//! What a recording keeps: the last polls, and of each task where it stands. There is none until somebody asks for one.
//!
//! ```text
//!   polls    the last N of them, with their times        48 bytes each at most
//!   sides    for each slot of a chunk in use             32 bytes each
//!   marks    a ring of as many: who made tasks ready     12 bytes each
//!            between two polls
//!   ways     each type that was seen, with its states
//! ```
//!
//! Invariants:
//!
//! - **RECORDER**: `Local::recorder` is null, or a live box that is freed after it was taken out of there, and not before
//!   the batch is over that is recorded in it. A reference to what is behind it is made by whoever is on the home thread,
//!   and lives neither beside another one nor across user code, which may end the recording.
//! - **SIDES**: the side of a slot belongs to the task whose id it has; whatever else it says is nobody's. One that has the
//!   complement of an id says that the task was there when the recording began. It is there as long as the recorder that made
//!   room for it, and a reference to it lives no longer than a statement or two, in which nobody else is called: ROOM.

use std::collections::HashMap;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;

use super::Settings;
use super::plan::Plan;
use super::polls::{MOST, Polls};
use super::room::{Last, Room, Zero};
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

/// Stands for a stamp: the task was spawned since the recording began, and was not polled before.
pub(super) const SPAWNED: u64 = 1;

/// What is known of the task in a slot.
///
/// The order keeps two values apart that are copied together: loads of both at once would wait for the last store to one.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Side {
    /// The task; zero is nobody's id.
    pub(super) task: u64,
    pub(super) polls: u64,
    /// A stamp close to the end of its last poll: that after it, or that before those with which it shares the time, while
    /// this is not known or if it was not long. Zero or [`SPAWNED`] if it was not polled since the recording began.
    pub(super) since: u64,
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

const _: () = assert!(size_of::<Side>() == 32 && size_of::<Mark>() == 12);

// SAFETY: numbers, of which zero is one.
unsafe impl Zero for Side {}
// SAFETY: the same.
unsafe impl Zero for Mark {}

/// What each poll touches comes first.
#[repr(C)]
pub(crate) struct Recorder {
    pub(super) polls: Polls,
    pub(super) ways: Ways,
    marks: Last<Mark>,
    /// How many entries the ready ring had gained when the recording began.
    pub(super) origin: u32,
    sides: Vec<(&'static Chunk, Room<Side>)>,
    root: Room<Side>,
    /// Whether all polls since the last note were recorded.
    pub(super) synced: bool,
    /// How many turns the runtime's own tasks had had when the first poll was recorded.
    pub(super) background_before: Option<u64>,
    /// How many entries the ready ring had gained after the last poll or mark.
    pub(super) noted: usize,
    numbers: HashMap<usize, u16>,
    /// The tables and numbers of types that were seen last.
    recent: [(*const VTable, u16); RECENT],
    pub(super) settings: Settings,
}

const RECENT: usize = 64;

/// Types beyond that.
pub(super) const NO_KIND: u16 = u16::MAX;

impl Recorder {
    pub(super) fn new(home: Home, settings: Settings) -> Self {
        Self {
            polls: Polls::new(&settings),
            ways: Ways::new(),
            marks: Last::new(settings.polls.clamp(1, MOST)),
            origin: low(home.ring.pushed() as u64),
            sides: Vec::new(),
            root: Room::new(1),
            synced: false,
            background_before: None,
            noted: home.ring.pushed(),
            numbers: HashMap::new(),
            recent: [(ptr::null(), 0); RECENT],
            settings,
        }
    }

    /// Notes of each task that it is there when the recording begins.
    pub(super) fn meet_all(&mut self, home: Home) {
        home.slots.for_each(|slot| {
            // SAFETY: STABLE, ALIGNED (see `crate::chunk`).
            let chunk: &'static Chunk = unsafe { &*chunk_of(slot) };
            let sides = NonNull::new(chunk.sides.get());
            let sides = sides.unwrap_or_else(|| self.add_sides(chunk));
            let side = Side {
                task: !id_of(slot),
                ..Side::default()
            };
            // SAFETY: there is one for each slot of the chunk.
            let place = unsafe { sides.add(chunk.index_of(slot) as usize) };
            // SAFETY: SIDES.
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
    pub(super) fn root_side(&self) -> NonNull<Side> {
        self.root.first()
    }

    /// Nothing that comes now is recorded, and the poll that goes on is the last.
    pub(super) fn end(&mut self) {
        self.polls.end();
        for (chunk, _) in &self.sides {
            chunk.sides.set(ptr::null_mut());
        }
    }

    /// Notes that what the ready ring has gained was pushed between two polls.
    pub(super) fn mark(&mut self, pushed: usize, who: u8) {
        if pushed == self.noted {
            return;
        }
        self.noted = pushed;
        let mark = Mark {
            pushed: low(pushed as u64),
            poll: low(self.polls.total()),
            who,
        };
        self.marks.push(mark);
    }

    /// The marks that are left, oldest first.
    pub(super) fn marks(&self) -> impl Iterator<Item = Mark> {
        self.marks.iter()
    }

    #[cold]
    #[inline(never)]
    pub(super) fn add_sides(&mut self, chunk: &'static Chunk) -> NonNull<Side> {
        let room = Room::new(chunk.slots as usize);
        let sides = room.first();
        chunk.sides.set(sides.as_ptr());
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
