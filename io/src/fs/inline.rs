//! Whether a transfer of a file is tried at once, on the thread of the loop, or handed to the kernel's queue.
//!
//! What lies in the page cache is moved faster by a plain system call than by a round through the ring, and a buffered
//! write would be punted to a kernel thread at twice its price. But a call on the loop's thread holds up every task, so:
//!
//! - **BOUNDED**: between two looks of the loop at its completions, [`Allowance`] lets at most [`TURN_CALLS`] calls and about
//!   [`TURN_BYTES`] bytes be moved inline. A transfer that finds nothing left gives way to the other tasks first.
//! - **SHORT**: a transfer longer than [`MOST_BYTES`] is never made inline.
//! - **ADAPTIVE**: a [`Gate`] for each file and direction closes after a try in vain, for a number of transfers that grows;
//!   and for a span that grows after two slow calls, longer than [`SLOW_NANOS`] each, or after one that took [`STALL_NANOS`]. One
//!   alone may have been held up by another process that had the processor, which says nothing of the file.
//!
//! A read is tried with `RWF_NOWAIT`, and so is a write where the file system knows that flag for buffered writes. Where it
//! does not, as ext4, a write is an ordinary system call, if the file system is one that keeps its pages on this machine.
//! Such a call can wait, for memory or for a disk that is overloaded; how long, nobody can bound, only how often.
//!
//! This file only decides: it reads no clock and makes no call.

/// The longest transfer that is made inline, in bytes.
pub(super) const MOST_BYTES: usize = 256 << 10;
/// The most inline calls between two turns of the loop.
pub(super) const TURN_CALLS: u32 = 256;
/// How many bytes may be moved inline between two turns of the loop before no other call is allowed.
pub(super) const TURN_BYTES: usize = 1 << 20;
/// A call that took longer than this was slow.
pub(super) const SLOW_NANOS: u64 = 1_000_000;
/// A call that took longer than this was not held up by other processes alone.
pub(super) const STALL_NANOS: u64 = 50_000_000;

/// After a slow call, another one among so many closes the gate.
const WARY_FOR: u32 = 32;

/// How long a gate is closed the first time.
const FIRST_PAUSE_NANOS: u64 = 10_000_000;
/// How long it is closed at most.
const LONGEST_PAUSE_NANOS: u64 = 1_000_000_000;
/// So many quick calls in a row make a slow one be forgotten.
const FORGIVEN_AFTER: u32 = 256;
/// How many transfers a gate lets pass by at most after a try in vain.
const LONGEST_DETOUR: u32 = 64;

/// How a file is transferred inline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Not at all.
    Never,
    /// With `RWF_NOWAIT`.
    Nowait,
    /// By an ordinary system call, whose time is taken.
    Plain,
}

/// What may be done inline until the loop takes its next turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    turn: u32,
    calls: u32,
    bytes: usize,
}

impl Allowance {
    pub(super) const NEW: Self = Self {
        turn: 0,
        calls: 0,
        bytes: 0,
    };

    /// Whether another call is allowed in this turn; counts it if so.
    pub(super) fn take(&mut self, turn: u32) -> bool {
        if self.turn != turn {
            *self = Self { turn, ..Self::NEW };
        }
        let allowed = self.calls < TURN_CALLS && self.bytes < TURN_BYTES;
        self.calls += u32::from(allowed);
        allowed
    }

    /// Counts what a call has moved.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.bytes += bytes;
    }
}

/// Whether inline tries pay for a file, in one direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    /// So many transfers pass by before the next try.
    passing: u32,
    /// How many pass by after the next try in vain.
    detour: u32,
    /// When it opens again after slow calls; zero if it is open.
    until: u64,
    /// How long it closes the next time.
    pause: u64,
    /// Quick calls since the last slow one.
    quick: u32,
    /// Calls among which a slow one is the second.
    wary: u32,
}

impl Gate {
    pub(super) const NEW: Self = Self {
        passing: 0,
        detour: 1,
        until: 0,
        pause: FIRST_PAUSE_NANOS,
        quick: 0,
        wary: 0,
    };

    /// Whether the next transfer is to be tried. The clock is asked only if there was a slow call.
    #[inline]
    pub(super) fn admits(&mut self, now: impl FnOnce() -> u64) -> bool {
        if self.passing == 0 && self.until == 0 {
            return true;
        }
        if self.passing > 0 {
            self.passing -= 1;
            return false;
        }
        if now() < self.until {
            return false;
        }
        self.until = 0;
        true
    }

    /// A try brought something.
    #[inline]
    pub(super) fn hit(&mut self) {
        self.detour = 1;
    }

    /// A try was in vain.
    pub(super) fn missed(&mut self) {
        self.passing = self.detour;
        self.detour = (self.detour * 2).min(LONGEST_DETOUR);
    }

    /// Says how long a call has taken, which ended at `now`.
    pub(super) fn took(&mut self, nanos: u64, now: u64) {
        if nanos <= SLOW_NANOS {
            self.wary = self.wary.saturating_sub(1);
            self.quick += 1;
            if self.quick >= FORGIVEN_AFTER {
                self.pause = FIRST_PAUSE_NANOS;
                self.quick = 0;
            }
            return;
        }
        self.quick = 0;
        if self.wary == 0 && nanos <= STALL_NANOS {
            self.wary = WARY_FOR;
            return;
        }
        self.wary = 0;
        self.until = now.saturating_add(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE_NANOS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A gate that counts how often it asks for the time, which the test sets.
    struct Fake {
        gate: Gate,
        now: u64,
        asked: u32,
    }

    impl Fake {
        fn new() -> Self {
            Self {
                gate: Gate::NEW,
                now: 1,
                asked: 0,
            }
        }

        fn admits(&mut self) -> bool {
            let (now, asked) = (self.now, &mut self.asked);
            self.gate.admits(|| {
                *asked += 1;
                now
            })
        }

        /// How many transfers pass by until the next try.
        fn detour(&mut self) -> usize {
            (0..).take_while(|_| !self.admits()).count()
        }
    }

    #[test]
    fn a_turn_has_so_many_calls_and_so_many_bytes() {
        let mut allowance = Allowance::NEW;
        for turn in [7, 8] {
            for _ in 0..TURN_CALLS {
                assert!(allowance.take(turn));
                allowance.spend(1);
            }
            assert!(!allowance.take(turn), "no call is left");
        }
        assert!(allowance.take(9));
        allowance.spend(TURN_BYTES);
        assert!(!allowance.take(9), "no byte is left");
        assert!(allowance.take(10));
    }

    #[test]
    fn tries_in_vain_grow_rarer_up_to_a_bound() {
        let mut fake = Fake::new();
        let mut detours = Vec::new();
        for _ in 0..9 {
            fake.gate.missed();
            detours.push(fake.detour());
        }
        assert_eq!(detours, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        assert_eq!(fake.asked, 0, "no clock is needed for that");
    }

    #[test]
    fn a_hit_makes_the_next_miss_cheap_again() {
        let mut fake = Fake::new();
        for _ in 0..6 {
            fake.gate.missed();
            fake.detour();
        }
        fake.gate.hit();
        fake.gate.missed();
        assert_eq!(fake.detour(), 1);
    }

    #[test]
    fn stalls_close_the_gate_for_a_span_that_grows() {
        let mut fake = Fake::new();
        for pause in [10, 20, 40, 80, 160, 320, 640, 1000, 1000] {
            fake.gate.took(STALL_NANOS + 1, fake.now);
            fake.now += pause * MS - 1;
            assert!(!fake.admits(), "closed before {pause} ms");
            fake.now += 1;
            assert!(fake.admits(), "open after {pause} ms");
            let asked = fake.asked;
            assert!(fake.admits());
            assert_eq!(fake.asked, asked, "an open gate needs no clock");
        }
    }

    #[test]
    fn a_slow_call_closes_it_if_another_was_slow_shortly_before() {
        for (quick, closes) in [(0, true), (WARY_FOR - 1, true), (WARY_FOR, false)] {
            let mut fake = Fake::new();
            fake.gate.took(SLOW_NANOS + 1, fake.now);
            assert!(fake.admits(), "one alone says nothing");
            for _ in 0..quick {
                fake.gate.took(SLOW_NANOS, fake.now);
            }
            fake.gate.took(STALL_NANOS, fake.now);
            assert_eq!(fake.admits(), !closes, "after {quick} quick ones");
        }
    }

    #[test]
    fn many_quick_calls_make_slow_ones_be_forgotten() {
        for quick in [FORGIVEN_AFTER - 1, FORGIVEN_AFTER] {
            let mut fake = Fake::new();
            fake.gate.took(STALL_NANOS + 1, fake.now);
            for _ in 0..quick {
                fake.gate.took(SLOW_NANOS, fake.now);
            }
            fake.gate.took(STALL_NANOS + 1, fake.now);
            fake.now += 10 * MS;
            assert_eq!(fake.admits(), quick == FORGIVEN_AFTER);
        }
    }
}
