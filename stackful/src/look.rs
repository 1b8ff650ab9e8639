//! Where fibers are, and what they wait for, for those who look at them from outside.
//!
//! With the feature `inspect`, the frames of a thread's fibers are a list. A fiber that waits has left in its frame where on its
//! stack it is, and what for: a program that reads its own debug information knows the type of a vtable that a cast makes at run
//! time. Who owns the fiber is noted as well, because without types nobody could find it in its task.
//!
//! Invariant **LISTED**: a frame is in the list of its thread from the start of its core to the end of that, and for ever if that is
//! forgotten; so every frame in the list is valid (ON STACK, see `crate::frame`).

use std::any::{TypeId, type_name};
use std::cell::Cell;
use std::hint::black_box;
use std::ops::Range;
use std::panic::Location;
use std::ptr;

use crate::frame::{self, Core, Frame, LINK};
pub use crate::registers::Registers;

thread_local! {
    /// The frame that was made last, or null.
    static FIRST: Cell<*const Frame> = const { Cell::new(ptr::null()) };
}

/// What every future is cast to. A method differs for each type, so that no two vtables are the same and folded into one.
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

/// Says where a future is, and of which type.
#[inline]
pub(crate) fn place<F>(future: &F) -> Awaited {
    let future: *const (dyn Anchor + '_) = black_box(ptr::from_ref(future));
    // SAFETY: a wide pointer to a trait object is two words: the data, and the vtable.
    let [address, vtable]: [usize; 2] = unsafe { std::mem::transmute(future) };
    Awaited {
        address,
        vtable,
        type_name: type_name::<F>(),
    }
}

/// What a fiber leaves in its frame when it waits.
pub(crate) struct Waits {
    /// Where it is, on its own stack or on that of a generator that it uses.
    registers: Cell<Registers>,
    /// If it waits for a future: what `place` says of it. Else null.
    awaited: Cell<*const Awaited>,
}

impl Waits {
    pub(crate) const fn new() -> Self {
        Self {
            registers: Cell::new(Registers::NONE),
            awaited: Cell::new(ptr::null()),
        }
    }

    /// Says that the fiber waits here.
    #[inline(always)]
    pub(crate) fn here(&self) {
        self.registers.set(Registers::here());
    }

    /// Says what it waits for, until what this returns is dropped: also by the unwind of one that was dropped, before anything else is.
    #[inline(always)]
    pub(crate) fn begin<'a>(&'a self, place: &'a Awaited) -> Awaiting<'a> {
        self.awaited.set(place);
        Awaiting(self)
    }
}

/// A fiber waits for a future.
pub(crate) struct Awaiting<'a>(&'a Waits);

impl Drop for Awaiting<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.awaited.set(ptr::null());
    }
}

/// A frame's place in the list.
pub(crate) struct Listed {
    next: Cell<*const Frame>,
    before: Cell<*const Frame>,
    /// The address of its core when it started.
    owner: Cell<usize>,
}

impl Listed {
    pub(crate) const fn new() -> Self {
        Self {
            next: Cell::new(ptr::null()),
            before: Cell::new(ptr::null()),
            owner: Cell::new(0),
        }
    }
}

/// A fiber, or a generator, that has a stack.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Started {
    /// The address of a pointer to [`block`](Self::block) that is a part of the fiber; 0 in a generator. If it holds something else
    /// the fiber was forgotten, or has been moved since it started.
    pub owner: usize,
    /// What the fiber points to.
    pub block: usize,
    /// The name that it was given.
    pub name: Option<String>,
    /// Where it was made, in the source.
    pub origin: &'static Location<'static>,
    /// The addresses of its stack.
    pub stack: Range<usize>,
    /// What it is doing.
    pub activity: Activity,
}

/// What a fiber with a stack is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Activity {
    /// It runs, or has resumed another one that runs.
    Running,
    /// It waits here. The stack may be that of a generator that it uses.
    Waiting(Registers, Option<Awaited>),
    /// It is a generator that nobody has asked for its next value, or whose fiber waits.
    Idle,
}

/// A future that a fiber waits for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Awaited {
    /// Where it is.
    pub address: usize,
    /// The address of a vtable that the compiler made for its type.
    pub vtable: usize,
    /// What [`type_name`] says of it.
    pub type_name: &'static str,
}

/// The fibers and generators of this thread that have a stack. None of them is resumed, and all of that is true until one is.
#[must_use]
pub fn started() -> Vec<Started> {
    let mut running = Vec::new();
    let mut next = frame::current();
    while let Some(frame) = next {
        running.push(ptr::from_ref(frame));
        next = frame.parent();
    }
    let mut all = Vec::new();
    let mut next = FIRST.get();
    // SAFETY: LISTED.
    while let Some(frame) = unsafe { next.as_ref() } {
        all.push(frame.describe(running.contains(&next)));
        next = frame.listed.next.get();
    }
    all
}

/// Tells where the stacks go on that have resumed the fiber which runs, that of its resumer first, as far as there is room.
///
/// A signal handler may call this. What it tells may be wrong while stacks are switched, and then leads anywhere.
pub fn below(into: &mut [usize]) {
    let mut frame = frame::current();
    for place in into {
        let Some(fiber) = frame else { break };
        *place = fiber.resumed_from();
        frame = fiber.parent();
    }
}

impl Frame {
    /// The stack pointer of whoever has resumed the fiber: the switch keeps it below the block.
    fn resumed_from(&self) -> usize {
        let link = ptr::with_exposed_provenance::<usize>(self.block() - LINK);
        // SAFETY: ON STACK: the two words below the block are the switch's own.
        unsafe { link.read_volatile() }
    }

    /// Notes where its core is.
    #[inline]
    pub(crate) fn owned_by(&self, core: &Core) {
        self.listed.owner.set(ptr::from_ref(core).addr());
    }

    /// Puts the frame into the list of its thread.
    #[inline]
    pub(crate) fn enlist(&self) {
        let next = FIRST.replace(self);
        self.listed.next.set(next);
        // SAFETY: LISTED.
        if let Some(next) = unsafe { next.as_ref() } {
            next.listed.before.set(self);
        }
    }

    /// Takes it out again.
    #[inline]
    pub(crate) fn delist(&self) {
        let (before, next) = (self.listed.before.get(), self.listed.next.get());
        // SAFETY: LISTED.
        match unsafe { before.as_ref() } {
            Some(before) => before.listed.next.set(next),
            None => FIRST.set(next),
        }
        // SAFETY: LISTED.
        if let Some(next) = unsafe { next.as_ref() } {
            next.listed.before.set(before);
        }
    }

    fn describe(&self, running: bool) -> Started {
        let registers = self.waits.registers.get();
        let activity = match running {
            true => Activity::Running,
            false if registers.program_counter == 0 => Activity::Idle,
            false => Activity::Waiting(registers, self.awaited()),
        };
        Started {
            owner: self.listed.owner.get(),
            block: self.block(),
            name: self.birth.name.as_deref().map(str::to_owned),
            origin: self.birth.origin,
            stack: self.stack(),
            activity,
        }
    }

    /// What it waits for. It does not run.
    fn awaited(&self) -> Option<Awaited> {
        // SAFETY: the fiber waits, so what it points to lies in a frame of its stack that has not returned.
        unsafe { self.waits.awaited.get().as_ref() }.copied()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::Pin;
    use std::rc::Rc;
    use std::task::{Context, Waker};

    use super::*;
    use crate::{Fiber, Generator, wait};

    /// Polls a fiber once.
    fn poll<F: FnOnce() + 'static>(fiber: &mut Fiber<F, ()>) {
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(fiber).poll(&mut context).is_pending());
    }

    #[test]
    fn those_that_have_a_stack_are_listed_until_they_are_over() {
        let before = started().len();
        let mut fibers: Vec<_> = (0..3).map(|_| Fiber::new(|| wait(pending()))).collect();
        assert_eq!(started().len(), before);
        fibers.iter_mut().for_each(poll);
        let blocks: Vec<_> = started().iter().map(|one| one.block).collect();
        assert_eq!(blocks.len(), before + 3);
        drop(fibers.remove(1));
        let left: Vec<_> = started().iter().map(|one| one.block).collect();
        assert_eq!(left, [&blocks[..1], &blocks[2..]].concat());
        drop(fibers);
        assert_eq!(started().len(), before);
    }

    #[test]
    fn a_fiber_that_waits_says_where_and_for_what() {
        let mut fiber = Fiber::new(|| wait(pending()));
        poll(&mut fiber);
        let told = started().remove(0);
        let inside =
            ptr::from_ref(&fiber).addr()..ptr::from_ref(&fiber).addr() + size_of_val(&fiber);
        assert!(inside.contains(&told.owner));
        // SAFETY: it is a word of the fiber.
        let word = unsafe { ptr::with_exposed_provenance::<usize>(told.owner).read() };
        assert_eq!(word, told.block);
        assert!(told.stack.contains(&told.block));
        let Activity::Waiting(registers, Some(awaited)) = told.activity else {
            panic!("it waits: {told:?}");
        };
        assert!(told.stack.contains(&registers.stack_pointer));
        assert!(told.stack.contains(&awaited.address));
        assert!(awaited.type_name.ends_with("Pending<()>"), "{awaited:?}");
    }

    #[test]
    fn one_that_runs_and_whoever_has_resumed_it_are_running() {
        let outer = || {
            let running: Vec<_> = Generator::new(|out: &crate::Give<Vec<String>>| {
                out.give(
                    started()
                        .iter()
                        .map(|one| format!("{:?}", one.activity))
                        .collect(),
                );
            })
            .collect();
            assert_eq!(running, [vec!["Running".to_owned(); 2]]);
        };
        let mut fiber = Fiber::new(outer);
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut fiber).poll(&mut context).is_ready());
    }

    /// Notes, when it is dropped, what the fiber says that it waits for.
    struct Notes(Rc<Cell<Option<bool>>>);

    impl Drop for Notes {
        fn drop(&mut self) {
            let frame = frame::current().expect("it is dropped on the fiber");
            self.0.set(Some(frame.waits.awaited.get().is_null()));
        }
    }

    #[test]
    fn a_fiber_that_unwinds_waits_for_nothing() {
        let noted = Rc::new(Cell::new(None));
        let notes = Notes(Rc::clone(&noted));
        let mut fiber = Fiber::new(move || {
            let _notes = notes;
            wait(pending::<()>());
        });
        poll(&mut fiber);
        drop(fiber);
        assert_eq!(noted.get(), Some(true));
    }

    #[test]
    fn a_fiber_in_a_generator_is_where_the_generator_is() {
        let mut fiber =
            Fiber::new(|| Generator::new(|_: &crate::Give<()>| wait(pending())).for_each(drop));
        poll(&mut fiber);
        let told = started();
        let [generator, fiber] = &told[..] else {
            panic!("there are two: {told:?}");
        };
        assert!(matches!(generator.activity, Activity::Idle));
        let Activity::Waiting(registers, Some(_)) = &fiber.activity else {
            panic!("it waits: {fiber:?}");
        };
        assert!(generator.stack.contains(&registers.stack_pointer));
    }
}
