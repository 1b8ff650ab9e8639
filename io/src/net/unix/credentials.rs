//! Who is at the other end.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// The process that is at the other end of a Unix socket, as it was when it connected or listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UCred {
    pid: Option<libc::pid_t>,
    uid: libc::uid_t,
    gid: libc::gid_t,
}

impl UCred {
    /// Its process, if it lives in a namespace that this one can see into.
    pub fn pid(&self) -> Option<libc::pid_t> {
        self.pid
    }

    /// Its effective user.
    pub fn uid(&self) -> libc::uid_t {
        self.uid
    }

    /// Its effective group.
    pub fn gid(&self) -> libc::gid_t {
        self.gid
    }
}

/// Asks for the peer's credentials.
pub(super) fn peer_cred(socket: &impl AsFd) -> io::Result<UCred> {
    let mut cred = libc::ucred {
        pid: 0,
        uid: libc::uid_t::MAX,
        gid: libc::gid_t::MAX,
    };
    let mut len = libc::socklen_t::try_from(size_of_val(&cred)).map_err(io::Error::other)?;
    // SAFETY: the kernel writes one `ucred` and its length.
    let asked = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut cred).cast(),
            &raw mut len,
        )
    };
    if asked < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(UCred {
        pid: (cred.pid > 0).then_some(cred.pid),
        uid: cred.uid,
        gid: cred.gid,
    })
}

/// Gives a handle `peer_cred`.
macro_rules! credentials {
    ($($type:ident),+) => {$(
        impl $type {
            /// The process at the other end, as it was when it connected, listened or made the pair.
            ///
            /// # Errors
            ///
            /// What `getsockopt` reports.
            pub fn peer_cred(&self) -> std::io::Result<$crate::net::unix::UCred> {
                $crate::net::unix::credentials::peer_cred(self)
            }
        }
    )+};
}

pub(super) use credentials;
