//! What a transfer moves: one buffer, several, or a vector that grows; to be read into, or to be written.
//!
//! A payload knows how far it has come, and describes the rest as a request. That is all that differs between the kinds,
//! so that [`super::transfer`] is written once.

use std::ffi::c_int;
use std::os::fd::RawFd;
use std::slice;

use super::list::List;
use crate::buf::{IoBuf, IoBufMut, vectored};
use crate::driver::{Request, transfer_len};
use crate::lane::Direction;

/// What a transfer moves.
///
/// # Safety
///
/// The memory behind the requests is owned, and neither moves nor goes when the payload moves (STABLE). A request for
/// reading points to memory that may be overwritten.
pub(super) unsafe trait Payload: 'static {
    /// What the caller gets back.
    type Buffer;
    const DIRECTION: Direction;

    /// How many bytes are left to be moved. A buffer that grows has room again.
    fn left(&mut self) -> usize;

    /// The request for what is left.
    fn request(&mut self, fd: RawFd, offset: u64, flags: c_int) -> Request;

    /// Notes that the first `n` of the bytes left have been moved.
    ///
    /// # Safety
    ///
    /// They have; `n` is at most what was left when the request was made.
    unsafe fn advance(&mut self, n: usize);

    fn into_buffer(self) -> Self::Buffer;

    /// Reads from memory: takes as many bytes as there is room for, and returns how many. Only for reading.
    fn fill_from(&mut self, bytes: &[u8]) -> usize {
        let _ = bytes;
        0
    }

    /// Some of the bytes that are left, if any are. Only for writing.
    fn upcoming(&self) -> &[u8] {
        &[]
    }

    /// What was read so far. Only for reading.
    fn received(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

/// A buffer that is read into.
pub(super) struct Room<B> {
    buf: B,
    /// Where its room began when it came.
    start: usize,
    filled: usize,
}

impl<B: IoBufMut> Room<B> {
    pub(super) fn new(buf: B) -> Self {
        Self {
            start: buf.fill_start(),
            buf,
            filled: 0,
        }
    }
}

// SAFETY: the request points into the storage of `buf`, which is STABLE and EXCLUSIVE.
unsafe impl<B: IoBufMut> Payload for Room<B> {
    type Buffer = B;
    const DIRECTION: Direction = Direction::Read;

    #[inline]
    fn left(&mut self) -> usize {
        self.buf.room_at(self.start + self.filled).len()
    }

    #[inline]
    fn request(&mut self, fd: RawFd, offset: u64, flags: c_int) -> Request {
        let room = self.buf.room_at(self.start + self.filled);
        Request::Read {
            fd,
            memory: room.cast::<u8>().as_ptr(),
            len: transfer_len(room.len()),
            offset,
            flags,
        }
    }

    #[inline]
    unsafe fn advance(&mut self, n: usize) {
        self.filled += n;
        // SAFETY: what came before the room is initialised, and so are the `n` bytes, by the caller's promise.
        unsafe { self.buf.mark_init(self.start + self.filled) };
    }

    #[inline]
    fn into_buffer(self) -> B {
        self.buf
    }

    fn fill_from(&mut self, bytes: &[u8]) -> usize {
        let n = self.buf.fill_at(self.start + self.filled, bytes);
        self.filled += n;
        n
    }

    fn received(&mut self) -> Vec<u8> {
        self.buf.as_slice()[self.start..self.start + self.filled].to_vec()
    }
}

/// Several buffers that are read into.
pub(super) struct Rooms<B> {
    bufs: Vec<B>,
    list: List,
    filled: usize,
}

impl<B: IoBufMut> Rooms<B> {
    pub(super) fn new(mut bufs: Vec<B>) -> Self {
        Self {
            list: List::new(vectored::rooms(&mut bufs)),
            bufs,
            filled: 0,
        }
    }

    fn commit(&mut self) {
        // SAFETY: `advance` has counted what was read into the rooms, in order; they are committed once.
        unsafe { vectored::commit(&mut self.bufs, self.filled) };
        self.filled = 0;
    }
}

// SAFETY: the request points to the list, on the heap, and that into the storage of the buffers, STABLE and EXCLUSIVE.
unsafe impl<B: IoBufMut> Payload for Rooms<B> {
    type Buffer = Vec<B>;
    const DIRECTION: Direction = Direction::Read;

    fn left(&mut self) -> usize {
        self.list.left
    }

    fn request(&mut self, fd: RawFd, offset: u64, flags: c_int) -> Request {
        Request::ReadVectored {
            fd,
            vectors: self.list.rest().as_ptr(),
            count: self.list.count(),
            offset,
            flags,
        }
    }

    unsafe fn advance(&mut self, n: usize) {
        self.list.advance(n);
        self.filled += n;
    }

    fn into_buffer(mut self) -> Vec<B> {
        self.commit();
        self.bufs
    }

    fn fill_from(&mut self, bytes: &[u8]) -> usize {
        debug_assert_eq!(self.filled, 0, "stashed bytes come before all others");
        let n = vectored::fill_from(&mut self.bufs, bytes);
        self.list = List::new(vectored::rooms(&mut self.bufs));
        n
    }

    fn received(&mut self) -> Vec<u8> {
        let starts: Vec<usize> = self.bufs.iter().map(IoBufMut::fill_start).collect();
        let mut left = self.filled;
        self.commit();
        let mut bytes = Vec::with_capacity(left);
        for (buf, start) in self.bufs.iter().zip(starts) {
            let new = &buf.as_slice()[start..];
            let here = new.len().min(left);
            bytes.extend_from_slice(&new[..here]);
            left -= here;
        }
        bytes
    }
}

/// A vector that is read into and grows as needed.
pub(super) struct Growing {
    buf: Vec<u8>,
    /// Its length when it came.
    mark: usize,
}

impl Growing {
    /// The least room that a read has once the vector was full.
    const ROOM: usize = 8 * 1024;

    pub(super) fn new(buf: Vec<u8>) -> Self {
        Self {
            mark: buf.len(),
            buf,
        }
    }
}

// SAFETY: the request points to the heap memory of the vector, which grows only in `left`, before a request is made.
unsafe impl Payload for Growing {
    type Buffer = Vec<u8>;
    const DIRECTION: Direction = Direction::Read;

    fn left(&mut self) -> usize {
        if self.buf.len() == self.buf.capacity() {
            self.buf.reserve(Self::ROOM);
        }
        self.buf.room().len()
    }

    fn request(&mut self, fd: RawFd, offset: u64, flags: c_int) -> Request {
        let room = self.buf.room();
        Request::Read {
            fd,
            memory: room.cast::<u8>().as_ptr(),
            len: transfer_len(room.len()),
            offset,
            flags,
        }
    }

    unsafe fn advance(&mut self, n: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.buf.commit(n) };
    }

    fn into_buffer(self) -> Vec<u8> {
        self.buf
    }

    fn fill_from(&mut self, bytes: &[u8]) -> usize {
        self.buf.extend_from_slice(bytes);
        bytes.len()
    }

    fn received(&mut self) -> Vec<u8> {
        self.buf[self.mark..].to_vec()
    }
}

/// A buffer that is written.
pub(super) struct Bytes<B> {
    buf: B,
    sent: usize,
}

impl<B: IoBuf> Bytes<B> {
    pub(super) fn new(buf: B) -> Self {
        Self { buf, sent: 0 }
    }
}

// SAFETY: the request points into the storage of `buf`, which is STABLE.
unsafe impl<B: IoBuf> Payload for Bytes<B> {
    type Buffer = B;
    const DIRECTION: Direction = Direction::Write;

    #[inline]
    fn left(&mut self) -> usize {
        self.buf.as_slice().len() - self.sent
    }

    #[inline]
    fn request(&mut self, fd: RawFd, offset: u64, flags: c_int) -> Request {
        let rest = &self.buf.as_slice()[self.sent..];
        Request::Write {
            fd,
            memory: rest.as_ptr(),
            len: transfer_len(rest.len()),
            offset,
            flags,
        }
    }

    #[inline]
    unsafe fn advance(&mut self, n: usize) {
        self.sent += n;
    }

    fn upcoming(&self) -> &[u8] {
        &self.buf.as_slice()[self.sent..]
    }

    #[inline]
    fn into_buffer(self) -> B {
        self.buf
    }
}

/// Several buffers that are written.
pub(super) struct Pieces<B> {
    bufs: Vec<B>,
    list: List,
}

impl<B: IoBuf> Pieces<B> {
    pub(super) fn new(bufs: Vec<B>) -> Self {
        Self {
            list: List::new(vectored::sources(&bufs)),
            bufs,
        }
    }
}

// SAFETY: the request points to the list, on the heap, and that into the storage of the buffers, which is STABLE.
unsafe impl<B: IoBuf> Payload for Pieces<B> {
    type Buffer = Vec<B>;
    const DIRECTION: Direction = Direction::Write;

    fn left(&mut self) -> usize {
        self.list.left
    }

    fn request(&mut self, fd: RawFd, offset: u64, flags: c_int) -> Request {
        Request::WriteVectored {
            fd,
            vectors: self.list.rest().as_ptr(),
            count: self.list.count(),
            offset,
            flags,
        }
    }

    unsafe fn advance(&mut self, n: usize) {
        self.list.advance(n);
    }

    fn upcoming(&self) -> &[u8] {
        let Some(first) = self.list.rest().first() else {
            return &[];
        };
        // SAFETY: the list was made of the buffers, which are kept, and STABLE.
        unsafe { slice::from_raw_parts(first.iov_base.cast::<u8>(), first.iov_len) }
    }

    fn into_buffer(self) -> Vec<B> {
        self.bufs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_rooms_know_what_they_received() {
        let mut rooms = Rooms::new(vec![b"x".to_vec(), Vec::with_capacity(8)]);
        let room = rooms.left();
        assert!(room >= 8);
        let Request::ReadVectored { vectors, .. } = rooms.request(3, 0, 0) else {
            panic!("a list is read into");
        };
        // SAFETY: the list has an entry, for there is room.
        let first = unsafe { *vectors };
        // SAFETY: the entry has room for at least three bytes, or all of it is the second buffer's.
        unsafe { first.iov_base.cast::<u8>().write_bytes(b'r', 3) };
        // SAFETY: three bytes were written.
        unsafe { rooms.advance(3) };
        assert_eq!(rooms.left(), room - 3);
        assert_eq!(rooms.received(), b"rrr");
    }
}
