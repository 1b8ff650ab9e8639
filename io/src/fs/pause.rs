//! Pauses between tries, for what nothing tells when it is time.

use crate::driver::{Completion, Request, Timespec};
use crate::op::{Op, Operation, Step};

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

/// The pauses of one wait, from one to sixteen milliseconds.
pub(super) struct Pauses {
    next: usize,
}

impl Pauses {
    pub(super) fn new() -> Self {
        Self { next: 0 }
    }

    pub(super) async fn pause(&mut self) {
        let span = &SPANS[self.next];
        self.next = (self.next + 1).min(SPANS.len() - 1);
        Op::new(Pause(span)).await;
    }
}

struct Pause(&'static Timespec);

// SAFETY: OWNED: the request points to a static.
unsafe impl Operation for Pause {
    type Output = ();

    fn request(&mut self) -> Request {
        Request::Pause { span: self.0 }
    }

    /// However it ended, another try may be made.
    fn complete(self, _: Completion) -> Step<Self> {
        Step::Done(())
    }

    fn inherit(self, _: Completion) {}
}
