//! The loop that polls what is ready, while a recording is made: as the plain one, and between two polls a note of what has
//! happened.
//!
//! ```text
//!   batch   stamp ─ poll ─ note ─ poll ─ note ─ … ─ stamp
//! ```
//!
//! The end of one poll is the beginning of the next, so there is one stamp between two. A stamp costs more than all the
//! rest, so polls that take less than about two microseconds share it, unless each is to be timed on its own.
//!
//! Who woke whom needs no trace in the wakers: what the ready ring gained during a poll was made ready by that task, what
//! it gained while the executor slept by I/O or timers, what came with the inbox by other threads.
//!
//! Invariants: RECORDER, SIDES (see [`super::recorder`]), ROOM (see [`super::room`]), HOME, ONE ENTRY (see [`crate::header`]).

use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::Ended;
use super::plan::{Plan, State};
use super::recorder::{NO_KIND, ROOT, Recorder, SPAWNED, Side, body, id_of, source};
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
    /// Valid as long as this: RECORDER.
    recorder: *mut Recorder,
    /// What is known of the root future, while that has its turn; else null: SIDES.
    root: *mut Side,
}

impl<P: Park> Executor<P> {
    /// Runs a batch, as [`batch`](Self::batch) does, and records it. `arrived` is what the ready ring had gained before the
    /// inbox was looked at.
    #[inline(never)]
    pub(crate) fn recorded<F: Future>(
        &self,
        mut future: Pin<&mut F>,
        context: &mut Context<'_>,
        arrived: usize,
    ) -> Option<F::Output> {
        let home = self.home();
        let mut watch = Watch::new(home, arrived)?;
        // What a slot is that is to be polled, and of which no other thread is told. If they are told, none is (ONE ENTRY).
        let plain = if home.watched.get() {
            run::IDLE
        } else {
            run::QUEUED
        };
        let mut left = crate::executor::BATCH;
        while left > 0 {
            let Some(slot) = home.ring.pop() else { break };
            left -= 1;
            home.budget.set(coop::BUDGET);
            // SAFETY: STABLE; HOME.
            let header = unsafe { &*slot };
            let goes_on = if ptr::eq(slot, home.root()) {
                let side = watch.begin_root(ptr::from_ref(&*future).cast());
                let turn = Turn::begin(home, slot, || watch.from(side));
                header.run.set(run::IDLE);
                let _polling = crate::look::Polling::begin(home);
                let polled = future.as_mut().poll(context);
                drop(turn);
                if let Poll::Ready(output) = polled {
                    watch.end_root(None);
                    return Some(output);
                }
                watch.end_root(Some(ptr::from_ref(&*future).cast()))
            } else {
                let side = watch.begin(slot);
                // Whoever has made a plan meanwhile may have aborted it.
                if header.run.get() == plain {
                    // SAFETY: ONE ENTRY: what was taken from the ring is QUEUED or MARKED, so `plain` is QUEUED.
                    unsafe { home.poll(slot) };
                    // SAFETY: it is the side of this slot.
                    unsafe { watch.end(slot, side) }
                } else {
                    // SAFETY: the same.
                    unsafe { self.recorded_turn(&mut watch, slot, side) }
                }
            };
            if !goes_on {
                break;
            }
        }
        None
    }

    /// Records a turn that is not the plain poll of a task, or of which other threads are told. False if the recording was
    /// ended in it.
    ///
    /// # Safety
    ///
    /// SIDES: it is what [`begin`](Watch::begin) has returned for this slot.
    #[cold]
    #[inline(never)]
    unsafe fn recorded_turn(
        &self,
        watch: &mut Watch,
        slot: *const Header,
        side: NonNull<Side>,
    ) -> bool {
        let home = self.home();
        // SAFETY: STABLE; HOME.
        if unsafe { &*slot }.state.load(Ordering::Relaxed) != state::LIVE {
            // It has ended since it was made ready: there is nothing to poll.
            self.turn(slot);
            return true;
        }
        let turn = Turn::begin(home, slot, || watch.from(side));
        self.turn(slot);
        drop(turn);
        // SAFETY: the caller's.
        unsafe { watch.end(slot, side) }
    }
}

impl Watch {
    fn new(home: Home, arrived: usize) -> Option<Self> {
        home.ended.take();
        // SAFETY: RECORDER: no user code runs while it lives.
        let recorder = unsafe { home.recorder() }?;
        recorder.polls.resume(home.ring.pushed() != recorder.noted);
        let turns = home.background_turns.get();
        recorder.background_before.get_or_insert(turns);
        let gained = if std::mem::replace(&mut recorder.synced, true) {
            source::EVENT
        } else {
            source::UNKNOWN
        };
        recorder.mark(arrived, gained);
        recorder.mark(home.ring.pushed(), source::THREAD);
        home.recording.set(home.recorder.get());
        Some(Self {
            home,
            recorder: home.recorder.get(),
            root: ptr::null_mut(),
        })
    }

    /// Whether the recording was not ended.
    fn is_there(&self) -> bool {
        ptr::eq(self.home.recorder.get(), self.recorder)
    }

    /// Does something with the recording; it calls nothing of others.
    #[inline(always)]
    fn with<T>(&self, work: impl FnOnce(&mut Recorder) -> T) -> T {
        // SAFETY: RECORDER: it is freed with this, and the reference is gone when this returns.
        work(unsafe { &mut *self.recorder })
    }

    /// A task is about to have its turn, or has ended since it was made ready. Returns what is known of it.
    #[inline(always)]
    fn begin(&mut self, slot: *const Header) -> NonNull<Side> {
        // SAFETY: STABLE, ALIGNED (see `crate::chunk`).
        let chunk: &'static Chunk = unsafe { &*chunk_of(slot) };
        let sides = NonNull::new(chunk.sides.get());
        let sides = sides.unwrap_or_else(|| self.with(|recorder| recorder.add_sides(chunk)));
        // SAFETY: there is one for each slot of the chunk.
        let side = unsafe { sides.add(chunk.index_of(slot) as usize) };
        // SAFETY: SIDES.
        if unsafe { side.as_ref() }.task != id_of(slot) {
            self.meet(slot, side);
        }
        side
    }

    /// The first turn of a task in this recording: its type and its state are looked up.
    #[cold]
    #[inline(never)]
    fn meet(&mut self, slot: *const Header, side: NonNull<Side>) {
        // SAFETY: STABLE; HOME.
        let header = unsafe { &*slot };
        let table = header.vtable.get().filter(|_| header.is_whole());
        let known = table.and_then(|table| self.with(|recorder| recorder.recent(table)));
        let kind =
            known.unwrap_or_else(|| table.map_or(NO_KIND, |table| self.number(table.future)));
        if let (None, Some(table)) = (known, table) {
            self.with(|recorder| recorder.remember(table, kind));
        }
        // The plan was made by user code, which may have closed the executor.
        let table = table.filter(|_| header.is_whole());
        let task = id_of(slot);
        // SAFETY: SIDES.
        let first = unsafe { side.as_ref() }.task != !task;
        let fresh = Side {
            task,
            since: if first { SPAWNED } else { 0 },
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
        if !plan.fits(kind.size) {
            plan = Plan::default();
        }
        if future.is_boxed {
            plan = plan.in_a_box();
        }
        self.with(|recorder| {
            recorder.polls.resume(false);
            recorder.add_kind(kind, plan)
        })
    }

    /// The root future, which is at an address, is about to be polled.
    #[inline]
    fn begin_root(&mut self, future: *const u8) -> NonNull<Side> {
        let side = self.with(|recorder| recorder.root_side());
        // SAFETY: SIDES.
        if unsafe { side.as_ref() }.task == 0 {
            let root = self.home.root_future.get();
            let kind = root.map_or(NO_KIND, |root| self.number(Placed::here(root.kind)));
            let fresh = Side {
                task: ROOT,
                // SAFETY: it is whole, and of this type.
                stand: self.with(|recorder| unsafe { recorder.ways.first(kind, future) }),
                ..Side::default()
            };
            // SAFETY: SIDES.
            unsafe { side.write(fresh) };
        }
        self.root = side.as_ptr();
        side
    }

    /// The state of the task whose turn begins, if it is known.
    fn from(&self, side: NonNull<Side>) -> State {
        // SAFETY: SIDES.
        let stand = unsafe { side.as_ref() }.stand;
        self.with(|recorder| recorder.ways.meaning(stand).1)
    }

    /// Records the turn that is over. False if the recording was ended in it.
    ///
    /// # Safety
    ///
    /// SIDES: it is what [`begin`](Self::begin) has returned for this slot.
    #[inline(always)]
    unsafe fn end(&mut self, slot: *const Header, side: NonNull<Side>) -> bool {
        // SAFETY: STABLE; HOME.
        let header = unsafe { &*slot };
        // SAFETY: the caller's.
        let Side { task, stand, .. } = *unsafe { side.as_ref() };
        let alive = header.state.load(Ordering::Relaxed) == state::LIVE;
        let to = if alive && id_of(slot) == task {
            // SAFETY: a task that is alive after its turn has a future that is whole.
            self.with(|recorder| unsafe { recorder.ways.next(stand, body(slot)) })
        } else {
            self.ending()
        };
        // SAFETY: the caller's.
        unsafe { self.settle(side, to) }
    }

    /// Records the turn of the root future, which is at an address unless it has ended.
    #[inline(always)]
    fn end_root(&mut self, future: Option<*const u8>) -> bool {
        self.root = ptr::null_mut();
        let side = self.with(|recorder| recorder.root_side());
        // SAFETY: SIDES.
        let Side { stand, .. } = *unsafe { side.as_ref() };
        let to = match future {
            // SAFETY: it is whole, and of the type that was looked up when its turn began.
            Some(future) => self.with(|recorder| unsafe { recorder.ways.next(stand, future) }),
            None => COMPLETED,
        };
        // SAFETY: it is that of the root future.
        unsafe { self.settle(side, to) }
    }

    /// How the task has ended.
    #[cold]
    #[inline(never)]
    fn ending(&self) -> Stand {
        match self.home.ended.take() {
            Ended::Panicked => PANICKED,
            Ended::Dropped => DROPPED,
            Ended::Completed => COMPLETED,
        }
    }

    /// The turn is over. False if the recording was ended in it.
    ///
    /// # Safety
    ///
    /// SIDES: it is that of the task that had its turn.
    #[inline(always)]
    unsafe fn settle(&mut self, side: NonNull<Side>, to: Stand) -> bool {
        // SAFETY: the caller's.
        let full = self.with(|recorder| unsafe { recorder.polls.add(self.home, side, to) });
        !full || self.close()
    }

    /// Looks at the time, for all polls since it was looked at last. False if the recording was ended.
    #[inline(never)]
    fn close(&mut self) -> bool {
        let is_there = self.is_there();
        if is_there && self.with(|recorder| recorder.polls.time()) && !std::thread::panicking() {
            self.report();
        }
        is_there
    }

    #[cold]
    #[inline(never)]
    fn report(&mut self) {
        super::report(self.home);
        self.with(|recorder| recorder.polls.resume(false));
    }
}

impl Drop for Watch {
    /// The batch is over. If the turn of the root future is not, a panic leaves it.
    fn drop(&mut self) {
        if let Some(side) = NonNull::new(self.root) {
            // SAFETY: it is that of the root future.
            unsafe { self.settle(side, PANICKED) };
        }
        if self.close() {
            self.with(|recorder| recorder.noted = self.home.ring.pushed());
        }
        self.home.recording.set(ptr::null_mut());
        if !self.is_there() {
            // SAFETY: RECORDER: it was ended, and the batch is over.
            unsafe { self.home.free_recording(self.recorder) };
        }
    }
}
