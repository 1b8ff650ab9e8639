//! Something else in the place of the standard streams.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::ptr;

/// Puts another descriptor into the place of a standard stream, until it is dropped.
pub struct Instead {
    standard: RawFd,
    saved: OwnedFd,
}

impl Instead {
    pub fn of(standard: RawFd, fd: impl Into<OwnedFd>) -> Self {
        // SAFETY: no memory is passed.
        let saved = unsafe { libc::fcntl(standard, libc::F_DUPFD_CLOEXEC, 3) };
        assert!(saved >= 0);
        // SAFETY: a new descriptor that nobody else owns.
        let saved = unsafe { OwnedFd::from_raw_fd(saved) };
        put(&fd.into(), standard);
        Self { standard, saved }
    }

    pub fn flags(&self) -> i32 {
        // SAFETY: no memory is passed.
        unsafe { libc::fcntl(self.standard, libc::F_GETFL) }
    }
}

impl Drop for Instead {
    fn drop(&mut self) {
        put(&self.saved, self.standard);
    }
}

fn put(fd: &OwnedFd, standard: RawFd) {
    // SAFETY: no memory is passed.
    assert_eq!(unsafe { libc::dup2(fd.as_raw_fd(), standard) }, standard);
}

pub fn close(standard: RawFd) {
    // SAFETY: nothing of std depends on it in these tests.
    assert_eq!(unsafe { libc::close(standard) }, 0);
}

/// The master and the slave of a terminal.
pub fn terminal() -> (File, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    // SAFETY: two descriptors are written; the other pointers may be null.
    let opened = unsafe {
        libc::openpty(
            &raw mut master,
            &raw mut slave,
            ptr::null_mut(),
            ptr::null(),
            ptr::null(),
        )
    };
    assert_eq!(opened, 0);
    // SAFETY: a new descriptor that nobody else owns.
    let master = File::from(unsafe { OwnedFd::from_raw_fd(master) });
    // SAFETY: a new descriptor that nobody else owns.
    (master, unsafe { OwnedFd::from_raw_fd(slave) })
}

/// An empty file without a name.
pub fn file(directory: &str) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(directory)
        .expect("a temporary file")
}
