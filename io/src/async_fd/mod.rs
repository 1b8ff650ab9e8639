//! The readiness of descriptors that this crate has no type for: eventfd, timerfd, inotify, netlink, a library's socket.

mod interest;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

pub use self::interest::{Interest, Ready};
use crate::descriptor;
use crate::driver;
use crate::readiness::{give_way, wait};

/// A value with a descriptor, whose readiness can be waited for.
///
/// Reading and writing is left to the value itself, by system calls that do not wait: **the descriptor should be in
/// non-blocking mode** (`O_NONBLOCK`), which the creator of the value sets; this type leaves its mode alone. Readiness is
/// asked of the kernel at each wait and is not remembered, so forgetting to clear it makes nothing spin.
///
/// It keeps a duplicate of the descriptor to wait on. The value must keep the descriptor that it had at first.
///
/// # Examples
///
/// ```no_run
/// # mod camshaft { pub use camshaft_io as io; }
/// # async fn read(socket: std::os::unix::net::UnixDatagram) -> std::io::Result<()> {
/// use camshaft::io::{AsyncFd, Interest};
///
/// socket.set_nonblocking(true)?;
/// let socket = AsyncFd::new(socket)?;
/// let mut buf = [0; 512];
/// let n = socket.async_io(Interest::READABLE, |socket| socket.recv(&mut buf)).await?;
/// println!("{:?}", &buf[..n]);
/// # Ok(())
/// # }
/// ```
pub struct AsyncFd<T: AsFd> {
    // Before the value, so that cancelled waits are over when that is closed.
    watched: Watched,
    interest: Interest,
    inner: T,
}

impl<T: AsFd> AsyncFd<T> {
    /// Wraps a value, to wait for reading and writing.
    ///
    /// # Errors
    ///
    /// As [`with_interest`](Self::with_interest).
    pub fn new(inner: T) -> io::Result<Self> {
        Self::with_interest(inner, Interest::READABLE | Interest::WRITABLE)
    }

    /// Wraps a value, to wait for certain things only.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a descriptor that can't be waited for, such as that of a file on a disk; and what `dup` reports.
    /// The value is dropped then.
    pub fn with_interest(inner: T, interest: Interest) -> io::Result<Self> {
        check_pollable(inner.as_fd())?;
        Ok(Self {
            watched: Watched(Rc::new(Duplicate::of(inner.as_fd())?)),
            interest,
            inner,
        })
    }

    /// The value.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// The value.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Takes the value out.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// Waits until some of what is asked for is there.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for what the value was not wrapped for; and what the system reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: waiting changes nothing.
    pub async fn ready(&self, interest: Interest) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        let events = interest.events();
        if events & !self.interest.events() & !libc::POLLERR != 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the descriptor was wrapped for another interest; name this one in AsyncFd::with_interest as well",
            ));
        }
        let (events, _) = wait(self.watched.0.clone(), events).await;
        Ok(AsyncFdReadyGuard {
            fd: self,
            ready: Some(Ready::new(events?)),
        })
    }

    /// Waits until a read would not wait.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    ///
    /// # Cancellation
    ///
    /// Strict.
    pub async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        self.ready(Interest::READABLE).await
    }

    /// Waits until a write would not wait.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    ///
    /// # Cancellation
    ///
    /// Strict.
    pub async fn writable(&self) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        self.ready(Interest::WRITABLE).await
    }

    /// Makes a call that does not wait, again and again until it does not report `WouldBlock`, with a wait in between.
    ///
    /// # Errors
    ///
    /// Those of the call other than `WouldBlock`, and as [`ready`](Self::ready).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime and the call would have to wait.
    ///
    /// # Cancellation
    ///
    /// Strict: a call that did something ends the future in the same poll.
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut call: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            // Before the call: its result must not be held at an await.
            give_way(0).await;
            match call(&self.inner) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            drop(self.ready(interest).await?);
        }
    }

    /// As [`async_io`](Self::async_io), for calls that need `&mut`.
    ///
    /// # Errors
    ///
    /// As [`async_io`](Self::async_io).
    ///
    /// # Panics
    ///
    /// As [`async_io`](Self::async_io).
    ///
    /// # Cancellation
    ///
    /// Strict.
    pub async fn async_io_mut<R>(
        &mut self,
        interest: Interest,
        mut call: impl FnMut(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            give_way(0).await;
            match call(&mut self.inner) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            drop(self.ready(interest).await?);
        }
    }
}

impl<T: AsFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl<T: AsFd> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFd")
            .field("inner", &self.inner)
            .field("interest", &self.interest)
            .finish()
    }
}

/// The duplicate that is waited on. It is closed with its last wait, for a wait that was cancelled is a moment longer in
/// flight.
struct Watched(Rc<Duplicate>);

/// A duplicate of a descriptor, and the number of that, for those who look at what is waited for.
struct Duplicate {
    fd: OwnedFd,
    #[expect(dead_code, reason = "read by those who look from outside")]
    original: RawFd,
}

impl Duplicate {
    fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self {
            original: fd.as_raw_fd(),
            fd: fd.try_clone_to_owned()?,
        })
    }
}

impl AsRawFd for Duplicate {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let is_last = || Rc::strong_count(&self.0) == 1;
        if !is_last()
            && let Some(driver) = driver::current()
        {
            driver.settle(is_last);
        }
    }
}

/// The result of a wait; see [`AsyncFd::ready`].
#[must_use = "try the call that was waited for"]
pub struct AsyncFdReadyGuard<'a, T: AsFd> {
    fd: &'a AsyncFd<T>,
    ready: Option<Ready>,
}

impl<'a, T: AsFd> AsyncFdReadyGuard<'a, T> {
    /// What is there. Nothing, once it was cleared.
    #[must_use]
    pub fn ready(&self) -> Ready {
        self.ready.unwrap_or(Ready::new(0))
    }

    /// Makes a call that does not wait. If it reports `WouldBlock`, the guard is cleared.
    ///
    /// # Errors
    ///
    /// [`TryIoError`] for `WouldBlock`: wait again. Other errors are the call's own result.
    pub fn try_io<R>(
        &mut self,
        call: impl FnOnce(&'a AsyncFd<T>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        match call(self.fd) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear_ready();
                Err(TryIoError(()))
            }
            result => Ok(result),
        }
    }

    /// Says that a call reported `WouldBlock`. Only this guard forgets what was there: the next wait asks the kernel.
    pub fn clear_ready(&mut self) {
        self.ready = None;
    }

    /// What was waited on.
    #[must_use]
    pub fn get_ref(&self) -> &'a AsyncFd<T> {
        self.fd
    }

    /// The value.
    #[must_use]
    pub fn get_inner(&self) -> &'a T {
        self.fd.get_ref()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for AsyncFdReadyGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFdReadyGuard")
            .field("fd", self.fd)
            .field("ready", &self.ready())
            .finish()
    }
}

/// The call would have had to wait after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TryIoError(());

impl fmt::Display for TryIoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call would block; wait for readiness again")
    }
}

impl std::error::Error for TryIoError {}

/// Asks epoll, which refuses what has no readiness. The ring would report such a descriptor as always ready.
fn check_pollable(fd: BorrowedFd<'_>) -> io::Result<()> {
    let epoll = descriptor::epoll()?;
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    let (epoll, fd) = (epoll.as_raw_fd(), fd.as_raw_fd());
    // SAFETY: the kernel reads one event.
    if unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() != Some(libc::EPERM) {
        return Err(error);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "the descriptor can't be waited for: a file on a disk is always ready; read and write it with fs::File",
    ))
}
