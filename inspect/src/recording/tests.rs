//! Dwell times against a naive count, and what is shown of them.

use std::sync::Arc;
use std::time::Duration;

use super::{Dwell, Poll, Recording, Stand, TaskStand, WokenBy};
use crate::Missing;
use crate::plan::PlanState;

/// Numbers that are the same on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % end
    }
}

fn stand(number: u64) -> Stand {
    match number {
        0 => Stand::Unknown,
        number => Stand::At(Arc::new(PlanState {
            path: format!("app::serve src/main.rs:{number}").into(),
            site: None,
        })),
    }
}

fn poll(numbers: &mut Numbers) -> Poll {
    let nanos = |number| Duration::from_nanos(number);
    Poll {
        task: Some(numbers.below(4)),
        of: ["app::serve", "app::ask"][usize::from(numbers.below(2) == 0)].into(),
        start: nanos(numbers.below(1 << 40)),
        took: nanos(numbers.below(1 << 20)),
        shared: 1,
        shared_start: Duration::ZERO,
        shared_took: Duration::ZERO,
        scheduled: (numbers.below(3) > 0).then(|| nanos(numbers.below(100))),
        waited: (numbers.below(4) > 0).then(|| nanos(numbers.below(1000))),
        woken_by: WokenBy::Event,
        woken_in: None,
        first: numbers.below(5) == 0,
        from: stand(numbers.below(4)),
        to: stand(numbers.below(4)),
    }
}

fn task(numbers: &mut Numbers) -> TaskStand {
    TaskStand {
        task: Some(numbers.below(9)),
        name: None,
        of: "app::serve".into(),
        stand: stand(numbers.below(4)),
        running: numbers.below(4) == 0,
        since: Some(Duration::from_nanos(numbers.below(5000))),
        polls: 1,
        wakes: 0,
    }
}

/// Whether a place is told as counting by hand says.
fn agrees(dwell: &Dwell, recording: &Recording) -> bool {
    let here = |of: &Arc<str>, stand: &Stand| *of == dwell.of && *stand == dwell.stand;
    let polls: Vec<_> = recording
        .polls
        .iter()
        .filter(|poll| here(&poll.of, &poll.from))
        .collect();
    let mut dwells = Vec::new();
    for poll in &polls {
        match (poll.waited, poll.first, poll.scheduled) {
            (Some(waited), ..) => dwells.push(waited),
            (None, true, Some(scheduled)) => dwells.push(scheduled),
            _ => {}
        }
    }
    // As many as a hundredth times so many are not above it, and fewer are below it.
    let is_percentile = |value: Duration, percent: usize| {
        let (below, not_above) = (
            dwells.iter().filter(|dwell| **dwell < value).count(),
            dwells.iter().filter(|dwell| **dwell <= value).count(),
        );
        dwells.is_empty() && value.is_zero()
            || below * 100 < dwells.len() * percent && not_above * 100 >= dwells.len() * percent
    };
    let there: Vec<_> = recording
        .tasks
        .iter()
        .filter(|task| !task.running && here(&task.of, &task.stand))
        .collect();
    dwell.count == dwells.len() as u64
        && dwell.total
            == dwells
                .iter()
                .chain(there.iter().filter_map(|task| task.since.as_ref()))
                .sum()
        && is_percentile(dwell.p50, 50)
        && is_percentile(dwell.p99, 99)
        && dwell.max == dwells.iter().max().copied().unwrap_or_default()
        && dwell.busy == polls.iter().map(|poll| poll.took).sum()
        && dwell.scheduled <= dwell.total
        && dwell.waiting == there.len() as u64
        && dwell.longest
            == there
                .iter()
                .filter_map(|task| task.since)
                .max()
                .unwrap_or_default()
}

#[test]
fn dwells_are_what_counting_by_hand_says() {
    for seed in 0..200 {
        let mut numbers = Numbers(seed);
        let count = numbers.below(300);
        let recording = Recording {
            polls: (0..count).map(|_| poll(&mut numbers)).collect(),
            tasks: (0..numbers.below(9)).map(|_| task(&mut numbers)).collect(),
            ..Recording::default()
        };
        let dwells = recording.dwell();
        for dwell in &dwells {
            assert!(agrees(dwell, &recording), "{seed}: {dwell:?}");
        }
        // All places are told, each once.
        let counted: usize = dwells
            .iter()
            .map(|dwell| usize::try_from(dwell.count).unwrap_or(0))
            .sum();
        let expected = recording.polls.iter();
        let expected =
            expected.filter(|poll| poll.waited.is_some() || poll.first && poll.scheduled.is_some());
        assert_eq!(counted, expected.count());
        let waiting: u64 = dwells.iter().map(|dwell| dwell.waiting).sum();
        let there = recording.tasks.iter().filter(|task| !task.running);
        assert_eq!(waiting, there.count() as u64);
        assert!(dwells.windows(2).all(|two| two[0].total >= two[1].total));
    }
}

#[test]
fn nothing_recorded_is_shown_as_nothing() {
    let recording = Recording::default();
    assert!(recording.dwell().is_empty());
    assert_eq!(recording.to_string(), "0 polls in the last 0.0ns\n");
    let recording = Recording {
        missing: vec![Missing::Types],
        ..recording
    };
    let text = recording.to_string();
    assert!(
        text.starts_with("the program has line tables but no types"),
        "{text}"
    );
    assert_eq!(recording.dwell_to_json(), "[]");
}

#[test]
fn a_dwell_has_its_keys_in_json() {
    let mut numbers = Numbers(1);
    let polls = vec![Poll {
        from: stand(7),
        of: "app::serve".into(),
        took: Duration::from_nanos(5),
        waited: Some(Duration::from_micros(2)),
        scheduled: Some(Duration::from_nanos(30)),
        first: false,
        ..poll(&mut numbers)
    }];
    let recording = Recording {
        polls,
        ..Recording::default()
    };
    assert_eq!(
        recording.dwell_to_json(),
        "[{\"type\":\"app::serve\",\"state\":\"app::serve src/main.rs:7\",\"line\":null,\"count\":1,\"total_ns\":2000,\
         \"p50_ns\":2000,\"p99_ns\":2000,\"max_ns\":2000,\"scheduled_ns\":30,\"busy_ns\":5,\"waiting\":0,\"longest_ns\":0}]"
    );
}

/// Polls of these tasks, which were timed together.
fn together(start: u64, micros: u64, tasks: &[u64]) -> Vec<Poll> {
    let (count, took) = (tasks.len() as u64, Duration::from_micros(micros));
    let share = took / u32::try_from(count).expect("they are few");
    let one = |(place, task): (u64, &u64)| Poll {
        task: Some(*task),
        of: format!("app::of_{task}").into(),
        start: Duration::from_micros(start + micros * place / count),
        took: share,
        shared: u32::try_from(count).expect("they are few"),
        shared_start: Duration::from_micros(start),
        shared_took: took,
        from: stand(*task),
        ..poll(&mut Numbers(1))
    };
    (0..).zip(tasks).map(one).collect()
}

#[test]
fn nobody_is_blamed_for_what_one_of_many_polls_took() {
    let mut polls = together(100, 4, &[1, 2]);
    polls.extend(together(200, 64_000, &[1, 2, 3, 2]));
    polls.extend(together(65_000, 9, &[1]));
    polls.extend(together(66_000, 300, &[3, 1]));
    let recording = Recording {
        polls,
        ..Recording::default()
    };
    let longest: Vec<_> = recording.longest(9).iter().map(|poll| poll.took).collect();
    assert_eq!(longest, [9, 2, 2].map(Duration::from_micros));
    let groups = recording.longest_together(9);
    let counts: Vec<_> = groups.iter().map(|group| group.len()).collect();
    assert_eq!(counts, [4, 2]);
    assert_eq!(recording.longest_together(1).len(), 1);
    let busy: Duration = recording.dwell().iter().map(|dwell| dwell.busy).sum();
    assert_eq!(busy, Duration::from_micros(13));
    let text = recording.to_string();
    let line = "  4 polls in 64.0ms, of app::of_1, app::of_2, app::of_3\n";
    assert!(text.contains(line), "{text}");
    let line = groups[0][0].to_string();
    let told = "task 1 (app::of_1) was one of 4 polls that took 64.0ms together: ";
    assert!(line.starts_with(told), "{line}");
}

#[test]
fn a_trace_is_written_in_pieces_and_errors_are_told() {
    /// Takes so many pieces.
    struct Takes(usize, Vec<u8>);
    impl std::io::Write for Takes {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let left = self.0.checked_sub(1);
            self.0 = left.ok_or(std::io::ErrorKind::StorageFull)?;
            self.1.extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let tasks: Vec<_> = (0..1000).collect();
    let recording = Recording {
        thread: 7,
        polls: together(1, 5, &tasks),
        ..Recording::default()
    };
    let text = recording.to_chrome_trace();
    assert!(text.len() > 200_000, "{}", text.len());
    let mut all = Takes(usize::MAX, Vec::new());
    recording
        .write_chrome_trace(&mut all)
        .expect("it takes all");
    assert_eq!(all.1, text.as_bytes());
    assert!((3..50).contains(&(usize::MAX - all.0)));
    for takes in 0..3 {
        let error = recording.write_chrome_trace(Takes(takes, Vec::new()));
        let kind = error.map_err(|error| error.kind());
        assert_eq!(kind, Err(std::io::ErrorKind::StorageFull));
    }
    assert!(text.contains("\"pid\":7,"));
}

#[test]
fn a_machine_can_follow_who_woke_whom() {
    let woken = |woken_by, woken_in| Recording {
        polls: vec![Poll {
            woken_by,
            woken_in,
            ..poll(&mut Numbers(1))
        }],
        ..Recording::default()
    };
    let text = woken(WokenBy::Task(8), Some(3)).to_json();
    let told = "\"woken_by\":\"task\",\"waker\":8,\"woken_in\":3,";
    assert!(text.contains(told), "{text}");
    let text = woken(WokenBy::Root, None).to_json();
    let told = "\"woken_by\":\"root\",\"waker\":null,\"woken_in\":null,";
    assert!(text.contains(told), "{text}");
}

#[test]
fn what_goes_on_is_counted_and_what_is_not_known_is_not_made_up() {
    let stuck = |id| TaskStand {
        task: Some(id),
        name: None,
        of: "app::serve".into(),
        stand: stand(7),
        running: false,
        since: Some(Duration::from_secs(57)),
        polls: 1,
        wakes: 0,
    };
    let mut numbers = Numbers(1);
    let ended = Poll {
        from: stand(8),
        of: "app::serve".into(),
        waited: Some(Duration::from_secs(60)),
        ..poll(&mut numbers)
    };
    let recording = Recording {
        polls: vec![ended],
        tasks: vec![stuck(1), stuck(2)],
        ..Recording::default()
    };
    let text = recording.to_string();
    let rows: Vec<Vec<_>> = text
        .lines()
        .skip(2)
        .map(|row| row.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[0][1..9],
        ["114.0s", "0", "–", "–", "–", "2", "57.0s", "app::serve"],
        "{text}"
    );
    assert_eq!(
        rows[1][1..8],
        ["60.0s", "1", "60.0s", "60.0s", "60.0s", "0", "app::serve"],
        "{text}"
    );
}
