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
/// Where the error is, behind an `nlmsghdr`.
const ERROR_AT: usize = 16;

/// Whether the page may be shown to whoever is at `from`, connected to `to`: to a user and root, and to everybody where the
/// kernel may not be asked. A socket that it does not know is of nobody who could read the answer.
pub(super) fn may_ask(from: SocketAddr, to: SocketAddr, user: u32) -> bool {
    // A socket of both families has addresses that look like those of the other.
    let told = ask(
        from.ip().to_canonical(),
        from.port(),
        to.ip().to_canonical(),
        to.port(),
    );
    is_allowed(&told, user)
}

fn is_allowed(told: &io::Result<u32>, user: u32) -> bool {
    // Refusals of sandboxes, which no client can bring about. Descriptors and memory it could use up.
    let forbidden = [
        libc::EPERM,
        libc::EACCES,
        libc::EPROTONOSUPPORT,
        libc::EAFNOSUPPORT,
    ];
    match told {
        Ok(peer) => super::may_ask(*peer, user),
        Err(error) => (error.raw_os_error()).is_some_and(|code| forbidden.contains(&code)),
    }
}

/// The user who made the socket that is bound to one address and connected to the other.
fn ask(from: IpAddr, from_port: u16, to: IpAddr, to_port: u16) -> io::Result<u32> {
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
    let word = |at: usize| answer[at..].first_chunk().copied().unwrap_or_default();
    if answer[4..6] == BY_FAMILY.to_ne_bytes() && length >= USER_AT + 4 {
        return Ok(u32::from_ne_bytes(word(USER_AT)));
    }
    let code = i32::from_ne_bytes(word(ERROR_AT)); // of an answer that is `NLMSG_ERROR`, negative
    Err(io::Error::from_raw_os_error(code.saturating_neg()))
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
            let user = camshaft_inspect::attach::user();
            let asked = |port| ask(from.ip(), port, to.ip(), to.port());
            match asked(from.port()) {
                Ok(told) => {
                    assert_eq!(told, user);
                    let nobody = asked(1).expect_err("there is no such socket");
                    assert_eq!(nobody.raw_os_error(), Some(libc::ENOENT));
                    assert!(!may_ask(SocketAddr::new(from.ip(), 1), to, user));
                }
                // A sandbox keeps the question from the kernel.
                Err(error) => assert!(is_allowed(&Err(error), user)),
            }
            assert!(may_ask(from, to, user));
        }
    }

    #[test]
    fn what_a_client_can_bring_about_opens_nothing() {
        let failed = |code| is_allowed(&Err(io::Error::from_raw_os_error(code)), 1000);
        for code in [libc::EPERM, libc::EACCES, libc::EPROTONOSUPPORT] {
            assert!(failed(code));
        }
        for code in [
            0,
            libc::ENOENT,
            libc::EMFILE,
            libc::ENFILE,
            libc::ENOMEM,
            libc::EAGAIN,
        ] {
            assert!(!failed(code));
        }
        assert!(!is_allowed(&Err(io::ErrorKind::UnexpectedEof.into()), 1000));
        assert!(is_allowed(&Ok(1000), 1000) && !is_allowed(&Ok(1001), 1000));
    }
}
