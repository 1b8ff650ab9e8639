//! Beginning a recording, ending it, and what there is of it meanwhile.
//!
//! Invariants: RECORDER (see [`super::recorder`]), ROOM (see [`super::room`]).

use std::ptr;

use super::recorder::{Recorder, Side, id_of, source};
use super::{Noting, PollFacts, Settings};
use crate::bundle::Home;
use crate::header::Header;

impl Home {
    /// Begins a recording, and drops the one that there is. False if what a recording itself calls asks for it.
    pub(crate) fn start_recording(self, settings: Settings) -> bool {
        let may = !self.noting.get();
        if may {
            self.stop_recording();
            let mut recorder = Box::new(Recorder::new(self, settings));
            recorder.meet_all(self);
            self.recorder.set(Box::into_raw(recorder));
        }
        may
    }

    /// Ends the recording, if there is one. Its memory is freed at the end of the batch that is being recorded.
    pub(crate) fn stop_recording(self) {
        if self.noting.get() {
            return;
        }
        // SAFETY: no user code runs while it lives.
        if let Some(recorder) = unsafe { self.recorder() } {
            recorder.end();
        }
        let recorder = self.recorder.replace(ptr::null_mut());
        if !recorder.is_null() && !ptr::eq(recorder, self.recording.get()) {
            // SAFETY: RECORDER: it was taken out of there, and no batch is recorded in it.
            unsafe { self.free_recording(recorder) };
        }
    }

    /// Frees the memory of a recording that was ended.
    ///
    /// # Safety
    ///
    /// RECORDER: nobody refers to it.
    pub(super) unsafe fn free_recording(self, recorder: *mut Recorder) {
        // SAFETY: the caller's; it was made from a box.
        let recorder = unsafe { Box::from_raw(recorder) };
        // What the settings hold may do anything when it is dropped, but not begin a recording beside this one.
        let _noting = Noting::begin(self);
        crate::quietly(|| drop(recorder));
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
            Some(recorder.root()).filter(|root| root.task != 0)
        } else {
            recorder.known(slot, id_of(slot))
        };
        side.map(|side| side.facts(recorder.polls.clock.scale()))
    }

    /// A root future is about to be run. It is another than the last one.
    pub(crate) fn begin_run(self) {
        // SAFETY: no user code runs while it lives.
        let Some(recorder) = (unsafe { self.recorder() }) else {
            return;
        };
        // SAFETY: ROOM.
        unsafe { recorder.root_side().write(Side::default()) };
        recorder.synced = true;
        recorder.polls.resume(true);
        recorder.mark(self.ring.pushed(), source::OUTSIDE);
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
