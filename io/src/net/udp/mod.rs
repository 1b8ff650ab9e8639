//! UDP sockets.

mod segments;
mod socket;

pub use self::segments::Segments;
pub use self::socket::UdpSocket;
