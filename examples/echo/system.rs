//! What the example asks of the system: descriptors, the CPU time of a thread, and an allocator that counts.
#![allow(unsafe_code, reason = "calls libc and wraps the system's allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io;
use std::time::Duration;

use anyhow::{Result, ensure};

/// Descriptors beside those of the connections: the standard streams, rings, pipes.
const OTHERS: u64 = 64;

/// Raises the limit of open descriptors as far as `connections` need it. Child processes inherit it.
pub(crate) fn allow_descriptors(connections: u32) -> Result<()> {
    let needed = u64::from(connections) + OTHERS;
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit is valid for writes.
    let read = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    ensure!(read == 0, io::Error::last_os_error());
    if limit.rlim_cur >= needed {
        return Ok(());
    }
    let fewer = match limit.rlim_max.saturating_sub(OTHERS) {
        0 => String::new(),
        possible => format!(", or ask for fewer with --connections {possible}"),
    };
    ensure!(
        limit.rlim_max >= needed,
        "{connections} connections need {needed} file descriptors, and this process may have {}: raise the hard limit \
         (`ulimit -Hn {needed}` as root, nofile in limits.conf, LimitNOFILE=){fewer}",
        limit.rlim_max
    );
    limit.rlim_cur = needed;
    // SAFETY: the limit is valid for reads.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    ensure!(set == 0, io::Error::last_os_error());
    Ok(())
}

/// The CPU time of this thread, in user space and in the kernel.
pub(crate) fn thread_cpu() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the time is valid for writes. This clock is always there, so the call does not fail.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0)) + Duration::from_nanos(nanos)
}

/// The system's allocator; counts for each thread.
pub(crate) struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has asked for memory.
pub(crate) fn thread_allocations() -> u64 {
    ALLOCATIONS.get()
}

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

// SAFETY: all is left to the system's allocator; counting touches a thread local that needs neither memory nor a drop.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}
