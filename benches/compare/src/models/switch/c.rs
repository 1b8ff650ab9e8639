//! What `csrc/switch.c` offers: setjmp with longjmp, and ucontext.

use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;

use super::Switch;
use crate::models::stacks::{Stack, Stacks};

unsafe extern "C" {
    safe fn jumper_size() -> usize;
    fn jumper_start(this: *mut c_void, stack: *mut c_void, size: usize) -> c_int;
    fn jumper_resume(this: *mut c_void) -> u64;
    safe fn context_size() -> usize;
    fn context_start(this: *mut c_void, stack: *mut c_void, size: usize) -> c_int;
    fn context_resume(this: *mut c_void) -> u64;
}

/// The functions of one kind.
#[derive(Clone, Copy, Debug)]
struct Kind {
    size: extern "C" fn() -> usize,
    start: unsafe extern "C" fn(*mut c_void, *mut c_void, usize) -> c_int,
    resume: unsafe extern "C" fn(*mut c_void) -> u64,
}

/// A coroutine of C, which counts its turns for ever.
#[derive(Debug)]
pub(crate) struct Coroutine<const UCONTEXT: bool> {
    this: *mut c_void,
    stack: Stack,
}

/// By setjmp and longjmp.
pub(crate) type Jumper = Coroutine<false>;
/// By ucontext.
pub(crate) type Context = Coroutine<true>;

impl<const UCONTEXT: bool> Coroutine<UCONTEXT> {
    const KIND: Kind = if UCONTEXT {
        Kind {
            size: context_size,
            start: context_start,
            resume: context_resume,
        }
    } else {
        Kind {
            size: jumper_size,
            start: jumper_start,
            resume: jumper_resume,
        }
    };

    /// Makes one, which has its first turn.
    pub(crate) fn new(stacks: &mut Stacks) -> io::Result<Self> {
        let stack = stacks.take()?;
        let address = stack.upper_end((Self::KIND.size)());
        let this: *mut c_void = ptr::with_exposed_provenance_mut(address);
        let limit = ptr::with_exposed_provenance_mut(stack.limit());
        let size = address - stack.limit();
        // SAFETY: the stack is ours, with room for the data at its upper end, and one thread makes coroutines.
        let started = unsafe { (Self::KIND.start)(this, limit, size) };
        if started != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { this, stack })
    }

    /// Ends it, and gives its stack back. C has no destructors.
    pub(crate) fn end(self, stacks: &mut Stacks) {
        stacks.put(self.stack);
    }

    /// One turn; returns how many there were.
    #[inline]
    pub(crate) fn resume(&mut self) -> u64 {
        // SAFETY: it was started, is suspended, and is never freed; it is not sent to other threads.
        unsafe { (Self::KIND.resume)(self.this) }
    }
}

impl<const UCONTEXT: bool> Switch for Coroutine<UCONTEXT> {
    #[inline]
    fn turn(&mut self) {
        self.resume();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test, because C's coroutines are for one thread at a time.
    #[test]
    fn coroutines_of_c_count_their_turns() {
        let mut stacks = Stacks::new();
        let mut jumpers = [(); 3].map(|()| Jumper::new(&mut stacks).unwrap());
        let mut contexts = [(); 3].map(|()| Context::new(&mut stacks).unwrap());
        for turn in 2..100 {
            assert!(jumpers.iter_mut().all(|one| one.resume() == turn));
            assert!(contexts.iter_mut().all(|one| one.resume() == turn));
        }
    }
}
