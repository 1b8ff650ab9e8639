//! What a leaf waits for, where that can be read from it.
//!
//! The futures of this runtime are known by name: a sleep has its deadline, a join handle the id of its task. Anything that leads
//! to a descriptor is said to wait on it, and of a descriptor of this process the kernel tells whose it is.

use std::net::{SocketAddrV4, SocketAddrV6};
use std::os::fd::RawFd;
use std::time::Duration;

use crate::containers::{Nature, Note, first_pointer};
use crate::load::little;
use crate::tree::Node;
use crate::types::{Scalar, Shape, TypeKey};
use crate::walk::{Place, Walker, number, slice};

/// How many types are looked at for a descriptor.
const LOOKS: u32 = 200;

/// What lies deeper is not a leaf's own.
const DEPTH: u32 = 12;

/// A deadline that is farther than this was meant to be never.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// How the names of what belongs to the driver begin.
const DRIVER: &str = "camshaft_io::driver::";

/// How the names of fibers begin.
pub(crate) const FIBER: &str = "camshaft_stackful::fiber::Fiber<";

impl Walker<'_> {
    /// What a leaf waits for; nothing if it is not known.
    pub(crate) fn detail(&mut self, note: &Note, place: Place<'_>) -> Option<String> {
        let name = &*note.of.name;
        if name.starts_with("camshaft::time::sleep::Sleep") {
            return self.sleep(place);
        }
        if name.starts_with("camshaft_executor::join::JoinHandle<") {
            let id = note.of.member("id")?;
            let id = number(place.bytes, id.offset, 8)?;
            return Some(format!("waits for task {id}"));
        }
        if name.starts_with(FIBER) {
            return Some(
                "a fiber, whose calls are on a stack of its own and are not shown".to_owned(),
            );
        }
        if name.starts_with("camshaft_io::") {
            let mut left = LOOKS;
            let descriptor = self.descriptor(place, DEPTH, &mut left)?;
            return Some(match self.own {
                true => describe(descriptor),
                false => format!("fd {descriptor}"),
            });
        }
        None
    }

    /// Appends what a fiber waits for. Its stack has a frame at its upper end, which says where that is.
    pub(crate) fn fiber(
        &mut self,
        note: &Note,
        place: Place<'_>,
        out: &mut Vec<Node>,
    ) -> Option<()> {
        if self.stale {
            return None;
        }
        let word = |bytes: &[u8], offset| u64::try_from(number(bytes, offset, 8)?).ok();
        let state = note.of.member("state")?.clone();
        let state = self.part(&state, place)?;
        let of = self.catalog.get(state.key)?;
        let Shape::Enum(variants) = &of.shape else {
            return None;
        };
        let variant = variants
            .of_value(crate::walk::tag(variants.tag, state.bytes)?)?
            .of;
        let started = self.catalog.get(variant)?;
        let core = started
            .member("__0")
            .filter(|_| started.short_name() == "Started")?;
        let (pointer, block) = first_pointer(self.catalog, core.of, 4)?;
        let block_at = word(state.bytes, core.offset + pointer)?;
        let frame = self.catalog.get(block)?.member("frame")?.clone();
        let awaited = self.catalog.get(frame.of)?.member("awaited")?.offset;
        let words = self.read(block_at.checked_add(frame.offset + awaited)?, 16)?;
        let (data, vtable) = (word(&words, 0)?, word(&words, 8)?);
        if data != 0 {
            self.trait_object(note, data, vtable, true, out);
        }
        Some(())
    }

    fn sleep(&mut self, place: Place<'_>) -> Option<String> {
        let deadline = self.catalog.get(place.key)?.member("deadline")?.clone();
        let (seconds, _) = self.scalar(deadline.of, "tv_sec", DEPTH)?;
        let (nanos, _) = self.scalar(deadline.of, "tv_nsec", DEPTH)?;
        let seconds = number(place.bytes, deadline.offset + seconds, 8)?;
        let nanos = number(place.bytes, deadline.offset + nanos, 4)?;
        let until = Duration::new(u64::try_from(seconds).ok()?, 0)
            .checked_add(Duration::from_nanos(u64::try_from(nanos).ok()?))?;
        Some(match until.checked_sub(self.now) {
            Some(left) if left > NEVER => "waits for ever".to_owned(),
            Some(left) => format!("{left:.1?} left"),
            None => format!("due for {:.1?}", self.now - until),
        })
    }

    /// Where a number with a name is in a type, and how large it is.
    fn scalar(&mut self, key: TypeKey, name: &str, depth: u32) -> Option<(u64, u64)> {
        let of = self.catalog.get(key)?;
        let depth = depth.checked_sub(1)?;
        of.members().iter().find_map(|member| {
            let (offset, size) = match &*member.name == name {
                true => (0, self.catalog.get(member.of)?.size),
                false => self.scalar(member.of, name, depth)?,
            };
            Some((member.offset + offset, size))
        })
    }

    /// The first descriptor that a value owns or shares. An operation in flight refers to the driver, whose descriptors are not
    /// what it is about.
    fn descriptor(&mut self, place: Place<'_>, depth: u32, left: &mut u32) -> Option<RawFd> {
        let depth = depth.checked_sub(1)?;
        *left = left.checked_sub(1)?;
        let note = self.note(place.key)?;
        let place = Place {
            bytes: slice(place.bytes, 0, note.of.size)?,
            ..place
        };
        if note.of.name.starts_with(DRIVER) {
            return None;
        }
        if &*note.of.name == "std::os::fd::owned::OwnedFd" {
            return RawFd::try_from(number(place.bytes, 0, 4)?).ok();
        }
        match (&note.nature, &note.of.shape) {
            (Nature::Enum, Shape::Enum(variants)) => {
                let tag = crate::walk::tag(variants.tag, place.bytes)?;
                let key = variants.of_value(tag)?.of;
                self.descriptor(Place { key, ..place }, depth, left)
            }
            _ if self.stale && note.nature.is_pointer() => None,
            (Nature::Owned(to) | Nature::Shared(to), _) => {
                let at = u64::try_from(number(place.bytes, 0, 8)?).ok()?;
                self.descriptor_at(*to, at, depth, left)
            }
            (Nature::Counted { pointer, inner }, _) => {
                let at = u64::try_from(number(place.bytes, *pointer, 8)?).ok()?;
                self.descriptor_at(*inner, at, depth, left)
            }
            (Nature::Members, _) => note.of.members().iter().find_map(|member| {
                let part = self.part(member, place)?;
                // `fd` of a request that is in flight.
                let of = self.catalog.get(member.of)?;
                if &*member.name == "fd" && matches!(of.shape, Shape::Scalar(Scalar::Signed)) {
                    let number = u32::try_from(little(part.bytes)).ok()?;
                    return RawFd::try_from(number).ok();
                }
                self.descriptor(part, depth, left)
            }),
            _ => None,
        }
    }

    fn descriptor_at(
        &mut self,
        key: TypeKey,
        at: u64,
        depth: u32,
        left: &mut u32,
    ) -> Option<RawFd> {
        let size = self.catalog.get(key)?.size;
        let bytes = self.read(at, size.min(1 << 16))?;
        let place = Place {
            key,
            at,
            bytes: &bytes,
            way: crate::walk::Way::default(),
        };
        self.descriptor(place, depth, left)
    }
}

/// Whose descriptor it is, as far as the kernel tells.
fn describe(descriptor: RawFd) -> String {
    let said = format!("fd {descriptor}");
    if let Some(peer) = peer(descriptor) {
        return format!("{said}, {peer}");
    }
    match std::fs::read_link(format!("/proc/self/fd/{descriptor}")) {
        Ok(path) => format!("{said}, {}", path.display()),
        Err(_) => format!("{said}, which is closed"),
    }
}

/// Who is at the other end of a socket, or else where it is bound.
///
/// The number alone is used: closing a copy of a descriptor would release the locks that the process has on its file.
fn peer(descriptor: RawFd) -> Option<String> {
    if let Some(peer) = address(descriptor, libc::getpeername) {
        return Some(format!("peer {peer}"));
    }
    let local = address(descriptor, libc::getsockname)?;
    Some(format!("bound to {local}"))
}

type Ask =
    unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;

/// An address of a socket that people can read.
fn address(descriptor: RawFd, ask: Ask) -> Option<String> {
    let mut bytes = [0u8; size_of::<libc::sockaddr_storage>()];
    let mut length = libc::socklen_t::try_from(bytes.len()).ok()?;
    // SAFETY: the kernel writes no more than `length` bytes. If the descriptor was closed meanwhile, it says so, or speaks of
    // another with the same number, as it would to anybody.
    let failed = unsafe { ask(descriptor, bytes.as_mut_ptr().cast(), &raw mut length) };
    let bytes = bytes.get(..usize::try_from(length).ok()?)?;
    (failed == 0).then(|| readable(bytes)).flatten()
}

/// What a `sockaddr` says: an address with its port, or a path.
fn readable(bytes: &[u8]) -> Option<String> {
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
        libc::AF_UNIX => {
            let path = bytes.get(2..)?.split(|byte| *byte == 0).next()?;
            (!path.is_empty()).then(|| String::from_utf8_lossy(path).into_owned())
        }
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

    /// Whether anybody has the file locked, as somebody with another open file sees it: the kernel tells these apart from the
    /// process, even within one.
    fn is_locked(other: &File) -> bool {
        let mut lock = whole_file();
        // SAFETY: it reads and writes one `flock`.
        let asked = unsafe { libc::fcntl(other.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
        assert_eq!(asked, 0, "{}", std::io::Error::last_os_error());
        libc::c_int::from(lock.l_type) != libc::F_UNLCK
    }

    fn whole_file() -> libc::flock {
        // SAFETY: all of its fields are numbers.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = libc::F_WRLCK.try_into().expect("it is a small number");
        lock
    }

    #[test]
    fn asking_about_a_descriptor_keeps_the_locks_of_its_file() {
        let path = std::env::temp_dir().join(format!("camshaft-lock-{}", std::process::id()));
        let open = || {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            options.open(&path).expect("there is room for a file")
        };
        let (file, other) = (open(), open());
        assert!(!is_locked(&other));
        let lock = whole_file();
        // SAFETY: it reads one `flock`.
        let locked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const lock) };
        assert_eq!(locked, 0, "{}", std::io::Error::last_os_error());
        assert!(is_locked(&other));
        let said = describe(file.as_raw_fd());
        assert!(said.contains("camshaft-lock-"), "{said}");
        assert!(is_locked(&other));
        std::fs::remove_file(path).expect("it is there");
    }

    #[test]
    fn sockets_tell_where_they_are() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                continue; // a machine without IPv6
            };
            let local = listener.local_addr().expect("it is bound");
            let said = describe(listener.as_raw_fd());
            assert!(said.ends_with(&format!(", bound to {local}")), "{said}");
            let stream = std::net::TcpStream::connect(local).expect("it listens");
            let said = describe(stream.as_raw_fd());
            assert!(said.ends_with(&format!(", peer {local}")), "{said}");
        }
        let path = std::env::temp_dir().join(format!("camshaft-name-{}", std::process::id()));
        let listener = UnixListener::bind(&path).expect("the name is free");
        let said = describe(listener.as_raw_fd());
        assert!(
            said.ends_with(&format!(", bound to {}", path.display())),
            "{said}"
        );
        std::fs::remove_file(path).expect("it is there");
        assert!(describe(-1).ends_with("which is closed"));
    }
}
