//! Hyper's timers: on a paused clock, reset, and moved from thread to thread.

#![cfg(feature = "hyper")]

mod common;
use common::*;

use std::convert::Infallible;
use std::io::{Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use camshaft::compat::{HyperIo, HyperTimer};
use camshaft::time::{Duration, Instant, advance};
use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::rt::{Sleep, Timer};
use hyper::server::conn::http1;
use hyper::service::service_fn;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll(sleep: &mut Pin<Box<dyn Sleep>>, count: &Arc<Count>) -> Poll<()> {
    let waker = Waker::from(count.clone());
    sleep.as_mut().poll(&mut Context::from_waker(&waker))
}

#[test]
fn a_sleep_ends_at_its_time() {
    let _alone = alone();
    paused().block_on(async {
        let begin = Instant::now();
        HyperTimer.sleep(5 * SECOND).await;
        assert_eq!(begin.elapsed(), 5 * SECOND);
        assert_eq!(HyperTimer.now(), Instant::now().into_std());
        HyperTimer.sleep_until(HyperTimer.now() + SECOND).await;
        assert_eq!(begin.elapsed(), 6 * SECOND);
        HyperTimer.sleep_until(HyperTimer.now() - SECOND).await;
        assert_eq!(begin.elapsed(), 6 * SECOND, "it has passed already");
    });
}

#[test]
fn a_reset_moves_the_end_and_keeps_the_box() {
    let _alone = alone();
    paused().block_on(async {
        let (begin, count) = (Instant::now(), Arc::default());
        let mut sleep = HyperTimer.sleep(SECOND);
        let address = &raw const *sleep;
        for seconds in [3, 2, 5] {
            assert!(poll(&mut sleep, &count).is_pending());
            HyperTimer.reset(&mut sleep, (begin + seconds * SECOND).into_std());
        }
        assert!(std::ptr::addr_eq(address, &raw const *sleep));
        sleep.as_mut().await;
        assert_eq!(begin.elapsed(), 5 * SECOND);
        HyperTimer.reset(&mut sleep, HyperTimer.now() + SECOND);
        sleep.await;
        assert_eq!(begin.elapsed(), 6 * SECOND, "after its end, too");
        assert_eq!(count.get(), 0, "no waker of before the reset was called");
    });
}

#[test]
fn a_client_that_sends_no_header_is_sent_away() {
    let _alone = alone();
    paused().block_on(async {
        let (mut client, server) = half_std();
        client.write_all(b"GET / HTTP/1.1\r\nhost: local").unwrap();
        let hello = async |_| Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")));
        let begin = Instant::now();
        let connection = http1::Builder::new()
            .timer(HyperTimer)
            .header_read_timeout(7 * SECOND)
            .serve_connection(HyperIo::new(server), service_fn(hello));
        assert!(connection.await.unwrap_err().is_timeout());
        assert_eq!(begin.elapsed(), 7 * SECOND);
        assert_eq!(
            client.read(&mut [0; 9]).unwrap(),
            0,
            "the connection is closed"
        );
    });
}

#[test]
fn a_sleep_that_moves_to_another_runtime_waits_there() {
    let _alone = alone();
    let home = paused();
    let count = Arc::new(Count::default());
    let mut sleep = HyperTimer.sleep(Duration::from_secs(3600));
    home.block_on(async {
        assert!(poll(&mut sleep, &count).is_pending());
    });
    let other = count.clone();
    let sleep = thread::spawn(move || {
        paused().block_on(async {
            let deadline = Instant::now() + SECOND;
            HyperTimer.reset(&mut sleep, deadline.into_std());
            assert!(poll(&mut sleep, &other).is_pending());
            assert!(
                poll(&mut sleep, &other).is_pending(),
                "once more asks the same"
            );
            advance(SECOND).await;
            assert_eq!(other.get(), 1, "woken by the wheel of this thread");
            assert!(poll(&mut sleep, &other).is_ready());
        });
        sleep
    });
    drop(sleep.join().unwrap());
    home.block_on(async {
        turn().await;
        advance(Duration::from_secs(7200)).await;
        assert_eq!(count.get(), 1, "and not by that of the former");
    });
}

#[test]
fn a_sleep_that_is_dropped_elsewhere_is_disarmed_at_home() {
    let _alone = alone();
    let home = paused();
    let count = Arc::new(Count::default());
    let before = home.metrics().timers_fired;
    home.block_on(async {
        let mut sleep = HyperTimer.sleep(SECOND);
        assert!(poll(&mut sleep, &count).is_pending());
        thread::spawn(move || drop(sleep)).join().unwrap();
        turn().await;
        advance(2 * SECOND).await;
    });
    assert_eq!(count.get(), 0);
    assert_eq!(home.metrics().timers_fired, before);
}

#[test]
fn a_sleep_may_outlive_its_runtime_anywhere() {
    let _alone = alone();
    let count = Arc::new(Count::default());
    let [mut here, mut there] = [(); 2].map(|()| HyperTimer.sleep(SECOND));
    paused().block_on(async {
        assert!(poll(&mut here, &count).is_pending());
        assert!(poll(&mut there, &count).is_pending());
    });
    drop(here);
    thread::spawn(move || drop(there)).join().unwrap();
    assert_eq!(count.get(), 0);
    // The same thread has a new runtime, whose wheel must not be taken for the old one.
    let mut late = HyperTimer.sleep(SECOND);
    paused().block_on(async { assert!(poll(&mut late, &count).is_pending()) });
    paused().block_on(async {
        assert!(poll(&mut late, &count).is_pending());
        late.await;
    });
}

#[test]
fn a_sleep_that_is_polled_nowhere_says_what_to_do() {
    let _alone = alone();
    let mut sleep = HyperTimer.sleep(SECOND);
    let message = panic_of(move || poll(&mut sleep, &Arc::default()).is_ready());
    assert!(message.contains("camshaft::block_on"), "{message}");
}
