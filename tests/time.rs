//! Time: never early, in order, and under a paused clock to the nanosecond.

mod common;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use camshaft::task::yield_now;
use camshaft::time::{
    Duration, Instant, MissedTickBehavior, advance, interval, interval_at, sleep, sleep_until,
    timeout, timeout_at,
};
use common::{alone, panic_of, paused, poll_once, runtime};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_sleep_is_never_early() {
    let _alone = alone();
    runtime().block_on(async {
        for nanos in [0, 1, 999, 50_000, 1_000_000, 1_048_577, 7_777_777] {
            let span = Duration::from_nanos(nanos);
            let before = std::time::Instant::now();
            sleep(span).await;
            assert!(before.elapsed() >= span, "{span:?}");
            let deadline = Instant::now() + span;
            sleep_until(deadline).await;
            assert!(Instant::now() >= deadline, "{span:?}");
        }
    });
}

#[test]
fn equal_deadlines_fire_in_the_order_of_arming_and_others_by_the_nanosecond() {
    let _alone = alone();
    paused().block_on(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let base = Instant::now() + SECOND;
        // A nanosecond apart, backwards; three tasks each, in their order.
        for offset in (0..50).rev() {
            for nth in 0..3 {
                let order = order.clone();
                camshaft::spawn(async move {
                    sleep_until(base + Duration::from_nanos(offset)).await;
                    order.borrow_mut().push((offset, nth));
                });
            }
        }
        sleep(2 * SECOND).await;
        let expected: Vec<_> = (0..50)
            .flat_map(|offset| (0..3).map(move |nth| (offset, nth)))
            .collect();
        assert_eq!(*order.borrow(), expected);
    });
}

#[test]
fn for_ever_is_a_duration() {
    let _alone = alone();
    for runtime in [runtime(), paused()] {
        runtime.block_on(async {
            let mut for_ever = pin!(sleep(Duration::MAX));
            assert!(poll_once(for_ever.as_mut()).await.is_pending());
            assert!(timeout(Duration::MAX, async {}).await.is_ok());
            sleep(Duration::from_micros(10)).await;
            assert!(poll_once(for_ever.as_mut()).await.is_pending());
            assert!(!for_ever.is_elapsed());
            for_ever.as_mut().reset(Instant::now());
            for_ever.await;
        });
    }
}

#[test]
fn a_timeout_asks_the_future_first() {
    let _alone = alone();
    paused().block_on(async {
        assert_eq!(timeout(Duration::ZERO, async { 1 }).await, Ok(1));
        assert!(timeout(Duration::ZERO, pending::<()>()).await.is_err());
        let at = Instant::now() + SECOND;
        assert!(timeout_at(at, sleep_until(at)).await.is_ok(), "a tie");
        let error: std::io::Error = timeout(SECOND, pending::<()>()).await.unwrap_err().into();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        let mut limited = Box::pin(timeout(SECOND, pending::<()>()));
        assert!(limited.as_mut().await.is_err());
        // What was limited can be had back.
        let inner = timeout(SECOND, async { 5 }).into_inner();
        assert_eq!(inner.await, 5);
    });
}

#[test]
fn a_timeout_ends_a_future_that_uses_its_budget_up() {
    let _alone = alone();
    runtime().block_on(async {
        let past = Instant::now();
        let busy = async {
            loop {
                sleep_until(past).await;
            }
        };
        // The outer limit ends the test if the inner one does not.
        let turns = poll_fn({
            let mut turns = 0;
            let mut limited = Box::pin(timeout(Duration::from_millis(20), busy));
            move |cx| match limited.as_mut().poll(cx) {
                Poll::Ready(Err(_)) => Poll::Ready(Some(turns)),
                Poll::Ready(Ok(())) => unreachable!("it never ends"),
                Poll::Pending if past.elapsed() > 5 * SECOND => Poll::Ready(None),
                Poll::Pending => {
                    turns += 1;
                    Poll::Pending
                }
            }
        });
        assert!(turns.await.is_some(), "the limit was never reached");
    });
}

#[test]
fn a_task_that_makes_timeouts_elapse_all_the_time_lets_others_run() {
    let _alone = alone();
    runtime().block_on(async {
        let others = Rc::new(Cell::new(0));
        let seen = others.clone();
        let other = camshaft::spawn(async move {
            loop {
                seen.set(seen.get() + 1);
                yield_now().await;
            }
        });
        for _ in 0..1000 {
            assert!(timeout(Duration::ZERO, pending::<()>()).await.is_err());
        }
        assert!(others.get() >= 5, "{}", others.get());
        other.abort();
    });
}

#[test]
fn a_sleep_can_be_reset() {
    let _alone = alone();
    paused().block_on(async {
        let start = Instant::now();
        let mut sleeping = pin!(sleep(SECOND));
        assert!(poll_once(sleeping.as_mut()).await.is_pending());
        sleeping.as_mut().reset(start + 5 * SECOND); // later
        assert_eq!(sleeping.deadline(), start + 5 * SECOND);
        sleeping.as_mut().await;
        assert_eq!(start.elapsed(), 5 * SECOND);
        assert!(sleeping.is_elapsed());
        assert!(
            poll_once(sleeping.as_mut()).await.is_ready(),
            "and stays so"
        );
        sleeping.as_mut().reset(start + 6 * SECOND); // fired before
        assert!(!sleeping.is_elapsed());
        sleeping.as_mut().await;
        assert_eq!(start.elapsed(), 6 * SECOND);
        sleeping.as_mut().reset(start + 60 * SECOND);
        assert!(poll_once(sleeping.as_mut()).await.is_pending());
        sleeping.as_mut().reset(start + 7 * SECOND); // earlier
        sleeping.as_mut().await;
        assert_eq!(start.elapsed(), 7 * SECOND);
    });
}

#[test]
fn a_reset_needs_no_poll_by_the_task_that_waits() {
    let _alone = alone();
    paused().block_on(async {
        let start = Instant::now();
        let sleeping = Rc::new(RefCell::new(Box::pin(sleep(3600 * SECOND))));
        let waiting = camshaft::spawn({
            let sleeping = sleeping.clone();
            poll_fn(move |cx| sleeping.borrow_mut().as_mut().poll(cx))
        });
        yield_now().await;
        sleeping.borrow_mut().as_mut().reset(start + SECOND);
        waiting.await.unwrap();
        assert_eq!(start.elapsed(), SECOND);
    });
}

#[test]
fn a_dropped_timer_does_not_fire() {
    let _alone = alone();
    let runtime = paused();
    runtime.block_on(async {
        let before = runtime.metrics().timers_fired;
        for n in 1..1000 {
            let mut sleeping = pin!(sleep(Duration::from_millis(n * n)));
            assert!(poll_once(sleeping.as_mut()).await.is_pending());
        }
        sleep(3600 * SECOND).await;
        assert_eq!(runtime.metrics().timers_fired - before, 1);
    });
}

#[test]
fn an_interval_catches_up_waits_or_skips() {
    let _alone = alone();
    let ticks = |behavior| {
        paused().block_on(async move {
            let start = Instant::now();
            let mut beat = interval(SECOND);
            beat.set_missed_tick_behavior(behavior);
            assert_eq!(beat.missed_tick_behavior(), behavior);
            beat.tick().await; // at once
            advance(Duration::from_millis(4500)).await;
            let mut ticks = Vec::new();
            for _ in 0..6 {
                beat.tick().await;
                ticks.push(start.elapsed().as_millis());
            }
            ticks
        })
    };
    assert_eq!(
        ticks(MissedTickBehavior::Burst),
        [4500, 4500, 4500, 4500, 5000, 6000]
    );
    assert_eq!(
        ticks(MissedTickBehavior::Delay),
        [4500, 5500, 6500, 7500, 8500, 9500]
    );
    assert_eq!(
        ticks(MissedTickBehavior::Skip),
        [4500, 5000, 6000, 7000, 8000, 9000]
    );
}

#[test]
fn an_interval_begins_when_told_and_can_be_reset() {
    let _alone = alone();
    paused().block_on(async {
        let start = Instant::now();
        let mut beat = interval_at(start + 10 * SECOND, SECOND);
        assert_eq!(beat.period(), SECOND);
        assert_eq!(beat.tick().await, start + 10 * SECOND);
        beat.reset();
        assert_eq!(beat.tick().await, start + 11 * SECOND);
        beat.reset_after(5 * SECOND);
        assert_eq!(beat.tick().await, start + 16 * SECOND);
        beat.reset_immediately();
        assert_eq!(beat.tick().await, start + 16 * SECOND);
        // A tick that is not awaited to its end is not lost.
        {
            let mut tick = pin!(beat.tick());
            assert!(poll_once(tick.as_mut()).await.is_pending());
        }
        assert_eq!(beat.tick().await, start + 17 * SECOND);
    });
    assert!(panic_of(|| interval(Duration::ZERO)).contains("zero"));
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a foreign waker");
    }
}

#[test]
fn a_waker_that_panics_does_not_lose_the_wakes_of_others() {
    let _alone = alone();
    for runtime in [runtime(), paused()] {
        let at = runtime.block_on(async { Instant::now() }) + Duration::from_millis(20);
        let sleeping = |at| async move { sleep_until(at).await };
        let mut tasks: Vec<_> = (0..10).map(|_| runtime.spawn(sleeping(at))).collect();
        let mut foreign = None;
        let text = panic_of(|| {
            runtime.block_on(async {
                yield_now().await;
                let waker = Waker::from(Arc::new(Panics));
                let cx = &mut Context::from_waker(&waker);
                let foreign = foreign.insert(Box::pin(sleep_until(at)));
                assert!(Pin::new(foreign).poll(cx).is_pending());
                for _ in 0..10 {
                    tasks.push(camshaft::spawn(sleeping(at)));
                }
                pending::<()>().await;
            });
        });
        assert_eq!(text, "a foreign waker");
        // Nothing is armed any more: what is left to be woken is all that can end the wait.
        runtime.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
            foreign.expect("made").await;
        });
    }
}

#[test]
fn a_timer_that_is_moved_to_another_task_wakes_that_one() {
    let _alone = alone();
    paused().block_on(async {
        let mut sleeping = Box::pin(sleep(SECOND));
        assert!(poll_once(sleeping.as_mut()).await.is_pending());
        let other = camshaft::spawn(sleeping);
        other.await.unwrap();
    });
}

#[test]
fn a_task_that_polls_many_pending_sleeps_does_not_wake_itself() {
    let runtime = paused();
    runtime.block_on(async {
        let mut sleeps: Vec<_> = (1..=1000)
            .map(|ms| Box::pin(sleep(Duration::from_millis(ms))))
            .collect();
        let before = runtime.metrics().polls;
        poll_fn(|cx| {
            sleeps.retain_mut(|sleep| sleep.as_mut().poll(cx).is_pending());
            if sleeps.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        // One poll for each that fires, and the first.
        assert!(runtime.metrics().polls - before <= 1001);
    });
}
