//! The edges of the mechanism; `tests/oracle.rs` compares long random histories with a model.

use super::*;

const TICK: u64 = 1 << 20;
const BUCKET: u64 = 1 << 30;

/// Fires everything that is due, in order.
fn fire<T>(wheel: &mut Wheel<T>, now: u64) -> Vec<T> {
    std::iter::from_fn(|| wheel.expire_next(now)).collect()
}

/// Deadlines on both sides of every border that the mechanism knows, from `base` on.
fn edges(base: u64) -> Vec<u64> {
    let borders = [
        0,
        TICK,
        63 * TICK,
        64 * TICK,
        1023 * TICK,
        BUCKET,
        BUCKET + TICK,
        2 * BUCKET,
        1 << 40,
        1 << 60,
    ];
    let mut edges = Vec::new();
    for border in borders {
        let at = base.saturating_add(border);
        edges.extend([at.saturating_sub(1), at, at.saturating_add(1)]);
        let tick = at & !(TICK - 1);
        edges.extend([tick.saturating_sub(1), tick]);
        let bucket = at & !(BUCKET - 1);
        edges.extend([bucket.saturating_sub(1), bucket]);
    }
    edges.retain(|&at| at != NEVER);
    edges
}

#[test]
fn every_border_fires_on_time_and_not_a_nanosecond_before() {
    for start in [
        0,
        1,
        TICK - 1,
        TICK,
        BUCKET - 1,
        BUCKET,
        5 * BUCKET + 77,
        u64::MAX - 3 * BUCKET,
        u64::MAX - 5,
    ] {
        for deadline in edges(start) {
            let mut wheel = Wheel::new(start);
            wheel.insert(deadline, ());
            assert_eq!(wheel.next_deadline(), Some(deadline), "start {start}");
            if let Some(before) = deadline.checked_sub(1) {
                assert_eq!(
                    wheel.expire_next(before),
                    None,
                    "start {start} deadline {deadline}"
                );
                assert_eq!(wheel.next_deadline(), Some(deadline), "start {start}");
            }
            assert_eq!(
                wheel.expire_next(deadline),
                Some(()),
                "start {start} deadline {deadline}"
            );
            assert_eq!(wheel.next_deadline(), None);
        }
    }
}

#[test]
fn all_borders_together_fire_in_order_in_one_jump_or_many() {
    for start in [0, TICK - 1, 3 * BUCKET - 1, u64::MAX - BUCKET - 1] {
        let mut deadlines = edges(start);
        let mut stepped = Wheel::new(start);
        let mut jumped = Wheel::new(start);
        for &deadline in &deadlines {
            stepped.insert(deadline, deadline);
            jumped.insert(deadline, deadline);
        }
        deadlines.sort_unstable();
        assert_eq!(fire(&mut jumped, u64::MAX), deadlines);
        let mut fired = Vec::new();
        while let Some(next) = stepped.next_deadline() {
            if let Some(before) = next.checked_sub(1) {
                assert_eq!(
                    stepped.expire_next(before),
                    None,
                    "bound {next} is not too late"
                );
            }
            fired.extend(fire(&mut stepped, next));
        }
        assert_eq!(fired, deadlines);
    }
}

#[test]
fn equal_deadlines_fire_in_arming_order_wherever_they_were() {
    for deadline in [0, 5, TICK, 500 * TICK, 3 * BUCKET] {
        let mut wheel = Wheel::new(0);
        let keys: Vec<_> = (0..10).map(|name| wheel.insert(deadline, name)).collect();
        wheel.reset(keys[3], deadline);
        wheel.reset(keys[0], deadline + 1);
        wheel.reset(keys[0], deadline);
        assert_eq!(
            fire(&mut wheel, deadline),
            [1, 2, 4, 5, 6, 7, 8, 9, 3, 0],
            "deadline {deadline}"
        );
    }
}

#[test]
fn an_arming_that_comes_through_far_ties_with_one_that_does_not() {
    let mut wheel = Wheel::new(0);
    let deadline = 2 * BUCKET + 10;
    wheel.insert(deadline, "far");
    assert_eq!(wheel.expire_next(deadline - BUCKET / 2), None);
    wheel.insert(deadline, "near");
    assert_eq!(fire(&mut wheel, deadline), ["far", "near"]);
}

#[test]
fn never_is_held_but_does_not_fire() {
    for start in [0, u64::MAX - 10, u64::MAX] {
        let mut wheel = Wheel::new(start);
        let key = wheel.insert(NEVER, 'n');
        assert_eq!((wheel.len(), wheel.next_deadline()), (1, None));
        assert_eq!(wheel.expire_next(u64::MAX), None);
        assert_eq!(wheel.deadline(key), Some(NEVER));
        assert!(wheel.reset(key, start));
        assert_eq!(
            wheel.next_deadline(),
            Some(start).filter(|&start| start != NEVER)
        );
        assert!(wheel.reset(key, NEVER));
        assert_eq!(wheel.expire_next(u64::MAX), None, "start {start}");
        assert_eq!(wheel.next_deadline(), None);
        assert_eq!(wheel.cancel(key), Some('n'));
    }
}

#[test]
fn the_past_fires_at_the_next_call_before_everything_later() {
    let mut wheel = Wheel::new(0);
    assert_eq!(wheel.expire_next(7 * BUCKET), None);
    wheel.insert(7 * BUCKET + 1, "future");
    wheel.insert(7 * BUCKET, "now");
    wheel.insert(3, "past");
    assert_eq!(wheel.next_deadline(), Some(3));
    assert_eq!(fire(&mut wheel, 7 * BUCKET), ["past", "now"]);
    assert_eq!(wheel.next_deadline(), Some(7 * BUCKET + 1));
}

#[test]
fn time_that_runs_backwards_fires_nothing_early() {
    let mut wheel = Wheel::new(0);
    assert_eq!(wheel.expire_next(100 * TICK), None);
    wheel.insert(50 * TICK, ());
    assert_eq!(wheel.expire_next(50 * TICK - 1), None);
    assert_eq!(wheel.expire_next(50 * TICK), Some(()));
}

#[test]
fn a_timer_can_be_cancelled_and_reset_while_it_is_due() {
    let mut wheel = Wheel::new(0);
    let keys: Vec<_> = (0..6).map(|at| wheel.insert(at * 10, at)).collect();
    assert_eq!(wheel.expire_next(5), Some(0));
    assert_eq!(wheel.cancel(keys[1]), Some(1));
    assert_eq!(wheel.next_deadline(), Some(20));
    assert!(wheel.reset(keys[2], 45));
    assert!(wheel.reset(keys[3], 3 * BUCKET));
    assert_eq!(wheel.deadline(keys[2]), Some(45));
    assert_eq!(wheel.next_deadline(), Some(40));
    assert_eq!(fire(&mut wheel, TICK), [4, 2, 5]);
    assert_eq!(wheel.next_deadline(), Some(3 * BUCKET));
    assert_eq!(fire(&mut wheel, 3 * BUCKET), [3]);
}

#[test]
fn stale_keys_do_nothing() {
    let mut wheel = Wheel::new(0);
    let fired = wheel.insert(1, 'a');
    assert_eq!(wheel.expire_next(1), Some('a'));
    let other = wheel.insert(2, 'b');
    assert_eq!(
        fired.index(),
        other.index(),
        "the slot is used again, or this test shows nothing"
    );
    assert_eq!(wheel.cancel(fired), None);
    assert_eq!(wheel.get_mut(fired), None);
    assert_eq!(wheel.get(fired), None);
    assert_eq!(wheel.deadline(fired), None);
    assert!(!wheel.reset(fired, 9));
    assert_eq!(wheel.drain().collect::<Vec<_>>(), ['b']);
    let third = wheel.insert(3, 'c');
    assert_eq!(wheel.cancel(other), None);
    assert_eq!(wheel.cancel(third), Some('c'));
}

#[test]
fn a_later_reset_leaves_a_bound_that_makes_progress() {
    for (first, second) in [
        (10, TICK * 3),
        (TICK * 3, BUCKET * 4),
        (BUCKET * 4, BUCKET * 9),
        (BUCKET * 4, NEVER),
    ] {
        let mut wheel = Wheel::new(0);
        let key = wheel.insert(first, ());
        wheel.reset(key, second);
        assert_eq!(wheel.next_deadline(), Some(first), "documented as a bound");
        assert_eq!(wheel.expire_next(first), None);
        assert_eq!(
            wheel.next_deadline(),
            Some(second).filter(|&at| at != NEVER),
            "exact after one call"
        );
    }
}

#[test]
fn a_reset_between_the_place_and_the_deadline_keeps_the_bound() {
    let mut wheel = Wheel::new(0);
    let key = wheel.insert(BUCKET * 4 + 100, ());
    wheel.reset(key, BUCKET * 9);
    wheel.reset(key, BUCKET * 4 + 50);
    assert_eq!(wheel.next_deadline(), Some(BUCKET * 4 + 50));
    assert_eq!(wheel.expire_next(BUCKET * 4 + 49), None);
    assert_eq!(wheel.expire_next(BUCKET * 4 + 50), Some(()));
}

#[test]
fn a_lone_far_timer_that_comes_and_goes_leaves_nothing_to_wait_for() {
    let mut wheel = Wheel::new(0);
    for round in 0..1000 {
        let key = wheel.insert((round % 7 + 2) * BUCKET, round);
        assert!(wheel.next_deadline().is_some());
        assert_eq!(wheel.cancel(key), Some(round));
        assert_eq!(wheel.next_deadline(), None);
    }
    wheel.insert(BUCKET * 5, 1000);
    assert_eq!(fire(&mut wheel, BUCKET * 6), [1000]);
}

#[test]
fn resets_within_the_due_tick_do_not_pile_up() {
    let mut wheel = Wheel::new(0);
    // What is stale below a live timer is not found by looking at the top.
    wheel.insert(500, 100);
    let keys: Vec<_> = (0..100).map(|name| wheel.insert(1000, name)).collect();
    for round in 0..10_000 {
        assert_eq!(wheel.expire_next(1), None);
        wheel.reset(keys[round % keys.len()], 1000 + round as u64);
        assert!(
            wheel.due.entries() <= 300,
            "{} entries for 101 timers",
            wheel.due.entries()
        );
    }
    assert_eq!(fire(&mut wheel, TICK).len(), 101);
    assert_eq!(wheel.due.entries(), 0);
}

#[test]
fn expire_into_stops_at_its_limit() {
    let mut wheel = Wheel::new(0);
    for at in 0..10 {
        wheel.insert(at, at);
    }
    let mut out = Vec::new();
    assert_eq!(wheel.expire_into(7, 3, &mut out), 3);
    assert_eq!(wheel.next_deadline(), Some(3));
    assert_eq!(wheel.expire_into(7, usize::MAX, &mut out), 5);
    assert_eq!(out, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(wheel.expire_into(7, 0, &mut out), 0);
    assert_eq!(wheel.len(), 2);
}

#[test]
fn the_value_of_a_timer_can_be_exchanged() {
    let mut wheel = Wheel::new(0);
    let key = wheel.insert(4, 'a');
    *wheel.get_mut(key).expect("it is armed") = 'b';
    assert_eq!(wheel.get(key), Some(&'b'));
    assert_eq!(wheel.expire_next(4), Some('b'));
}

#[test]
fn clear_and_drop_drop_each_value_once() {
    use std::rc::Rc;
    let value = Rc::new(());
    let mut wheel = Wheel::new(0);
    let fill = |wheel: &mut Wheel<Rc<()>>| {
        for at in [0, 1, TICK * 9, BUCKET * 9, NEVER] {
            wheel.insert(at, Rc::clone(&value));
        }
        drop(wheel.expire_next(0));
        assert_eq!(Rc::strong_count(&value), 5);
    };
    fill(&mut wheel);
    wheel.clear();
    assert_eq!(Rc::strong_count(&value), 1);
    assert_eq!((wheel.len(), wheel.next_deadline()), (0, None));
    assert!(wheel.expire_next(u64::MAX - 1).is_none());
    wheel = Wheel::new(0);
    fill(&mut wheel);
    wheel.shrink_to_fit();
    drop(wheel);
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn debug_shows_the_count_and_the_bound() {
    let mut wheel = Wheel::new(0);
    wheel.insert(9, ());
    assert_eq!(
        format!("{wheel:?}"),
        "Wheel { len: 1, next_deadline: Some(9), .. }"
    );
}
