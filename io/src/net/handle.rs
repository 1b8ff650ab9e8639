//! What every handle of a socket has, written once.

use std::fmt;
use std::io;

/// What could not be turned into its like of std, and why. It is handed back unharmed.
pub struct IntoStdError<T> {
    /// The socket, pipe or file.
    pub inner: T,
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

/// Gives a type with a `socket` its descriptor and its drop, which settles what was cancelled by the named method.
macro_rules! handle {
    ($type:ident: $settle:ident) => {
        impl Drop for $type {
            /// Closes the socket. Operations that were cancelled are settled first, by entering the kernel without waiting,
            /// so that it is closed, and its address free, now and not some time later.
            fn drop(&mut self) {
                self.socket.$settle();
            }
        }

        impl std::os::fd::AsFd for $type {
            /// Calls on it wait, as on a socket of std; only a listener that was asked for a connection on epoll does not wait
            /// any more, for there is no other way to ask.
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.socket.fd().as_fd()
            }
        }

        impl std::os::fd::AsRawFd for $type {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                self.socket.raw()
            }
        }
    };
}

/// Gives a handle `from_std` and `into_std`.
macro_rules! std_conversions {
    ($type:ident, $std:ty) => {
        $crate::net::handle::std_conversions!($type, $std, from_std, into_std);
    };
    ($type:ident, $std:ty, $from:ident, $into:ident) => {
        impl $type {
            /// Takes over a socket. Its mode does not matter; it is made blocking, which the ring can wait for.
            ///
            /// # Errors
            ///
            /// What `fcntl` reports.
            pub fn $from(socket: $std) -> std::io::Result<Self> {
                socket2::SockRef::from(&socket).set_nonblocking(false)?;
                Ok(Self::new(socket.into()))
            }

            /// Gives the socket away, which is blocking then.
            ///
            /// # Errors
            ///
            /// If something is stashed that a dropped receive or accept brought: take it first. If an adapter, or an operation
            /// that was dropped, is not done with it. The socket comes back with the error.
            pub fn $into(self) -> Result<$std, $crate::net::IntoStdError<Self>> {
                match self.socket.duplicate() {
                    Ok(fd) => Ok(fd.into()),
                    Err(error) => Err($crate::net::IntoStdError { inner: self, error }),
                }
            }
        }
    };
}

/// Gives a handle its address, and that of its peer.
macro_rules! addresses {
    ($type:ident, $address:ty $(, $peer:ident)?) => {
        impl $type {
            /// The address of this side.
            ///
            /// # Errors
            ///
            /// What `getsockname` reports.
            pub fn local_addr(&self) -> std::io::Result<$address> {
                $crate::net::name::local_addr(self)
            }

            $(
                /// The address of the other side.
                ///
                /// # Errors
                ///
                /// What `getpeername` reports: `NotConnected` without a connection, or after a reset.
                pub fn $peer(&self) -> std::io::Result<$address> {
                    $crate::net::name::peer_addr(self)
                }
            )?
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type))
                    .field("fd", &std::os::fd::AsRawFd::as_raw_fd(self))
                    .field("local_addr", &self.local_addr().ok())
                    $(.field(stringify!($peer), &self.$peer().ok()))?
                    .finish()
            }
        }
    };
}

pub(super) use {addresses, handle, std_conversions};
