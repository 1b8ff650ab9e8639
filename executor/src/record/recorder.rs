//! What a recording keeps: the last polls, and of each task where it stands. There is none until somebody asks for one.
//!
//! ```text
//!   polls    a ring of the last N polls                  32 bytes each
//!   times    a ring of as many: what those took that     16 bytes each
//!            share a look at the clock
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
//! - **ROW**: from [`Recorder::row`] on there is room for [`Recorder::share`] polls, which are no more than [`SHARED`], and
//!   of which [`Recorder::shared`], which are fewer, are over. They are those whose time is not known yet. When the recording
//!   is ended while a poll goes on, there is room for that one as well.
//! - **SIDES**: the side of a slot belongs to the task whose id it has; whatever else it says is nobody's. One that has the
//!   complement of an id says that the task was there when the recording began.

use std::collections::HashMap;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;

use super::Settings;
use super::clock::Clock;
use super::plan::Plan;
use super::room::{Last, Room, Zero};
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

/// Stands for a stamp: the task was spawned since the recording began, and was not polled before.
pub(super) const SPAWNED: u64 = 1;

/// One poll.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) task: u64,
    /// [`Side::since`] before it.
    pub(super) since: u64,
    pub(super) turn: Turn,
    pub(super) from: Stand,
    pub(super) to: Stand,
}

/// What polls took that share a look at the clock.
#[derive(Clone, Copy, Debug)]
struct Time {
    start: u64,
    took: f32,
    /// The lower half of the number of the first.
    first: u32,
}

const _: () = assert!(
    size_of::<Record>() == 32
        && size_of::<Time>() == 16
        && size_of::<Side>() == 32
        && size_of::<Mark>() == 12
);

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

// SAFETY: numbers, of which zero is one.
unsafe impl Zero for Record {}
// SAFETY: the same.
unsafe impl Zero for Time {}
// SAFETY: the same.
unsafe impl Zero for Side {}
// SAFETY: the same.
unsafe impl Zero for Mark {}

/// What each poll touches comes first.
#[repr(C)]
pub(crate) struct Recorder {
    /// Where the polls are that share the time: ROW.
    row: *mut Record,
    shared: u32,
    share: u32,
    /// The last stamp.
    pub(super) now: u64,
    pub(super) ways: Ways,
    /// The sides of those that share the time.
    sharing: [NonNull<Side>; SHARED as usize],
    pub(super) clock: Clock,
    polls: Room<Record>,
    /// The place of the first of those that share the time, and its number.
    place: usize,
    count: u64,
    times: Last<Time>,
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
    /// Whether every poll is timed on its own.
    exact: bool,
    /// How many polls are to share the time.
    usual: u32,
    /// How many ticks the polls should take that share the time.
    pace: u64,
    /// From how many ticks on a poll is reported.
    pub(super) long: f32,
}

/// Polls that share a look at the clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// The number of the first of them.
    pub(super) first: u64,
    pub(super) count: u32,
    /// The stamp before that.
    pub(super) start: u64,
    /// Ticks of all of them, if they are over.
    pub(super) took: Option<f32>,
}

const RECENT: usize = 64;

/// The most polls that share the time: a batch.
pub(super) const SHARED: u32 = crate::executor::BATCH;

/// Types beyond that.
pub(super) const NO_KIND: u16 = u16::MAX;

/// Polls that share the time should take so long in nanoseconds together: two that take half of it, or more.
const PACE: u64 = 2000;

/// The most polls that are kept.
const MOST: usize = 1 << 28;

impl Recorder {
    pub(super) fn new(home: Home, settings: Settings) -> Self {
        let clock = Clock::start();
        let room = settings.polls.clamp(1, MOST);
        let polls = Room::new(room);
        Self {
            row: polls.at(0),
            shared: 0,
            share: 1,
            now: 0,
            ways: Ways::new(),
            polls,
            place: 0,
            count: 0,
            times: Last::new(room),
            marks: Last::new(room),
            origin: low(home.ring.pushed() as u64),
            sides: Vec::new(),
            root: Room::new(1),
            sharing: [NonNull::dangling(); SHARED as usize],
            synced: false,
            background_before: None,
            noted: home.ring.pushed(),
            numbers: HashMap::new(),
            recent: [(ptr::null(), 0); RECENT],
            exact: settings.exact || settings.long.is_some(),
            usual: 1,
            pace: clock.ticks(PACE),
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

    /// A poll is over. True if it is the last of those that are to share the time, so that they are to be timed.
    ///
    /// # Safety
    ///
    /// SIDES: it is that of the task that had its turn, which took the entry that was taken from the ready ring as the last.
    #[inline(always)]
    pub(super) unsafe fn add(&mut self, home: Home, mut side: NonNull<Side>, to: Stand) -> bool {
        let place = self.shared as usize;
        // SAFETY: ROW.
        *unsafe { self.sharing.get_unchecked_mut(place) } = side;
        // SAFETY: the caller's.
        let side = unsafe { side.as_mut() };
        let record = Record {
            task: side.task,
            since: side.since,
            turn: Turn {
                popped: low(home.ring.popped() as u64),
                pushed: low(home.ring.pushed() as u64),
            },
            from: side.stand,
            to,
        };
        // SAFETY: ROW; ROOM.
        unsafe { self.row.wrapping_add(place).write(record) };
        (side.stand, side.since) = (to, self.now);
        side.polls += 1;
        self.shared += 1;
        self.shared >= self.share
    }

    /// Times the polls that share the time, if there are any. True if they took long enough to be reported.
    pub(super) fn time(&mut self) -> bool {
        let shared = std::mem::take(&mut self.shared);
        if shared == 0 {
            return false;
        }
        let start = self.now;
        self.now = self.clock.stamp().max(start);
        let ticks = self.now - start;
        let took = span(ticks);
        self.times.push(Time {
            start,
            took,
            first: low(self.count),
        });
        // For the others the stamp before them is close enough.
        if shared == 1 || ticks > 2 * self.pace {
            for side in &mut self.sharing[..shared as usize] {
                // SAFETY: SIDES: it was put there since the recording began.
                unsafe { side.as_mut() }.since = self.now;
            }
        }
        self.count += u64::from(shared);
        self.place += shared as usize;
        if self.place == self.polls.len() {
            self.place = 0;
        }
        self.row = self.polls.at(self.place);
        self.adapt(ticks, shared);
        let room = self.polls.len() - self.place;
        self.share = self.usual.min(low(room as u64));
        took >= self.long
    }

    /// Chooses how many polls are to share the time, by how long so many took.
    fn adapt(&mut self, ticks: u64, shared: u32) {
        if self.exact {
            return;
        }
        let (usual, shared) = (u64::from(self.usual), u64::from(shared));
        // As long as so many took, of polls that take as long as they should.
        let should = self.pace.saturating_mul(shared);
        let would = ticks.saturating_mul(usual);
        if would > should {
            self.usual = low((should / ticks).max(1));
        } else if would <= should / 2 {
            self.usual = (self.usual * 2).min(SHARED);
        }
    }

    /// Nothing that comes now is recorded, and the poll that goes on is the last.
    pub(super) fn end(&mut self) {
        self.share = 0;
        for (chunk, _) in &self.sides {
            chunk.sides.set(ptr::null_mut());
        }
    }

    /// How many polls were recorded in all.
    pub(super) fn total(&self) -> u64 {
        self.count + u64::from(self.shared)
    }

    /// The last polls, no more than so many, oldest first.
    pub(super) fn records(&self, most: usize) -> impl ExactSizeIterator<Item = Record> {
        let room = self.polls.len();
        let kept = usize::try_from(self.total()).unwrap_or(usize::MAX);
        let kept = kept.min(room).min(most);
        let first = self.place + self.shared as usize + room - kept;
        (0..kept).map(move |place| self.polls.get((first + place) % room))
    }

    /// What the polls took from that of a number on, which is kept, the last first.
    pub(super) fn times(&self, first: u64) -> impl Iterator<Item = Times> {
        let open = Times {
            first: self.count,
            count: self.shared,
            start: self.now,
            took: None,
        };
        let mut end = self.count;
        let times = self.times.iter().rev().map(move |time| {
            let count = low(end).wrapping_sub(time.first);
            end -= u64::from(count);
            Times {
                first: end,
                count,
                start: time.start,
                took: Some(time.took),
            }
        });
        let open = Some(open).filter(|open| open.count > 0);
        open.into_iter()
            .chain(times)
            .take_while(move |times| times.first + u64::from(times.count) > first)
    }

    /// Notes that what the ready ring has gained was pushed between two polls.
    pub(super) fn mark(&mut self, pushed: usize, who: u8) {
        if pushed == self.noted {
            return;
        }
        self.noted = pushed;
        let mark = Mark {
            pushed: low(pushed as u64),
            poll: low(self.total()),
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

/// As a number that is small and never zero.
#[expect(
    clippy::cast_precision_loss,
    reason = "one part in ten million is exact enough"
)]
fn span(ticks: u64) -> f32 {
    ticks.max(1) as f32
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
