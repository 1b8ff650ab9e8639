//! How long tasks dwell where.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Recording, Stand};
use crate::json::{Json, ToJson};

/// How long tasks of one type dwell at one place.
///
/// A dwell is the time between two polls, and that between the spawn of a task and its first poll.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Dwell {
    /// The name of the type, as people write it.
    pub of: Arc<str>,
    /// Where they stand.
    pub stand: Stand,
    /// How many dwells have ended.
    pub count: u64,
    /// The time of all those, and of those that go on.
    pub total: Duration,
    /// Half of them took this long at most.
    pub p50: Duration,
    /// 99 of 100 took this long at most.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
    /// How much of the total the tasks had already been woken, and waited for their turn.
    pub scheduled: Duration,
    /// How long the polls took that began there, but for those that took long together with others.
    pub busy: Duration,
    /// How many tasks stand there now.
    pub waiting: u64,
    /// For how long the longest of them does.
    pub longest: Duration,
}

/// What is gathered of a place.
#[derive(Default)]
struct Gathered {
    dwells: Vec<Duration>,
    scheduled: Duration,
    busy: Duration,
    waiting: u64,
    /// The time of those that wait.
    going: Duration,
    longest: Duration,
}

pub(super) fn of(recording: &Recording) -> Vec<Dwell> {
    let mut places: HashMap<(&Arc<str>, &Stand), Gathered> = HashMap::new();
    for poll in &recording.polls {
        let place = places.entry((&poll.of, &poll.from)).or_default();
        if !poll.is_unclear() {
            place.busy += poll.took;
        }
        // One that was just spawned stands there since then.
        let dwell = poll.waited.or(poll.scheduled.filter(|_| poll.first));
        if let Some(dwell) = dwell {
            place.dwells.push(dwell);
            place.scheduled += poll.scheduled.unwrap_or_default().min(dwell);
        }
    }
    for task in recording.tasks.iter().filter(|task| !task.running) {
        let place = places.entry((&task.of, &task.stand)).or_default();
        place.waiting += 1;
        let since = task.since.unwrap_or_default();
        place.going += since;
        place.longest = place.longest.max(since);
    }
    let mut all: Vec<_> = places
        .into_iter()
        .map(|((of, stand), gathered)| gathered.dwell(of, stand))
        .collect();
    let order = |dwell: &Dwell| std::cmp::Reverse(dwell.total);
    all.sort_by(|one, two| {
        let same = || (&one.of, &one.stand).cmp(&(&two.of, &two.stand));
        order(one).cmp(&order(two)).then_with(same)
    });
    all
}

impl Gathered {
    fn dwell(mut self, of: &Arc<str>, stand: &Stand) -> Dwell {
        self.dwells.sort_unstable();
        Dwell {
            of: Arc::clone(of),
            stand: stand.clone(),
            count: self.dwells.len() as u64,
            total: self.dwells.iter().sum::<Duration>() + self.going,
            p50: percentile(&self.dwells, 50),
            p99: percentile(&self.dwells, 99),
            max: self.dwells.last().copied().unwrap_or_default(),
            scheduled: self.scheduled,
            busy: self.busy,
            waiting: self.waiting,
            longest: self.longest,
        }
    }
}

/// The smallest value that so many of a hundred are not above: the nearest rank.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

impl ToJson for Dwell {
    fn write(&self, json: &mut Json) {
        json.object(|json| {
            json.field("type", &*self.of);
            json.field("state", &self.stand.to_string());
            let line = self.stand.site().map(ToString::to_string);
            json.field("line", &line);
            json.field("count", &self.count);
            json.field("total_ns", &nanos(self.total));
            json.field("p50_ns", &nanos(self.p50));
            json.field("p99_ns", &nanos(self.p99));
            json.field("max_ns", &nanos(self.max));
            json.field("scheduled_ns", &nanos(self.scheduled));
            json.field("busy_ns", &nanos(self.busy));
            json.field("waiting", &self.waiting);
            json.field("longest_ns", &nanos(self.longest));
        });
    }
}

/// As a number of JSON.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
