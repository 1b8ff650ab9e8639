//! Whose a connection of this machine is.
//!
//! The kernel knows which user made the socket at the other end, if that is in the same network namespace, and tells by
//! a question to `sock_diag(7)`: one message there and one back, at once.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{FromRawFd as _, OwnedFd};

/// `SOCK_DIAG_BY_FAMILY`, of linux/sock_diag.h.
const BY_FAMILY: u16 = 20;
/// The length of `nlmsghdr` and `inet_diag_req_v2`, of linux/netlink.h and linux/inet_diag.h.
const QUESTION_BYTES: u32 = 72;
/// Where `idiag_uid` is, behind an `nlmsghdr` and in an `inet_diag_msg`.
const USER_AT: usize = 80;

/// The user who made the socket that is bound to `from` and connected to `to`; nothing if the kernel does not tell.
pub(super) fn user_of(from: SocketAddr, to: SocketAddr) -> Option<u32> {
    // A socket of both families has addresses that look like those of the other.
    ask(
        from.ip().to_canonical(),
        from.port(),
        to.ip().to_canonical(),
        to.port(),
    )
    .ok()?
}

fn ask(from: IpAddr, from_port: u16, to: IpAddr, to_port: u16) -> io::Result<Option<u32>> {
    let mut socket = socket()?;
    let mut question = Vec::with_capacity(QUESTION_BYTES as usize);
    question.extend(QUESTION_BYTES.to_ne_bytes());
    question.extend(BY_FAMILY.to_ne_bytes());
    question.extend(1_u16.to_ne_bytes()); // NLM_F_REQUEST
    question.extend([0; 8]);
    let family = if from.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    for byte in [family, libc::IPPROTO_TCP, 0, 0] {
        question.push(u8::try_from(byte).map_err(io::Error::other)?);
    }
    question.extend(u32::MAX.to_ne_bytes()); // in whatever state
    question.extend(from_port.to_be_bytes());
    question.extend(to_port.to_be_bytes());
    for address in [from, to] {
        let mut bytes = [0; 16];
        match address {
            IpAddr::V4(address) => bytes[..4].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => bytes = address.octets(),
        }
        question.extend(bytes);
    }
    question.extend(0_u32.to_ne_bytes()); // on whatever interface
    question.extend(u64::MAX.to_ne_bytes()); // INET_DIAG_NOCOOKIE
    socket.write_all(&question)?;
    let mut answer = [0; 512];
    let length = socket.read(&mut answer)?;
    let is_told = answer[4..6] == BY_FAMILY.to_ne_bytes() && length >= USER_AT + 4;
    let user = answer[USER_AT..]
        .first_chunk()
        .copied()
        .map(u32::from_ne_bytes);
    Ok(user.filter(|_| is_told))
}

/// A socket to the kernel, which answers before the question has returned.
fn socket() -> io::Result<File> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_SOCK_DIAG) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_kernel_tells_whose_a_connection_is() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                eprintln!("skipped: no {address} here");
                continue;
            };
            let to = listener.local_addr().expect("it is bound");
            let client = TcpStream::connect(to).expect("it listens");
            let from = client.local_addr().expect("it is connected");
            // Where a sandbox keeps the question from the kernel, nothing is told.
            let told = user_of(from, to);
            let user = camshaft_inspect::attach::user();
            assert!(
                told == Some(user) || ask(from.ip(), from.port(), to.ip(), to.port()).is_err(),
                "{told:?}"
            );
            drop((client, listener));
            let nobody = SocketAddr::new(from.ip(), 1);
            assert_eq!(user_of(nobody, to), None);
        }
    }
}
