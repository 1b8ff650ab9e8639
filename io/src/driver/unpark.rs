//! Ends the park of the driver from any thread.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::ladder::explain;
use crate::descriptor;

/// An eventfd that the ring watches. A write to it ends the wait of the ring's thread.
#[derive(Debug)]
pub struct Unparker {
    event: OwnedFd,
}

impl Unparker {
    pub(crate) fn new() -> io::Result<Self> {
        let event = descriptor::eventfd().map_err(|error| {
            let why = format!("the eventfd of the ring can't be made: {}", explain(&error));
            io::Error::new(error.kind(), why)
        })?;
        Ok(Self { event })
    }

    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Ends the current park, or the next one. One system call; to be called only when the thread is parked.
    pub fn unpark(&self) {
        descriptor::count_up(&self.event);
    }

    /// Sets the counter back to zero.
    pub(crate) fn clear(&self) {
        descriptor::reset(&self.event);
    }
}
