//! Whose a descriptor of this process is, as far as the kernel tells.
//!
//! The number alone is used: closing a copy of a descriptor would release the locks that the process has on its file.

use std::net::{SocketAddrV4, SocketAddrV6};
use std::os::fd::RawFd;

use crate::leaf::{Cause, Leaf};

/// Adds what the kernel knows of the descriptor of a leaf.
pub(super) fn describe(leaf: &mut Leaf) {
    let Some(descriptor) = leaf.fd else { return };
    if leaf.peer.is_none() {
        leaf.peer = address(descriptor, libc::getpeername);
    }
    leaf.local = address(descriptor, libc::getsockname);
    if leaf.peer.is_some() || leaf.local.is_some() || leaf.path.is_some() {
        return;
    }
    match path_of(descriptor) {
        Some(path) if is_pidfd(&path) => child(leaf, descriptor),
        Some(path) => leaf.path = Some(path),
        None => leaf.note = Some("which is closed".into()),
    }
}

/// What the system calls a descriptor.
pub(super) fn path_of(descriptor: RawFd) -> Option<String> {
    let path = std::fs::read_link(format!("/proc/self/fd/{descriptor}")).ok()?;
    Some(path.to_string_lossy().into_owned())
}

/// Kernels call it one or the other.
fn is_pidfd(path: &str) -> bool {
    path == "anon_inode:[pidfd]" || path.starts_with("pidfd:[")
}

/// A descriptor of a child is readable when the child ends, and is waited for.
fn child(leaf: &mut Leaf, descriptor: RawFd) {
    let said = std::fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}"));
    let said = said.unwrap_or_default();
    let pid = said.lines().find_map(|line| line.strip_prefix("Pid:"));
    leaf.kind = Cause::Process;
    leaf.op = Some("waitid".into());
    leaf.pid = pid.and_then(|pid| pid.trim().parse().ok());
    leaf.note = None;
}

type Ask =
    unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;

/// An address of a socket that people can read.
fn address(descriptor: RawFd, ask: Ask) -> Option<String> {
    let mut bytes = [0u8; size_of::<libc::sockaddr_storage>()];
    let mut length = libc::socklen_t::try_from(bytes.len()).ok()?;
    // SAFETY: the kernel writes no more than `length` bytes. If the descriptor was closed meanwhile, it says so, or speaks
    // of another with the same number, as it would to anybody.
    let failed = unsafe { ask(descriptor, bytes.as_mut_ptr().cast(), &raw mut length) };
    let bytes = bytes.get(..usize::try_from(length).ok()?)?;
    (failed == 0).then(|| readable(bytes)).flatten()
}

/// What a `sockaddr` says: an address with its port, or a path; `@name` for a name that is none of a file.
pub(super) fn readable(bytes: &[u8]) -> Option<String> {
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let port = || Some(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?));
    match libc::c_int::from(family) {
        libc::AF_INET => {
            let ip: [u8; 4] = *bytes.get(4..)?.first_chunk()?;
            Some(SocketAddrV4::new(ip.into(), port()?).to_string())
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = *bytes.get(8..)?.first_chunk()?;
            let scope = u32::from_ne_bytes(*bytes.get(24..)?.first_chunk()?);
            Some(SocketAddrV6::new(ip.into(), port()?, 0, scope).to_string())
        }
        libc::AF_UNIX => match bytes.get(2..)? {
            [] => None,
            [0, name @ ..] => Some(format!("@{}", String::from_utf8_lossy(name))),
            path => {
                let path = path.split(|byte| *byte == 0).next()?;
                Some(String::from_utf8_lossy(path).into_owned())
            }
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn told(descriptor: RawFd) -> String {
        let mut leaf = Leaf {
            fd: Some(descriptor),
            ..Leaf::new(Cause::Operation)
        };
        describe(&mut leaf);
        leaf.to_string()
    }

    fn is_locked(file: &File) -> bool {
        let about = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()));
        about.expect("procfs").contains("\nlock:")
    }

    #[test]
    fn asking_about_a_descriptor_keeps_the_locks_of_its_file() {
        let path = std::env::temp_dir().join(format!("camshaft-lock-{}", std::process::id()));
        let file = File::create(&path).expect("there is room for a file");
        assert!(!is_locked(&file));
        // SAFETY: it takes two numbers. The lock is one that a process loses when it closes the file, whichever descriptor that was.
        let locked = unsafe { libc::lockf(file.as_raw_fd(), libc::F_TLOCK, 0) };
        assert_eq!(locked, 0, "{}", std::io::Error::last_os_error());
        assert!(is_locked(&file));
        let said = told(file.as_raw_fd());
        assert!(said.contains("camshaft-lock-"), "{said}");
        assert!(is_locked(&file));
        std::fs::remove_file(path).expect("it is there");
    }

    #[test]
    fn sockets_tell_where_they_are() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                continue; // a machine without IPv6
            };
            let local = listener.local_addr().expect("it is bound");
            let said = told(listener.as_raw_fd());
            assert!(said.ends_with(&format!(", bound to {local}")), "{said}");
            let stream = std::net::TcpStream::connect(local).expect("it listens");
            let said = told(stream.as_raw_fd());
            assert!(said.ends_with(&format!(", peer {local}")), "{said}");
        }
        let path = std::env::temp_dir().join(format!("camshaft-name-{}", std::process::id()));
        let listener = UnixListener::bind(&path).expect("the name is free");
        let said = told(listener.as_raw_fd());
        assert!(
            said.ends_with(&format!(", bound to {}", path.display())),
            "{said}"
        );
        std::fs::remove_file(path).expect("it is there");
        assert!(told(-1).ends_with("which is closed"));
    }
}
