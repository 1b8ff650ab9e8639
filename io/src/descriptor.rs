//! Descriptors that several parts make for themselves, and what a descriptor is good for.

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A counter that is readable while it is not zero.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    // SAFETY: new, and nobody else's.
    unsafe { own(fd) }
}

/// Adds one to a counter. One that is full already says enough.
pub(crate) fn count_up(event: &OwnedFd) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: eight bytes of a local are read.
    unsafe { libc::write(event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
}

/// Sets a counter to zero.
pub(crate) fn reset(event: &OwnedFd) {
    let mut count = [0_u8; 8];
    // SAFETY: eight bytes of a local are written. EAGAIN: it was zero already.
    unsafe { libc::read(event.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
}

/// A set of descriptors to wait for.
pub(crate) fn epoll() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    // SAFETY: new, and nobody else's.
    unsafe { own(fd) }
}

/// What a call that makes a descriptor returned.
///
/// # Safety
///
/// If it is a descriptor, nobody else owns it.
unsafe fn own(fd: c_int) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether a descriptor is of a kind that can be waited for. A file on a disk claims to be always ready, and makes its
/// reader wait all the same.
pub(crate) fn has_readiness(fd: RawFd) -> bool {
    let mut status = MaybeUninit::<libc::stat64>::uninit();
    // SAFETY: the kernel writes one `stat`.
    if unsafe { libc::fstat64(fd, status.as_mut_ptr()) } < 0 {
        return true; // whatever is tried next will say what is wrong
    }
    // SAFETY: the call succeeded, so it was written.
    let kind = unsafe { status.assume_init() }.st_mode & libc::S_IFMT;
    // Descriptors of events have no kind at all.
    !matches!(kind, libc::S_IFREG | libc::S_IFDIR | libc::S_IFBLK)
}
