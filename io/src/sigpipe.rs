//! Writing to pipes without being killed.
//!
//! A write to a pipe that nobody reads raises `SIGPIPE`, which ends the process unless somebody has set another disposition.
//! The startup code of Rust ignores it, but a program may have set it back, so that `println!` into a closed pipe ends it as
//! it ends `cat`; or a handler may listen to it. That choice is left alone: what this crate writes reports `BrokenPipe` and raises nothing, by
//!
//! 1. the flag `RWF_NOSIGNAL`, where the kernel knows it (Linux 6.18);
//! 2. else, unless the signal is ignored, a write that does not wait, with the signal blocked around it.

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::sync::OnceLock;

/// `RWF_NOSIGNAL` of `include/uapi/linux/fs.h`.
const RWF_NOSIGNAL: c_int = 0x100;

/// How a pipe has to be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// With these flags of `pwritev2`, by whatever interpreter.
    Flags(c_int),
    /// By [`without_sigpipe`], on a thread of this process.
    Mask,
}

/// How to write to a pipe now.
pub(crate) fn guard() -> Guard {
    if knows_flag() {
        Guard::Flags(RWF_NOSIGNAL)
    } else if is_raised() {
        Guard::Mask
    } else {
        Guard::Flags(0)
    }
}

/// Whether the kernel knows `RWF_NOSIGNAL`. Tried once, with a byte into a pipe.
fn knows_flag() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        let Ok((_read, write)) = io::pipe() else {
            return false;
        };
        let byte = 0_u8;
        // SAFETY: the memory is one byte.
        unsafe { write_now(write.as_raw_fd(), &raw const byte, 1, RWF_NOSIGNAL) }.is_ok()
    })
}

/// Whether `SIGPIPE` would end the process, or call a handler.
fn is_raised() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the kernel writes one `sigaction`.
    if unsafe { libc::sigaction(libc::SIGPIPE, ptr::null(), action.as_mut_ptr()) } != 0 {
        return true;
    }
    // SAFETY: the call succeeded, so it was written.
    unsafe { action.assume_init() }.sa_sigaction != libc::SIG_IGN
}

/// `pwritev2` at the descriptor's own position.
///
/// # Safety
///
/// The memory is valid for reads of that length.
pub(crate) unsafe fn write_now(
    fd: RawFd,
    memory: *const u8,
    len: usize,
    flags: c_int,
) -> io::Result<usize> {
    let vector = libc::iovec {
        iov_base: memory.cast_mut().cast(),
        iov_len: len,
    };
    // SAFETY: one vector, and the caller's promise.
    let written = unsafe { libc::pwritev2(fd, &raw const vector, 1, -1, flags) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

/// Makes calls that do not wait, on this thread, with `SIGPIPE` blocked around them unless it is ignored. A signal that
/// they raise is taken back.
pub fn without_sigpipe<R>(call: impl FnOnce() -> R) -> R {
    if !is_raised() {
        return call();
    }
    let only = only_sigpipe();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the kernel reads one set and writes another.
    let changed =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const only, before.as_mut_ptr()) };
    if changed != 0 {
        return call();
    }
    let was_pending = is_pending();
    let result = call();
    if !was_pending && is_pending() {
        let now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the kernel reads a set and a time. It does not wait, for the signal is there.
        unsafe { libc::sigtimedwait(&raw const only, ptr::null_mut(), &raw const now) };
    }
    // SAFETY: the set was written by the call above, which succeeded.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    result
}

fn only_sigpipe() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: it writes one set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: it changes the set that was just written.
    unsafe { libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE) };
    // SAFETY: it was written.
    unsafe { set.assume_init() }
}

/// Whether the signal waits for this thread.
fn is_pending() -> bool {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the kernel writes one set.
    if unsafe { libc::sigpending(set.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: it was written.
    let member = unsafe { libc::sigismember(set.as_ptr(), libc::SIGPIPE) };
    member == 1
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    static HEARD: AtomicU32 = AtomicU32::new(0);

    /// A disposition, and what was there before.
    fn dispose(handler: libc::sighandler_t) -> libc::sighandler_t {
        // SAFETY: the handlers used here are constants of the system.
        unsafe { libc::signal(libc::SIGPIPE, handler) }
    }

    #[test]
    fn a_write_that_nobody_reads_is_an_error_whatever_the_disposition() {
        let (read, write) = io::pipe().unwrap();
        drop(read);
        let write = OwnedFd::from(write);
        let before = dispose(libc::SIG_DFL);
        assert!(is_raised());
        for _ in 0..3 {
            let result = without_sigpipe(|| {
                // SAFETY: the memory is one byte.
                unsafe { write_now(write.as_raw_fd(), b"x".as_ptr(), 1, 0) }
            });
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            assert!(!is_pending(), "the signal was taken back");
        }
        // A handler must not hear of it either.
        extern "C" fn hear(_: c_int) {
            HEARD.fetch_add(1, Ordering::Relaxed);
        }
        dispose(hear as *const () as libc::sighandler_t);
        let result = without_sigpipe(|| {
            // SAFETY: the memory is one byte.
            unsafe { write_now(write.as_raw_fd(), b"x".as_ptr(), 1, 0) }
        });
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(HEARD.load(Ordering::Relaxed), 0);
        dispose(libc::SIG_IGN);
        assert!(!is_raised());
        if let Guard::Flags(flags) = guard() {
            // SAFETY: the memory is one byte.
            let result = unsafe { write_now(write.as_raw_fd(), b"x".as_ptr(), 1, flags) };
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        }
        dispose(before);
    }
}
