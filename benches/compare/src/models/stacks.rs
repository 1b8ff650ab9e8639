//! Stacks for everything here that switches: in one reserved range, guarded, used again, as camshaft's fibers have them.
//!
//! ```text
//!   [ guard | stack ][ guard | stack ] … not carved yet …
//!     4 KiB   64 KiB, grows down
//! ```
//!
//! The same size, the same distance, the same guards (marks in the page table where the kernel has them, pages without
//! access where not), small pages, and the last one that was put back is the next that is taken. So what differs between
//! two rows of a table is never the stack.
//!
//! Invariants:
//!
//! - **MAPPED**: what was carved is never unmapped, but for a stack that lies in a mapping of its own and is free.
//! - **DISJOINT**: no two stacks overlap; each has one owner, a [`Stack`], or none for ever if that was dropped.

use std::io;
use std::num::NonZeroUsize;
use std::ptr;

use corosensei::stack::StackPointer;

/// The usable bytes of a stack. Threads have as many.
pub(crate) const SIZE: usize = 64 << 10;
/// Bytes of a processor's cache line.
const CACHE_LINE: usize = 64;
/// What a switch, corosensei's or ours, keeps below the data and touches each time.
const LINK: usize = 16;
const PAGE: usize = 4096;
/// How far stacks lie apart.
pub(crate) const STRIDE: usize = SIZE + PAGE;
/// Addresses for nearly two million stacks.
const RESERVE: usize = 1 << 37;
/// Stacks that are carved at once.
const CHUNK: usize = 32;
/// `MADV_GUARD_INSTALL`, which libc does not know of.
const GUARD_INSTALL: libc::c_int = 102;

/// A stack: whoever has it owns its memory. One that is dropped is never used again.
#[derive(Debug)]
pub(crate) struct Stack {
    top: NonZeroUsize,
}

impl Stack {
    /// The address for data of this size at the upper end, in one cache line with what a switch keeps right below it.
    #[inline]
    pub(crate) fn upper_end(&self, size: usize) -> usize {
        ((self.top() - size) & !(CACHE_LINE - 1)) - CACHE_LINE + LINK
    }

    /// The address of its end, where it begins to grow down.
    pub(crate) fn top(&self) -> usize {
        self.top.get()
    }

    /// Writes to its first page.
    pub(crate) fn touch(&self) {
        let first: *mut u8 = ptr::with_exposed_provenance_mut(self.top() - 1);
        // SAFETY: the last byte of the stack, which is ours and on which nothing runs.
        unsafe { first.write_volatile(1) };
    }

    /// The lowest address that may be used.
    pub(crate) fn limit(&self) -> usize {
        self.top() - SIZE
    }
}

// SAFETY: the page below the stack faults, the rest is accessible (see `Stacks::carve`) and nobody else's (DISJOINT).
unsafe impl corosensei::stack::Stack for Stack {
    fn base(&self) -> StackPointer {
        self.top
    }

    fn limit(&self) -> StackPointer {
        NonZeroUsize::new(self.top() - STRIDE).expect("a stack is not at address zero")
    }
}

/// Stacks of one thread.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    free: Vec<Stack>,
    /// What is reserved and not carved yet.
    next: usize,
    end: usize,
    /// The kernel has no marks for guards.
    protects: bool,
}

impl Stacks {
    pub(crate) const fn new() -> Self {
        Self {
            free: Vec::new(),
            next: 0,
            end: 0,
            protects: false,
        }
    }

    /// One stack, in a mapping of its own.
    pub(crate) fn of_one() -> io::Result<Self> {
        let mut stacks = Self::new();
        let (start, end) = map(STRIDE)?;
        (stacks.next, stacks.end) = (end, end);
        stacks.protects = true;
        stacks.guard(start)?;
        stacks
            .free
            .extend(NonZeroUsize::new(end).map(|top| Stack { top }));
        Ok(stacks)
    }

    /// Unmaps the stack of [`of_one`](Self::of_one). It must have been put back.
    ///
    /// # Panics
    ///
    /// Panics if it is taken.
    pub(crate) fn unmap(mut self) {
        let stack = self.free.pop().expect("it was put back");
        let start = ptr::without_provenance_mut(stack.top() - STRIDE);
        // SAFETY: the stack is ours, nothing runs on it, and it has a mapping of its own.
        unsafe { libc::munmap(start, STRIDE) };
    }

    /// Takes a stack; fails if there is no memory for one.
    #[inline]
    pub(crate) fn take(&mut self) -> io::Result<Stack> {
        match self.free.pop() {
            Some(stack) => Ok(stack),
            None => self.carve(),
        }
    }

    /// Puts a stack back on which nothing runs any more.
    #[inline]
    pub(crate) fn put(&mut self, stack: Stack) {
        self.free.push(stack);
    }

    #[cold]
    fn carve(&mut self) -> io::Result<Stack> {
        let bytes = STRIDE * CHUNK;
        if self.end - self.next < bytes {
            (self.next, self.end) = reserve(bytes)?;
        }
        for at in 0..CHUNK {
            self.guard(self.next + at * STRIDE)?;
        }
        let start = self.next;
        self.next += bytes;
        let tops = (1..=CHUNK).rev().map(|at| start + at * STRIDE);
        self.free
            .extend(tops.filter_map(NonZeroUsize::new).map(|top| Stack { top }));
        self.free
            .pop()
            .ok_or_else(|| io::Error::other("no stack was carved"))
    }

    /// Has a page fault.
    fn guard(&mut self, page: usize) -> io::Result<()> {
        let page: *mut libc::c_void = ptr::without_provenance_mut(page);
        if !self.protects {
            // SAFETY: a page that was reserved here and belongs to no stack yet.
            if unsafe { libc::madvise(page, PAGE, GUARD_INSTALL) } == 0 {
                return Ok(());
            }
            self.protects = true;
        }
        // SAFETY: as above.
        if unsafe { libc::mprotect(page, PAGE, libc::PROT_NONE) } == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

/// Reserves address space for `least` bytes and, as a rule, for much more.
fn reserve(least: usize) -> io::Result<(usize, usize)> {
    let mut bytes = RESERVE;
    loop {
        match map(bytes) {
            Err(_) if bytes / 2 >= least => bytes /= 2,
            mapped => return mapped,
        }
    }
}

/// Maps memory for stacks, and returns where it begins and ends.
fn map(bytes: usize) -> io::Result<(usize, usize)> {
    // SAFETY: a fresh mapping touches no existing memory.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if ptr::eq(start, libc::MAP_FAILED) {
        return Err(io::Error::last_os_error());
    }
    // A huge page would make many stacks resident at once.
    // SAFETY: exactly the mapping just made.
    unsafe { libc::madvise(start, bytes, libc::MADV_NOHUGEPAGE) };
    // Stacks are made of addresses.
    Ok((start.expose_provenance(), start.addr() + bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_that_was_put_back_is_taken_next() {
        let mut stacks = Stacks::new();
        let (one, two) = (stacks.take().unwrap(), stacks.take().unwrap());
        assert_eq!(two.top().abs_diff(one.top()), STRIDE);
        let top = one.top();
        stacks.put(one);
        assert_eq!(stacks.take().unwrap().top(), top);
        assert_eq!(stacks.take().unwrap().top() % PAGE, 0);
    }
}
