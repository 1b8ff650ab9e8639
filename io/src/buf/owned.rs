//! The traits for the owned byte containers of std.
//!
//! An array by itself is missing on purpose: its bytes move with it, so it is not STABLE. So is
//! `&mut [u8]`, which the caller may end by forgetting the future. `&'static mut [u8]` would be
//! sound, but having it turns the error for every other `&mut [u8]` into one about lifetimes, which
//! does not say what to do.

use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

use super::{IoBuf, IoBufMut};

/// The storage of a buffer that is initialised throughout.
pub(crate) fn storage_of(bytes: &mut [u8]) -> NonNull<[MaybeUninit<u8>]> {
    let len = bytes.len();
    NonNull::slice_from_raw_parts(NonNull::from(bytes).cast(), len)
}

// SAFETY: the bytes lie on the heap and move only when the vector is changed; those up to `len` are
// initialised.
unsafe impl IoBuf for Vec<u8> {
    fn as_slice(&self) -> &[u8] {
        self
    }

    fn total_len(&self) -> usize {
        self.capacity()
    }
}

// SAFETY: a vector owns its whole capacity, its bytes lie at the start, and `mark_init` only ever
// lengthens it.
unsafe impl IoBufMut for Vec<u8> {
    fn storage(&mut self) -> NonNull<[MaybeUninit<u8>]> {
        let start = NonNull::new(self.as_mut_ptr()).expect("the pointer of a vector is never null");
        NonNull::slice_from_raw_parts(start.cast(), self.capacity())
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

// SAFETY: the bytes lie on the heap for as long as the box lives, initialised from the start.
unsafe impl IoBuf for Box<[u8]> {
    fn as_slice(&self) -> &[u8] {
        self
    }
}

// SAFETY: a box owns its bytes, and all of them are initialised, so there is nothing to mark.
unsafe impl IoBufMut for Box<[u8]> {
    fn storage(&mut self) -> NonNull<[MaybeUninit<u8>]> {
        storage_of(self)
    }

    fn fill_start(&self) -> usize {
        0
    }

    unsafe fn mark_init(&mut self, _: usize) {}
}

// SAFETY: as for `Box<[u8]>`.
unsafe impl<const N: usize> IoBuf for Box<[u8; N]> {
    fn as_slice(&self) -> &[u8] {
        &self[..]
    }
}

// SAFETY: as for `Box<[u8]>`.
unsafe impl<const N: usize> IoBufMut for Box<[u8; N]> {
    fn storage(&mut self) -> NonNull<[MaybeUninit<u8>]> {
        storage_of(&mut self[..])
    }

    fn fill_start(&self) -> usize {
        0
    }

    unsafe fn mark_init(&mut self, _: usize) {}
}

// SAFETY: as for `Vec<u8>`. The spare capacity is left out: what is read need not be UTF-8.
unsafe impl IoBuf for String {
    fn as_slice(&self) -> &[u8] {
        self.as_bytes()
    }
}

// SAFETY: the bytes are borrowed for ever, so nobody frees or writes them.
unsafe impl IoBuf for &'static [u8] {
    fn as_slice(&self) -> &[u8] {
        self
    }
}

// SAFETY: the bytes are borrowed for ever, so nobody frees or writes them.
unsafe impl<const N: usize> IoBuf for &'static [u8; N] {
    fn as_slice(&self) -> &[u8] {
        &self[..]
    }
}

// SAFETY: the bytes are borrowed for ever, so nobody frees or writes them.
unsafe impl IoBuf for &'static str {
    fn as_slice(&self) -> &[u8] {
        self.as_bytes()
    }
}

// SAFETY: the bytes live as long as any owner, and nobody gets to write them while this is one of
// several. When it is the only one, that takes `&mut` to it.
unsafe impl IoBuf for Rc<[u8]> {
    fn as_slice(&self) -> &[u8] {
        self
    }
}

// SAFETY: as for `Rc<[u8]>`.
unsafe impl IoBuf for Arc<[u8]> {
    fn as_slice(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moves the buffer and says whether its bytes stayed where they were.
    fn stays<B: IoBuf>(buf: B) -> bool {
        let before = buf.as_slice().as_ptr_range();
        let moved = Box::new(buf);
        moved.as_slice().as_ptr_range() == before
    }

    #[test]
    fn no_buffer_moves_with_its_value() {
        assert!(stays(vec![1_u8, 2, 3]));
        assert!(stays(Box::<[u8]>::from([1, 2, 3])));
        assert!(stays(Box::new([1_u8, 2, 3])));
        assert!(stays(String::from("abc")));
        assert!(stays(&b"abc"[..]));
        assert!(stays(b"abc"));
        assert!(stays("abc"));
        assert!(stays(Rc::<[u8]>::from([1, 2, 3])));
        assert!(stays(Arc::<[u8]>::from([1, 2, 3])));
        assert!(stays(crate::buf::AlignedBuf::zeroed(3)));
        assert!(stays(vec![1_u8, 2, 3].slice(1..)));
    }

    #[test]
    fn a_vector_is_appended_to_within_its_capacity() {
        let mut buf = Vec::with_capacity(4);
        buf.push(b'a');
        assert_eq!(buf.fill_from(b"bcdef"), 3);
        assert_eq!(buf.room().len(), 0);
        assert_eq!(buf.fill_from(b"e"), 0);
        assert_eq!(buf, b"abcd");
    }

    #[test]
    fn a_vector_without_capacity_has_no_room() {
        assert_eq!(Vec::<u8>::new().room().len(), 0);
        assert_eq!(Vec::new().fill_from(b"a"), 0);
    }

    #[test]
    fn marking_fewer_bytes_than_there_are_changes_nothing() {
        let mut buf = b"abc".to_vec();
        // SAFETY: one byte is initialised, for three are.
        unsafe { buf.mark_init(1) };
        assert_eq!(buf, b"abc");
    }

    #[test]
    fn boxes_are_overwritten_and_keep_their_length() {
        let mut slice = Box::<[u8]>::from(*b"abcd");
        assert_eq!(slice.fill_from(b"XY"), 2);
        assert_eq!(slice.fill_from(b"Z"), 1);
        assert_eq!(*slice, *b"ZYcd");

        let mut array = Box::new(*b"abcd");
        assert_eq!(array.fill_from(b"123456"), 4);
        assert_eq!(*array, *b"1234");
    }

    #[test]
    fn a_read_goes_through_the_raw_room_after_a_move() {
        let mut buf = Vec::with_capacity(4);
        buf.push(b'a');
        let room = buf.room().cast::<u8>();
        let mut moved = Box::new(buf);
        // SAFETY: the room has three bytes and stays where it is.
        unsafe { room.write_bytes(b'b', 2) };
        // SAFETY: two bytes of the room are written.
        unsafe { moved.commit(2) };
        assert_eq!(*moved, b"abb");
    }
}
