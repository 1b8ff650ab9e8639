//! What a recording keeps: the last polls, and of each task where it stands. There is none until somebody asks for one.
//!
//! ```text
//!   polls    a ring of the last N polls                  48 bytes each
//!   sides    for each slot of a chunk in use             32 bytes each
//!   sources  for each place in the ready ring            24 bytes each: who made it ready, when, and in which poll
//!   kinds    each type that was seen, with its plan
//! ```
//!
//! Invariants:
//!
//! - **RECORDER**: `Local::recorder` is null, or a live box that only [`stop`](Home::stop_recording) frees. A reference to what is
//!   behind it is made by whoever is on the home thread, and never lives across user code, which may stop the recording.
//! - **SIDES**: the side of a slot belongs to the task whose id it has; whatever else it says is nobody's.

use std::collections::HashMap;
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::clock::{Clock, Scale};
use super::plan::{Plan, State, UNKNOWN};
use super::{PollFacts, Settings};
use crate::bundle::Home;
use crate::chunk::{Chunk, chunk_of};
use crate::header::{HEADER_BYTES, Header};
use crate::look::Kind;
use crate::raw::VTable;

/// Who made a task ready, if it was no task.
pub(super) mod source {
    /// Nobody knows: it was before the recording.
    pub(crate) const UNKNOWN: u64 = u64::MAX;
    /// I/O or a timer.
    pub(crate) const EVENT: u64 = u64::MAX - 1;
    /// Another thread.
    pub(crate) const THREAD: u64 = u64::MAX - 2;
    /// The root future.
    pub(crate) const ROOT: u64 = u64::MAX - 3;
    /// Code of this thread, between two runs.
    pub(crate) const OUTSIDE: u64 = u64::MAX - 4;
}

/// Where tasks stand that have ended; see [`super::plan::LAST`].
pub(super) mod ended {
    use super::State;

    pub(crate) const COMPLETED: State = State::MAX - 1;
    pub(crate) const PANICKED: State = State::MAX - 2;
    pub(crate) const DROPPED: State = State::MAX - 3;
}

/// Bits of [`Record::flags`].
pub(super) mod flag {
    /// The first poll of a task, which was spawned while this was recorded.
    pub(crate) const FIRST: u16 = 1;
    /// The time was looked at after this poll. Those before it that lack this share the time with it.
    pub(crate) const TIMED: u16 = 2;
    /// It is a poll of the root future.
    pub(crate) const ROOT: u16 = 4;
}

/// One poll.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    /// The stamp before it, or before the first of those with which it shares the time.
    pub(super) start: u64,
    pub(super) task: u64,
    pub(super) source: u64,
    /// Ticks of all the polls that share the time, if it is [`flag::TIMED`].
    pub(super) took: f32,
    /// Ticks since it was made ready; negative if that is not known.
    pub(super) ready: f32,
    /// Ticks since its last poll; negative if that is not known.
    pub(super) waited: f32,
    pub(super) kind: u16,
    pub(super) from: State,
    pub(super) to: State,
    pub(super) flags: u16,
    /// How many polls ago it was made ready, if in a poll; 0 if not, or if that is too long ago.
    pub(super) back: u32,
}

const _: () =
    assert!(size_of::<Record>() == 48 && size_of::<Side>() == 32 && size_of::<Source>() == 24);

/// What is known of the task in a slot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Side {
    /// The task; zero is nobody's id.
    pub(super) task: u64,
    /// The stamp after its last poll; zero if it was not polled since the recording began.
    pub(super) since: u64,
    pub(super) polls: u32,
    pub(super) wakes: u32,
    pub(super) kind: u16,
    pub(super) state: State,
}

/// Who made a place of the ready ring ready, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) who: u64,
    pub(super) at: u64,
    /// The number of the poll in which that was; [`NO_POLL`] if it was in none.
    pub(super) poll: u64,
}

/// No poll has this number.
pub(super) const NO_POLL: u64 = u64::MAX;

/// It was before the recording.
pub(super) const BEFORE: Source = Source {
    who: source::UNKNOWN,
    at: 0,
    poll: NO_POLL,
};

/// A type that was seen.
pub(super) struct Known {
    pub(super) kind: Kind,
    pub(super) plan: Plan,
}

pub(crate) struct Recorder {
    pub(super) clock: Clock,
    /// Different for each recording, so that who comes back from user code knows whether it is the same.
    pub(super) generation: u64,
    polls: Box<[Record]>,
    /// How many polls were recorded in all.
    pub(super) count: u64,
    sides: Vec<(&'static Chunk, *mut [Side])>,
    pub(super) root: Side,
    sources: Vec<Source>,
    /// Whether all polls since the last note were recorded.
    pub(super) synced: bool,
    /// Pushes of the ready ring for which the source is noted.
    pub(super) noted: usize,
    pub(super) kinds: Vec<Known>,
    numbers: HashMap<usize, u16>,
    /// The tables and numbers of types that were seen last.
    recent: [(*const VTable, u16); RECENT],
    pub(super) settings: Settings,
    /// Ids from here on were given out since the recording began.
    pub(super) first_new: u64,
    /// Whether every poll is timed on its own.
    pub(super) exact: bool,
    /// How many ticks the polls should take that share the time.
    pub(super) share: u64,
    /// From how many ticks on a poll is reported.
    pub(super) long: f32,
}

const RECENT: usize = 64;

/// The most types that are told apart.
const KINDS: usize = u16::MAX as usize;

/// Types beyond that.
pub(super) const NO_KIND: u16 = u16::MAX;

/// Polls that share the time should take so long in nanoseconds, of which a look at the clock is a fiftieth or less.
const SHARE: u64 = 1000;

impl Home {
    /// Begins a recording, and drops the one that there is.
    pub(crate) fn start_recording(self, settings: Settings) {
        self.stop_recording();
        let clock = Clock::start();
        let polls = settings.polls.clamp(1, 1 << 28).next_power_of_two();
        let generation = self.recordings.get() + 1;
        self.recordings.set(generation);
        let recorder = Recorder {
            generation,
            polls: vec![Record::default(); polls].into(),
            count: 0,
            sides: Vec::new(),
            root: Side::default(),
            sources: Vec::new(),
            synced: false,
            noted: self.ring.pushed(),
            kinds: Vec::new(),
            numbers: HashMap::new(),
            recent: [(ptr::null(), 0); RECENT],
            first_new: self.peek_id(),
            exact: settings.exact || settings.long.is_some(),
            share: clock.ticks(SHARE),
            long: settings.long.map_or(f32::INFINITY, |long| {
                let nanos = u64::try_from(long.as_nanos()).unwrap_or(u64::MAX);
                clock.ticks(nanos - nanos / 64) as f32
            }),
            settings,
            clock,
        };
        self.recorder.set(Box::into_raw(Box::new(recorder)));
    }

    /// Ends the recording, if there is one, and frees its memory.
    pub(crate) fn stop_recording(self) {
        let recorder = self.recorder.replace(ptr::null_mut());
        if !recorder.is_null() {
            // SAFETY: RECORDER: it was made from a box, and nobody refers to it.
            drop(unsafe { Box::from_raw(recorder) });
        }
    }

    #[inline]
    pub(crate) fn is_recording(self) -> bool {
        !self.recorder.get().is_null()
    }

    /// What is known of a task; of the root future, if `slot` is its.
    pub(crate) fn facts(self, slot: *const Header) -> Option<PollFacts> {
        // SAFETY: no user code runs while it lives.
        let recorder = unsafe { self.recorder() }?;
        let side = if ptr::eq(slot, self.root()) {
            (recorder.root.task != 0).then_some(recorder.root)
        } else {
            recorder.known(slot, id_of(slot))
        };
        side.map(|side| side.facts(recorder.clock.scale()))
    }

    /// A root future is about to be run. It is another than the last one.
    pub(crate) fn begin_run(self) {
        // SAFETY: no user code runs while it lives.
        let Some(recorder) = (unsafe { self.recorder() }) else {
            return;
        };
        recorder.root = Side::default();
        recorder.synced = true;
        let now = recorder.clock.stamp();
        recorder.note(self, self.ring.pushed(), Source::of(source::OUTSIDE, now));
    }

    /// The recording, if there is one.
    ///
    /// # Safety
    ///
    /// RECORDER: there is no other reference, and no user code runs while this one lives.
    #[inline]
    pub(super) unsafe fn recorder<'a>(self) -> Option<&'a mut Recorder> {
        // SAFETY: the caller's; HOME.
        unsafe { self.recorder.get().as_mut() }
    }
}

impl Source {
    /// Somebody who is no task.
    pub(super) fn of(who: u64, at: u64) -> Self {
        Self {
            who,
            at,
            poll: NO_POLL,
        }
    }
}

impl Recorder {
    /// Adds a poll in the place of the oldest.
    #[inline]
    pub(super) fn push(&mut self, record: Record) {
        let place = self.place(self.count);
        self.polls[place] = record;
        self.count += 1;
    }

    /// The last poll that was added.
    #[inline]
    pub(super) fn last(&mut self) -> &mut Record {
        let place = self.place(self.count.wrapping_sub(1));
        &mut self.polls[place]
    }

    /// The polls that are left, oldest first.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        let kept = self.count.min(self.polls.len() as u64);
        (self.count - kept..self.count).map(|number| &self.polls[self.place(number)])
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the mask keeps it below the length"
    )]
    fn place(&self, number: u64) -> usize {
        number as usize & (self.polls.len() - 1)
    }

    /// Notes who pushed the latest entries of the ready ring, and when.
    #[inline]
    pub(super) fn note(&mut self, home: Home, pushed: usize, from: Source) {
        if pushed == self.noted {
            return;
        }
        if self.sources.len() < home.ring.capacity() {
            self.make_room(home);
        }
        let mask = self.sources.len() - 1;
        while self.noted != pushed {
            self.sources[self.noted & mask] = from;
            self.noted = self.noted.wrapping_add(1);
        }
    }

    #[cold]
    #[inline(never)]
    fn make_room(&mut self, home: Home) {
        let mut room = vec![BEFORE; home.ring.capacity()];
        let (old, new) = (self.sources.len(), room.len());
        for number in 0..old {
            let number = self.noted.wrapping_sub(number + 1);
            room[number & (new - 1)] = self.sources[number & (old - 1)];
        }
        self.sources = room;
    }

    /// Who made the entry ready that was taken from the ring as the last.
    #[inline]
    pub(super) fn source(&self, home: Home) -> Source {
        let popped = home.ring.popped().wrapping_sub(1);
        match self.sources.len() {
            0 => BEFORE,
            len => self.sources[popped & (len - 1)],
        }
    }

    /// What is known of a slot, for its task to be looked at or changed.
    #[inline]
    pub(super) fn side(&mut self, slot: *const Header) -> *mut Side {
        // SAFETY: STABLE, ALIGNED (see `crate::chunk`).
        let chunk: &'static Chunk = unsafe { &*chunk_of(slot) };
        let mut sides = chunk.sides.get();
        if sides.is_null() {
            sides = self.add_sides(chunk);
        }
        sides.wrapping_add(chunk.index_of(slot) as usize)
    }

    /// The same of the root future, if the flags of its poll say that it is that.
    #[inline]
    pub(super) fn side_of(&mut self, slot: *const Header, flags: u16) -> *mut Side {
        match flags & flag::ROOT {
            0 => self.side(slot),
            _ => &raw mut self.root,
        }
    }

    #[cold]
    #[inline(never)]
    fn add_sides(&mut self, chunk: &'static Chunk) -> *mut Side {
        let sides: Box<[Side]> = vec![Side::default(); chunk.slots as usize].into();
        let sides = Box::into_raw(sides);
        chunk.sides.set(sides.cast());
        self.sides.push((chunk, sides));
        sides.cast()
    }

    /// The number of a type that was seen before, by the table of its functions.
    #[inline]
    pub(super) fn recent(&self, table: &'static VTable) -> Option<u16> {
        let (known, number) = self.recent[recent_place(table)];
        ptr::eq(known, table).then_some(number)
    }

    /// The number of a type that was seen before.
    pub(super) fn number(&self, kind: &Kind) -> Option<u16> {
        let full = self.kinds.len() >= KINDS;
        let number = self.numbers.get(&kind.vtable).copied();
        number.or(full.then_some(NO_KIND))
    }

    /// Numbers a type.
    pub(super) fn add_kind(&mut self, kind: Kind, plan: Plan) -> u16 {
        let number = u16::try_from(self.kinds.len()).unwrap_or(NO_KIND);
        if number != NO_KIND {
            self.numbers.insert(kind.vtable, number);
            self.kinds.push(Known { kind, plan });
        }
        number
    }

    pub(super) fn remember(&mut self, table: &'static VTable, number: u16) {
        self.recent[recent_place(table)] = (table, number);
    }

    /// The state of a future of a type.
    ///
    /// # Safety
    ///
    /// A future of this type is at the address, whole.
    #[inline]
    pub(super) unsafe fn state(&self, kind: u16, future: *const u8) -> State {
        match self.kinds.get(usize::from(kind)) {
            // SAFETY: the caller's.
            Some(known) => unsafe { known.plan.read(future) },
            None => UNKNOWN,
        }
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

impl Side {
    pub(super) fn facts(&self, scale: Scale) -> PollFacts {
        let ago = |stamp| scale.now().saturating_sub(scale.nanos(stamp));
        PollFacts {
            since: (self.since != 0).then(|| Duration::from_nanos(ago(self.since))),
            polls: self.polls.into(),
            wakes: self.wakes.into(),
            state: self.state,
            kind: self.kind,
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        for (chunk, sides) in self.sides.drain(..) {
            chunk.sides.set(ptr::null_mut());
            // SAFETY: `add_sides` made it from a box, and the chunk does not know it any more.
            drop(unsafe { Box::from_raw(sides) });
        }
    }
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
