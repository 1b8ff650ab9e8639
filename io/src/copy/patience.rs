//! Waiting between calls that do not wait.

use std::future::poll_fn;
use std::io;

use super::ends::Hold;
use crate::readiness;

/// How often in a row an end may be ready without anything being moved.
const IN_VAIN: u32 = 16;

/// Counts the waits since something was moved.
#[derive(Default)]
pub(super) struct Patience {
    waits: u32,
}

impl Patience {
    /// Whether it is the turn of the first of two ends that may be waited for.
    pub(super) fn is_fresh(&self) -> bool {
        self.waits.is_multiple_of(2)
    }

    /// Waits for the end whose lane is held, if `really`, and takes the lane along: if the wait is dropped, the lane is free
    /// when it is no longer in flight.
    pub(super) async fn wait(&mut self, hold: Hold, events: i16, really: bool) -> io::Result<Hold> {
        if !really {
            return Ok(hold);
        }
        if self.waits == IN_VAIN {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        }
        self.waits += 1;
        let (ready, hold) = readiness::wait(hold, events).await;
        ready.map(|_| hold)
    }
}

/// Waits for a lane.
pub(super) async fn held(mut hold: Hold) -> Hold {
    poll_fn(|cx| hold.poll(cx)).await;
    hold
}

/// Whether a call would have had to wait, or is to be repeated; otherwise its error.
pub(super) fn would_wait(error: &io::Error) -> io::Result<bool> {
    match error.kind() {
        io::ErrorKind::WouldBlock => Ok(true),
        io::ErrorKind::Interrupted => Ok(false),
        kind => Err(error
            .raw_os_error()
            .map_or_else(|| kind.into(), io::Error::from_raw_os_error)),
    }
}
