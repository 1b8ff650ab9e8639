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
/// # use camshaft_io as camshaft;
/// use camshaft::buf::AlignedBuf;
///
/// let mut block = AlignedBuf::zeroed(4096);
/// block[..5].copy_from_slice(b"hello");
/// assert!(block.as_ptr().addr().is_multiple_of(AlignedBuf::ALIGN));
/// ```
pub struct AlignedBuf {
    /// Points to `len` initialised bytes of this value alone: an allocation of `layout(len)` from
    /// `lead` bytes in, or nothing if `len` is 0.
    start: NonNull<u8>,
    len: usize,
    lead: usize,
}

/// Gives an empty buffer an aligned address without an allocation.
#[repr(align(4096))]
struct Page;

/// The length from which on zeroed pages are left to the system, in bytes: where common allocators
/// begin to ask it for each allocation.
const LARGE: usize = 128 * 1024;

const _: () = assert!(align_of::<Page>() == AlignedBuf::ALIGN);

impl AlignedBuf {
    /// The alignment of the first byte, in bytes.
    pub const ALIGN: usize = 4096;

    /// Allocates a buffer of `len` zero bytes.
    ///
    /// One allocation, or none if `len` is zero. The pages of a large buffer, of 128 KiB and more,
    /// take no memory before they are used, if the allocator gets them from the system; such a
    /// buffer is a page longer than it shows.
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
                lead: 0,
            };
        }
        let layout = Self::layout(len);
        // SAFETY: the layout is not of size zero.
        let base = unsafe { alloc_zeroed(layout) };
        let Some(base) = NonNull::new(base) else {
            handle_alloc_error(layout)
        };
        let lead = base.addr().get().wrapping_neg() % Self::ALIGN;
        // SAFETY: an aligned allocation is not moved into; another is longer by ALIGN.
        let start = unsafe { base.add(lead) };
        Self { start, len, lead }
    }

    /// Allocators have pages that are zero already for an ordinary alignment only: to memory that
    /// they align to a page, they write the zeroes. So a large buffer aligns itself, in a larger
    /// allocation.
    fn layout(len: usize) -> Layout {
        let layout = if len < LARGE {
            Layout::from_size_align(len, Self::ALIGN)
        } else {
            Layout::from_size_align(len.saturating_add(Self::ALIGN), 1)
        };
        layout.unwrap_or_else(|_| {
            panic!("a buffer of {len} bytes is more than an allocation can hold")
        })
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if self.len != 0 {
            // SAFETY: the allocation begins that far before.
            let base = unsafe { self.start.sub(self.lead) };
            // SAFETY: `zeroed` has allocated it with this layout, and nothing uses it after the
            // drop.
            unsafe { dealloc(base.as_ptr(), Self::layout(self.len)) }
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
        for len in [0, 1, 511, 4096, 4097, LARGE - 1, LARGE, LARGE + 1, 1 << 20] {
            let buf = AlignedBuf::zeroed(len);
            assert_eq!(buf.as_ptr().addr() % AlignedBuf::ALIGN, 0, "{len}");
            assert_eq!(buf.len(), len);
            assert!(buf.iter().all(|&byte| byte == 0));
        }
    }

    /// How many pages of it are resident.
    #[cfg(not(miri))]
    fn resident(buf: &AlignedBuf) -> usize {
        let mut pages = vec![0_u8; buf.len().div_ceil(AlignedBuf::ALIGN)];
        let start = buf.as_ptr().cast_mut().cast();
        // SAFETY: the kernel writes a byte for each page of the buffer.
        let asked = unsafe { libc::mincore(start, buf.len(), pages.as_mut_ptr()) };
        assert_eq!(asked, 0, "{}", std::io::Error::last_os_error());
        pages.iter().filter(|page| **page & 1 != 0).count()
    }

    #[test]
    #[cfg(not(miri))]
    fn a_large_one_touches_only_the_pages_that_are_used() {
        let mut buf = AlignedBuf::zeroed(64 << 20);
        assert_eq!(resident(&buf), 0);
        buf[10 << 20] = 1;
        assert!(
            (1..=512).contains(&resident(&buf)),
            "a page, be it a huge one"
        );
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
