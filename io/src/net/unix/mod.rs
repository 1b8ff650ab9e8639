//! Unix sockets: streams, listeners, and what belongs to them.

mod credentials;
mod datagram;
mod listener;
mod seqpacket;
mod stream;

pub use std::os::unix::net::SocketAddr;

pub use self::credentials::UCred;
pub use self::datagram::UnixDatagram;
pub use self::listener::UnixListener;
pub use self::seqpacket::{UnixSeqpacket, UnixSeqpacketListener};
pub use self::stream::UnixStream;
