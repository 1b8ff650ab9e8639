//! The standard streams of the process.
//!
//! They belong to the whole process, and often also to others: a terminal is shared with the shell. So they are never set
//! to non-blocking mode, and nothing is done that may wait:
//!
//! ```text
//!   take the place in line ──> try (RWF_NOWAIT) ──> done
//!                                  │ would wait                        │ not known (terminals, some files)
//!                                  v                                   v
//!                          wait for readiness ──> try again      wait for readiness ──> a thread that may wait
//! ```
//!
//! What such a thread reads goes to the process's stash first, from which the future takes it; so nothing is lost when that
//! future is gone. It never keeps a runtime or the process from ending.
//!
//! A forked child waits for no future and no thread of its parent. It has a copy of the stash, as of all memory, unless another
//! thread had it in use at that moment.

mod input;
mod line;
mod output;
mod polled;

use std::io;
use std::os::fd::{AsRawFd, RawFd};

pub use self::input::{Stdin, stdin};
pub use self::output::{Stderr, Stdout, stderr, stdout};
use crate::descriptor::has_readiness;
use crate::readiness::wait;

/// The most bytes that are handed to, or read by, a thread at a time.
const PORTION: usize = 64 * 1024;

/// One of the three descriptors, which belong to the process.
#[derive(Clone, Copy)]
struct Standard(RawFd);

impl AsRawFd for Standard {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// What to do after a try that did not succeed.
enum Next {
    Retry,
    /// Wait for readiness, then try again.
    Wait,
    /// Have a thread do it, after waiting for readiness if there is such a thing.
    Thread {
        wait_first: bool,
    },
    Fail(io::Error),
}

impl Standard {
    fn after(self, error: io::Error) -> Next {
        match error.raw_os_error() {
            Some(libc::EINTR) => Next::Retry,
            // A file on a disk is always ready, and waits all the same.
            Some(libc::EAGAIN) if has_readiness(self.0) => Next::Wait,
            Some(libc::EAGAIN) => Next::Thread { wait_first: false },
            Some(libc::EOPNOTSUPP | libc::ENOSYS) => Next::Thread {
                wait_first: has_readiness(self.0),
            },
            _ => Next::Fail(error),
        }
    }

    async fn ready(self, events: i16) -> io::Result<()> {
        wait(self, events).await.0.map(drop)
    }
}

/// Whether the stream was closed. As in std, it then is like `/dev/null`.
fn is_closed(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBADF)
}
