//! [`AlignedBuf`]: memory as direct I/O wants it.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::owned::storage_of;
use super::{IoBuf, IoBufMut};

/// A buffer of fixed length that begins at a page boundary, as a file opened with `O_DIRECT`
/// requires.
///
/// Direct I/O wants three things to be multiples of the logical block size of the device, 512 or
/// 4096 bytes: the address, which this type sees to, the length of the transfer, and its offset in
/// the file (`open(2)`).
///
/// # Examples
///
/// ```
/// use camshaft_io::buf::AlignedBuf;
///
/// let mut block = AlignedBuf::zeroed(4096);
/// block[..5].copy_from_slice(b"hello");
/// assert!(block.as_ptr().addr().is_multiple_of(AlignedBuf::ALIGN));
/// ```
pub struct AlignedBuf {
    /// Points to `len` initialised bytes of this value alone: an allocation of `layout(len)`, or
    /// nothing if `len` is 0.
    start: NonNull<u8>,
    len: usize,
}

/// Gives an empty buffer an aligned address without an allocation.
#[repr(align(4096))]
struct Page;

const _: () = assert!(align_of::<Page>() == AlignedBuf::ALIGN);

impl AlignedBuf {
    /// The alignment of the first byte, in bytes.
    pub const ALIGN: usize = 4096;

    /// Allocates a buffer of `len` zero bytes.
    ///
    /// One allocation, or none if `len` is zero.
    ///
    /// # Panics
    ///
    /// If `len` is more than an allocation can hold (nearly `isize::MAX`). If the memory is short,
    /// it ends as in every other allocation: by [`handle_alloc_error`].
    pub fn zeroed(len: usize) -> Self {
        if len == 0 {
            return Self {
                start: NonNull::<Page>::dangling().cast(),
                len,
            };
        }
        let layout = Self::layout(len);
        // SAFETY: the layout is not of size zero.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else {
            handle_alloc_error(layout)
        };
        Self { start, len }
    }

    fn layout(len: usize) -> Layout {
        Layout::from_size_align(len, Self::ALIGN).unwrap_or_else(|_| {
            panic!("a buffer of {len} bytes is more than an allocation can hold")
        })
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if self.len != 0 {
            // SAFETY: `zeroed` has allocated it with this layout, and nothing uses it after the
            // drop.
            unsafe { dealloc(self.start.as_ptr(), Self::layout(self.len)) }
        }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the bytes are valid and initialised, and borrowed with the owner.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: the bytes are valid, initialised and owned, and mutably borrowed with the owner.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Clone for AlignedBuf {
    fn clone(&self) -> Self {
        let mut copy = Self::zeroed(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlignedBuf")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

// SAFETY: it owns plain bytes, as a box does.
unsafe impl Send for AlignedBuf {}

// SAFETY: a shared reference only reads.
unsafe impl Sync for AlignedBuf {}

// SAFETY: the allocation stays where it is until the drop, and is initialised from the start.
unsafe impl IoBuf for AlignedBuf {
    fn as_slice(&self) -> &[u8] {
        self
    }
}

// SAFETY: the buffer owns its bytes, and all of them are initialised, so there is nothing to mark.
unsafe impl IoBufMut for AlignedBuf {
    fn storage(&mut self) -> NonNull<[MaybeUninit<u8>]> {
        storage_of(self)
    }

    fn fill_start(&self) -> usize {
        0
    }

    unsafe fn mark_init(&mut self, _: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_aligned_and_zero() {
        for len in [0, 1, 511, 4096, 4097, 1 << 20] {
            let buf = AlignedBuf::zeroed(len);
            assert_eq!(buf.as_ptr().addr() % AlignedBuf::ALIGN, 0, "{len}");
            assert_eq!(buf.len(), len);
            assert!(buf.iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn a_read_overwrites_it_and_keeps_its_length() {
        let mut buf = AlignedBuf::zeroed(4);
        assert_eq!(buf.fill_from(b"abcdef"), 4);
        assert_eq!(buf.fill_from(b"X"), 1);
        assert_eq!(*buf, *b"Xbcd");
        assert_eq!(AlignedBuf::zeroed(0).room().len(), 0);
    }

    #[test]
    fn a_clone_has_its_own_bytes() {
        let mut one = AlignedBuf::zeroed(2);
        let other = one.clone();
        one[0] = 1;
        assert_eq!((&*one, &*other), (&[1, 0][..], &[0, 0][..]));
    }

    #[test]
    fn it_prints_its_length_alone() {
        assert_eq!(
            format!("{:?}", AlignedBuf::zeroed(7)),
            "AlignedBuf { len: 7, .. }"
        );
    }

    #[test]
    fn it_may_change_threads() {
        fn sendable<T: Send + Sync>(_: &T) {}
        sendable(&AlignedBuf::zeroed(1));
    }

    #[test]
    #[should_panic = "more than an allocation can hold"]
    fn a_length_beyond_the_address_space_is_refused() {
        let _ = AlignedBuf::zeroed(usize::MAX);
    }
}
