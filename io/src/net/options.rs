//! The options of sockets, each written once and given to the types that have it.

use std::io;

use socket2::{Domain, Socket};

/// Sets the kind of service, which IPv6 calls traffic class.
pub(super) fn set_tos(socket: &Socket, tos: u32) -> io::Result<()> {
    if socket.domain()? == Domain::IPV6 {
        return socket.set_tclass_v6(tos);
    }
    socket.set_tos_v4(tos)
}

/// The kind of service, which IPv6 calls traffic class.
pub(super) fn tos(socket: &Socket) -> io::Result<u32> {
    if socket.domain()? == Domain::IPV6 {
        return socket.tclass_v6();
    }
    socket.tos_v4()
}

/// Gives a type options by name.
macro_rules! options {
    ($type:ident: $($option:ident),+ $(,)?) => {
        impl $type {
            $($crate::net::options::option! { $option })+
        }
    };
}

/// A pair of methods, to set an option and to ask for it.
macro_rules! pair {
    ($(#[$doc:meta])* $name:ident, $set:ident: $value:ty = $get_raw:expr, $set_raw:expr) => {
        $(#[$doc])*
        ///
        /// # Errors
        ///
        /// What `setsockopt` reports.
        pub fn $set(&self, $name: $value) -> std::io::Result<()> {
            let set: fn(&socket2::Socket, $value) -> std::io::Result<()> = $set_raw;
            set(&socket2::SockRef::from(self), $name)
        }

        #[doc = concat!("What [`", stringify!($set), "`](Self::", stringify!($set), ") has set.")]
        ///
        /// # Errors
        ///
        /// What `getsockopt` reports.
        pub fn $name(&self) -> std::io::Result<$value> {
            let ask: fn(&socket2::Socket) -> std::io::Result<$value> = $get_raw;
            ask(&socket2::SockRef::from(self))
        }
    };
}

macro_rules! option {
    (ttl) => {
        $crate::net::options::pair! {
            /// Sets the time to live of packets (`IP_TTL`).
            ttl, set_ttl: u32 = |it| it.ttl_v4(), |it, ttl| it.set_ttl_v4(ttl)
        }
    };
    (tos) => {
        $crate::net::options::pair! {
            /// Sets the type of service of packets (`IP_TOS`), which is the traffic class with IPv6 (`IPV6_TCLASS`).
            tos, set_tos: u32 = |it| $crate::net::options::tos(it),
            |it, tos| $crate::net::options::set_tos(it, tos)
        }
    };
    (nodelay) => {
        $crate::net::options::pair! {
            /// Sets `TCP_NODELAY`: small writes go out at once instead of waiting for the acknowledgement of earlier ones.
            nodelay, set_nodelay: bool = |it| it.tcp_nodelay(), |it, on| it.set_tcp_nodelay(on)
        }
    };
    (quickack) => {
        $crate::net::options::pair! {
            /// Sets `TCP_QUICKACK`: what comes is acknowledged at once. The system may take it back at any time.
            quickack, set_quickack: bool = |it| it.tcp_quickack(), |it, on| it.set_tcp_quickack(on)
        }
    };
    (keepalive) => {
        $crate::net::options::pair! {
            /// Sets `SO_KEEPALIVE`: a connection that is idle is probed now and then.
            keepalive, set_keepalive: bool = |it| it.keepalive(), |it, on| it.set_keepalive(on)
        }
    };
    (linger) => {
        $crate::net::options::pair! {
            /// Sets `SO_LINGER`. With a duration of zero the connection is reset when it is closed.
            linger, set_linger: Option<std::time::Duration> = |it| it.linger(), |it, linger| it.set_linger(linger)
        }
    };
    (reuseaddr) => {
        $crate::net::options::pair! {
            /// Sets `SO_REUSEADDR`: the address can be bound although connections of an earlier socket linger.
            reuseaddr, set_reuseaddr: bool = |it| it.reuse_address(), |it, on| it.set_reuse_address(on)
        }
    };
    (reuseport) => {
        $crate::net::options::pair! {
            /// Sets `SO_REUSEPORT`: several sockets that all set it share the address and what comes to it.
            reuseport, set_reuseport: bool = |it| it.reuse_port(), |it, on| it.set_reuse_port(on)
        }
    };
    (send_buffer_size) => {
        $crate::net::options::pair! {
            /// Sets the size of the buffer for what is sent, in bytes (`SO_SNDBUF`). The system doubles it, and limits it to
            /// `net.core.wmem_max`.
            send_buffer_size, set_send_buffer_size: u32 = |it| it.send_buffer_size().map($crate::net::options::size),
            |it, size| it.set_send_buffer_size(size as usize)
        }
    };
    (recv_buffer_size) => {
        $crate::net::options::pair! {
            /// Sets the size of the buffer for what is received, in bytes (`SO_RCVBUF`). The system doubles it, and limits
            /// it to `net.core.rmem_max`.
            recv_buffer_size, set_recv_buffer_size: u32 = |it| it.recv_buffer_size().map($crate::net::options::size),
            |it, size| it.set_recv_buffer_size(size as usize)
        }
    };
    (broadcast) => {
        $crate::net::options::pair! {
            /// Sets `SO_BROADCAST`: datagrams may be sent to broadcast addresses.
            broadcast, set_broadcast: bool = |it| it.broadcast(), |it, on| it.set_broadcast(on)
        }
    };
    (multicast_loop_v4) => {
        $crate::net::options::pair! {
            /// Sets `IP_MULTICAST_LOOP`: this host gets what it sends to a group that it has joined.
            multicast_loop_v4, set_multicast_loop_v4: bool = |it| it.multicast_loop_v4(),
            |it, on| it.set_multicast_loop_v4(on)
        }
    };
    (multicast_loop_v6) => {
        $crate::net::options::pair! {
            /// Sets `IPV6_MULTICAST_LOOP`: this host gets what it sends to a group that it has joined.
            multicast_loop_v6, set_multicast_loop_v6: bool = |it| it.multicast_loop_v6(),
            |it, on| it.set_multicast_loop_v6(on)
        }
    };
    (multicast_ttl_v4) => {
        $crate::net::options::pair! {
            /// Sets the time to live of datagrams to a group (`IP_MULTICAST_TTL`).
            multicast_ttl_v4, set_multicast_ttl_v4: u32 = |it| it.multicast_ttl_v4(),
            |it, ttl| it.set_multicast_ttl_v4(ttl)
        }
    };
    (take_error) => {
        /// Takes the pending error of the socket (`SO_ERROR`).
        ///
        /// # Errors
        ///
        /// What `getsockopt` reports.
        pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
            socket2::SockRef::from(self).take_error()
        }
    };
}

/// A size as the system's own integer has it.
pub(super) fn size(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

pub(super) use {option, options, pair};
