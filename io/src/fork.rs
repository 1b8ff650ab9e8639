//! Noticing that this process is a child of the one that made a driver.
//!
//! A forked child shares the descriptor of the ring with its parent but not the ring's memory, so a driver that it
//! inherited must not be touched.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

static FORKS: AtomicU32 = AtomicU32::new(0);

extern "C" fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Which generation of forks this process is. Two equal answers mean that it was not forked in between.
#[inline]
pub(crate) fn generation() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Starts counting. The first call of the process has an effect, which lasts.
pub(crate) fn watch() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        // SAFETY: the handler only adds to an atomic, which is allowed in the child of a process with threads. It
        // fails only for want of memory, and then forks go unnoticed.
        unsafe { libc::pthread_atfork(None, None, Some(forked)) };
    });
}
