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

use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll};

use super::recorder::{Recorder, Side, source};
use super::watch::Watch;
use super::ways::{COMPLETED, PANICKED, Stand};
use crate::bundle::Home;
use crate::header::run;
use crate::pulse::Turn;
use crate::{Executor, Park, coop};

/// The batch is over when this is dropped.
struct Batch(Watch);

/// The turn of the root future. If it is dropped and not [ended](Self::end), that future has panicked.
struct RootTurn {
    watch: Watch,
    side: NonNull<Side>,
}

impl<P: Park> Executor<P> {
    /// Runs a batch, as [`batch`](Self::batch) does, and records it. `arrived` is what the ready ring had gained before the
    /// inbox was looked at.
    #[inline(never)]
    pub(crate) fn recorded<F: Future>(
        &self,
        future: Pin<&mut F>,
        context: &mut Context<'_>,
        arrived: usize,
    ) -> Option<F::Output> {
        let mut output = None;
        // SAFETY: it is not moved.
        let future = ptr::from_mut(unsafe { future.get_unchecked_mut() });
        let mut poll = || {
            // SAFETY: it is borrowed until this function returns, and between two polls its tags are read by the same pointer.
            let future = unsafe { &mut *future };
            // SAFETY: it was pinned.
            if let Poll::Ready(ready) = unsafe { Pin::new_unchecked(future) }.poll(context) {
                output = Some(ready);
            }
            output.is_some()
        };
        // SAFETY: it is whole until it is done, and nobody else polls it.
        unsafe { self.home().record_batch(future.cast(), &mut poll, arrived) };
        output
    }
}

impl Home {
    /// Records a batch in which the root future, which is at an address, is polled by a function that says whether it is
    /// done.
    ///
    /// It is one function for all futures, in this crate, and not made anew for each in that of a user.
    ///
    /// # Safety
    ///
    /// The root future that is being run is there, whole, until the function says that it is done. Nobody has a reference to it
    /// while that does not poll it.
    #[inline(never)]
    unsafe fn record_batch(
        self,
        future: *const u8,
        poll: &mut dyn FnMut() -> bool,
        arrived: usize,
    ) {
        let Some(batch) = Batch::begin(self, arrived) else {
            return;
        };
        let watch = batch.0;
        // What a slot is that is to be polled, and of which no other thread is told. If they are told, none is (ONE ENTRY).
        let plain = if self.watched.get() {
            run::IDLE
        } else {
            run::QUEUED
        };
        let mut left = crate::executor::BATCH;
        while left > 0 {
            let Some(slot) = self.ring.pop() else { break };
            left -= 1;
            self.budget.set(coop::BUDGET);
            // SAFETY: STABLE; HOME.
            let header = unsafe { &*slot };
            let goes_on = if ptr::eq(slot, self.root()) {
                // SAFETY: the caller's.
                let side = unsafe { watch.begin_root(future) };
                let root = RootTurn { watch, side };
                let told = Turn::begin(self, slot, || watch.from(root.side));
                header.run.set(run::IDLE);
                let _polling = crate::look::Polling::begin(self);
                let done = poll();
                drop(told);
                if done {
                    root.settle(COMPLETED);
                    return;
                }
                // SAFETY: the caller's: it is not done.
                unsafe { root.end(future) }
            } else {
                let side = watch.begin(slot);
                // Whoever has made a plan meanwhile may have aborted it.
                if header.run.get() == plain {
                    // SAFETY: ONE ENTRY: what was taken from the ring is QUEUED or MARKED, so `plain` is QUEUED.
                    unsafe { self.poll(slot) };
                    // SAFETY: it is the side of this slot.
                    unsafe { watch.end(slot, side) }
                } else {
                    // SAFETY: the same.
                    unsafe { watch.turn(slot, side) }
                }
            };
            if !goes_on {
                break;
            }
        }
    }
}

impl Batch {
    fn begin(home: Home, arrived: usize) -> Option<Self> {
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
        Some(Self(Watch {
            home,
            recorder: home.recorder.get(),
        }))
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let Watch { home, recorder } = self.0;
        if self.0.close() {
            self.0.with(|recorder| recorder.noted = home.ring.pushed());
        }
        home.recording.set(ptr::null_mut());
        if !self.0.is_there() {
            // SAFETY: RECORDER: it was ended, and the batch is over.
            unsafe { home.free_recording(recorder) };
        }
    }
}

impl RootTurn {
    /// Records the turn of the root future, which is at an address. False if the recording was ended in it.
    ///
    /// # Safety
    ///
    /// It is whole, and nobody has a reference to it.
    #[inline(always)]
    unsafe fn end(self, future: *const u8) -> bool {
        // SAFETY: SIDES.
        let Side { stand, .. } = *unsafe { self.side.as_ref() };
        let next = |recorder: &mut Recorder| {
            // SAFETY: the caller's, and it is of the type that was looked up when its turn began.
            unsafe { recorder.ways.next(stand, future) }
        };
        let to = self.watch.with(next);
        self.settle(to)
    }

    /// The turn is over. False if the recording was ended in it.
    #[inline(always)]
    fn settle(self, to: Stand) -> bool {
        let Self { watch, side } = *ManuallyDrop::new(self);
        // SAFETY: it is that of the root future.
        unsafe { watch.settle(side, to) }
    }
}

impl Drop for RootTurn {
    fn drop(&mut self) {
        // SAFETY: it is that of the root future.
        unsafe { self.watch.settle(self.side, PANICKED) };
    }
}
