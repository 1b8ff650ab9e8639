//! A global allocator that counts.
//!
//! Each call of `alloc`, `alloc_zeroed` and `realloc` counts one. The count is a plain load and store, no locked
//! instruction, so that a system which allocates is not charged for being observed; two threads that allocate in the
//! same instant may therefore count one instead of two.
//!
//! The counter lives in this process until [`publish`] moves it to a page which another process can read.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

static HERE: AtomicU64 = AtomicU64::new(0);
static COUNTER: AtomicPtr<AtomicU64> = AtomicPtr::new((&raw const HERE).cast_mut());

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

/// The counter in use.
fn counter() -> &'static AtomicU64 {
    // SAFETY: COUNTER only ever holds the address of HERE or of a counter in a page that is never unmapped.
    unsafe { &*COUNTER.load(Ordering::Relaxed) }
}

fn count() {
    let counter = counter();
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// The allocations of this process so far.
pub fn allocations() -> u64 {
    counter().load(Ordering::Relaxed)
}

/// Counts into `shared` from now on.
pub fn publish(shared: &'static AtomicU64) {
    COUNTER.store((&raw const *shared).cast_mut(), Ordering::Relaxed);
}

// SAFETY: every call is handed on to the system's allocator unchanged, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`; `ptr` came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `realloc`; `ptr` came from `System`.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}
