//! Pauses between tries, for what nothing tells when it is time.

use std::io;

use crate::driver::{Completion, Request, Timespec};
use crate::op::{Op, Operation, Step};

/// Before another accept, after there was no descriptor or memory for a connection.
pub(crate) static LONG: Timespec = milliseconds(20);

/// Before another try, after the queue of a Unix socket was full.
pub(crate) static SHORT: Timespec = milliseconds(2);

/// Longer and longer.
static SPANS: [Timespec; 5] = [
    milliseconds(1),
    milliseconds(2),
    milliseconds(4),
    milliseconds(8),
    milliseconds(16),
];

const fn milliseconds(n: i64) -> Timespec {
    Timespec {
        seconds: 0,
        nanoseconds: n * 1_000_000,
    }
}

/// Waits.
pub(crate) fn pause(span: &'static Timespec) -> impl Future<Output = io::Result<()>> {
    Op::new(Pause { span })
}

/// The pauses of one wait, from one to sixteen milliseconds.
#[derive(Default)]
pub(crate) struct Pauses {
    taken: usize,
}

impl Pauses {
    pub(crate) async fn pause(&mut self) {
        let span = &SPANS[self.taken.min(SPANS.len() - 1)];
        self.taken += 1;
        // However it ended, another try may be made.
        drop(pause(span).await);
    }
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
