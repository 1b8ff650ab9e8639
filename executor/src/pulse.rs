//! Which poll runs, for another thread to see.
//!
//! It is off until somebody asks for it, and then it is the loop itself that is another one, as with a [recording](crate::record).
//! The loop counts its turns where other threads can see it, and says whose turn it is.
//!
//! ```
//! use camshaft_executor::{Executor, ThreadPark};
//!
//! let executor = Executor::new(ThreadPark::new());
//! let pulse = executor.watch();
//! assert!(pulse.polled().is_none());
//! executor.block_on(async {
//!     assert!(pulse.polled().unwrap().task.is_none()); // the root future
//! });
//! ```

use std::fmt;
use std::pin::Pin;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU16, AtomicU64, Ordering, fence};
use std::task::{Context, Poll};

use crate::bundle::{self, Bundle, Home};
use crate::executor::BATCH;
use crate::header::{Header, run};
use crate::look::Kind;
use crate::record::{LAST, State, UNKNOWN};
use crate::{Executor, Id, Park, coop};

/// Whose turn it is, as the loop tells it.
pub(crate) struct Beat {
    /// Counts beginnings and ends of turns: odd while somebody has their turn.
    count: AtomicU64,
    /// The id of the task; 0 for the root future.
    task: AtomicU64,
    /// A `fn() -> Kind`, or null.
    kind: AtomicPtr<()>,
    /// The state that it was resumed from, if that is recorded.
    from: AtomicU16,
}

impl Beat {
    pub(crate) const fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            task: AtomicU64::new(0),
            kind: AtomicPtr::new(ptr::null_mut()),
            from: AtomicU16::new(UNKNOWN),
        }
    }
}

/// Tells which poll an executor is at. It belongs to no thread.
#[derive(Clone, Copy)]
pub struct Pulse(&'static Bundle);

/// A poll that has not ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Polled {
    /// A number that no other poll of this executor has.
    pub turn: u64,
    /// The task; none for the root future.
    pub task: Option<Id>,
    /// The type of its future, if it is known.
    pub kind: Option<Kind>,
    /// The state that it was resumed from, if that is recorded.
    pub from: Option<State>,
}

impl Pulse {
    /// The poll that is under way; none if no task has its turn.
    #[must_use]
    pub fn polled(&self) -> Option<Polled> {
        let beat = &self.0.shared.beat;
        let turn = beat.count.load(Ordering::Acquire);
        let task = beat.task.load(Ordering::Relaxed);
        let kind = beat.kind.load(Ordering::Relaxed);
        let from = beat.from.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        if turn.is_multiple_of(2) || beat.count.load(Ordering::Relaxed) != turn {
            return None;
        }
        // SAFETY: `begin` has put it there, of this type, in this turn.
        let kind = unsafe { std::mem::transmute::<*mut (), Option<fn() -> Kind>>(kind) };
        Some(Polled {
            turn,
            task: (task != 0).then(|| Id::from_raw(task)),
            kind: kind.map(|kind| kind()),
            from: (from <= LAST).then_some(from),
        })
    }

    /// Whether a poll is still under way.
    #[must_use]
    pub fn is_at(&self, turn: u64) -> bool {
        self.0.shared.beat.count.load(Ordering::Acquire) == turn
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pulse").field(&self.polled()).finish()
    }
}

/// Copies the name of the task that is running on this thread, and says how many bytes that takes; a longer one is cut.
///
/// A signal handler may call this.
pub fn running_name(into: &mut [u8]) -> usize {
    // SAFETY: the name lives while the task has its turn, which is now.
    let name = bundle::current().and_then(|home| unsafe { home.running_name().as_ref() });
    let name = name.map(str::as_bytes).unwrap_or_default();
    let size = name.len().min(into.len());
    into[..size].copy_from_slice(&name[..size]);
    size
}

impl<P: Park> Executor<P> {
    /// Lets other threads see which poll runs, from the next batch of polls on, until the executor is dropped.
    pub fn watch(&self) -> Pulse {
        let home = self.home();
        home.watched.set(true);
        Pulse(home.bundle())
    }

    /// Runs a batch, as [`batch`](Self::batch) does, and tells of each turn.
    #[cold]
    #[inline(never)]
    pub(crate) fn watched<F: Future>(
        &self,
        mut future: Pin<&mut F>,
        context: &mut Context<'_>,
    ) -> Option<F::Output> {
        let home = self.home();
        let mut left = BATCH;
        while left > 0 {
            let Some(slot) = home.ring.pop() else { break };
            left -= 1;
            home.budget.set(coop::BUDGET);
            let _turn = Turn::begin(home, slot, || UNKNOWN);
            if !ptr::eq(slot, home.root()) {
                home.turn(slot);
                continue;
            }
            // SAFETY: STABLE; HOME.
            unsafe { &*slot }.run.set(run::IDLE);
            let _polling = crate::look::Polling::begin(home);
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Some(output);
            }
        }
        None
    }
}

/// Somebody has their turn, until this is dropped.
pub(crate) struct Turn(Option<&'static Beat>);

impl Turn {
    /// Tells that it is the turn of a slot, if anybody wants to know.
    #[inline]
    pub(crate) fn begin(home: Home, slot: *const Header, from: impl FnOnce() -> State) -> Self {
        if !home.watched.get() {
            return Self(None);
        }
        let beat = &home.bundle().shared.beat;
        let (task, kind) = if ptr::eq(slot, home.root()) {
            (0, home.root_future.get().map(|root| root.kind))
        } else {
            // SAFETY: STABLE; HOME.
            let header = unsafe { &*slot };
            let kind = header.vtable.get().map(|table| table.future.kind);
            (header.id.load(Ordering::Relaxed), kind)
        };
        beat.from.store(from(), Ordering::Relaxed);
        beat.task.store(task, Ordering::Relaxed);
        let kind = kind.map_or(ptr::null_mut(), |kind| kind as *mut ());
        beat.kind.store(kind, Ordering::Relaxed);
        let count = beat.count.load(Ordering::Relaxed);
        beat.count.store(count + 1, Ordering::Release);
        Self(Some(beat))
    }
}

impl Drop for Turn {
    #[inline]
    fn drop(&mut self) {
        if let Some(beat) = self.0 {
            let count = beat.count.load(Ordering::Relaxed);
            beat.count.store(count + 1, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ThreadPark, spawn, yield_now};

    fn watched() -> (Executor<ThreadPark>, Pulse) {
        let executor = Executor::new(ThreadPark::new());
        let pulse = executor.watch();
        (executor, pulse)
    }

    #[test]
    fn each_turn_is_told_and_has_a_number_of_its_own() {
        let (executor, pulse) = watched();
        executor.block_on(async {
            let tell = move || pulse.polled().expect("it is being polled");
            let task = spawn(async move { tell() });
            let id = task.id();
            let first = task.await.expect("it does not panic");
            assert_eq!(first.task, Some(id));
            assert!(
                first
                    .kind
                    .expect("its type is known")
                    .name
                    .contains("pulse::tests")
            );
            assert!(!pulse.is_at(first.turn));
            let second = tell();
            assert_eq!(second.task, None);
            yield_now().await;
            assert_ne!(second.turn, tell().turn);
        });
        assert!(pulse.polled().is_none());
    }

    #[test]
    fn a_turn_ends_with_a_panic_too() {
        let (executor, pulse) = watched();
        let run = || executor.block_on(async { panic!("as it should") });
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        assert!(ran.is_err() && pulse.polled().is_none());
    }

    #[test]
    fn a_recording_does_not_hide_turns() {
        let (executor, pulse) = watched();
        let settings = crate::record::Settings::new(16, |_| crate::record::Plan::default());
        executor.start_recording(settings);
        executor.block_on(async { assert!(pulse.polled().is_some()) });
        assert!(pulse.polled().is_none());
    }

    #[test]
    fn the_next_executor_is_not_watched() {
        drop(watched());
        let executor = Executor::new(ThreadPark::new());
        assert!(!executor.home().watched.get());
    }

    #[test]
    fn a_name_is_copied_as_far_as_there_is_room() {
        let (executor, _) = watched();
        executor.block_on(async {
            let mut room = [0; 4];
            assert_eq!(running_name(&mut room), 0);
            let task = crate::Builder::new().name("collector").spawn(async {
                let mut room = [0; 4];
                (running_name(&mut room), room)
            });
            assert_eq!(task.await.expect("it does not panic"), (4, *b"coll"));
        });
    }
}
