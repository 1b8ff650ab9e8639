//! A bell that another thread rings: the latency from a wake to the poll that it causes.
//!
//! The ringer runs on the other core. It rings 100 µs after the waiter armed the bell, so a system that does not spin
//! has parked by then; the pause is a busy one, because a sleep would add the ringer's own wake-up to its clock.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::thread::{self, JoinHandle};

use camshaft_probe::sys;

/// Time between arming and ringing.
const PAUSE_NS: u64 = 100_000;
/// A ringer whose bell is not armed for this long gives up.
const PATIENCE_NS: u64 = 2_000_000_000;

/// One waiter, one ringer.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    waker: Mutex<Option<Waker>>,
    armed: AtomicBool,
    rung_at_ns: AtomicU64,
}

impl Bell {
    /// Waits for the next ring and returns its latency in nanoseconds.
    pub(crate) async fn rung(&self) -> u64 {
        poll_fn(|context| {
            if let Some(latency) = self.latency() {
                return Poll::Ready(latency);
            }
            let waker = context.waker().clone();
            *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
            self.arm();
            Poll::Pending
        })
        .await
    }

    /// Lets the ringer ring.
    pub(crate) fn arm(&self) {
        self.armed.store(true, Ordering::Release);
    }

    /// Nanoseconds since the ring, once there was one.
    pub(crate) fn latency(&self) -> Option<u64> {
        match self.rung_at_ns.swap(0, Ordering::Acquire) {
            0 => None,
            rung_at => Some(sys::now_ns().saturating_sub(rung_at)),
        }
    }

    fn take_waker(&self) -> Option<Waker> {
        self.waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Waits until the bell was armed and the pause is over; `false` if that takes too long.
    fn wait_for_turn(&self) -> bool {
        let start = sys::now_ns();
        while !self.armed.swap(false, Ordering::Acquire) {
            if sys::now_ns() - start > PATIENCE_NS {
                return false;
            }
            std::hint::spin_loop();
        }
        let armed_at = sys::now_ns();
        while sys::now_ns() - armed_at < PAUSE_NS {
            std::hint::spin_loop();
        }
        true
    }
}

/// Starts a thread that rings `bell` through its waker.
pub(crate) fn ringer(bell: Arc<Bell>, count: u64) -> JoinHandle<()> {
    ringer_by(bell, count, |bell| {
        if let Some(waker) = bell.take_waker() {
            waker.wake();
        }
    })
}

/// Starts a thread that rings `bell` by calling `wake`.
pub(crate) fn ringer_by(
    bell: Arc<Bell>,
    count: u64,
    wake: impl Fn(&Bell) + Send + 'static,
) -> JoinHandle<()> {
    thread::spawn(move || {
        sys::pin(sys::LOAD_CORE);
        for _ in 0..count {
            if !bell.wait_for_turn() {
                return;
            }
            bell.rung_at_ns.store(sys::now_ns(), Ordering::Release);
            wake(&bell);
        }
    })
}
