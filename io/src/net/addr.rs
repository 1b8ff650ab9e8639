//! Addresses, and names that stand for them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::option;
use std::vec;

use crate::offload::offload;

/// What can be resolved to socket addresses, as in std: addresses, `(host, port)`, and `"host:port"`.
///
/// Addresses in any notation cost nothing. Names are looked up by the system's resolver on another thread, so that the
/// runtime's thread never waits for a name server.
///
/// The trait can't be implemented outside this crate.
pub trait ToSocketAddrs: Resolve {}

impl<T: Resolve + ?Sized> ToSocketAddrs for T {}

mod sealed {
    use super::{Addresses, SocketAddr};

    #[expect(unnameable_types, reason = "seals a trait")]
    pub trait Resolve {
        fn addresses(&self) -> Addresses;
    }

    impl<T: Resolve + ?Sized> Resolve for &T {
        fn addresses(&self) -> Addresses {
            (**self).addresses()
        }
    }

    impl Resolve for [SocketAddr] {
        fn addresses(&self) -> Addresses {
            Addresses::Known(self.to_vec())
        }
    }
}

use sealed::Resolve;

/// Addresses, or the name that is to be looked up.
#[derive(Debug)]
#[expect(unnameable_types, reason = "the trait that speaks of it is sealed")]
pub enum Addresses {
    /// No look-up is needed: an address.
    One(SocketAddr),
    /// No look-up is needed: a list of addresses.
    Known(Vec<SocketAddr>),
    /// A name and a port.
    Name(String, u16),
    /// Text that is no address: a name, a colon and a port, if it is well-formed.
    Text(String),
}

macro_rules! resolve_as_address {
    ($($type:ty),+) => {$(
        impl Resolve for $type {
            fn addresses(&self) -> Addresses {
                Addresses::One(SocketAddr::from(*self))
            }
        }
    )+};
}

resolve_as_address!(
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16)
);

impl Resolve for (&str, u16) {
    fn addresses(&self) -> Addresses {
        let (host, port) = *self;
        host.parse::<IpAddr>().map_or_else(
            |_| Addresses::Name(host.to_owned(), port),
            |ip| Addresses::One(SocketAddr::new(ip, port)),
        )
    }
}

impl Resolve for (String, u16) {
    fn addresses(&self) -> Addresses {
        (&*self.0, self.1).addresses()
    }
}

impl Resolve for str {
    fn addresses(&self) -> Addresses {
        self.parse()
            .map_or_else(|_| Addresses::Text(self.to_owned()), Addresses::One)
    }
}

impl Resolve for String {
    fn addresses(&self) -> Addresses {
        (**self).addresses()
    }
}

/// Resolves a host to its addresses.
///
/// The system's resolver does it, on one of the runtime's blocking threads, and honours `/etc/hosts`, `nsswitch.conf` and what
/// else is configured. There is no resolver of camshaft's own: those that are well kept are larger than this crate.
///
/// The system may take long: half a minute when no name server answers. `camshaft::time::timeout` around it bounds the wait of
/// the task; the blocking thread is held until the system gives up, and other tasks are not.
///
/// # Errors
///
/// `InvalidInput` for text without a port, and what the system's resolver reports.
///
/// # Panics
///
/// If polled outside of a camshaft runtime and the host is a name.
///
/// # Cancellation
///
/// The look-up on the other thread goes on to its end; its result is dropped.
pub async fn lookup_host<T: ToSocketAddrs>(
    host: T,
) -> io::Result<impl Iterator<Item = SocketAddr>> {
    resolve(host.addresses()).await
}

/// The addresses that were found, at least one. A single one costs no memory.
pub(crate) enum Found {
    One(option::IntoIter<SocketAddr>),
    Several(vec::IntoIter<SocketAddr>),
}

impl Iterator for Found {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        match self {
            Self::One(one) => one.next(),
            Self::Several(several) => several.next(),
        }
    }
}

/// The addresses behind `addresses`, at least one.
pub(crate) async fn resolve(addresses: Addresses) -> io::Result<Found> {
    use std::net::ToSocketAddrs as Blocking;
    let found = match addresses {
        Addresses::One(address) => return Ok(Found::One(Some(address).into_iter())),
        Addresses::Known(known) => known.into_iter(),
        Addresses::Name(host, port) => {
            offload(move || Blocking::to_socket_addrs(&(&*host, port))).await?
        }
        Addresses::Text(text) => offload(move || Blocking::to_socket_addrs(&*text)).await?,
    };
    if found.len() == 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the host resolves to no address",
        ));
    }
    Ok(Found::Several(found))
}

/// Does something with the first address for which it succeeds; else returns the error of the last.
pub(crate) async fn first<T>(
    addresses: Addresses,
    mut attempt: impl AsyncFnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = io::ErrorKind::InvalidInput.into();
    for address in resolve(addresses).await? {
        match attempt(address).await {
            Ok(done) => return Ok(done),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Collects the addresses of something that names hosts, now; the look-up comes later.
pub(crate) fn addresses(host: impl ToSocketAddrs) -> Addresses {
    host.addresses()
}
