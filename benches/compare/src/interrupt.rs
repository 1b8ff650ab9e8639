//! Ctrl-C: the first ends the run in order, and the second at once.
//!
//! Children lead process groups of their own, so the terminal interrupts this process alone, and it ends them. If it is
//! killed, they die with it.

use std::sync::atomic::{AtomicBool, Ordering};

static WANTED: AtomicBool = AtomicBool::new(false);

/// Listens to Ctrl-C and to a polite request to end.
pub(crate) fn listen() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: a zeroed `sigaction` is a valid one: no flags, an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = note as *const () as usize;
        action.sa_flags = libc::SA_RESETHAND | libc::SA_RESTART;
        // SAFETY: the handler only stores to an atomic, which is allowed in a handler. A failure leaves the default, which
        // ends the process.
        unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    }
}

/// Whether one has come.
pub(crate) fn is_wanted() -> bool {
    WANTED.load(Ordering::Relaxed)
}

extern "C" fn note(_: libc::c_int) {
    WANTED.store(true, Ordering::Relaxed);
}
