//! TCP sockets.

mod accept;
mod connect;
mod listener;
mod split;
mod stream;

use std::fmt;
use std::io;

pub use self::listener::TcpListener;
pub use self::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use self::stream::TcpStream;

/// A socket that could not be turned into one of std, and why. It is handed back unharmed.
pub struct IntoStdError<T> {
    /// The socket.
    pub socket: T,
    /// Why it was not possible.
    pub error: io::Error,
}

impl<T> fmt::Debug for IntoStdError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntoStdError").field(&self.error).finish()
    }
}

impl<T> fmt::Display for IntoStdError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> std::error::Error for IntoStdError<T> {}

impl<T> From<IntoStdError<T>> for io::Error {
    fn from(error: IntoStdError<T>) -> Self {
        error.error
    }
}
