//! What becomes of a request.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use super::{BUFFER, Fake, Flying, Offers, Stage, sent_at};
use crate::driver::lend::{BufRing, Take};
use crate::driver::request::Request;

const MORE: u32 = 1 << 1;
const NOTICE: u32 = 1 << 3;
const BUFFER_MORE: u32 = 1 << 4;

/// How a receive ends.
enum Incoming {
    Bytes(u32),
    Failed(i32),
}

impl Fake {
    /// Returns whether it goes on.
    pub(super) fn advance(&self, one: &mut Flying) -> bool {
        if self.is_silent(&one.request) {
            if one.doomed {
                self.post(one.user_data, -libc::ECANCELED, one.buffer());
            }
            return !one.doomed;
        }
        match one.request {
            Request::Recv {
                fd,
                memory,
                len,
                flags,
                ..
            } => self.receive(one, fd, memory, len, flags & libc::MSG_PEEK != 0),
            Request::RecvMsg { fd, message, .. } => self.receive_message(one, fd, message),
            Request::RecvLent { fd, .. } => self.lend(one, fd, false),
            Request::RecvLentMany { fd, .. } => self.lend(one, fd, true),
            Request::Send {
                fd,
                memory,
                len,
                flags,
            } => {
                let whole = flags & libc::MSG_WAITALL != 0;
                let result = self.outgoing(len, whole, |n| self.get(fd, memory, n));
                self.post(one.user_data, result, 0);
                false
            }
            Request::SendMsg { fd, message, .. } => self.send_message(one, fd, message),
            Request::SendZeroCopy {
                fd, memory, len, ..
            } => self.send_in_place(one, fd, memory, len),
            _ => {
                self.post(one.user_data, -libc::EOPNOTSUPP, 0);
                false
            }
        }
    }

    fn receive(&self, one: &Flying, fd: RawFd, memory: *mut u8, len: u32, peek: bool) -> bool {
        let (result, flags) = match self.incoming(fd, len) {
            Incoming::Failed(errno) => (-errno, 0),
            Incoming::Bytes(n) => {
                self.give(fd, memory, n, peek);
                (n.cast_signed(), self.nonempty())
            }
        };
        self.post(one.user_data, result, flags);
        false
    }

    fn receive_message(&self, one: &Flying, fd: RawFd, message: *const libc::msghdr) -> bool {
        let result = match self.incoming(fd, room(message)) {
            Incoming::Failed(errno) => -errno,
            Incoming::Bytes(n) => {
                for (memory, part) in parts(message, n) {
                    self.give(fd, memory, part, false);
                }
                n.cast_signed()
            }
        };
        self.post(one.user_data, result, self.nonempty());
        false
    }

    fn send_message(&self, one: &Flying, fd: RawFd, message: *const libc::msghdr) -> bool {
        let result = self.outgoing(room(message), false, |n| {
            for (memory, part) in parts(message, n) {
                self.get(fd, memory, part);
            }
        });
        self.post(one.user_data, result, 0);
        false
    }

    fn send_in_place(&self, one: &mut Flying, fd: RawFd, memory: *const u8, len: u32) -> bool {
        if let Stage::Sent(bytes) = &one.stage {
            assert_eq!(
                bytes,
                &copy(memory, len),
                "memory changed before its notice"
            );
            self.post(one.user_data, 0, NOTICE);
            return false;
        }
        let result = self.outgoing(len, false, |n| self.get(fd, memory, n));
        if result < 0 {
            self.post(one.user_data, result, 0);
            return false;
        }
        one.stage = Stage::Sent(copy(memory, len));
        self.post(one.user_data, result, MORE);
        true
    }

    /// A receive into a lent buffer.
    fn lend(&self, one: &mut Flying, fd: RawFd, again: bool) -> bool {
        if let Stage::AtWorker { address, len, id } = one.stage {
            let flags = BUFFER | u32::from(id) << 16;
            match self.incoming(fd, len) {
                Incoming::Failed(errno) => self.post(one.user_data, -errno, flags),
                Incoming::Bytes(n) => {
                    self.give(fd, address as *mut u8, n, false);
                    self.post(one.user_data, n.cast_signed(), flags);
                }
            }
            return false;
        }
        if again && one.doomed && self.choices.below(3) == 0 {
            self.post(one.user_data, -libc::ECANCELED, 0);
            return false;
        }
        let mut offers = self.offers.borrow_mut();
        let Some((offers, entry)) = offers.as_mut().and_then(Offers::first) else {
            self.post(one.user_data, -libc::ENOBUFS, 0);
            return false;
        };
        let (address, len, id) = (entry.addr(), entry.len(), entry.bid());
        if !again && self.choices.one_in(10) {
            one.stage = Stage::AtWorker { address, len, id };
            entry.set_len(0);
            offers.head = offers.head.wrapping_add(1);
            return true;
        }
        match self.incoming(fd, len) {
            Incoming::Bytes(n @ 1..) => {
                self.give(fd, address as *mut u8, n, false);
                let more = offers.take == Take::Piecewise && n < len;
                if more {
                    entry.set_addr(address + u64::from(n));
                    entry.set_len(len - n);
                } else {
                    entry.set_len(0);
                    offers.head = offers.head.wrapping_add(1);
                }
                let mut flags = BUFFER | u32::from(id) << 16 | self.nonempty();
                flags |= if more { BUFFER_MORE } else { 0 };
                flags |= if again { MORE } else { 0 };
                self.post(one.user_data, n.cast_signed(), flags);
                again
            }
            Incoming::Bytes(0) => {
                self.post(one.user_data, 0, 0);
                false
            }
            Incoming::Failed(errno) => {
                self.post(one.user_data, -errno, 0);
                false
            }
        }
    }

    /// Whether there is nothing to receive.
    fn is_silent(&self, request: &Request) -> bool {
        let (Request::Recv { fd, .. }
        | Request::RecvMsg { fd, .. }
        | Request::RecvLent { fd, .. }
        | Request::RecvLentMany { fd, .. }) = request
        else {
            return false;
        };
        self.peers
            .borrow()
            .get(fd)
            .is_some_and(|peer| peer.silent && !peer.ended)
    }

    /// What a receive with this much room meets.
    fn incoming(&self, fd: RawFd, room: u32) -> Incoming {
        let mut peers = self.peers.borrow_mut();
        let peer = peers.entry(fd).or_default();
        if peer.ended {
            return Incoming::Bytes(0);
        }
        match self.choices.below(12) {
            11 => Incoming::Failed(libc::EINTR),
            10 => {
                peer.resets.push(peer.given);
                Incoming::Failed(libc::ECONNRESET)
            }
            8 | 9 => Incoming::Bytes(room.min(100_000)),
            _ => Incoming::Bytes(1 + self.choices.small(room.clamp(1, 200))),
        }
    }

    /// What a send of this length comes to; `sent` does it.
    fn outgoing(&self, len: u32, whole: bool, sent: impl FnOnce(u32)) -> i32 {
        match self.choices.below(12) {
            11 => -libc::EINTR,
            10 => -libc::EPIPE,
            choice => {
                let n = if choice == 0 || (whole && choice < 8) {
                    len
                } else {
                    1 + self.choices.small(len.clamp(1, 200))
                };
                sent(n);
                n.cast_signed()
            }
        }
    }

    fn nonempty(&self) -> u32 {
        u32::try_from(self.choices.below(2)).unwrap_or(0) << 2
    }

    /// Writes the next bytes of a peer into memory.
    fn give(&self, fd: RawFd, memory: *mut u8, n: u32, peek: bool) {
        let mut peers = self.peers.borrow_mut();
        let peer = peers.entry(fd).or_default();
        for at in 0..n {
            let byte = sent_at(fd, peer.given + u64::from(at));
            // SAFETY: `n` bytes of the request's memory are valid until its last completion (REQUEST-MEMORY).
            unsafe { memory.wrapping_add(at as usize).write(byte) };
        }
        if !peek {
            peer.given += u64::from(n);
        }
    }

    /// Hands bytes from memory to a peer.
    fn get(&self, fd: RawFd, memory: *const u8, n: u32) {
        let mut peers = self.peers.borrow_mut();
        let peer = peers.entry(fd).or_default();
        peer.got.extend(copy(memory, n));
    }
}

impl Offers {
    /// The entry at the head of the ring, if it is not empty.
    fn first(&mut self) -> Option<(&mut Self, &mut BufRingEntry)> {
        let base = self.address as *mut BufRingEntry;
        // SAFETY: the ring is mapped as long as requests may come.
        let tail = unsafe { BufRingEntry::tail(base) }.cast_mut();
        // SAFETY: mapped and aligned.
        let tail = unsafe { AtomicU16::from_ptr(tail) }.load(Ordering::Acquire);
        if tail == self.head {
            return None;
        }
        let entry = base.wrapping_add(usize::from(self.head % BufRing::entries()));
        // SAFETY: an entry before the tail, which only this side touches.
        Some((self, unsafe { &mut *entry }))
    }
}

/// The bytes of a request's memory.
fn copy(memory: *const u8, n: u32) -> Vec<u8> {
    // SAFETY: `n` bytes of the request's memory are valid until its last completion (REQUEST-MEMORY), and initialised.
    unsafe { std::slice::from_raw_parts(memory, n as usize) }.to_vec()
}

/// How many bytes the buffers of a message have in all.
fn room(message: *const libc::msghdr) -> u32 {
    let room = vectors(message).map(|it| it.iov_len).sum::<usize>();
    u32::try_from(room).unwrap_or(u32::MAX)
}

/// Where the first `n` bytes of a message lie.
fn parts(message: *const libc::msghdr, n: u32) -> impl Iterator<Item = (*mut u8, u32)> {
    let mut left = n;
    vectors(message).map(move |it| {
        let part = left.min(u32::try_from(it.iov_len).unwrap_or(left));
        left -= part;
        (it.iov_base.cast(), part)
    })
}

/// The list of buffers of a message.
pub(super) fn vectors(message: *const libc::msghdr) -> impl Iterator<Item = libc::iovec> {
    // SAFETY: the header is valid until the last completion (REQUEST-MEMORY).
    let header = unsafe { &*message };
    #[allow(
        clippy::unnecessary_cast,
        reason = "the type differs between C libraries"
    )]
    let len = header.msg_iovlen as usize;
    (0..len).map(move |at| {
        // SAFETY: so is its list, of that length.
        unsafe { header.msg_iov.wrapping_add(at).read() }
    })
}
