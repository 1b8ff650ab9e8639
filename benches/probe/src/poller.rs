//! A thin epoll: what load clients and bare loops are written on.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use crate::sys::{check, check_len};

/// Edge-triggered interest in everything: registered once, for as long as the descriptor lives.
pub const EDGES: i32 = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;

/// An epoll descriptor and room for the events of one turn.
#[derive(Debug)]
pub struct Poller {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poller {
    /// A poller without interests.
    pub fn new() -> io::Result<Self> {
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
    pub fn add(&self, fd: RawFd, interest: i32, token: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, interest, token)
    }

    /// Registers `fd` anew, with another interest, or after a one-shot registration was used up.
    pub fn change(&self, fd: RawFd, interest: i32, token: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, interest, token)
    }

    /// Forgets `fd`.
    pub fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    fn control(&self, what: i32, fd: RawFd, interest: i32, token: usize) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: interest.cast_unsigned(),
            u64: token as u64,
        };
        // SAFETY: `event` is valid to read from.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), what, fd, &raw mut event) })?;
        Ok(())
    }

    /// Waits for events, at most `timeout_ms` (-1: no bound), and returns how many there are.
    pub fn wait(&mut self, timeout_ms: i32) -> io::Result<usize> {
        let (events, room) = (self.events.as_mut_ptr(), 1024);
        // SAFETY: there is room for 1024 events.
        or_none(unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events, room, timeout_ms) })
    }

    /// As [`wait`](Self::wait), with a bound in nanoseconds; `None`: no bound.
    pub fn wait_for(&mut self, bound: Option<Duration>) -> io::Result<usize> {
        let Some(bound) = bound else {
            return self.wait(-1);
        };
        let bound = libc::timespec {
            tv_sec: libc::time_t::try_from(bound.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: bound.subsec_nanos().into(),
        };
        let (fd, events, room) = (self.fd.as_raw_fd(), self.events.as_mut_ptr(), 1024);
        // SAFETY: there is room for 1024 events; the bound outlives the call; no signal mask is passed.
        or_none(unsafe { libc::epoll_pwait2(fd, events, room, &raw const bound, ptr::null()) })
    }

    /// What event `index` of the last wait tells: bits of `EPOLLIN` and so on.
    pub fn events(&self, index: usize) -> i32 {
        self.events[index].events.cast_signed()
    }

    /// Whether event `index` of the last wait tells that the peer sends no more.
    pub fn is_last(&self, index: usize) -> bool {
        let last = libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR;
        self.events(index) & last != 0
    }

    /// The token of event `index` of the last wait.
    pub fn token(&self, index: usize) -> usize {
        usize::try_from(self.events[index].u64).unwrap_or(usize::MAX)
    }
}

/// How many events there are; none if a signal came first.
fn or_none(count: libc::c_int) -> io::Result<usize> {
    match check(count) {
        Ok(count) => Ok(usize::try_from(count).unwrap_or(0)),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        Err(error) => Err(error),
    }
}

/// Accepts without blocking; the new descriptor does not block either. `None`: nobody there now.
pub fn accept(listener: RawFd) -> io::Result<Option<OwnedFd>> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the address of the peer is not asked for.
    let fd = unsafe { libc::accept4(listener, ptr::null_mut(), ptr::null_mut(), flags) };
    let fd = or_later(check(fd))?;
    // SAFETY: the descriptor is new and owned by nobody else.
    Ok(fd.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Receives without blocking. `None`: nothing there now; `Some(0)`: end of file.
pub fn recv(fd: RawFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
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
pub fn send(fd: RawFd, bytes: &[u8]) -> io::Result<Option<usize>> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `bytes` is valid to read from.
    or_later(check_len(unsafe {
        libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags)
    }))
}

/// Turns "would block" into `None`.
pub fn or_later<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
