//! [`Slice`]: a part of an owned buffer, itself an owned buffer.
//!
//! ```text
//!   buffer     0 ─────────── initialised ───────────┬───────── spare ───────── total_len
//!   slice              begin ───────────────────────┴──────────── end
//!                        └── as_slice() of the slice┘              │
//!                        └── room() of the slice ──────────────────┘
//! ```
//!
//! - **WITHIN**: `begin <= end <= total_len`, and `begin` is within the initialised bytes. It is
//!   checked once, when the slice is made, and stays true: the buffer is never lent out by `&mut`,
//!   its storage is STABLE, and `mark_init` only adds initialised bytes.
//!
//! A slice of a slice is nothing special. Its bounds count from the start of the outer one, and
//! "initialised" means what that one shows, which by WITHIN has no gap before it.

use std::mem::MaybeUninit;
use std::ops::{Bound, Deref, RangeBounds};
use std::ptr::NonNull;

use super::{IoBuf, IoBufMut};

/// A part of an owned buffer, for an operation on only that part. Made by [`IoBuf::slice`].
///
/// Derefs to those bytes of the part that are initialised. A read overwrites it from its start, and
/// a slice of a `Vec` may reach into the spare capacity: bytes read there make the vector longer,
/// and bytes that were there already are never cut off.
///
/// # Examples
///
/// ```
/// use camshaft_io::buf::{IoBuf, IoBufMut};
///
/// let mut header = Vec::with_capacity(8);
/// header.extend_from_slice(b"len=");
/// let mut number = header.slice(4..6);
/// assert_eq!(number.fill_from(b"1234"), 2);
/// assert_eq!(&*number, b"12");
/// assert_eq!(number.into_inner(), b"len=12");
/// ```
#[derive(Debug)]
pub struct Slice<T> {
    buf: T,
    begin: usize,
    end: usize,
}

impl<T> Slice<T> {
    /// The offset of the first byte of the slice in the buffer.
    pub const fn begin(&self) -> usize {
        self.begin
    }

    /// The offset after the last byte of the slice in the buffer. It may lie in the buffer's spare
    /// room.
    pub const fn end(&self) -> usize {
        self.end
    }

    /// Borrows the whole buffer.
    pub const fn get_ref(&self) -> &T {
        &self.buf
    }

    /// Gives the whole buffer back, with what was read into the slice.
    pub fn into_inner(self) -> T {
        self.buf
    }
}

impl<T: IoBuf> Slice<T> {
    #[track_caller]
    pub(super) fn new(buf: T, range: impl RangeBounds<usize>) -> Self {
        let (begin, end) = resolve(&range, buf.as_slice().len(), buf.total_len());
        Self { buf, begin, end }
    }
}

impl<T: IoBuf> Deref for Slice<T> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let init = self.buf.as_slice();
        &init[self.begin..self.end.min(init.len())]
    }
}

// SAFETY: STABLE, INIT and EXCLUSIVE hold for every part of a buffer for which they hold, and by
// WITHIN the initialised part of the slice is a prefix of it.
unsafe impl<T: IoBuf> IoBuf for Slice<T> {
    fn as_slice(&self) -> &[u8] {
        self
    }

    fn total_len(&self) -> usize {
        self.end - self.begin
    }
}

// SAFETY: the storage is a part of the buffer's, of `total_len` bytes; marking `len` bytes of the
// slice marks `begin + len` of the buffer, and the buffer keeps the bytes that it had.
unsafe impl<T: IoBufMut> IoBufMut for Slice<T> {
    fn storage(&mut self) -> NonNull<[MaybeUninit<u8>]> {
        let from_begin = tail(self.buf.storage(), self.begin);
        NonNull::slice_from_raw_parts(from_begin.cast(), self.end - self.begin)
    }

    fn fill_start(&self) -> usize {
        0
    }

    unsafe fn mark_init(&mut self, len: usize) {
        // SAFETY: the bytes before `begin` are initialised by WITHIN, the `len` after it by the
        // caller's promise.
        unsafe { self.buf.mark_init(self.begin + len) }
    }
}

/// The part of a buffer's storage from an offset on.
///
/// # Panics
///
/// If the offset lies outside.
pub(super) fn tail(storage: NonNull<[MaybeUninit<u8>]>, at: usize) -> NonNull<[MaybeUninit<u8>]> {
    let len = storage
        .len()
        .checked_sub(at)
        .expect("the offset lies within the storage of the buffer");
    // SAFETY: `at` is at most the length of the storage, which is one allocation.
    let start = unsafe { storage.cast::<MaybeUninit<u8>>().add(at) };
    NonNull::slice_from_raw_parts(start, len)
}

/// Turns a range into bounds that satisfy WITHIN, for a buffer of `total` bytes of which `init` are
/// initialised.
#[track_caller]
fn resolve(range: &impl RangeBounds<usize>, init: usize, total: usize) -> (usize, usize) {
    let after = |n: usize| {
        n.checked_add(1)
            .expect("a slice cannot reach to the last address")
    };
    let begin = match range.start_bound() {
        Bound::Included(&n) => n,
        Bound::Excluded(&n) => after(n),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&n) => after(n),
        Bound::Excluded(&n) => n,
        Bound::Unbounded => total,
    };
    assert!(
        begin <= init,
        "the slice begins at {begin}, after the {init} initialised bytes of the buffer"
    );
    assert!(
        begin <= end,
        "the slice begins at {begin} but ends at {end}"
    );
    assert!(
        end <= total,
        "the slice ends at {end}, after the {total} bytes of the buffer"
    );
    (begin, end)
}
