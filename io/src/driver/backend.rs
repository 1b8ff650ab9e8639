//! What carries requests to the kernel: the ring, or the epoll. The driver treats both alike.

use std::fmt;
use std::io;
use std::time::Duration;

use super::completion::Completion;
#[cfg(any(test, fuzzing))]
use super::fake::Fake;
use super::poller::Poller;
use super::request::Request;
use super::ring::Ring;
use super::workers::Workers;

/// What does the I/O.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// io_uring where the system allows it, else epoll.
    #[default]
    Auto,
    /// io_uring.
    IoUring,
    /// epoll, system calls that do not wait, and worker threads for those that must.
    Epoll,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        })
    }
}

/// The backend in use.
pub(super) enum Port {
    Ring(Ring),
    Poller(Poller),
    #[cfg(any(test, fuzzing))]
    Fake(std::rc::Rc<Fake>),
}

/// What became of a request that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// Its completion will come.
    Taken,
    /// The queue is full.
    Full,
    /// Only a worker can do it.
    Unsupported,
}

impl Port {
    /// The ring, if that is what it is.
    #[inline]
    pub(super) fn ring(&self) -> Option<&Ring> {
        match self {
            Self::Ring(ring) => Some(ring),
            _ => None,
        }
    }

    /// Takes a request, without a system call where a ring is in use.
    ///
    /// # Safety
    ///
    /// REQUEST-MEMORY.
    #[inline(always)]
    pub(super) unsafe fn push(&self, user_data: u64, request: &Request) -> Pushed {
        match self {
            // SAFETY: the caller's promise.
            Self::Ring(ring) => unsafe { ring.push(user_data, request) },
            // SAFETY: the caller's promise.
            Self::Poller(poller) => unsafe { poller.push(user_data, request) },
            #[cfg(any(test, fuzzing))]
            Self::Fake(fake) => fake.push(user_data, request),
        }
    }

    /// Submits what is queued if it is a batch of transfers of files: a disk that idles until the queue is drained, because
    /// many tasks are still to be polled, is a disk that is slower by a fifth.
    #[inline(always)]
    pub(super) fn submit_batch(&self) {
        if let Self::Ring(ring) = self
            && ring.has_batch()
        {
            ring.submit();
        }
    }

    /// The number of requests that wait to be handed to the kernel.
    #[inline(always)]
    pub(super) fn queued(&self) -> usize {
        match self {
            Self::Ring(ring) => ring.queued(),
            Self::Poller(poller) => poller.queued(),
            #[cfg(any(test, fuzzing))]
            Self::Fake(fake) => fake.queued(),
        }
    }

    /// How many may wait.
    #[inline(always)]
    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Ring(ring) => ring.capacity(),
            Self::Poller(poller) => poller.capacity(),
            #[cfg(any(test, fuzzing))]
            Self::Fake(fake) => fake.capacity(),
        }
    }

    /// Whether completions can be reaped without a system call.
    #[inline(always)]
    pub(super) fn has_completions(&self) -> bool {
        match self {
            Self::Ring(ring) => ring.has_completions(),
            Self::Poller(poller) => poller.has_completions(),
            #[cfg(any(test, fuzzing))]
            Self::Fake(fake) => fake.has_completions(),
        }
    }

    /// Whether an enter that waits for nothing would bring completions, as far as can be told without one.
    #[inline(always)]
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Ring(ring) => ring.has_completions() || ring.wants_enter(),
            Self::Poller(poller) => poller.has_completions(),
            #[cfg(any(test, fuzzing))]
            Self::Fake(fake) => fake.has_completions(),
        }
    }

    /// Whether there may be completions that only a system call brings.
    #[inline(always)]
    pub(super) fn wants_enter(&self) -> bool {
        match self {
            Self::Ring(ring) => ring.wants_enter(),
            Self::Poller(poller) => poller.has_waits(),
            #[cfg(any(test, fuzzing))]
            Self::Fake(fake) => !fake.is_idle(),
        }
    }

    /// Submits what is queued; waits for a completion if `wait`, at most for `limit`. What turns out to need a worker goes to
    /// `workers`.
    #[inline(always)]
    pub(super) fn enter(
        &self,
        wait: bool,
        limit: Option<Duration>,
        workers: &Workers,
    ) -> io::Result<()> {
        match self {
            Self::Ring(ring) => ring.enter(u32::from(wait), limit),
            Self::Poller(poller) => poller.enter(wait, limit, workers),
            #[cfg(any(test, fuzzing))]
            Self::Fake(fake) => {
                fake.enter(wait);
                Ok(())
            }
        }
    }

    /// Hands every completion that is there to `each`, which must not use the port.
    #[inline(always)]
    pub(super) fn reap(&self, each: impl FnMut(u64, Completion)) {
        match self {
            Self::Ring(ring) => ring.reap(each),
            Self::Poller(poller) => poller.reap(each),
            #[cfg(any(test, fuzzing))]
            Self::Fake(fake) => fake.reap(each),
        }
    }

    /// How often the kernel was entered.
    pub(super) fn enters(&self) -> u64 {
        match self {
            Self::Ring(ring) => ring.enters(),
            Self::Poller(poller) => poller.enters(),
            #[cfg(any(test, fuzzing))]
            Self::Fake(fake) => fake.enters(),
        }
    }
}
