//! The clock of a recording: the processor's own where the kernel goes by it as well, and `CLOCK_MONOTONIC` elsewhere.
//!
//! A stamp is a number of ticks. What a tick is worth is found out when a recording is read, from two readings of both
//! clocks.

use std::time::Duration;

/// Where stamps come from, and the moment from which they are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    counter: bool,
    /// One moment, as a stamp and as a reading of `CLOCK_MONOTONIC`.
    begin: u64,
    began: Duration,
}

/// What a stamp is worth, as of the present moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    begin: u64,
    now: u64,
    nanos_per_tick: f64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let counter = has_counter();
        let mut clock = Self {
            counter,
            begin: 0,
            began: Duration::ZERO,
        };
        (clock.begin, clock.began) = clock.both();
        clock
    }

    /// One moment by both clocks: the thread may be halted between two readings, so the closest of a few is taken.
    fn both(&self) -> (u64, Duration) {
        const CLOSE: Duration = Duration::from_micros(1);
        if !self.counter {
            let now = monotonic();
            return (nanos(now), now);
        }
        closest(4, CLOSE, || {
            let before = monotonic();
            let stamp = self.stamp();
            (before, stamp, monotonic())
        })
    }

    /// The present moment.
    #[inline(always)]
    pub(crate) fn stamp(&self) -> u64 {
        if self.counter {
            counter()
        } else {
            nanos(monotonic())
        }
    }

    /// How many ticks are in so many nanoseconds, within a hundredth or so.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates, and neither number is negative"
    )]
    pub(crate) fn ticks(&self, nanos: u64) -> u64 {
        let scale = self.measure();
        (nanos as f64 / scale.nanos_per_tick) as u64
    }

    /// When the recording began, as a reading of `CLOCK_MONOTONIC`.
    pub(crate) fn began(&self) -> Duration {
        self.began
    }

    /// Finds out what a tick is worth.
    pub(crate) fn scale(&self) -> Scale {
        let (now, moment) = self.both();
        let ticks = now.saturating_sub(self.begin);
        let nanos = nanos(moment.saturating_sub(self.began));
        let worth = if self.counter && ticks > 0 {
            nanos as f64 / ticks as f64
        } else {
            1.0
        };
        Scale {
            begin: self.begin,
            now,
            nanos_per_tick: worth,
        }
    }

    /// What a tick is worth, by a short trial.
    fn measure(&self) -> Scale {
        const TRIAL: Duration = Duration::from_micros(100);
        while self.counter && monotonic().saturating_sub(self.began) < TRIAL {
            std::hint::spin_loop();
        }
        self.scale()
    }
}

impl Scale {
    /// Nanoseconds from the beginning to a stamp.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates, and neither number is negative"
    )]
    pub(crate) fn nanos(&self, stamp: u64) -> u64 {
        (stamp.saturating_sub(self.begin) as f64 * self.nanos_per_tick) as u64
    }

    /// Nanoseconds from the beginning to the present moment.
    pub(crate) fn now(&self) -> u64 {
        self.nanos(self.now)
    }

    /// Nanoseconds that so many ticks take.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates, and neither number is negative"
    )]
    pub(crate) fn span(&self, ticks: f32) -> u64 {
        (f64::from(ticks) * self.nanos_per_tick) as u64
    }
}

/// Reads two clocks, one before and after the other, so many times at most and until the readings are close enough; gives
/// the closest, with the middle of the outer two.
fn closest(
    times: u32,
    enough: Duration,
    mut read: impl FnMut() -> (Duration, u64, Duration),
) -> (u64, Duration) {
    let mut best = (0, Duration::ZERO);
    let mut least = Duration::MAX;
    for _ in 0..times {
        let (before, stamp, after) = read();
        let apart = after.saturating_sub(before);
        if apart < least {
            (best, least) = ((stamp, before + apart / 2), apart);
        }
        if least <= enough {
            break;
        }
    }
    best
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What `CLOCK_MONOTONIC` shows.
fn monotonic() -> Duration {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it is given room for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// Whether the processor's counter is the same on all cores and never changes its pace. The kernel has checked that if it
/// goes by it.
#[cfg(target_arch = "x86_64")]
fn has_counter() -> bool {
    use std::sync::OnceLock;
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        std::fs::read_to_string(path).is_ok_and(|source| source.trim() == "tsc")
    })
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn counter() -> u64 {
    // SAFETY: every processor of this architecture has it, and Linux lets programs read it unless they forbid it themselves.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// The architecture defines the counter as that of the system.
#[cfg(target_arch = "aarch64")]
fn has_counter() -> bool {
    true
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn counter() -> u64 {
    let ticks: u64;
    // SAFETY: it reads a register that programs may read.
    unsafe {
        std::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags));
    }
    ticks
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has_counter() -> bool {
    false
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn counter() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_clocks_the_closest_readings_count() {
        let micros = Duration::from_micros;
        let halts = [
            (micros(10), 100, micros(5000)),
            (micros(5010), 52, micros(5014)),
            (micros(6000), 61, micros(6100)),
            (micros(6100), 62, micros(6101)),
        ];
        let with = |times, enough| {
            let mut all = halts.into_iter();
            let read = || all.next().expect("no more are read than asked for");
            closest(times, enough, read)
        };
        assert_eq!(with(3, micros(1)), (52, micros(5012)));
        assert_eq!(with(4, micros(1)).0, 62);
        assert_eq!(with(4, micros(5)), (52, micros(5012)));
        assert_eq!(with(1, micros(1)), (100, micros(2505)));
    }

    #[test]
    fn both_clocks_tell_the_same_time() {
        let clocks = [
            Clock::start(),
            Clock {
                counter: false,
                begin: nanos(monotonic()),
                began: monotonic(),
            },
        ];
        for clock in clocks {
            let first = clock.stamp();
            let wait = Duration::from_millis(3);
            std::thread::sleep(wait);
            let last = clock.stamp();
            let after = nanos(monotonic().saturating_sub(clock.began()));
            let scale = clock.scale();
            assert!(scale.nanos(first) <= scale.nanos(last));
            let passed = scale.nanos(last) - scale.nanos(first);
            // Within one part in a hundred of what passed, or the time that the readings themselves take.
            assert!(passed as f64 >= wait.as_nanos() as f64 * 0.99, "{passed}");
            assert!(
                passed as f64 <= after as f64 * 1.01 + 1e5,
                "{passed} {after}"
            );
        }
    }
}
