//! The loop that polls what is ready, while a recording is made: as the plain one, and between two polls a note of what has
//! happened.
//!
//! ```text
//!   batch   stamp ─ poll ─ note ─ poll ─ note ─ … ─ stamp
//! ```
//!
//! The end of one poll is the beginning of the next, so there is one stamp between two. A stamp costs more than all the rest,
//! so polls that take less than a microsecond share it, unless each is to be timed on its own.
//!
//! Who woke whom needs no trace in the wakers: what the ready ring gained during a poll was made ready by that task, what it gained
//! while the executor slept by I/O or timers, what came with the inbox by other threads.
//!
//! Invariants: RECORDER, SIDES (see [`super::recorder`]), HOME (see [`crate::header`]).

use std::pin::Pin;
use std::ptr;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::plan::{State, UNKNOWN};
use super::recorder::{
    BEFORE, NO_KIND, NO_POLL, Record, Side, Source, body, ended, flag, id_of, source,
};
use crate::bundle::Home;
use crate::header::{Header, run, state};
use crate::look::Kind;
use crate::{Executor, Park, coop};

/// The most polls that share the time.
const SHARED: u32 = 32;

/// What the loop remembers from one note to the next.
struct Watch {
    home: Home,
    generation: u64,
    /// The last stamp, and how many polls there were since, of how many that are to share it.
    now: u64,
    shared: u32,
    share: u32,
    /// The task whose turn it is; null if it is nobody's.
    slot: *const Header,
    /// Its future is to be dropped in this turn.
    dropping: bool,
    task: u64,
    source: Source,
    from: State,
    kind: u16,
    flags: u16,
}

impl<P: Park> Executor<P> {
    /// Runs a batch, as [`run`](Self::run) does, and records it. `arrived` is what the ready ring had gained before the inbox was
    /// looked at.
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
            if !ptr::eq(slot, home.root()) {
                watch.begin(slot);
                self.turn(slot);
            } else {
                watch.begin_root(slot, ptr::from_ref(&*future).cast());
                // SAFETY: STABLE; HOME.
                unsafe { &*slot }.run.set(run::IDLE);
                let _polling = crate::look::Polling::begin(home);
                if let Poll::Ready(output) = future.as_mut().poll(context) {
                    watch.end(ended::COMPLETED);
                    return Some(output);
                }
            }
            let to = match watch.flags & flag::ROOT {
                0 => watch.standing(),
                _ => watch.state(watch.kind, ptr::from_ref(&*future).cast()),
            };
            if !watch.end(to) {
                break;
            }
        }
        None
    }
}

impl Watch {
    fn new(home: Home, arrived: usize) -> Option<Self> {
        home.panicked.set(false);
        // SAFETY: no user code runs while it lives.
        let recorder = unsafe { home.recorder() }?;
        let now = recorder.clock.stamp();
        let gained = match std::mem::replace(&mut recorder.synced, true) {
            true => source::EVENT,
            false => source::UNKNOWN,
        };
        recorder.note(home, arrived, Source::of(gained, now));
        recorder.note(home, home.ring.pushed(), Source::of(source::THREAD, now));
        Some(Self {
            home,
            generation: recorder.generation,
            now,
            shared: 0,
            share: 1,
            slot: ptr::null(),
            dropping: false,
            task: 0,
            source: BEFORE,
            from: UNKNOWN,
            kind: NO_KIND,
            flags: 0,
        })
    }

    /// A task that was taken from the ring is about to have its turn.
    #[inline]
    fn begin(&mut self, slot: *const Header) {
        // SAFETY: STABLE; HOME.
        let header = unsafe { &*slot };
        let task = id_of(slot);
        if header.state.load(Ordering::Relaxed) != state::LIVE {
            return; // it ended after it was made ready: there is nothing to poll
        }
        self.dropping = header.run.get() == run::MARKED;
        // SAFETY: no user code runs while it lives.
        let Some(recorder) = (unsafe { self.home.recorder() }) else {
            return;
        };
        self.source = recorder.source(self.home);
        let side = recorder.side(slot);
        self.slot = slot;
        // SAFETY: `side` leads to a place that is there as long as the recording.
        let side = unsafe { &mut *side };
        self.flags = 0;
        if side.task != task {
            let (first_new, at) = (recorder.first_new, ptr::from_mut(side));
            self.meet(slot, task, at, first_new);
            return;
        }
        side.wakes = side.wakes.wrapping_add(1);
        (self.task, self.from, self.kind) = (task, side.state, side.kind);
    }

    /// The first turn of a task in this recording: its type and its state are looked up.
    #[inline(never)]
    fn meet(&mut self, slot: *const Header, task: u64, side: *mut Side, first_new: u64) {
        // SAFETY: STABLE; HOME.
        let header = unsafe { &*slot };
        let whole = header.is_whole();
        let mut kind = NO_KIND;
        if let (true, Some(table)) = (whole, header.vtable.get()) {
            // SAFETY: no user code runs while it lives.
            let known = unsafe { self.home.recorder() }.and_then(|recorder| recorder.recent(table));
            kind = known.unwrap_or_else(|| {
                let number = self.number((table.kind)());
                // SAFETY: the same.
                if let Some(recorder) = unsafe { self.home.recorder() } {
                    recorder.remember(table, number);
                }
                number
            });
        }
        let from = if whole {
            self.state(kind, body(slot))
        } else {
            UNKNOWN
        };
        self.flags = if task >= first_new { flag::FIRST } else { 0 };
        let fresh = Side {
            task,
            kind,
            state: from,
            wakes: u32::from(self.flags & flag::FIRST == 0),
            ..Side::default()
        };
        // SAFETY: it leads to a place that is there as long as the recording.
        unsafe { side.write(fresh) };
        (self.task, self.from, self.kind) = (task, from, kind);
    }

    /// The number of a type. The plan of a new one is made without a borrow, and outside of what is timed as a poll.
    fn number(&mut self, kind: Kind) -> u16 {
        // SAFETY: no user code runs while it lives.
        let Some(recorder) = (unsafe { self.home.recorder() }) else {
            return NO_KIND;
        };
        if let Some(number) = recorder.number(&kind) {
            return number;
        }
        let make = recorder.settings.plan;
        self.close();
        let plan = make(&kind);
        // SAFETY: the same.
        let Some(recorder) = (unsafe { self.home.recorder() }) else {
            return NO_KIND;
        };
        self.now = recorder.clock.stamp();
        recorder.add_kind(kind, plan)
    }

    /// The root future, which is at an address, is about to be polled.
    fn begin_root(&mut self, slot: *const Header, future: *const u8) {
        self.slot = slot;
        (self.task, self.flags) = (source::ROOT, flag::ROOT);
        // SAFETY: no user code runs while it lives.
        let Some(recorder) = (unsafe { self.home.recorder() }) else {
            return;
        };
        self.source = recorder.source(self.home);
        if recorder.root.task == 0 {
            let kind = self.home.root_future.get().map(|root| (root.kind)());
            let kind = kind.map_or(NO_KIND, |kind| self.number(kind));
            let state = self.state(kind, future);
            // SAFETY: the same.
            if let Some(recorder) = unsafe { self.home.recorder() } {
                recorder.root = Side {
                    task: source::ROOT,
                    kind,
                    state,
                    ..Side::default()
                };
            }
        } else {
            recorder.root.wakes = recorder.root.wakes.wrapping_add(1);
        }
        // SAFETY: the same.
        if let Some(recorder) = unsafe { self.home.recorder() } {
            (self.from, self.kind) = (recorder.root.state, recorder.root.kind);
        }
    }

    /// The state of the future at an address, which is whole and of this type.
    #[inline]
    fn state(&self, kind: u16, future: *const u8) -> State {
        // SAFETY: no user code runs while it lives.
        match unsafe { self.home.recorder() } {
            // SAFETY: who calls knows that it is whole, and of this type.
            Some(recorder) => unsafe { recorder.state(kind, future) },
            None => UNKNOWN,
        }
    }

    /// Where the task stands after its turn.
    #[inline]
    fn standing(&self) -> State {
        if self.slot.is_null() {
            return UNKNOWN;
        }
        // SAFETY: STABLE; HOME.
        let header = unsafe { &*self.slot };
        if header.state.load(Ordering::Relaxed) == state::LIVE && id_of(self.slot) == self.task {
            return self.state(self.kind, body(self.slot)); // alive after its turn, so it is whole
        }
        self.ending()
    }

    /// How the task has ended.
    #[inline(never)]
    fn ending(&self) -> State {
        match () {
            () if self.dropping => ended::DROPPED,
            () if self.home.panicked.take() => ended::PANICKED,
            () => ended::COMPLETED,
        }
    }

    /// Records the turn that is over. False if the recording is another one by now, or none.
    #[inline]
    fn end(&mut self, to: State) -> bool {
        let slot = std::mem::replace(&mut self.slot, ptr::null());
        // SAFETY: no user code runs while it lives.
        let Some(recorder) = (unsafe { self.home.recorder() }) else {
            return false;
        };
        if recorder.generation != self.generation {
            return false;
        }
        let mut record = Record {
            start: self.now,
            task: self.task,
            source: self.source.who,
            took: 0.0,
            ready: since(self.now, self.source.at),
            waited: -1.0,
            kind: self.kind,
            from: self.from,
            to,
            flags: self.flags,
            back: match self.source.poll {
                NO_POLL => 0,
                poll => u32::try_from(recorder.count - poll).unwrap_or(0),
            },
        };
        let side = match slot.is_null() {
            true => None,
            // SAFETY: it leads to a place that is there as long as the recording.
            false => Some(unsafe { &mut *recorder.side_of(slot, self.flags) }),
        };
        if let Some(side) = side {
            record.waited = since(self.now, side.since);
            recorder.push(record);
            self.shared += 1;
            if self.shared >= self.share {
                self.close();
            }
            // The report of a long poll may have run, which knows nothing of sides.
            if side.task == self.task {
                (side.state, side.since) = (to, self.now);
                side.polls = side.polls.wrapping_add(1);
            }
        }
        // SAFETY: the same.
        if let Some(recorder) = unsafe { self.home.recorder() } {
            let from = Source {
                who: self.task,
                at: self.now,
                poll: recorder.count.wrapping_sub(1),
            };
            recorder.note(self.home, self.home.ring.pushed(), from);
        }
        true
    }

    /// Looks at the time, for all polls since it was looked at last.
    #[inline]
    fn close(&mut self) {
        // SAFETY: no user code runs while it lives.
        let Some(recorder) = (unsafe { self.home.recorder() }) else {
            return;
        };
        if self.shared == 0 || recorder.generation != self.generation {
            return;
        }
        let now = recorder.clock.stamp();
        let ticks = now.saturating_sub(self.now);
        let took = span(ticks);
        let last = recorder.last();
        last.took = took;
        last.flags |= flag::TIMED;
        self.share = if recorder.exact {
            1
        } else {
            // One poll of this group, and how many of its kind take as long as are to share a look at the clock.
            let polls = recorder.share.saturating_mul(self.shared.into()) / ticks.max(1);
            u32::try_from(polls).unwrap_or(SHARED).clamp(1, SHARED)
        };
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
        // SAFETY: no user code runs while it lives.
        if let Some(recorder) = unsafe { self.home.recorder() } {
            self.now = recorder.clock.stamp();
        }
    }
}

impl Drop for Watch {
    /// The batch is over. If a poll is not, a panic leaves it, which only that of the root future does.
    fn drop(&mut self) {
        if !self.slot.is_null() {
            self.end(ended::PANICKED);
        }
        self.close();
    }
}

/// Ticks from an earlier stamp on; negative if there is none.
#[inline(always)]
fn since(now: u64, before: u64) -> f32 {
    match before {
        0 => -1.0,
        _ => span(now.saturating_sub(before)),
    }
}

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
    (ticks as i64).max(0) as f32
}
