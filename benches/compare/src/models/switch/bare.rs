//! corosensei's switch, and nothing else.

use std::num::NonZeroUsize;

use corosensei::stack::StackPointer;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::Switch;
use crate::models::stacks::{Stack, Stacks};

/// The part of a stack below the coroutine.
#[derive(Debug)]
struct Region {
    base: NonZeroUsize,
    limit: NonZeroUsize,
}

// SAFETY: the lower part of a guarded stack that is nobody else's.
unsafe impl corosensei::stack::Stack for Region {
    fn base(&self) -> StackPointer {
        self.base
    }

    fn limit(&self) -> StackPointer {
        self.limit
    }
}

/// A coroutine of corosensei that yields values for ever, with its handle at the upper end of its stack.
///
/// It is never unwound: what its function owns while it is suspended is leaked, with the stack, when it is dropped.
#[derive(Debug)]
pub(crate) struct Bare<Y: 'static = ()> {
    coroutine: *mut Coroutine<(), Y, (), Region>,
    stack: Stack,
}

impl<Y> Bare<Y> {
    pub(crate) fn new(
        stacks: &mut Stacks,
        function: impl FnOnce(&Yielder<(), Y>) + 'static,
    ) -> std::io::Result<Self> {
        let stack = stacks.take()?;
        let address = stack.upper_end(size_of::<Coroutine<(), Y, (), Region>>());
        let region = Region {
            base: NonZeroUsize::new(address).expect("a stack is not at address 0"),
            limit: NonZeroUsize::new(stack.limit()).expect("a stack is not at address 0"),
        };
        let coroutine: *mut Coroutine<(), Y, (), Region> =
            std::ptr::with_exposed_provenance_mut(address);
        let made = Coroutine::with_stack(region, |yielder, ()| function(yielder));
        // SAFETY: the stack is ours, and there is room for the coroutine at its upper end, aligned.
        unsafe { coroutine.write(made) };
        Ok(Self { coroutine, stack })
    }

    /// The next value, or `None` if the function has returned. It must not be called after that.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Y> {
        // SAFETY: it was written in `new`, lives as long as its stack, which is for ever or until `end`, and is
        // only used here.
        match unsafe { &mut *self.coroutine }.resume(()) {
            CoroutineResult::Yield(value) => Some(value),
            CoroutineResult::Return(()) => None,
        }
    }

    /// As [`next`](Self::next), and `None` if the function had returned before.
    #[inline]
    pub(crate) fn next_if_any(&mut self) -> Option<Y> {
        // SAFETY: as in `next`.
        let is_over = unsafe { &*self.coroutine }.done();
        if is_over { None } else { self.next() }
    }

    /// Gives the stack of one back whose function has returned.
    ///
    /// # Panics
    ///
    /// Panics if it has not.
    #[inline]
    pub(crate) fn end(self, stacks: &mut Stacks) {
        // SAFETY: as in `next`.
        assert!(unsafe { &*self.coroutine }.done());
        stacks.put(self.stack);
    }
}

impl Bare {
    /// One that does nothing but switch back.
    pub(crate) fn idle(stacks: &mut Stacks) -> std::io::Result<Self> {
        Self::new(stacks, |yielder| {
            loop {
                yielder.suspend(());
            }
        })
    }
}

impl Switch for Bare {
    #[inline]
    fn turn(&mut self) {
        self.next();
    }
}
