//! Work for a processor, of a given length.
//!
//! A number of dependent multiplications, so that every subject has the same to do, also when somebody else takes its core
//! for a moment; a loop that looks at a clock would have less to do then. How many make a microsecond is measured.

use std::hint::black_box;
use std::time::Duration;

use camshaft_probe::sys;

/// Steps whose time is taken.
const TRIAL: u64 = 20_000;

/// Some work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    steps: u64,
}

impl Work {
    /// Nothing to do.
    pub(crate) const NONE: Self = Self { steps: 0 };

    /// Work that takes so long if nothing interrupts it.
    pub(crate) fn lasting(time: Duration) -> Self {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if nanoseconds == 0 {
            return Self::NONE;
        }
        let took = (0..9).map(|_| {
            let start = sys::now_ns();
            Self { steps: TRIAL }.run();
            sys::now_ns() - start
        });
        let least = took.min().unwrap_or(TRIAL).max(1);
        Self {
            steps: nanoseconds * TRIAL / least,
        }
    }

    /// Does it.
    pub(crate) fn run(self) {
        let mut value = black_box(1_u64);
        for _ in 0..self.steps {
            value = value.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7);
        }
        black_box(value);
    }
}
