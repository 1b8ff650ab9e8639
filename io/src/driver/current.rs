//! The driver that is current on a thread.

use std::cell::Cell;
use std::ptr;
use std::rc::Rc;

use super::Driver;
use super::inner::Inner;

thread_local! {
    static CURRENT: Cell<*const Inner> = const { Cell::new(ptr::null()) };
}

/// Restores the previous driver of the thread when dropped.
#[must_use = "the driver is current only as long as this lives"]
#[derive(Debug)]
pub struct Entered {
    previous: *const Inner,
    #[expect(dead_code, reason = "keeps the current driver alive")]
    driver: Driver,
}

impl Entered {
    pub(super) fn new(driver: &Driver) -> Self {
        Self {
            previous: CURRENT.replace(Rc::as_ptr(&driver.inner)),
            driver: driver.clone(),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.previous);
    }
}

/// The driver that is current on this thread. `None` also in a forked child, where it must not be touched.
#[inline]
pub(crate) fn current() -> Option<Rc<Inner>> {
    let inner = CURRENT.get();
    if inner.is_null() {
        return None;
    }
    // SAFETY: `CURRENT` was made from an `Rc` that an `Entered` on this thread keeps alive while it is set.
    unsafe { Rc::increment_strong_count(inner) };
    // SAFETY: the count that was just added is the one that this `Rc` owns.
    let inner = unsafe { Rc::from_raw(inner) };
    (!inner.is_forked()).then_some(inner)
}

/// Whether this one is.
#[inline]
pub(super) fn is(inner: &Inner) -> bool {
    ptr::eq(CURRENT.get(), inner)
}

/// The driver that is current on this thread, for a future that is polled.
#[inline]
#[track_caller]
pub(crate) fn expect_current() -> Rc<Inner> {
    current().unwrap_or_else(|| {
        panic!(
            "an I/O operation of camshaft was polled outside of a camshaft runtime, or in a process that was forked \
             from it; run the future with camshaft::block_on or Runtime::block_on"
        )
    })
}
