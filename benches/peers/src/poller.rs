//! A thin epoll: what the load client and the floor are written on.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use camshaft_probe::sys::{check, check_len};

/// Edge-triggered interest in everything.
pub(crate) const EDGES: i32 = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;

/// An epoll descriptor and room for the events of one turn.
pub(crate) struct Poller {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poller {
    /// A poller without interests.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers are involved.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor is new and owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self {
            fd,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; 1024],
        })
    }

    /// Registers `fd` under `token`.
    pub(crate) fn add(&self, fd: RawFd, interest: i32, token: usize) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: interest.cast_unsigned(),
            u64: token as u64,
        };
        // SAFETY: `event` is valid to read from.
        check(unsafe {
            libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event)
        })?;
        Ok(())
    }

    /// Waits for events, at most `timeout_ms` (-1: no bound), and returns how many there are.
    pub(crate) fn wait(&mut self, timeout_ms: i32) -> io::Result<usize> {
        let (events, room) = (self.events.as_mut_ptr(), 1024);
        // SAFETY: there is room for 1024 events.
        let count =
            check(unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events, room, timeout_ms) });
        match count {
            Ok(count) => Ok(usize::try_from(count).unwrap_or(0)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// The token of event `index` of the last wait.
    pub(crate) fn token(&self, index: usize) -> usize {
        usize::try_from(self.events[index].u64).unwrap_or(usize::MAX)
    }
}

/// Receives without blocking. `None`: nothing there now; `Some(0)`: end of file.
pub(crate) fn recv(fd: RawFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    // SAFETY: `buffer` is valid to write to.
    let count = unsafe {
        libc::recv(
            fd,
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            libc::MSG_DONTWAIT,
        )
    };
    or_later(check_len(count))
}

/// Sends without blocking. `None`: no room now.
pub(crate) fn send(fd: RawFd, bytes: &[u8]) -> io::Result<Option<usize>> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `bytes` is valid to read from.
    or_later(check_len(unsafe {
        libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags)
    }))
}

/// Turns "would block" into `None`.
pub(crate) fn or_later<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
