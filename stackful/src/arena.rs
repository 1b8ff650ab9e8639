//! The arena: address space for stacks, cut into chunks, with a guard below every stack.
//!
//! ```text
//!   arena (reserved, without access)
//!   [ chunk: 64 KiB stacks            | chunk: 256 KiB stacks | not carved yet …                         ]
//!     [ guard | stack ][ guard | stack ] …
//!               ◄──────┘ grows down
//! ```
//!
//! Reserving costs nothing but addresses. A chunk is made accessible when it is carved, and its guards are installed then. A
//! lightweight guard is a mark in the page table (`MADV_GUARD_INSTALL`, Linux 6.13), and the carved part of the arena stays
//! one mapping. Before, a guard is a page without access, which splits the mapping: two for each stack, of which
//! `vm.max_map_count` allows 65,530 unless it is raised. So there are at most about 32,000 stacks then.
//!
//! Invariants:
//!
//! - **MAPPED**: what was carved is never unmapped, so the memory of a stack that nobody will use again stays what it is.
//! - **GUARDED**: the page below each stack faults.
//! - **DISJOINT**: no two stacks overlap; each has one owner, a [`Stack`], or none for ever if that was forgotten.

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::stack::{CLASSES, Stack, size_of_class};

/// Address space that is reserved at once: room for four million stacks of 64 KiB.
const RESERVE: usize = 1 << 38;
/// The least that is worth reserving where addresses are limited.
const RESERVE_LEAST: usize = 1 << 23;
/// Chunks have at most so many bytes, unless one stack has more…
const CHUNK: usize = 1 << 22;
/// …and so many stacks.
const CHUNK_STACKS: usize = 32;
/// `MADV_GUARD_INSTALL`, which libc does not know of.
const GUARD_INSTALL: libc::c_int = 102;

/// How the page below a stack is guarded. Found out by trying.
pub(crate) mod guard {
    pub(crate) const UNKNOWN: u8 = 0;
    pub(crate) const LIGHT: u8 = 1;
    pub(crate) const PROTECTED: u8 = 2;
}

static GUARD: AtomicU8 = AtomicU8::new(guard::UNKNOWN);

/// Stacks of one size, one after the other.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    start: usize,
    class: u8,
    stacks: usize,
}

/// The arena of the process.
struct Arena {
    /// What is reserved and not carved yet.
    next: usize,
    end: usize,
    chunks: Vec<Chunk>,
    /// Stacks that threads have left when they ended.
    left: [Vec<Stack>; CLASSES],
}

static ARENA: Mutex<Arena> = Mutex::new(Arena {
    next: 0,
    end: 0,
    chunks: Vec::new(),
    left: [const { Vec::new() }; CLASSES],
});

/// No user code runs under the lock, so poison means nothing.
fn arena() -> MutexGuard<'static, Arena> {
    ARENA.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds some stacks of a class to `shelf`: those that threads have left, or new ones.
pub(crate) fn supply(class: u8, shelf: &mut Vec<Stack>) -> io::Result<()> {
    let mut arena = arena();
    let left = &mut arena.left[class as usize];
    if !left.is_empty() {
        let keep = left.len().saturating_sub(CHUNK_STACKS);
        shelf.extend(left.drain(keep..));
        return Ok(());
    }
    arena.carve(class, shelf)
}

/// Takes stacks whose thread ends.
pub(crate) fn leave(class: u8, stacks: Vec<Stack>) {
    arena().left[class as usize].extend(stacks);
}

/// What the residency of all stacks of the process shows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Residency {
    pub(crate) stacks: usize,
    pub(crate) bytes: usize,
    pub(crate) deepest: usize,
}

/// Looks which pages of all stacks are resident. Takes some microseconds for each megabyte of stacks.
pub(crate) fn residency() -> Residency {
    let chunks = arena().chunks.clone();
    let page = page_bytes();
    let mut found = Residency::default();
    let mut pages = Vec::new();
    for chunk in chunks {
        let stride = size_of_class(chunk.class) + page;
        let bytes = stride * chunk.stacks;
        pages.clear();
        pages.resize(bytes / page, 0_u8);
        // SAFETY: the chunk is mapped (MAPPED), and the vector has a byte for each of its pages.
        let looked = unsafe {
            libc::mincore(
                ptr::without_provenance_mut(chunk.start),
                bytes,
                pages.as_mut_ptr(),
            )
        };
        found.stacks += chunk.stacks;
        if looked != 0 {
            continue;
        }
        for stack in pages.chunks_exact(stride / page) {
            let resident = stack.iter().filter(|page| **page & 1 != 0).count();
            let lowest = stack.iter().position(|page| page & 1 != 0);
            found.bytes += resident * page;
            found.deepest = found
                .deepest
                .max(lowest.map_or(0, |lowest| (stack.len() - lowest) * page));
        }
    }
    found
}

/// Gives the memory of stacks back to the kernel. They stay as good as new ones.
pub(crate) fn discard(stacks: &mut [Stack]) {
    stacks.sort_unstable_by_key(Stack::top);
    let page = page_bytes();
    let mut rest = &*stacks;
    while let Some(first) = rest.first() {
        // Neighbours go in one call: their guards are marks that stay, or pages that hold nothing.
        let stride = first.size() + page;
        let run = rest
            .iter()
            .enumerate()
            .take_while(|(at, stack)| {
                stack.class() == first.class() && stack.top() == first.top() + at * stride
            })
            .count();
        let bytes = run * stride - page;
        // Where it fails, because the process locks its memory, nothing is lost.
        // SAFETY: the memory of stacks that the caller owns, and of the guards in between (DISJOINT). Nobody uses it: a
        // stack that is owned by a `Stack` runs nothing.
        unsafe {
            libc::madvise(
                ptr::without_provenance_mut(first.limit()),
                bytes,
                libc::MADV_DONTNEED,
            )
        };
        rest = &rest[run..];
    }
}

impl Arena {
    /// Makes a chunk, and adds its stacks to `shelf`, the lowest last.
    fn carve(&mut self, class: u8, shelf: &mut Vec<Stack>) -> io::Result<()> {
        let page = page_bytes();
        let stride = size_of_class(class) + page;
        let stacks = (CHUNK / stride).clamp(1, CHUNK_STACKS);
        let bytes = stride * stacks;
        if self.end - self.next < bytes {
            (self.next, self.end) = reserve(bytes)?;
        }
        let start = self.next;
        let guarded = match GUARD.load(Ordering::Relaxed) {
            guard::PROTECTED => protect(start, stride, stacks, page),
            _ => mark(start, stride, stacks, page).or_else(|error| {
                // The kernel does not know of marks, or the process has locked its memory, which they do not allow.
                if error.raw_os_error() != Some(libc::EINVAL) {
                    return Err(error);
                }
                allow(start, bytes, libc::PROT_NONE)?;
                protect(start, stride, stacks, page)
            }),
        }?;
        GUARD.store(guarded, Ordering::Relaxed);
        self.next += bytes;
        self.chunks.push(Chunk {
            start,
            class,
            stacks,
        });
        let made = (1..=stacks).rev();
        shelf.extend(made.map(|at| Stack::new(start + at * stride, class)));
        Ok(())
    }
}

/// Reserves address space for `least` bytes and, as a rule, for much more.
fn reserve(least: usize) -> io::Result<(usize, usize)> {
    let mut bytes = RESERVE;
    loop {
        // SAFETY: a fresh mapping touches no existing memory.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if !ptr::eq(start, libc::MAP_FAILED) {
            // A huge page would make many stacks resident at once; failure is harmless.
            // SAFETY: exactly the mapping just made.
            unsafe { libc::madvise(start, bytes, libc::MADV_NOHUGEPAGE) };
            return Ok((start.addr(), start.addr() + bytes));
        }
        if bytes / 2 < least.max(RESERVE_LEAST) {
            return Err(io::Error::last_os_error());
        }
        bytes /= 2;
    }
}

/// Makes a chunk accessible and marks the guards in its page table.
fn mark(start: usize, stride: usize, stacks: usize, page: usize) -> io::Result<u8> {
    allow(start, stride * stacks, libc::PROT_READ | libc::PROT_WRITE)?;
    for at in 0..stacks {
        // SAFETY: a page of the chunk that is being carved, which nobody uses yet.
        let marked = unsafe {
            libc::madvise(
                ptr::without_provenance_mut(start + at * stride),
                page,
                GUARD_INSTALL,
            )
        };
        if marked != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(guard::LIGHT)
}

/// Makes all of a chunk accessible but the guards.
fn protect(start: usize, stride: usize, stacks: usize, page: usize) -> io::Result<u8> {
    for at in 0..stacks {
        let stack = start + at * stride + page;
        allow(stack, stride - page, libc::PROT_READ | libc::PROT_WRITE)?;
    }
    Ok(guard::PROTECTED)
}

fn allow(start: usize, bytes: usize, access: libc::c_int) -> io::Result<()> {
    // SAFETY: a part of the reserved arena that is not carved yet, so nobody uses it.
    let allowed = unsafe { libc::mprotect(ptr::without_provenance_mut(start), bytes, access) };
    if allowed == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// How the guards are made, once there is one.
pub(crate) fn guard_kind() -> u8 {
    GUARD.load(Ordering::Relaxed)
}

pub(crate) fn page_bytes() -> usize {
    // SAFETY: reads a constant of the system.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn supplied(class: u8) -> Vec<Stack> {
        let mut shelf = Vec::new();
        supply(class, &mut shelf).expect("there is memory");
        shelf
    }

    fn word(stack: &Stack) -> *mut usize {
        ptr::with_exposed_provenance_mut(stack.top() - size_of::<usize>())
    }

    /// Writes to the end of a stack.
    pub(crate) fn touch(stack: &Stack) {
        // SAFETY: memory of a stack that the caller owns.
        unsafe { word(stack).write_volatile(stack.top()) };
    }

    /// What was written there.
    fn touched(stack: &Stack) -> usize {
        // SAFETY: as above; zeros are an integer, too.
        unsafe { word(stack).read_volatile() }
    }

    /// Whether a stack has memory at its end.
    pub(crate) fn is_resident(stack: &Stack) -> bool {
        let last = stack.top() - page_bytes();
        let mut page = 0_u8;
        // SAFETY: the page is mapped (MAPPED), and the kernel writes one byte.
        let looked = unsafe { libc::mincore(ptr::without_provenance_mut(last), 1, &raw mut page) };
        assert_eq!(looked, 0);
        page & 1 != 0
    }

    /// Whether the kernel can read a byte there for us.
    fn is_accessible(address: usize) -> bool {
        let (_reader, writer) = io::pipe().expect("a pipe");
        // SAFETY: where there is nothing to read the kernel says so.
        let wrote = unsafe { libc::write(writer.as_raw_fd(), ptr::without_provenance(address), 1) };
        wrote == 1
    }

    /// 256 KiB, 512 KiB, 1 MiB: each test has a size of its own.
    const CLASSES: [u8; 3] = [3, 4, 5];

    #[test]
    fn each_stack_has_its_place_and_a_guard() {
        let mut stacks = supplied(CLASSES[0]);
        assert!(
            stacks.is_sorted_by_key(|stack| usize::MAX - stack.top()),
            "the lowest first"
        );
        stacks.extend((0..3).flat_map(|_| supplied(CLASSES[0])));
        stacks.sort_by_key(Stack::top);
        for (stack, next) in stacks.iter().zip(stacks.iter().skip(1)) {
            assert!(stack.top() <= next.limit() - page_bytes());
        }
        for stack in &stacks {
            assert_eq!(stack.size(), 256 << 10);
            for at in [1, page_bytes()] {
                assert!(!is_accessible(stack.limit() - at));
            }
            assert!(is_accessible(stack.limit()) && is_accessible(stack.top() - 1));
        }
    }

    #[test]
    fn what_is_given_back_is_that_and_nothing_else() {
        let mut stacks: Vec<_> = (0..4).flat_map(|_| supplied(CLASSES[1])).collect();
        stacks.sort_by_key(Stack::top);
        stacks.iter().for_each(touch);
        // Some neighbours, some that stand alone, in no order.
        let (mut given, kept): (Vec<_>, Vec<_>) = (0..)
            .zip(stacks)
            .partition(|(at, _)| at % 7 < 3 || at % 7 == 5);
        given.rotate_left(5);
        let mut given: Vec<_> = given.into_iter().map(|(_, stack)| stack).collect();
        discard(&mut given);
        assert!(given.len() > 8 && kept.len() > 8);
        for stack in &given {
            assert!(!is_resident(stack));
            assert!(!is_accessible(stack.limit() - 1), "the guard stays");
            assert_eq!(touched(stack), 0, "as good as new");
        }
        for (_, stack) in &kept {
            assert_eq!(touched(stack), stack.top());
        }
    }

    #[test]
    fn what_threads_have_left_is_taken_by_the_batch() {
        const { assert!(CHUNK_STACKS < 40) };
        let mut stacks = Vec::new();
        while stacks.len() < 40 {
            stacks.extend(supplied(CLASSES[2]));
        }
        stacks.truncate(40);
        let tops: Vec<_> = stacks.iter().map(Stack::top).collect();
        leave(CLASSES[2], stacks);
        let batch: Vec<_> = supplied(CLASSES[2]).iter().map(Stack::top).collect();
        assert_eq!(batch, tops[40 - CHUNK_STACKS..]);
        let rest: Vec<_> = supplied(CLASSES[2]).iter().map(Stack::top).collect();
        assert_eq!(rest, tops[..40 - CHUNK_STACKS]);
    }
}
