//! Noticing that this process is a child of the one that made a driver.
//!
//! A forked child shares the descriptor of the ring with its parent but not the ring's memory, so a driver that it
//! inherited must not be touched.

use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

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

/// Something that each process has one of.
///
/// A forked child makes its own when it first asks. That of its parent may be locked for ever, and futures and threads may
/// have their places in it, of which the child has none.
pub(crate) struct Own<T: 'static> {
    made: AtomicPtr<Made<T>>,
    make: fn(Option<&T>) -> T,
}

struct Made<T> {
    /// The process that it was made in.
    generation: u32,
    value: T,
}

impl<T: Sync> Own<T> {
    /// `make` makes it, and may take over from that of the parent what is not locked.
    pub(crate) const fn new(make: fn(Option<&T>) -> T) -> Self {
        Self {
            made: AtomicPtr::new(ptr::null_mut()),
            make,
        }
    }

    /// That of this process.
    pub(crate) fn get(&self) -> &'static T {
        let mut place = self.made.load(Ordering::Acquire);
        loop {
            // SAFETY: there is none, or a box that is never freed, once it could be seen here.
            let found = unsafe { place.as_ref() };
            match found {
                Some(found) if found.generation == generation() => return &found.value,
                _ => place = self.replace(place, found),
            }
        }
    }

    #[cold]
    fn replace(&self, place: *mut Made<T>, found: Option<&Made<T>>) -> *mut Made<T> {
        watch();
        let new = Box::into_raw(Box::new(Made {
            generation: generation(),
            value: (self.make)(found.map(|found| &found.value)),
        }));
        let swapped = (self.made).compare_exchange(place, new, Ordering::AcqRel, Ordering::Acquire);
        match swapped {
            Ok(_) => new,
            Err(other) => {
                // SAFETY: nobody else has seen the box of who came too late.
                drop(unsafe { Box::from_raw(new) });
                other
            }
        }
    }
}
