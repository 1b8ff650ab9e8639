//! The epoll itself: a descriptor and three system calls.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::descriptor;
use crate::driver::syscall::Timespec;

/// The most events that one system call reports. What is left is reported by the next.
pub(super) const EVENTS: usize = 256;

/// An epoll.
pub(super) struct Epoll {
    fd: OwnedFd,
    /// Whether the kernel takes limits in nanoseconds (`epoll_pwait2`).
    precise: Cell<bool>,
}

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            fd: descriptor::epoll()?,
            precise: Cell::new(true),
        })
    }

    /// Waits for events, at most for `limit`, and returns how many there are. None if a signal came.
    pub(super) fn ask(
        &self,
        events: &mut [libc::epoll_event; EVENTS],
        limit: Option<Duration>,
    ) -> io::Result<usize> {
        let most = EVENTS.try_into().unwrap_or(i32::MAX);
        let mut count = -1;
        if self.precise.get() {
            let spec = limit.map(Timespec::from);
            let spec = spec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
            // SAFETY: the kernel writes as many events as there is room for, and reads the limit, which outlives the call.
            let result = unsafe {
                libc::syscall(
                    libc::SYS_epoll_pwait2,
                    self.fd.as_raw_fd(),
                    events.as_mut_ptr(),
                    most,
                    spec,
                    std::ptr::null::<libc::sigset_t>(),
                    0_usize,
                )
            };
            count = i32::try_from(result).unwrap_or(-1);
            if count < 0 {
                let error = io::Error::last_os_error();
                match error.raw_os_error() {
                    Some(libc::EINTR) => return Ok(0),
                    // Before 5.11, or behind a filter that does not know it.
                    Some(libc::ENOSYS | libc::EPERM) => self.precise.set(false),
                    _ => return Err(error),
                }
            }
        }
        if !self.precise.get() {
            // Rounded up: never earlier than asked.
            let millis = limit.map_or(-1, |limit| {
                i32::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
            });
            // SAFETY: the kernel writes as many events as there is room for.
            count =
                unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events.as_mut_ptr(), most, millis) };
        }
        match usize::try_from(count) {
            Ok(count) => Ok(count),
            Err(_) => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::EINTR) => Ok(0),
                error => Err(error),
            },
        }
    }

    /// Changes what is reported of a descriptor. Returns the error number, or zero.
    pub(super) fn control(
        &self,
        operation: i32,
        fd: RawFd,
        events: i16,
        flags: i32,
        token: u64,
    ) -> i32 {
        let mut event = libc::epoll_event {
            events: poll_bits(events) | flags.cast_unsigned(),
            u64: token,
        };
        // SAFETY: the kernel reads one event.
        let result = unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd, &raw mut event) };
        if result == 0 {
            return 0;
        }
        io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO)
    }
}

/// The bits of `poll` and of `epoll` are the same.
pub(super) fn poll_bits(events: i16) -> u32 {
    u32::from(events.cast_unsigned())
}
