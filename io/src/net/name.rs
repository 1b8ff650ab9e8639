//! The addresses of sockets: between the system's form and that of std.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::Path;

use socket2::{SockAddr, SockRef};

/// The longest path that a Unix socket can be bound to, in bytes: `sun_path` less the zero at its end.
const PATH_MAX: usize = 107;

/// An address of std.
pub(crate) trait Name: Sized + 'static {
    /// Whether it says anything.
    const IS_KNOWN: bool = true;

    fn from_system(address: Option<SockAddr>) -> io::Result<Self>;
}

impl Name for SocketAddr {
    fn from_system(address: Option<SockAddr>) -> io::Result<Self> {
        address.and_then(|it| it.as_socket()).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "the socket's address is neither IPv4 nor IPv6",
            )
        })
    }
}

impl Name for UnixAddr {
    /// An address that is missing is that of a socket without a name.
    fn from_system(address: Option<SockAddr>) -> io::Result<Self> {
        let Some(address) = address else {
            return Self::from_pathname("");
        };
        if let Some(name) = address.as_abstract_namespace() {
            return Self::from_abstract_name(name);
        }
        Self::from_pathname(address.as_pathname().unwrap_or(Path::new("")))
    }
}

/// What nobody asks for.
impl Name for () {
    const IS_KNOWN: bool = false;

    fn from_system(_: Option<SockAddr>) -> io::Result<Self> {
        Ok(())
    }
}

/// The address of this side.
pub(super) fn local_addr<A: Name>(socket: &impl AsFd) -> io::Result<A> {
    A::from_system(Some(SockRef::from(socket).local_addr()?))
}

/// The address of the other side.
pub(super) fn peer_addr<A: Name>(socket: &impl AsFd) -> io::Result<A> {
    A::from_system(Some(SockRef::from(socket).peer_addr()?))
}

/// The address of a path.
pub(super) fn path_addr(path: &Path) -> io::Result<UnixAddr> {
    let len = path.as_os_str().len();
    if len > PATH_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "the path of a Unix socket has at most {PATH_MAX} bytes, this one has {len}; use a shorter directory, \
                 a relative path or an abstract name"
            ),
        ));
    }
    UnixAddr::from_pathname(path)
}

/// A Unix address in the system's form.
pub(super) fn unix_to_system(address: &UnixAddr) -> io::Result<SockAddr> {
    if let Some(name) = address.as_abstract_name() {
        // A name that begins with a zero byte is what the system calls abstract.
        let bytes = [&[0], name].concat();
        return SockAddr::unix(std::ffi::OsStr::from_bytes(&bytes));
    }
    SockAddr::unix(address.as_pathname().unwrap_or(Path::new("")))
}

/// Says what to do about a Unix address that is taken.
pub(super) fn bound<T>(result: io::Result<T>, address: &UnixAddr) -> io::Result<T> {
    result.map_err(|error| match address.as_pathname() {
        Some(path) if error.kind() == io::ErrorKind::AddrInUse => io::Error::new(
            io::ErrorKind::AddrInUse,
            format!(
                "{} exists already; if no program listens there any more, remove the file and bind again",
                path.display()
            ),
        ),
        _ => error,
    })
}
