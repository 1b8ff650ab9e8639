//! The loop that polls what is ready, while a recording is made: as the plain one, and between two polls a note of what has
//! happened.
//!
//! ```text
//!   batch   stamp ─ poll ─ note ─ poll ─ note ─ … ─ stamp
//! ```
//!
//! The end of one poll is the beginning of the next, so there is one stamp between two. A stamp costs more than all the
//! rest, so polls that take less than a microsecond share it, unless each is to be timed on its own.
//!
//! Who woke whom needs no trace in the wakers: what the ready ring gained during a poll was made ready by that task, what
//! it gained while the executor slept by I/O or timers, what came with the inbox by other threads.
//!
//! Invariants: RECORDER, SIDES (see [`super::recorder`]), ROOM (see [`super::room`]), HOME (see [`crate::header`]).

use std::pin::Pin;
use std::ptr;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::Ended;
use super::plan::{Plan, State, UNKNOWN};
use super::recorder::{
    FIRST, NO_KIND, PLACE_SHIFT, ROOT, Record, Recorder, SHARED, Side, body, id_of, low, source,
};
use super::ways::{COMPLETED, DROPPED, NOWHERE, PANICKED, Stand};
use crate::bundle::Home;
use crate::chunk::{Chunk, chunk_of};
use crate::header::{Header, run, state};
use crate::look::Placed;
use crate::pulse::Turn;
use crate::{Executor, Park, coop};

/// What the loop remembers from one note to the next.
struct Watch {
    home: Home,
    /// Valid as long as `generation` is that of the executor: RECORDER.
    recorder: *mut Recorder,
    generation: u64,
    /// The last stamp, and how many polls there were since, of how many that are to share it.
    now: u64,
    shared: u32,
    share: u32,
    /// The task whose turn it is; null between two turns.
    slot: *const Header,
    /// What is known of it: SIDES.
    side: *mut Side,
    /// The record of its turn, which is there as long as the recording.
    record: *mut Record,
}

impl<P: Park> Executor<P> {
    /// Runs a batch, as [`run`](Self::run) does, and records it. `arrived` is what the ready ring had gained before the
    /// inbox was looked at.
    #[cold]
    #[inline(never)]
    pub(crate) fn recorded<F: Future>(
        &self,
        mut future: Pin<&mut F>,
        context: &mut Context<'_>,
        arrived: usize,
    ) -> Option<F::Output> {
        let home = self.home();
        let mut watch = Watch::new(home, arrived)?;
        let mut left = crate::executor::BATCH;
        while left > 0 {
            let Some(slot) = home.ring.pop() else { break };
            left -= 1;
            home.budget.set(coop::BUDGET);
            let same = if !ptr::eq(slot, home.root()) {
                let begun = watch.begin(slot);
                let turn = Turn::begin(home, slot, || watch.from());
                self.turn(slot);
                drop(turn);
                if begun { watch.end() } else { watch.is_there() }
            } else {
                watch.begin_root(slot, ptr::from_ref(&*future).cast());
                let turn = Turn::begin(home, slot, || watch.from());
                // SAFETY: STABLE; HOME.
                unsafe { &*slot }.run.set(run::IDLE);
                let _polling = crate::look::Polling::begin(home);
                let polled = future.as_mut().poll(context);
                drop(turn);
                if let Poll::Ready(output) = polled {
                    watch.end_root(None);
                    return Some(output);
                }
                watch.end_root(Some(ptr::from_ref(&*future).cast()))
            };
            if !same {
                break;
            }
        }
        None
    }
}

impl Watch {
    fn new(home: Home, arrived: usize) -> Option<Self> {
        home.ended.take();
        // SAFETY: RECORDER: no user code runs while it lives.
        let recorder = unsafe { home.recorder() }?;
        let now = recorder.clock.stamp();
        let turns = home.background_turns.get();
        recorder.background_before.get_or_insert(turns);
        let gained = if std::mem::replace(&mut recorder.synced, true) {
            source::EVENT
        } else {
            source::UNKNOWN
        };
        recorder.mark(arrived, gained);
        recorder.mark(home.ring.pushed(), source::THREAD);
        Some(Self {
            home,
            recorder: home.recorder.get(),
            generation: home.recordings.get(),
            now,
            shared: 0,
            share: 1,
            slot: ptr::null(),
            side: ptr::null_mut(),
            record: ptr::null_mut(),
        })
    }

    /// Whether the recording was not ended.
    #[inline]
    fn is_there(&self) -> bool {
        self.home.recordings.get() == self.generation
    }

    /// Does something with the recording, which is there; it calls nothing of others.
    #[inline]
    fn with<T>(&self, work: impl FnOnce(&mut Recorder) -> T) -> T {
        debug_assert!(self.is_there());
        // SAFETY: RECORDER: the same generation means that it was not freed, and the reference is gone when this returns.
        work(unsafe { &mut *self.recorder })
    }

    /// A task that was taken from the ring is about to have its turn. False if it has ended since it was made ready, so
    /// that there is nothing to poll.
    #[inline]
    fn begin(&mut self, slot: *const Header) -> bool {
        // SAFETY: STABLE; HOME.
        let header = unsafe { &*slot };
        if header.state.load(Ordering::Relaxed) != state::LIVE {
            return false;
        }
        // SAFETY: STABLE, ALIGNED (see `crate::chunk`).
        let chunk: &'static Chunk = unsafe { &*chunk_of(slot) };
        let mut sides = chunk.sides.get();
        if sides.is_null() {
            sides = self.with(|recorder| recorder.add_sides(chunk));
        }
        let side = sides.wrapping_add(chunk.index_of(slot) as usize);
        let mut first = 0;
        // SAFETY: SIDES.
        if unsafe { &*side }.task != id_of(slot) {
            first = self.meet(slot, side);
        }
        (self.slot, self.side) = (slot, side);
        // SAFETY: SIDES.
        self.open(unsafe { side.read() }, first);
        true
    }

    #[inline]
    fn open(&mut self, side: Side, first: u32) {
        self.record = self.with(|recorder| recorder.open(self.home, side, self.now, first));
    }

    /// The first turn of a task in this recording: its type and its state are looked up. Returns whether it was spawned
    /// since then, as a bit.
    #[inline(never)]
    fn meet(&mut self, slot: *const Header, side: *mut Side) -> u32 {
        // SAFETY: STABLE; HOME.
        let header = unsafe { &*slot };
        let table = header.vtable.get().filter(|_| header.is_whole());
        let known = table.and_then(|table| self.with(|recorder| recorder.recent(table)));
        let kind =
            known.unwrap_or_else(|| table.map_or(NO_KIND, |table| self.number(table.future)));
        if let (None, Some(table)) = (known, table) {
            self.with(|recorder| recorder.remember(table, kind));
        }
        let task = id_of(slot);
        // SAFETY: SIDES.
        let first = unsafe { &*side }.task != !task;
        let fresh = Side {
            task,
            since: 0,
            polls: 0,
            first: u32::from(first),
            stand: match table {
                // SAFETY: it is whole, and of this type.
                Some(_) => self.with(|recorder| unsafe { recorder.ways.first(kind, body(slot)) }),
                None => NOWHERE,
            },
        };
        // SAFETY: SIDES.
        unsafe { side.write(fresh) };
        if first { FIRST } else { 0 }
    }

    /// The number of a type. The plan of a new one is made without a borrow, and outside of what is timed as a poll.
    fn number(&mut self, future: Placed) -> u16 {
        let kind = (future.kind)();
        if let Some(number) = self.with(|recorder| recorder.number(&kind)) {
            return number;
        }
        let make = self.with(|recorder| recorder.settings.plan);
        self.close();
        let mut plan = Plan::default();
        let noting = super::Noting::begin(self.home);
        crate::quietly(|| plan = make(&kind));
        drop(noting);
        if future.is_boxed {
            plan = plan.in_a_box();
        }
        self.now = self.with(|recorder| recorder.clock.stamp());
        self.with(|recorder| recorder.add_kind(kind, plan))
    }

    /// The root future, which is at an address, is about to be polled.
    fn begin_root(&mut self, slot: *const Header, future: *const u8) {
        self.side = self.with(|recorder| recorder.root_side());
        if self.with(|recorder| recorder.root().task) == 0 {
            let root = self.home.root_future.get();
            let kind = root.map_or(NO_KIND, |root| self.number(Placed::here(root.kind)));
            let fresh = Side {
                task: ROOT,
                // SAFETY: it is whole, and of this type.
                stand: self.with(|recorder| unsafe { recorder.ways.first(kind, future) }),
                ..Side::default()
            };
            // SAFETY: SIDES.
            unsafe { self.side.write(fresh) };
        }
        self.slot = slot;
        // SAFETY: SIDES.
        self.open(unsafe { self.side.read() }, 0);
    }

    /// The state of the task whose turn begins, if it is known.
    fn from(&self) -> State {
        // SAFETY: SIDES, if it is not null.
        match unsafe { self.side.as_ref() }.filter(|_| !self.slot.is_null()) {
            Some(side) => self.with(|recorder| recorder.ways.meaning(side.stand).1),
            None => UNKNOWN,
        }
    }

    /// Records the turn that is over. False if the recording was ended in it.
    #[inline]
    fn end(&mut self) -> bool {
        let slot = std::mem::replace(&mut self.slot, ptr::null());
        if !self.is_there() {
            return false;
        }
        // SAFETY: STABLE; HOME.
        let header = unsafe { &*slot };
        // SAFETY: ROOM.
        let Record { task, from, .. } = unsafe { self.record.read() };
        let alive = header.state.load(Ordering::Relaxed) == state::LIVE;
        let to = if alive && id_of(slot) == task {
            // SAFETY: a task that is alive after its turn has a future that is whole.
            self.with(|recorder| unsafe { recorder.ways.next(from, body(slot)) })
        } else {
            self.ending()
        };
        self.settle(to);
        true
    }

    /// Records the turn of the root future, which is at an address unless it has ended.
    fn end_root(&mut self, future: Option<*const u8>) -> bool {
        self.slot = ptr::null();
        if !self.is_there() {
            return false;
        }
        // SAFETY: ROOM.
        let Record { from, .. } = unsafe { self.record.read() };
        let to = match future {
            // SAFETY: it is whole, and of the type that was looked up when its turn began.
            Some(future) => self.with(|recorder| unsafe { recorder.ways.next(from, future) }),
            None => COMPLETED,
        };
        self.settle(to);
        true
    }

    /// How the task has ended.
    #[inline(never)]
    fn ending(&self) -> Stand {
        match self.home.ended.take() {
            Ended::Panicked => PANICKED,
            Ended::Dropped => DROPPED,
            Ended::Completed => COMPLETED,
        }
    }

    /// Completes the record of the turn that is over.
    #[inline]
    fn settle(&mut self, to: Stand) {
        // SAFETY: ROOM.
        let record = unsafe { &mut *self.record };
        record.to |= to | (self.shared << PLACE_SHIFT);
        record.turn.pushed = low(self.home.ring.pushed() as u64);
        // SAFETY: SIDES.
        let side = unsafe { &mut *self.side };
        (side.stand, side.since) = (to, self.now);
        side.polls += 1;
        self.with(|recorder| {
            recorder.sharing[self.shared as usize] = self.side;
            recorder.close();
        });
        self.shared += 1;
        if self.shared >= self.share {
            self.close();
        }
    }

    /// Looks at the time, for all polls since it was looked at last.
    #[inline(never)]
    fn close(&mut self) {
        let shared = std::mem::take(&mut self.shared);
        if shared == 0 {
            return;
        }
        let before = self.now;
        let (now, share, long) = self.with(|recorder| {
            let now = recorder.clock.stamp().max(before);
            let ticks = now - before;
            let took = span(ticks);
            // SAFETY: ROOM.
            unsafe { &mut *recorder.last() }.took = took;
            for side in &recorder.sharing[..shared as usize] {
                // SAFETY: SIDES: it was put there since the recording began.
                unsafe { &mut **side }.since = now;
            }
            // One poll of this group, and how many of its kind take as long as are to share a look at the clock.
            let polls = recorder.share.saturating_mul(shared.into()) / ticks.max(1);
            let share = match u32::try_from(polls) {
                _ if recorder.exact => 1,
                Ok(polls) => polls.clamp(1, SHARED),
                Err(_) => SHARED,
            };
            (now, share, took >= recorder.long)
        });
        (self.now, self.share) = (now, share);
        if long && !std::thread::panicking() {
            self.report();
        }
    }

    #[cold]
    #[inline(never)]
    fn report(&mut self) {
        super::report(self.home);
        self.now = self.with(|recorder| recorder.clock.stamp());
    }
}

impl Drop for Watch {
    /// The batch is over. If a poll is not, a panic leaves it, which only that of the root future does.
    fn drop(&mut self) {
        if !self.is_there() {
            return;
        }
        if !self.slot.is_null() {
            self.settle(PANICKED);
        }
        self.close();
        self.with(|recorder| recorder.noted = self.home.ring.pushed());
    }
}

/// As a number that is small and never zero: that would mean that it is not known yet.
#[inline(always)]
#[expect(
    clippy::cast_precision_loss,
    reason = "one part in ten million is exact enough"
)]
#[expect(
    clippy::cast_possible_wrap,
    reason = "signed numbers convert in one instruction"
)]
fn span(ticks: u64) -> f32 {
    (ticks as i64).max(1) as f32
}
