//! Streams that are polled: what adapters to the traits of other runtimes are made of.
//!
//! Those traits lend a buffer for the time of one poll, and the kernel needs memory for longer. So what is here owns its
//! memory and stays in flight between the polls:
//!
//! ```text
//!   PolledRead    one receive into a lent buffer at a time; its bytes are handed out as a BufGuard
//!   PolledWrite   one write of an owned vector at a time; begun by one poll, awaited by another, or by nobody
//! ```
//!
//! A stream says by [`PollRead`] and [`PollWrite`] how it is polled. Nothing is allocated for each transfer.
//!
//! Invariant **UNDER-WAY**: a write that was begun has been handed to the driver. Whether the driver finishes it by itself is
//! told by [`PolledWrite::needs_polls`].

mod other;
mod read;
mod write;

use std::rc::Rc;

pub use self::read::PolledRead;
pub use self::write::PolledWrite;

/// A stream that can be read by polls.
pub trait PollRead {
    /// What reads it. It may outlive the stream, and keeps the descriptor open.
    fn polled_read(&self) -> PolledRead;
}

/// A stream that can be written by polls.
pub trait PollWrite {
    /// What writes to it. It may outlive the stream, and keeps the descriptor open.
    fn polled_write(&self) -> PolledWrite;
}

impl<T: PollRead + ?Sized> PollRead for &T {
    fn polled_read(&self) -> PolledRead {
        (**self).polled_read()
    }
}

impl<T: PollWrite + ?Sized> PollWrite for &T {
    fn polled_write(&self) -> PolledWrite {
        (**self).polled_write()
    }
}

impl<T: PollRead + ?Sized> PollRead for Rc<T> {
    fn polled_read(&self) -> PolledRead {
        (**self).polled_read()
    }
}

impl<T: PollWrite + ?Sized> PollWrite for Rc<T> {
    fn polled_write(&self) -> PolledWrite {
        (**self).polled_write()
    }
}
