//! What is noted of a turn, before it and after it.
//!
//! Invariants: RECORDER, SIDES (see [`super::recorder`]), HOME (see [`crate::header`]).

use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;

use super::Ended;
use super::plan::{Plan, State};
use super::recorder::{NO_KIND, ROOT, Recorder, SPAWNED, Side, body, id_of};
use super::ways::{COMPLETED, DROPPED, NOWHERE, PANICKED, Stand};
use crate::bundle::Home;
use crate::chunk::{Chunk, chunk_of};
use crate::header::{Header, state};
use crate::look::Placed;
use crate::pulse::Turn;

/// What the loop remembers from one note to the next.
#[derive(Clone, Copy)]
pub(super) struct Watch {
    pub(super) home: Home,
    /// Valid until the batch is over: RECORDER.
    pub(super) recorder: *mut Recorder,
}

impl Watch {
    /// Whether the recording was not ended.
    pub(super) fn is_there(self) -> bool {
        ptr::eq(self.home.recorder.get(), self.recorder)
    }

    /// Records a turn that is not the plain poll of a task, or of which other threads are told. False if the recording was
    /// ended in it.
    ///
    /// # Safety
    ///
    /// SIDES: it is what [`begin`](Self::begin) has returned for this slot.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn turn(self, slot: *const Header, side: NonNull<Side>) -> bool {
        let home = self.home;
        // SAFETY: STABLE; HOME.
        if unsafe { &*slot }.state.load(Ordering::Relaxed) != state::LIVE {
            // It has ended since it was made ready: there is nothing to poll.
            home.turn(slot);
            return true;
        }
        let turn = Turn::begin(home, slot, || self.from(side));
        home.turn(slot);
        drop(turn);
        // SAFETY: the caller's.
        unsafe { self.end(slot, side) }
    }

    /// Does something with the recording; it calls nothing of others.
    #[inline(always)]
    pub(super) fn with<T>(self, work: impl FnOnce(&mut Recorder) -> T) -> T {
        // SAFETY: RECORDER: it is freed when the batch is over, and the reference is gone when this returns.
        work(unsafe { &mut *self.recorder })
    }

    /// A task is about to have its turn, or has ended since it was made ready. Returns what is known of it.
    #[inline(always)]
    pub(super) fn begin(self, slot: *const Header) -> NonNull<Side> {
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
    fn meet(self, slot: *const Header, side: NonNull<Side>) {
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
    fn number(self, future: Placed) -> u16 {
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

    /// The root future, which is at an address, is about to be polled. Returns what is known of it.
    ///
    /// # Safety
    ///
    /// It is whole, and nobody has a reference to it.
    #[inline]
    pub(super) unsafe fn begin_root(self, future: *const u8) -> NonNull<Side> {
        let side = self.with(|recorder| recorder.root_side());
        // SAFETY: SIDES.
        if unsafe { side.as_ref() }.task == 0 {
            let root = self.home.root_future.get();
            let kind = root.map_or(NO_KIND, |root| self.number(Placed::here(root.kind)));
            let fresh = Side {
                task: ROOT,
                // SAFETY: the caller's, and it is of this type.
                stand: self.with(|recorder| unsafe { recorder.ways.first(kind, future) }),
                ..Side::default()
            };
            // SAFETY: SIDES.
            unsafe { side.write(fresh) };
        }
        side
    }

    /// The state of the task whose turn begins, if it is known.
    pub(super) fn from(self, side: NonNull<Side>) -> State {
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
    pub(super) unsafe fn end(self, slot: *const Header, side: NonNull<Side>) -> bool {
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

    /// How the task has ended.
    #[cold]
    #[inline(never)]
    fn ending(self) -> Stand {
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
    pub(super) unsafe fn settle(self, side: NonNull<Side>, to: Stand) -> bool {
        // SAFETY: the caller's.
        let full = self.with(|recorder| unsafe { recorder.polls.add(self.home, side, to) });
        !full || self.close()
    }

    /// Looks at the time, for all polls since it was looked at last. False if the recording was ended.
    #[inline(never)]
    pub(super) fn close(self) -> bool {
        let is_there = self.is_there();
        if is_there && self.with(|recorder| recorder.polls.time()) && !std::thread::panicking() {
            self.report();
        }
        is_there
    }

    #[cold]
    #[inline(never)]
    fn report(self) {
        super::report(self.home);
        self.with(|recorder| recorder.polls.resume(false));
    }
}
