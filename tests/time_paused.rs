//! A paused clock: it stands still while something can go on, jumps when all wait, and is advanced by hand.

mod common;

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;

use camshaft::task::{spawn_blocking, yield_now};
use camshaft::time::{Duration, Instant, advance, sleep, timeout};
use common::{alone, pair, panic_of, paused, poll_and_drop, poll_once, read_exactly};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn advance_fires_each_timer_at_its_own_time() {
    let _alone = alone();
    paused().block_on(async {
        let start = Instant::now();
        let seen = Rc::new(RefCell::new(Vec::new()));
        for n in [3, 1, 2] {
            let seen = seen.clone();
            camshaft::spawn(async move {
                for _ in 0..3 {
                    sleep(n * SECOND).await;
                    seen.borrow_mut().push((start.elapsed().as_secs(), n));
                }
            });
        }
        yield_now().await;
        advance(6 * SECOND).await;
        assert_eq!(start.elapsed(), 6 * SECOND);
        yield_now().await;
        let seen = seen.borrow();
        let times: Vec<_> = seen.iter().map(|(at, _)| *at).collect();
        assert!(times.is_sorted(), "{seen:?}");
        for (at, n) in [
            (1, 1),
            (2, 1),
            (2, 2),
            (3, 1),
            (3, 3),
            (4, 2),
            (6, 2),
            (6, 3),
        ] {
            assert!(seen.contains(&(at, n)), "{at}, {n}: {seen:?}");
        }
        assert_eq!(seen.len(), 8);
    });
}

#[test]
fn advance_lets_all_that_follows_from_a_timer_run_at_its_time() {
    let _alone = alone();
    paused().block_on(async {
        let start = Instant::now();
        let seen = Rc::new(RefCell::new(Vec::new()));
        let see = {
            let seen = seen.clone();
            move || seen.borrow_mut().push(start.elapsed())
        };
        camshaft::spawn(async move {
            sleep(SECOND).await;
            for _ in 0..100 {
                yield_now().await;
            }
            camshaft::spawn(async move {
                camshaft::spawn(async move {
                    see();
                    sleep(SECOND).await;
                    see();
                });
            });
        });
        yield_now().await;
        advance(10 * SECOND).await;
        assert_eq!(start.elapsed(), 10 * SECOND);
        assert_eq!(*seen.borrow(), [SECOND, 2 * SECOND]);
    });
}

#[test]
fn advance_passes_a_task_that_never_waits() {
    let _alone = alone();
    paused().block_on(async {
        let busy = camshaft::spawn(async {
            loop {
                yield_now().await;
            }
        });
        let start = Instant::now();
        let sleeping = camshaft::spawn(sleep(SECOND));
        yield_now().await;
        advance(2 * SECOND).await;
        assert_eq!(start.elapsed(), 2 * SECOND);
        assert!(sleeping.is_finished());
        busy.abort();
    });
}

#[test]
fn advance_for_ever_ends_short_of_it() {
    let _alone = alone();
    paused().block_on(async {
        let sleeping = camshaft::spawn(sleep(1000 * SECOND));
        let mut for_ever = pin!(sleep(Duration::MAX));
        assert!(poll_once(for_ever.as_mut()).await.is_pending());
        yield_now().await;
        advance(Duration::MAX).await;
        assert!(sleeping.is_finished());
        assert!(poll_once(for_ever.as_mut()).await.is_pending());
        assert!(poll_once(pin!(sleep(Duration::MAX))).await.is_pending());
        advance(Duration::MAX).await;
    });
}

#[test]
fn a_paused_clock_stands_still_and_jumps_when_all_wait() {
    let _alone = alone();
    paused().block_on(async {
        let start = Instant::now();
        for _ in 0..100 {
            yield_now().await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        sleep(100_000 * SECOND).await;
        assert_eq!(start.elapsed(), 100_000 * SECOND);
    });
}

#[test]
fn a_paused_clock_does_not_jump_over_blocking_work() {
    let _alone = alone();
    paused().block_on(async {
        let start = Instant::now();
        let (tell, told) = std::sync::mpsc::channel();
        let blocking = spawn_blocking(move || told.recv().is_ok());
        let other = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            tell.send(()).expect("it waits");
        });
        let limited = timeout(SECOND, blocking).await;
        assert!(limited.expect("no time passes meanwhile").unwrap());
        assert_eq!(start.elapsed(), Duration::ZERO);
        other.join().unwrap();
        sleep(SECOND).await;
        assert_eq!(start.elapsed(), SECOND, "and goes on afterwards");
    });
}

#[test]
fn a_closure_that_nobody_waits_for_holds_a_paused_clock_up_only_while_it_runs() {
    let _alone = alone();
    paused().block_on(async {
        let begin = std::time::Instant::now();
        drop(spawn_blocking(|| {
            std::thread::sleep(Duration::from_millis(50));
        }));
        sleep(SECOND).await;
        assert!(begin.elapsed() >= Duration::from_millis(50));
    });
}

#[test]
fn a_paused_clock_does_not_jump_over_a_name_look_up() {
    let _alone = alone();
    paused().block_on(async {
        let start = Instant::now();
        let found = timeout(SECOND, camshaft::net::lookup_host("localhost:80")).await;
        let found = found
            .expect("no time passes meanwhile")
            .map(Iterator::count);
        assert!(found.is_ok_and(|count| count > 0));
        assert_eq!(start.elapsed(), Duration::ZERO);
        // Nor is it held up by one that was given up.
        drop(poll_and_drop(camshaft::net::lookup_host("localhost:81")).await);
        sleep(SECOND).await;
        assert_eq!(start.elapsed(), SECOND);
    });
}

#[test]
fn a_paused_clock_does_not_jump_over_io_that_is_there() {
    let _alone = alone();
    paused().block_on(async {
        let (client, server) = pair().await;
        let start = Instant::now();
        for _ in 0..100 {
            client.write_all(b"ping").await.0.unwrap();
            let word = timeout(SECOND, read_exactly(&server, 4)).await;
            assert_eq!(word.expect("it is there"), b"ping");
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        // Nothing comes: the clock jumps.
        assert!(timeout(SECOND, server.recv()).await.is_err());
        assert_eq!(start.elapsed(), SECOND);
    });
}

#[test]
fn advancing_needs_a_paused_clock() {
    let _alone = alone();
    let text = panic_of(|| camshaft::block_on(advance(SECOND)));
    assert!(
        text.contains("camshaft") && text.contains("paused_clock(true)"),
        "{text}"
    );
}
