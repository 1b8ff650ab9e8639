//! Messages: buffers, an address and control data behind one header, for `sendmsg` and `recvmsg`.
//!
//! A message is kept in a box and everything that its header points to belongs to it, except the buffers themselves. So it
//! stays valid wherever the operation moves that owns the box.

use std::ffi::c_int;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;

use socket2::{SockAddr, SockAddrStorage};

/// The most descriptors that one message carries (`SCM_MAX_FD` of the kernel).
pub(crate) const RIGHTS_MAX: usize = 253;

/// The longest security label of a sender (`SO_PASSSEC`) that there is room for.
const LABEL_MAX: usize = 256;

/// A header of control data, as the kernel lays it out: the length with the header, then level and type.
const HEAD_LEN: usize = size_of::<usize>() + 2 * size_of::<c_int>();

/// What stands in control data for a descriptor of the sender's process (`SCM_PIDFD`), which only who asks for it gets.
const SCM_PIDFD: c_int = 4;

/// The bytes that control data of a length takes, with its header and padding.
const fn space(len: usize) -> usize {
    (HEAD_LEN + len).next_multiple_of(size_of::<usize>())
}

/// A message.
pub(crate) struct Message {
    header: libc::msghdr,
    vectors: Vec<libc::iovec>,
    name: SockAddrStorage,
    control: Vec<u8>,
}

impl Message {
    /// A message of nothing, without an address or control data.
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self {
            // SAFETY: an all-zero `msghdr` is valid: no name, no buffers, no control data.
            header: unsafe { std::mem::zeroed() },
            vectors: Vec::new(),
            name: SockAddrStorage::zeroed(),
            control: Vec::new(),
        })
    }

    /// Sets the list of buffers.
    pub(crate) fn set_buffers(&mut self, vectors: Vec<libc::iovec>) {
        self.vectors = vectors;
    }

    /// Sets one buffer. Allocates only the first time.
    pub(crate) fn set_buffer(&mut self, memory: *mut u8, len: usize) {
        self.vectors.clear();
        self.vectors.push(libc::iovec {
            iov_base: memory.cast(),
            iov_len: len,
        });
    }

    /// Sets where it goes; `None`: to the peer that the socket is connected to.
    pub(crate) fn set_name(&mut self, address: Option<&SockAddr>) {
        self.header.msg_namelen = address.map_or(0, SockAddr::len);
        if let Some(address) = address {
            self.name = address.clone().as_storage();
        }
    }

    /// Makes room for the address of the sender.
    pub(crate) fn ask_name(&mut self) {
        self.header.msg_namelen = self.name.size_of();
    }

    /// Where it came from, after it was received with room for that. Nobody, if the sender has no address.
    pub(crate) fn name(&self) -> Option<SockAddr> {
        if self.header.msg_namelen == 0 {
            return None;
        }
        // SAFETY: read as what it is; every bit pattern of it is valid.
        let storage = unsafe { ptr::read(&raw const self.name) };
        // SAFETY: the kernel wrote an address of this length, and the rest is initialised.
        Some(unsafe { SockAddr::new(storage, self.header.msg_namelen) })
    }

    /// Makes room for control data of a length.
    pub(crate) fn ask_control(&mut self, len: usize) {
        self.control.clear();
        self.control.resize(space(len), 0);
    }

    /// Makes room for all descriptors that a message can carry, and for what a socket may be set to tell of the sender,
    /// which the kernel puts first.
    pub(crate) fn ask_rights(&mut self) {
        let sender = space(size_of::<libc::ucred>()) + space(LABEL_MAX) + space(size_of::<RawFd>());
        self.ask_control(sender + RIGHTS_MAX * size_of::<RawFd>());
    }

    /// Leaves the control data away.
    pub(crate) fn clear_control(&mut self) {
        self.control.clear();
    }

    /// Adds control data.
    pub(crate) fn put_control(&mut self, level: c_int, kind: c_int, data: &[u8]) {
        self.control
            .extend_from_slice(&(HEAD_LEN + data.len()).to_ne_bytes());
        self.control.extend_from_slice(&level.to_ne_bytes());
        self.control.extend_from_slice(&kind.to_ne_bytes());
        self.control.extend_from_slice(data);
        let padded = self.control.len().next_multiple_of(size_of::<usize>());
        self.control.resize(padded, 0);
    }

    /// The control data that was received.
    pub(crate) fn controls(&self) -> Controls<'_> {
        let len = self.control.len().min(self.header.msg_controllen as _);
        Controls {
            rest: &self.control[..len],
        }
    }

    /// Takes the descriptors that were received. They are closed if they are dropped.
    pub(crate) fn take_rights(&mut self) -> Vec<OwnedFd> {
        let numbers = |data: &[u8]| -> Vec<RawFd> {
            let (numbers, _) = data.as_chunks();
            numbers.iter().copied().map(RawFd::from_ne_bytes).collect()
        };
        let mut rights = Vec::new();
        let mut unasked = Vec::new();
        for control in self.controls() {
            match (control.level, control.kind) {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => rights.extend(numbers(control.data)),
                (libc::SOL_SOCKET, SCM_PIDFD) => unasked.extend(numbers(control.data)),
                _ => {}
            }
        }
        self.control.clear();
        let own = |fds: Vec<RawFd>| -> Vec<OwnedFd> {
            fds.into_iter()
                .filter(|fd| *fd >= 0)
                // SAFETY: the kernel made it for this message, and the control data that names it is gone.
                .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
                .collect()
        };
        drop(own(unasked));
        own(rights)
    }

    /// Whether control data was left away because there was no room for it, or no descriptor.
    pub(crate) fn is_control_cut(&self) -> bool {
        self.header.msg_flags & libc::MSG_CTRUNC != 0
    }

    /// The header, pointing to all that was set. To be taken anew for each submission.
    pub(crate) fn header(&mut self) -> *mut libc::msghdr {
        let header = &mut self.header;
        header.msg_iov = self.vectors.as_mut_ptr();
        header.msg_iovlen = self.vectors.len() as _;
        header.msg_name = if header.msg_namelen == 0 {
            ptr::null_mut()
        } else {
            (&raw mut self.name).cast()
        };
        header.msg_control = if self.control.is_empty() {
            ptr::null_mut()
        } else {
            self.control.as_mut_ptr().cast()
        };
        header.msg_controllen = self.control.len() as _;
        header.msg_flags = 0;
        &raw mut self.header
    }
}

/// One piece of control data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Control<'a> {
    pub(crate) level: c_int,
    pub(crate) kind: c_int,
    pub(crate) data: &'a [u8],
}

/// The pieces of control data. Ends where they are malformed or cut off.
pub(crate) struct Controls<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Controls<'a> {
    type Item = Control<'a>;

    fn next(&mut self) -> Option<Control<'a>> {
        let (head, _) = self.rest.split_at_checked(HEAD_LEN)?;
        let (len, head) = head.split_first_chunk()?;
        let (level, head) = head.split_first_chunk()?;
        let (kind, _) = head.split_first_chunk()?;
        let end = usize::from_ne_bytes(*len);
        let data = self.rest.get(HEAD_LEN..end)?;
        let next = end.next_multiple_of(size_of::<usize>());
        self.rest = self.rest.get(next..).unwrap_or_default();
        Some(Control {
            level: c_int::from_ne_bytes(*level),
            kind: c_int::from_ne_bytes(*kind),
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pieces: &[(c_int, c_int, &[u8])]) -> Box<Message> {
        let mut message = Message::new();
        for (level, kind, data) in pieces {
            message.put_control(*level, *kind, data);
        }
        message.header.msg_controllen = message.control.len() as _;
        message
    }

    #[test]
    fn control_data_comes_out_as_it_was_put_in() {
        let pieces: [(c_int, c_int, &[u8]); 4] = [
            (1, 2, b"abc"),
            (3, 4, b""),
            (5, -6, b"12345678"),
            (7, 8, b"x"),
        ];
        let message = with(&pieces);
        let found: Vec<_> = message
            .controls()
            .map(|it| (it.level, it.kind, it.data))
            .collect();
        assert_eq!(found, pieces);
    }

    #[test]
    fn the_layout_is_that_of_the_system() {
        assert_eq!(HEAD_LEN, size_of::<libc::cmsghdr>());
        for len in 0..40 {
            // SAFETY: arithmetic only.
            let expected = unsafe { libc::CMSG_SPACE(u32::try_from(len).unwrap()) };
            assert_eq!(space(len), expected as usize, "{len}");
        }
        let message = with(&[(libc::SOL_SOCKET, libc::SCM_RIGHTS, &[0; 12])]);
        // SAFETY: arithmetic only.
        let expected = unsafe { libc::CMSG_LEN(12) };
        assert_eq!(message.control[..8], (expected as usize).to_ne_bytes());
    }

    #[test]
    fn control_data_that_is_cut_off_or_lies_about_its_length_ends_the_list() {
        let whole = with(&[(1, 2, b"abc"), (3, 4, b"defg")]).control.clone();
        for len in 0..whole.len() {
            let found = Controls {
                rest: &whole[..len],
            };
            assert!(found.count() <= 2, "{len}");
        }
        for lie in [0, 1, HEAD_LEN - 1, 1 << 40, usize::MAX] {
            let mut bytes = whole.clone();
            bytes[..size_of::<usize>()].copy_from_slice(&lie.to_ne_bytes());
            assert_eq!(Controls { rest: &bytes }.count(), 0, "{lie}");
        }
    }

    #[test]
    fn what_the_kernel_did_not_write_is_not_read() {
        let mut message = with(&[(1, 2, b"abc"), (3, 4, b"defg")]);
        message.header.msg_controllen = space(3) as _;
        assert_eq!(message.controls().count(), 1);
        message.header.msg_controllen = 0;
        assert_eq!(message.controls().count(), 0);
    }
}
