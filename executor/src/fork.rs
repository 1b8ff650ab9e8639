//! What a fork leaves behind in the child: nothing that may be used.
//!
//! A forked child has one thread. Locks may be held by threads that are gone, an inherited ring is not the child's, and the
//! pool's threads do not exist. So the child forgets: executors made before the fork refuse to run, and process-wide pools
//! start anew.

use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::{blocking, bundle};

/// How many forks lie between the first process and this one.
static GENERATION: AtomicUsize = AtomicUsize::new(0);

/// The number of forks before this process; differs between a parent and its child.
#[inline]
pub(crate) fn generation() -> usize {
    GENERATION.load(Ordering::Relaxed)
}

/// Sees to it that forks are noticed. Called before the first executor is made.
pub(crate) fn watch() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        // Failing (only for want of memory) means that a fork goes unnoticed: no worse than a program without this.
        // SAFETY: the handler only stores to statics and to a thread local without a destructor.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    bundle::after_fork();
    blocking::after_fork();
}

/// The value behind a static that a fork resets, made and leaked when it is first asked for.
pub(crate) fn leaked<T: Sync>(
    place: &'static AtomicPtr<T>,
    make: impl FnOnce() -> T,
) -> &'static T {
    let mut found = place.load(Ordering::Acquire);
    if found.is_null() {
        let made = Box::into_raw(Box::new(make()));
        match place.compare_exchange(found, made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => found = made,
            Err(other) => {
                // SAFETY: nobody else has seen the box that lost the race.
                drop(unsafe { Box::from_raw(made) });
                found = other;
            }
        }
    }
    // SAFETY: the box that won is never freed.
    unsafe { &*found }
}
