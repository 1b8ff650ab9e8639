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
