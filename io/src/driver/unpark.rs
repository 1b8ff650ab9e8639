//! Ends the park of the driver from any thread.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::ladder::explain;

/// An eventfd that the ring watches. A write to it ends the wait of the ring's thread.
#[derive(Debug)]
pub struct Unparker {
    event: OwnedFd,
}

impl Unparker {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            let error = io::Error::last_os_error();
            let why = format!("the eventfd of the ring can't be made: {}", explain(&error));
            return Err(io::Error::new(error.kind(), why));
        }
        // SAFETY: a new descriptor that nobody else owns.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { event })
    }

    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Ends the current park, or the next one. One system call; to be called only when the thread is parked.
    pub fn unpark(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: eight bytes of a local are read. A full counter (EAGAIN) is as good as a write: it is readable.
        unsafe { libc::write(self.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Sets the counter back to zero.
    pub(crate) fn clear(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: eight bytes of a local are written. EAGAIN means that it was zero already.
        unsafe { libc::read(self.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}
