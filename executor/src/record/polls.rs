//! The last polls, and the times that they took, some of them together.
//!
//! ```text
//!   room     | … | poll poll poll | poll poll                | oldest …   |     32 bytes each
//!   times           one time        one that goes on: the row                 16 bytes each
//! ```
//!
//! Invariant ROW: whenever a turn begins, [`Polls::shared`] polls are in the row, whose time is not known yet. They are fewer
//! than [`Polls::share`], for which there is room from [`Polls::row`] on, and those are no more than [`SHARED`].

use std::ptr::NonNull;

use super::Settings;
use super::clock::Clock;
use super::recorder::{Side, low};
use super::room::{Last, Room, Zero};
use super::wakes::Turn;
use super::ways::Stand;
use crate::bundle::Home;

/// One poll.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) task: u64,
    /// [`Side::since`] before it.
    pub(super) since: u64,
    pub(super) turn: Turn,
    pub(super) from: Stand,
    pub(super) to: Stand,
}

/// What polls took that share a look at the clock.
#[derive(Clone, Copy, Debug)]
struct Time {
    start: u64,
    took: f32,
    /// The lower half of the number of the first.
    first: u32,
}

/// Polls that share a look at the clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// The number of the first of them.
    pub(super) first: u64,
    pub(super) count: u32,
    /// The stamp before that.
    pub(super) start: u64,
    /// Ticks of all of them, if they are over.
    pub(super) took: Option<f32>,
}

const _: () = assert!(size_of::<Record>() == 32 && size_of::<Time>() == 16);

// SAFETY: numbers, of which zero is one.
unsafe impl Zero for Record {}
// SAFETY: the same.
unsafe impl Zero for Time {}

/// The most polls that share the time: a batch.
const SHARED: u32 = crate::executor::BATCH;

/// How many nanoseconds those should take together that share the time, within a quarter. So polls of up to about half of this share
/// it. Polls whose time is told as nobody's took well over twice this together.
const PACE: u64 = 4000;

/// The most polls that are kept.
pub(super) const MOST: usize = 1 << 28;

/// What each poll touches comes first.
#[repr(C)]
pub(super) struct Polls {
    /// Where the polls are that share the time: ROW.
    row: *mut Record,
    shared: u32,
    share: u32,
    /// The last stamp.
    now: u64,
    /// The sides of those that share the time.
    sharing: [NonNull<Side>; SHARED as usize],
    pub(super) clock: Clock,
    room: Room<Record>,
    /// The place of the first of those that share the time, and its number.
    place: usize,
    count: u64,
    times: Last<Time>,
    /// Whether every poll is timed on its own.
    exact: bool,
    /// How many polls are to share the time.
    usual: u32,
    /// How many ticks the polls should take that share the time.
    pace: u64,
    /// From how many ticks on a poll is reported.
    long: f32,
}

impl Polls {
    pub(super) fn new(settings: &Settings) -> Self {
        let clock = Clock::start();
        let most = settings.polls.clamp(1, MOST);
        let room = Room::new(most);
        Self {
            row: room.at(0),
            shared: 0,
            share: 1,
            now: 0,
            sharing: [NonNull::dangling(); SHARED as usize],
            room,
            place: 0,
            count: 0,
            times: Last::new(most),
            exact: settings.exact || settings.long.is_some(),
            usual: 1,
            pace: clock.ticks(PACE),
            long: settings.long.map_or(f32::INFINITY, |long| {
                let nanos = u64::try_from(long.as_nanos()).unwrap_or(u64::MAX);
                clock.ticks(nanos - nanos / 64) as f32
            }),
            clock,
        }
    }

    /// What has passed until now was no poll. If something new has come, the next poll is timed alone, whatever those before have
    /// taken.
    pub(super) fn resume(&mut self, alone: bool) {
        debug_assert!(self.shared == 0, "ROW: the polls before are timed");
        if alone {
            self.share = 1;
        }
        self.now = self.clock.stamp();
    }

    /// A poll is over. True if it is the last of those that are to share the time, so that they are to be timed.
    ///
    /// # Safety
    ///
    /// SIDES: it is that of the task that had its turn, which took the entry that was taken from the ready ring as the last.
    #[inline(always)]
    pub(super) unsafe fn add(&mut self, home: Home, mut side: NonNull<Side>, to: Stand) -> bool {
        let place = self.shared as usize;
        // SAFETY: ROW.
        *unsafe { self.sharing.get_unchecked_mut(place) } = side;
        // SAFETY: the caller's.
        let side = unsafe { side.as_mut() };
        let record = Record {
            task: side.task,
            since: side.since,
            turn: Turn {
                popped: low(home.ring.popped() as u64),
                pushed: low(home.ring.pushed() as u64),
            },
            from: side.stand,
            to,
        };
        // SAFETY: ROW; ROOM.
        unsafe { self.row.wrapping_add(place).write(record) };
        (side.stand, side.since) = (to, self.now);
        side.polls += 1;
        self.shared += 1;
        self.shared >= self.share
    }

    /// Times the polls that share the time, if there are any. True if they took long enough to be reported.
    pub(super) fn time(&mut self) -> bool {
        let shared = std::mem::take(&mut self.shared);
        if shared == 0 {
            return false;
        }
        let start = self.now;
        self.now = self.clock.stamp().max(start);
        let ticks = self.now - start;
        let took = span(ticks);
        self.times.push(Time {
            start,
            took,
            first: low(self.count),
        });
        // For the others the stamp before them is close enough.
        if shared == 1 || ticks > 2 * self.pace {
            for side in &mut self.sharing[..shared as usize] {
                // SAFETY: SIDES: it was put there since the recording began.
                unsafe { side.as_mut() }.since = self.now;
            }
        }
        self.count += u64::from(shared);
        self.place += shared as usize;
        if self.place == self.room.len() {
            self.place = 0;
        }
        self.row = self.room.at(self.place);
        self.adapt(ticks, shared);
        let room = self.room.len() - self.place;
        self.share = self.usual.min(low(room as u64));
        took >= self.long
    }

    /// Chooses how many polls are to share the time, by how long so many took.
    fn adapt(&mut self, ticks: u64, shared: u32) {
        if self.exact {
            return;
        }
        // Of polls as long as these, so many take as long as they should together: `should / ticks`. It is worth a division only
        // if that is more than a quarter off, and more than one poll.
        let should = self.pace.saturating_mul(shared.into());
        let take = |polls: u32| ticks.saturating_mul(polls.into());
        if take(self.usual) > should.saturating_add(should / 4) {
            self.usual = low((should / ticks).max(1));
        } else if self.usual < SHARED && take(self.usual + self.usual / 4 + 1) <= should {
            let most = u64::from(SHARED.min(2 * self.usual));
            self.usual = low(should
                .checked_div(ticks)
                .map_or(most, |polls| polls.min(most)));
        }
    }

    /// The poll that goes on is the last: once it is over, the row is full.
    pub(super) fn end(&mut self) {
        self.share = 0;
    }

    /// How many polls were recorded in all.
    pub(super) fn total(&self) -> u64 {
        self.count + u64::from(self.shared)
    }

    /// The last polls, no more than so many, oldest first.
    pub(super) fn records(&self, most: usize) -> impl ExactSizeIterator<Item = Record> {
        let room = self.room.len();
        let kept = usize::try_from(self.total()).unwrap_or(usize::MAX);
        let kept = kept.min(room).min(most);
        let first = self.place + self.shared as usize + room - kept;
        (0..kept).map(move |place| self.room.get((first + place) % room))
    }

    /// What the polls took from that of a number on, which is kept, the last first.
    pub(super) fn times(&self, first: u64) -> impl Iterator<Item = Times> {
        let open = Times {
            first: self.count,
            count: self.shared,
            start: self.now,
            took: None,
        };
        let mut end = self.count;
        let times = self.times.iter().rev().map(move |time| {
            let count = low(end).wrapping_sub(time.first);
            end -= u64::from(count);
            Times {
                first: end,
                count,
                start: time.start,
                took: Some(time.took),
            }
        });
        let open = Some(open).filter(|open| open.count > 0);
        open.into_iter()
            .chain(times)
            .take_while(move |times| times.first + u64::from(times.count) > first)
    }
}

/// As a number that is small.
#[expect(
    clippy::cast_precision_loss,
    reason = "one part in ten million is exact enough"
)]
fn span(ticks: u64) -> f32 {
    ticks as f32
}

#[cfg(test)]
mod tests {
    use super::super::plan::Plan;
    use super::*;

    #[test]
    fn so_many_share_the_time_as_take_the_pace_together() {
        let mut polls = Polls::new(&Settings::new(1, |_| Plan::default()));
        polls.pace = 4000;
        let mut after = |groups: u32, ticks: u64| {
            for _ in 0..groups {
                let shared = polls.usual;
                polls.adapt(ticks * u64::from(shared), shared);
            }
            polls.usual
        };
        assert_eq!([1, 1, 1, 9].map(|groups| after(groups, 500)), [2, 4, 8, 8]);
        assert_eq!(
            [400, 600].map(|ticks| after(1, ticks)),
            [8, 8],
            "not far off"
        );
        assert_eq!([1000, 100_000].map(|ticks| after(1, ticks)), [4, 1]);
        assert_eq!([2001, 2000].map(|ticks| after(1, ticks)), [1, 2]);
        assert_eq!([10, 0].map(|ticks| after(9, ticks)), [SHARED; 2]);
    }
}
