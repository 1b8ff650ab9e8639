//! Looking at tasks from outside: where their futures are, and of what type.
//!
//! A debugger, or a program that reads its own debug information, knows a type by the address of a vtable: the compiler
//! describes those that a cast makes at run time. So the table of functions of a task's type has one more with the feature
//! `inspect`, which makes such a cast. Tasks themselves carry nothing for it, and nobody calls it until somebody looks.

use std::any::{TypeId, type_name};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::Context;

use crate::bundle::{self, Home};
use crate::header::{HEADER_BYTES, Header, run, state};
use crate::raw::{self, Job};
use crate::{Executor, Id, Park, Stats};

/// A task, as it stands in memory.
///
/// What is at its address is the future of the task, or a wrapper of it, until the executor runs again; nothing, if it is
/// [`Activity::Ending`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Task {
    /// The task's id; none for the root future of `block_on`.
    pub id: Option<Id>,
    /// The name that it was given; none while it ends.
    pub name: Option<String>,
    /// Where its future is, in a box if it is too large for a slot; zero while it ends.
    pub address: usize,
    /// Of what type that is.
    pub kind: Kind,
    /// What it is doing.
    pub activity: Activity,
    /// What a recording knows of it, if there is one.
    pub facts: Option<crate::record::PollFacts>,
}

/// The type of a future.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Kind {
    /// The address of a vtable that the compiler made for this type.
    pub vtable: usize,
    /// The size in bytes.
    pub size: usize,
    /// What [`type_name`] says.
    pub name: &'static str,
    /// Whether it serves the runtime and not the program.
    pub is_background: bool,
}

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activity {
    /// It is being polled.
    Running,
    /// It is to be polled.
    Ready,
    /// It was aborted: its future is to be dropped at its next turn.
    Aborted,
    /// Nobody has woken it since it was polled.
    Waiting,
    /// Its future is being dropped, or its output: what is at its address means nothing.
    Ending,
}

/// What every type is cast to. Its method differs for each type, so that no two vtables are the same and folded into one.
/// That the crate that reads has one as well, and another crate, is no mistake: crates here know nothing of each other.
trait Anchor {
    #[expect(dead_code, reason = "it makes vtables differ")]
    fn identity(&self) -> TypeId
    where
        Self: 'static;
}

impl<T> Anchor for T {
    fn identity(&self) -> TypeId
    where
        Self: 'static,
    {
        TypeId::of::<T>()
    }
}

/// Describes a type, at run time.
#[inline(never)]
pub(crate) fn kind<T>() -> Kind {
    let nowhere: *const dyn Anchor = black_box(std::ptr::null::<T>());
    // SAFETY: a wide pointer to a trait object is two words: the data, and the vtable.
    let [_, vtable]: [usize; 2] = unsafe { std::mem::transmute(nowhere) };
    Kind {
        vtable,
        size: size_of::<T>(),
        name: type_name::<T>(),
        is_background: false,
    }
}

/// Describes the type of a task.
pub(crate) fn kind_of_job<J: Job>() -> Kind {
    Kind {
        is_background: J::IS_BACKGROUND,
        ..kind::<J>()
    }
}

/// Where the future of a task is, and of what type.
#[derive(Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) kind: fn() -> Kind,
    /// Whether the body of the slot is a pointer to it.
    pub(crate) is_boxed: bool,
}

impl Placed {
    /// A future that is the body of its slot.
    pub(crate) const fn in_slot<J: Job>() -> Self {
        Self {
            kind: kind_of_job::<J>,
            is_boxed: false,
        }
    }

    /// A future that is where it is said to be.
    pub(crate) const fn here(kind: fn() -> Kind) -> Self {
        Self {
            kind,
            is_boxed: false,
        }
    }

    /// A future in a box that is the body.
    pub(crate) const fn in_box<J: Job>() -> Self {
        Self {
            kind: kind_of_job::<J>,
            is_boxed: true,
        }
    }

    /// The address of the future whose slot this is.
    ///
    /// # Safety
    ///
    /// HOME; the table of the slot says so, and its body is whole.
    unsafe fn address(self, slot: *const Header) -> usize {
        let body = slot.cast::<u8>().wrapping_add(HEADER_BYTES);
        if self.is_boxed {
            // SAFETY: the body is a pinned box, which is a pointer.
            unsafe { body.cast::<*const u8>().read() }.addr()
        } else {
            body.addr()
        }
    }
}

/// The root future of a `block_on`.
#[derive(Clone, Copy)]
pub(crate) struct Root {
    pub(crate) address: usize,
    pub(crate) kind: fn() -> Kind,
}

/// While no task has its turn, the root future is being polled, until this is dropped. The loop sees to that once for a batch
/// of turns, of which any can be that of the root.
pub(crate) struct Polling(Home);

impl Polling {
    #[inline]
    pub(crate) fn begin(home: Home) -> Self {
        home.root_activity.set(Activity::Running);
        Self(home)
    }
}

impl Home {
    /// Whether the root future is being polled.
    pub(crate) fn is_root_running(self) -> bool {
        self.root_activity.get() == Activity::Running && self.running.get().is_null()
    }
}

impl Drop for Polling {
    #[inline]
    fn drop(&mut self) {
        self.0.root_activity.set(Activity::Waiting);
    }
}

impl<P: Park> Executor<P> {
    /// Runs a batch, as [`batch`](Self::batch) does, so that it is recorded or others are told of it if somebody has asked for
    /// that. `arrived` is what the ready ring had gained before the inbox was looked at.
    #[inline]
    pub(crate) fn inspected_batch<F: Future>(
        &self,
        future: Pin<&mut F>,
        context: &mut Context<'_>,
        arrived: usize,
    ) -> Option<F::Output> {
        let home = self.home();
        if home.is_recording() {
            return self.recorded(future, context, arrived);
        }
        if home.watched.get() {
            return self.watched(future, context);
        }
        let _polling = Polling::begin(home);
        self.batch(future, context)
    }
}

/// The root future is about to be dropped when this is.
pub(crate) struct BeforeDrop(Home);

impl BeforeDrop {
    pub(crate) fn new(home: Home) -> Self {
        home.root_activity.set(Activity::Waiting);
        Self(home)
    }
}

impl Drop for BeforeDrop {
    fn drop(&mut self) {
        self.0.root_activity.set(Activity::Ending);
    }
}

/// The tasks of the executor that the thread is running, the root future first, then by id; none outside of an executor.
///
/// Nothing is polled. It may be called inside of a task, which then is the one that is running.
#[must_use]
pub fn tasks() -> Option<Vec<Task>> {
    bundle::current().map(of)
}

impl<P: Park> Executor<P> {
    /// The tasks, and the root future first if [`block_on`](Self::block_on) runs one, as [`tasks`].
    #[must_use]
    pub fn tasks(&self) -> Vec<Task> {
        of(self.home())
    }

    /// Runs a future as [`block_on`](Self::block_on) does, and drops the guard when that ends, in whatever way, before the future:
    /// its drop sees the tasks as they were then.
    ///
    /// # Panics
    ///
    /// As [`block_on`](Self::block_on).
    #[track_caller]
    pub fn block_on_guarded<F: Future, G>(&self, future: F, guard: G) -> F::Output {
        self.run(future, guard)
    }
}

/// The counters of the executor that the thread is running; none outside of an executor.
#[must_use]
pub fn stats() -> Option<Stats> {
    bundle::current().map(Stats::of)
}

/// The number that an id displays as.
#[must_use]
pub fn number(id: Id) -> u64 {
    id.raw()
}

fn of(home: Home) -> Vec<Task> {
    let running = home.running.get();
    let mut tasks = Vec::new();
    if let Some(root) = home.root_future.get() {
        // SAFETY: STABLE.
        let ready = unsafe { &*home.root() }.run.get() == run::QUEUED;
        tasks.push(Task {
            id: None,
            name: None,
            address: root.address,
            kind: (root.kind)(),
            activity: match home.root_activity.get() {
                _ if home.is_root_running() => Activity::Running,
                Activity::Ending => Activity::Ending,
                _ if ready => Activity::Ready,
                _ => Activity::Waiting,
            },
            facts: home.facts(home.root()),
        });
    }
    let first = tasks.len();
    home.slots.for_each(|slot| {
        tasks.extend(task(home, slot, running));
        true
    });
    tasks[first..].sort_unstable_by_key(|task| task.id.map(Id::raw));
    tasks
}

fn task(home: Home, slot: *const Header, running: *const Header) -> Option<Task> {
    // SAFETY: STABLE.
    let header = unsafe { &*slot };
    if header.state.load(Ordering::Relaxed) != state::LIVE {
        return None;
    }
    let table = header.vtable.get().filter(|table| !table.is_background)?;
    let whole = header.is_whole();
    // SAFETY: HOME, LIVE and not ENDING.
    let name = whole
        .then(|| unsafe { raw::name_of(table, slot) })
        .flatten();
    // SAFETY: HOME, and the body is whole.
    let address = whole.then(|| unsafe { table.future.address(slot) });
    Some(Task {
        id: Some(Id::from_raw(header.id.load(Ordering::Relaxed))),
        name,
        address: address.unwrap_or_default(),
        kind: (table.future.kind)(),
        activity: match header.run.get() {
            _ if !whole => Activity::Ending,
            _ if std::ptr::eq(slot, running) => Activity::Running,
            run::QUEUED => Activity::Ready,
            run::MARKED => Activity::Aborted,
            _ => Activity::Waiting,
        },
        facts: home.facts(slot),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Idle, ThreadPark, Unpark, spawn, yield_now};

    fn root() -> Activity {
        let tasks = tasks().expect("there is an executor");
        tasks.first().expect("it runs").activity
    }

    /// Looks at the root future before it sleeps.
    struct Looking(ThreadPark);

    impl Park for Looking {
        fn tick(&self) {
            assert_ne!(root(), Activity::Running);
        }

        fn park(&self, idle: &Idle<'_>) {
            assert_eq!(root(), Activity::Waiting);
            self.0.park(idle);
        }

        fn unparker(&self) -> Arc<dyn Unpark> {
            self.0.unparker()
        }
    }

    #[test]
    fn the_root_runs_while_it_is_polled_and_at_no_other_time() {
        let executor = Executor::new(Looking(ThreadPark::new()));
        executor.block_on(async {
            assert_eq!(root(), Activity::Running);
            let task = spawn(async {
                let first = root();
                yield_now().await;
                first
            });
            yield_now().await;
            assert_eq!(root(), Activity::Running);
            assert_eq!(task.await.expect("it does not panic"), Activity::Ready);
            let closure = crate::spawn_blocking(std::thread::yield_now);
            closure.await.expect("it does not panic");
            assert_eq!(root(), Activity::Running);
        });
    }
}
