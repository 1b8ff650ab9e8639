//! Waiting for what no event tells of.

use std::io;

use crate::driver::{Completion, Request, Timespec};
use crate::op::{Op, Operation, Step};

/// Before another accept, after there was no descriptor or memory for a connection.
pub(super) static LONG: Timespec = Timespec {
    seconds: 0,
    nanoseconds: 20_000_000,
};

/// Before another try, after the queue of a Unix socket was full.
pub(super) static SHORT: Timespec = Timespec {
    seconds: 0,
    nanoseconds: 2_000_000,
};

/// Waits.
pub(super) fn pause(span: &'static Timespec) -> impl Future<Output = io::Result<()>> {
    Op::new(Pause { span })
}

struct Pause {
    span: &'static Timespec,
}

// SAFETY: OWNED: the request points to a static.
unsafe impl Operation for Pause {
    type Output = io::Result<()>;

    fn request(&mut self) -> Request {
        Request::Pause { span: self.span }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(match completion.value() {
            Err(error) if error.raw_os_error() != Some(libc::ETIME) => Err(error),
            _ => Ok(()),
        })
    }

    fn inherit(self, _: Completion) {}
}
