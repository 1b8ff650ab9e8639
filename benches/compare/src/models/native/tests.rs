use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use super::*;

/// Runs with a log that fibers write to.
fn logged(main: impl FnOnce(Rc<RefCell<Vec<u32>>>) + 'static) -> Vec<u32> {
    let log = Rc::new(RefCell::new(Vec::new()));
    let mine = log.clone();
    run(Rc::new(Nothing), move || main(mine)).unwrap();
    log.take()
}

#[test]
fn fibers_take_turns() {
    let log = logged(|log| {
        let fibers: Vec<Fiber> = (0..3)
            .map(|n| {
                let log = log.clone();
                spawn(move || {
                    log.borrow_mut().push(n);
                    yield_now();
                    log.borrow_mut().push(n + 10);
                })
            })
            .collect();
        for fiber in fibers {
            fiber.join().unwrap();
        }
    });
    assert_eq!(log, [0, 1, 2, 10, 11, 12]);
}

#[test]
fn who_sleeps_shorter_wakes_earlier() {
    let log = logged(|log| {
        let sleepers = [30, 10, 20].map(|time| {
            let log = log.clone();
            spawn(move || {
                sleep(Duration::from_millis(time.into()));
                log.borrow_mut().push(time);
            })
        });
        for sleeper in sleepers {
            sleeper.join().unwrap();
        }
    });
    assert_eq!(log, [10, 20, 30]);
}

#[test]
fn an_unpark_before_the_park_is_kept() {
    let log = logged(|log| {
        let mine = log.clone();
        let fiber = spawn(move || {
            park();
            mine.borrow_mut().push(1);
            let deadline = Instant::now() + Duration::from_millis(1);
            let in_time = park_until(deadline);
            mine.borrow_mut().push(u32::from(in_time));
            assert!(park_until(Instant::now() + Duration::from_secs(3600)));
            mine.borrow_mut().push(2);
        });
        fiber.unpark();
        while log.borrow().len() < 2 {
            sleep(Duration::from_millis(1));
        }
        yield_now();
        fiber.unpark();
        fiber.join().unwrap();
    });
    assert_eq!(log, [1, 0, 2]);
}

#[test]
fn a_cancelled_fiber_drops_what_it_has() {
    struct Says(Rc<RefCell<Vec<u32>>>);
    impl Drop for Says {
        fn drop(&mut self) {
            self.0.borrow_mut().push(7);
        }
    }
    let log = logged(|log| {
        for wait in [park, || sleep(Duration::from_secs(3600))] {
            let says = Says(log.clone());
            let fiber = spawn(move || {
                let _says = says;
                wait();
            });
            yield_now();
            fiber.cancel();
            assert!(fiber.join().unwrap_err().is::<Cancelled>());
        }
        let early = spawn(|| unreachable!("it was cancelled before it began"));
        early.cancel();
        early.join().unwrap();
    });
    assert_eq!(log, [7, 7]);
}

#[test]
fn a_panic_is_for_who_joins() {
    let log = logged(|_| {
        let fiber = spawn(|| resume_unwind(Box::new("ouch")));
        let panic = fiber.join().unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"ouch"));
    });
    assert!(log.is_empty());
}

#[test]
fn stacks_are_used_again() {
    logged(|_| {
        let mut seen = Vec::new();
        for _ in 0..3 {
            let fiber = spawn(|| {});
            seen.push(fiber.block);
            fiber.join().unwrap();
        }
        assert!(seen.iter().all(|block| *block == seen[0]));
    });
}

#[test]
fn descriptors_are_waited_for_in_three_ways() {
    for policy in [Policy::AddRemove, Policy::OneShot, Policy::Edge] {
        let epoll = Epoll::new().unwrap();
        let echoed = run(epoll.clone(), move || {
            let (left, right) = UnixStream::pair().unwrap();
            for stream in [&left, &right] {
                stream.set_nonblocking(true).unwrap();
            }
            let left = Watched::new(&epoll, policy, left);
            let right = Watched::new(&epoll, policy, right);
            let soon = Instant::now() + Duration::from_millis(2);
            assert!(!left.wait(Interest::Read, Some(soon)).unwrap());
            let echo = spawn(move || {
                let mut buf = [0; 4];
                loop {
                    let got = right.retry(Interest::Read, |mut stream| stream.read(&mut buf));
                    let got = got.unwrap();
                    if got == 0 {
                        return;
                    }
                    let sent = right.retry(Interest::Write, |mut it| it.write(&buf[..got]));
                    assert_eq!(sent.unwrap(), got);
                }
            });
            let mut buf = [0; 4];
            for n in 0..100_u32 {
                let mut stream = left.source();
                stream.write_all(&n.to_le_bytes()).unwrap();
                let got = left.retry(Interest::Read, |mut stream| stream.read(&mut buf));
                assert_eq!((got.unwrap(), buf), (4, n.to_le_bytes()), "{policy:?}");
            }
            drop(left);
            echo.join().unwrap();
            u32::from_le_bytes(buf)
        });
        assert_eq!(echoed.unwrap(), 99);
    }
}

#[test]
fn sleeps_above_an_epoll_are_not_rounded_to_milliseconds() {
    let epoll = Epoll::new().unwrap();
    let late = run(epoll, || {
        let sleeps = (0..1000).map(|_| {
            let start = Instant::now();
            sleep(Duration::from_micros(100));
            start.elapsed()
        });
        // On a busy machine many are late, but not all of them.
        sleeps
            .take_while(|took| *took > Duration::from_millis(1))
            .count()
    });
    assert!(late.unwrap() < 1000);
}
