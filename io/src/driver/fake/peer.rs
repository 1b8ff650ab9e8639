//! The other ends of the sockets.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::RawFd;
use std::rc::Rc;

/// What the other ends of the sockets send and have received.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// How many bytes were received from it.
    pub(crate) given: u64,
    /// After how many bytes its connection was reset, each time.
    pub(crate) resets: Vec<u64>,
    /// What was sent to it.
    pub(crate) got: Vec<u8>,
    /// It sends nothing, as long as this is so: only a cancellation ends a receive.
    pub(crate) silent: bool,
    /// It sends no more.
    pub(crate) ended: bool,
}

/// The peers of all sockets; they outlive a driver.
pub(crate) type Peers = Rc<RefCell<HashMap<RawFd, Peer>>>;

/// The byte that a peer sends at a position.
pub(crate) fn sent_at(fd: RawFd, position: u64) -> u8 {
    let mixed = position.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(fd.cast_unsigned());
    mixed.to_le_bytes()[4] ^ position.to_le_bytes()[0]
}
