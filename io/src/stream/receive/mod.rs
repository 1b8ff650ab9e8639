//! Receives: into memory, into several buffers, until the end, and into a buffer that the kernel picks.
//!
//! Each takes the reading lane of its socket and looks into the stash first. If its future is dropped, it keeps the lane until
//! the kernel has answered, and what it received goes to the stash.

mod lent;
mod many;
mod memory;
mod to_end;
mod vectored;

pub(crate) use self::lent::ReceiveLent;
pub use self::many::RecvStream;
pub(crate) use self::memory::{Goal, Receive};
pub(crate) use self::to_end::ReceiveToEnd;
pub(crate) use self::vectored::ReceiveVectored;
