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
//! Invariants: RECORDER, SIDES (see [`super::recorder`]), HOME (see [`crate::header`]).

use std::pin::Pin;
use std::ptr;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::Ended;
use super::plan::{State, UNKNOWN};
use super::recorder::{FIRST, NO_KIND, ROOT, Record, Recorder, Side, body, id_of, low, source};
use super::ways::{COMPLETED, DROPPED, NOWHERE, PANICKED, Stand};
use crate::bundle::Home;
use crate::chunk::{Chunk, chunk_of};
use crate::header::{Header, run, state};
use crate::look::Kind;
use crate::pulse::Turn;
use crate::{Executor, Park, coop};

/// The most polls that share the time: a batch.
const SHARED: u32 = crate::executor::BATCH;

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
                if !begun {
                    continue;
                }
                watch.end()
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
        let gained = match std::mem::replace(&mut recorder.synced, true) {
            true => source::EVENT,
            false => source::UNKNOWN,
        };
        recorder.mark(arrived, gained);
        recorder.mark(home.ring.pushed(), source::THREAD);
        Some(Self {
            home,
            recorder,
            generation: home.recordings.get(),
            now,
            shared: 0,
            share: 1,
            slot: ptr::null(),
            side: ptr::null_mut(),
            record: ptr::null_mut(),
        })
    }

    /// The recording, unless it was stopped. No user code may run while the reference lives.
    #[inline]
    fn recorder<'a>(&self) -> Option<&'a mut Recorder> {
        // SAFETY: RECORDER: the same generation means that it was not stopped.
        (self.home.recordings.get() == self.generation).then(|| unsafe { &mut *self.recorder })
    }

    /// The recording, before a turn: no user code has run since the last one was recorded.
    #[inline]
    fn recorder_before<'a>(&self) -> &'a mut Recorder {
        debug_assert_eq!(self.home.recordings.get(), self.generation);
        // SAFETY: RECORDER: what was called in between can't stop it.
        unsafe { &mut *self.recorder }
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
            sides = self.recorder_before().add_sides(chunk);
        }
        let side = sides.wrapping_add(chunk.index_of(slot) as usize);
        let mut first = 0;
        // SAFETY: SIDES.
        if unsafe { &*side }.task != id_of(slot) {
            first = self.meet(slot, side);
        }
        (self.slot, self.side) = (slot, side);
        // SAFETY: SIDES.
        let side = unsafe { &*side };
        self.record = self
            .recorder_before()
            .open(self.home, side, self.now, first);
        true
    }

    /// The first turn of a task in this recording: its type and its state are looked up. Returns whether it was spawned
    /// since then, as a bit.
    #[inline(never)]
    fn meet(&mut self, slot: *const Header, side: *mut Side) -> u32 {
        // SAFETY: STABLE; HOME.
        let header = unsafe { &*slot };
        let table = header.vtable.get().filter(|_| header.is_whole());
        let known = table.and_then(|table| self.recorder_before().recent(table));
        let kind =
            known.unwrap_or_else(|| table.map_or(NO_KIND, |table| self.number((table.kind)())));
        let recorder = self.recorder_before();
        if let (None, Some(table)) = (known, table) {
            recorder.remember(table, kind);
        }
        let task = id_of(slot);
        let first = task >= recorder.first_new;
        let fresh = Side {
            task,
            since: 0,
            polls: 0,
            first: u32::from(first),
            stand: match table {
                // SAFETY: it is whole, and of this type.
                Some(_) => unsafe { recorder.ways.first(kind, body(slot)) },
                None => NOWHERE,
            },
        };
        // SAFETY: SIDES.
        unsafe { side.write(fresh) };
        if first { FIRST } else { 0 }
    }

    /// The number of a type. The plan of a new one is made without a borrow, and outside of what is timed as a poll.
    fn number(&mut self, kind: Kind) -> u16 {
        let recorder = self.recorder_before();
        if let Some(number) = recorder.number(&kind) {
            return number;
        }
        let make = recorder.settings.plan;
        self.close();
        let noting = super::Noting::begin(self.home);
        let plan = make(&kind);
        drop(noting);
        let recorder = self.recorder_before();
        self.now = recorder.clock.stamp();
        recorder.add_kind(kind, plan)
    }

    /// The root future, which is at an address, is about to be polled.
    fn begin_root(&mut self, slot: *const Header, future: *const u8) {
        if self.recorder_before().root.task == 0 {
            let kind = self.home.root_future.get().map(|root| (root.kind)());
            let kind = kind.map_or(NO_KIND, |kind| self.number(kind));
            let recorder = self.recorder_before();
            recorder.root = Side {
                task: ROOT,
                // SAFETY: it is whole, and of this type.
                stand: unsafe { recorder.ways.first(kind, future) },
                ..Side::default()
            };
        }
        let recorder = self.recorder_before();
        (self.slot, self.side) = (slot, &raw mut recorder.root);
        let side = recorder.root;
        self.record = recorder.open(self.home, &side, self.now, 0);
    }

    /// The state of the task whose turn begins, if it is known.
    fn from(&self) -> State {
        // SAFETY: SIDES, if it is not null.
        match unsafe { self.side.as_ref() }.filter(|_| !self.slot.is_null()) {
            Some(side) => self.recorder_before().ways.meaning(side.stand).1,
            None => UNKNOWN,
        }
    }

    /// Records the turn that is over. False if the recording was stopped in it.
    #[inline]
    fn end(&mut self) -> bool {
        let slot = std::mem::replace(&mut self.slot, ptr::null());
        let Some(recorder) = self.recorder() else {
            return false;
        };
        // SAFETY: STABLE; HOME.
        let header = unsafe { &*slot };
        // SAFETY: the recording is there.
        let Record { task, from, .. } = unsafe { *self.record };
        let alive = header.state.load(Ordering::Relaxed) == state::LIVE;
        let to = if alive && id_of(slot) == task {
            // SAFETY: a task that is alive after its turn has a future that is whole.
            unsafe { recorder.ways.next(from, body(slot)) }
        } else {
            self.ending()
        };
        self.settle(recorder, to);
        true
    }

    /// Records the turn of the root future, which is at an address unless it has ended.
    fn end_root(&mut self, future: Option<*const u8>) -> bool {
        self.slot = ptr::null();
        let Some(recorder) = self.recorder() else {
            return false;
        };
        // SAFETY: the recording is there.
        let Record { from, .. } = unsafe { *self.record };
        let to = match future {
            // SAFETY: it is whole, and of the type that was looked up when its turn began.
            Some(future) => unsafe { recorder.ways.next(from, future) },
            None => COMPLETED,
        };
        self.settle(recorder, to);
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
    fn settle(&mut self, recorder: &mut Recorder, to: Stand) {
        // SAFETY: the recording is there.
        let record = unsafe { &mut *self.record };
        record.to |= to;
        record.turn.pushed = low(self.home.ring.pushed() as u64);
        recorder.close();
        self.shared += 1;
        if self.shared >= self.share {
            self.close();
        }
        // SAFETY: SIDES; the recording is there: what `close` calls cannot stop it.
        let side = unsafe { &mut *self.side };
        (side.stand, side.since) = (to, self.now);
        side.polls = side.polls.wrapping_add(1);
    }

    /// Looks at the time, for all polls since it was looked at last.
    #[inline(never)]
    fn close(&mut self) {
        if self.shared == 0 {
            return;
        }
        let recorder = self.recorder_before();
        let now = recorder.clock.stamp();
        let ticks = now.saturating_sub(self.now);
        let took = span(ticks);
        recorder.last().took = took;
        if !recorder.exact {
            // One poll of this group, and how many of its kind take as long as are to share a look at the clock.
            let polls = recorder.share.saturating_mul(self.shared.into()) / ticks.max(1);
            self.share = u32::try_from(polls).unwrap_or(SHARED).clamp(1, SHARED);
        }
        let long = took >= recorder.long;
        (self.now, self.shared) = (now.max(self.now), 0);
        if long {
            self.report();
        }
    }

    #[cold]
    #[inline(never)]
    fn report(&mut self) {
        super::report(self.home);
        self.now = self.recorder_before().clock.stamp();
    }
}

impl Drop for Watch {
    /// The batch is over. If a poll is not, a panic leaves it, which only that of the root future does.
    fn drop(&mut self) {
        let Some(recorder) = self.recorder() else {
            return;
        };
        if !self.slot.is_null() {
            self.settle(recorder, PANICKED);
        }
        self.close();
        self.recorder_before().noted = self.home.ring.pushed();
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
