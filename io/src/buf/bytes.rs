//! The traits for `Bytes` and `BytesMut`, behind the feature `bytes`.

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use bytes::{Bytes, BytesMut};

use super::{IoBuf, IoBufMut};

// SAFETY: the bytes are shared, so nobody writes them, and live where they are for as long as any
// owner of them.
unsafe impl IoBuf for Bytes {
    fn as_slice(&self) -> &[u8] {
        self
    }
}

// SAFETY: the bytes move only when the buffer is changed; those up to `len` are initialised.
unsafe impl IoBuf for BytesMut {
    fn as_slice(&self) -> &[u8] {
        self
    }

    fn total_len(&self) -> usize {
        self.capacity()
    }
}

// SAFETY: each handle owns its whole capacity, even where several share an allocation. Its bytes
// lie at the start, and `mark_init` only ever lengthens it.
unsafe impl IoBufMut for BytesMut {
    fn storage(&mut self) -> NonNull<[MaybeUninit<u8>]> {
        // A pointer made from the initialised bytes may not be used for the spare ones. With the
        // length at zero, all of the capacity is spare. Nothing in between can panic.
        let len = self.len();
        // SAFETY: zero bytes are initialised.
        unsafe { self.set_len(0) };
        let all = NonNull::from(self.spare_capacity_mut());
        // SAFETY: this many bytes were initialised before, and nothing has been written.
        unsafe { self.set_len(len) };
        all
    }

    fn fill_start(&self) -> usize {
        self.len()
    }

    unsafe fn mark_init(&mut self, len: usize) {
        if len > self.len() {
            // SAFETY: the caller promises that `len` bytes lie within the capacity and are
            // initialised.
            unsafe { self.set_len(len) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_mut_is_appended_to_within_its_capacity() {
        let mut buf = BytesMut::with_capacity(8);
        buf.extend_from_slice(b"abc");
        assert_eq!(buf.room().len(), buf.capacity() - 3);
        assert_eq!(buf.fill_from(b"def"), 3);
        assert_eq!(buf, b"abcdef"[..]);
    }

    #[test]
    fn halves_of_one_allocation_keep_to_their_own_bytes() {
        let mut front = BytesMut::with_capacity(8);
        front.extend_from_slice(b"abcdefgh");
        let mut back = front.split_off(4);
        assert_eq!(front.fill_from(b"XX"), 0);
        assert_eq!(back.fill_at(0, b"EF"), 2);
        assert_eq!((front, back), ("abcd".into(), "EFgh".into()));
    }

    #[test]
    fn a_slice_of_bytes_is_a_part_of_them() {
        let part = IoBuf::slice(Bytes::from_static(b"abcdef"), 2..4);
        assert_eq!(&*part, b"cd");
        assert_eq!(part.into_inner(), "abcdef");
    }
}
