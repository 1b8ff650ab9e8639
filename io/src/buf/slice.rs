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
/// # use camshaft_io as camshaft;
/// use camshaft::buf::{IoBuf, IoBufMut};
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A vector of `len` dots with exactly the given capacity.
    fn dots(len: usize, capacity: usize) -> Vec<u8> {
        let mut buf = Vec::with_capacity(capacity);
        assert_eq!(buf.capacity(), capacity);
        buf.resize(len, b'.');
        buf
    }

    #[test]
    fn bounds_of_every_kind_resolve() {
        assert_eq!(resolve(&.., 3, 8), (0, 8));
        assert_eq!(resolve(&(1..), 3, 8), (1, 8));
        assert_eq!(resolve(&(1..2), 3, 8), (1, 2));
        assert_eq!(resolve(&(..=7), 3, 8), (0, 8));
        assert_eq!(resolve(&(3..3), 3, 8), (3, 3));
        let after_one = (Bound::Excluded(1), Bound::Unbounded);
        assert_eq!(resolve(&after_one, 3, 8), (2, 8));
    }

    #[test]
    #[should_panic = "begins at 4, after the 3 initialised bytes"]
    fn a_gap_before_the_slice_is_refused() {
        let _ = dots(3, 8).slice(4..);
    }

    #[test]
    #[should_panic = "ends at 9, after the 8 bytes"]
    fn an_end_after_the_capacity_is_refused() {
        let _ = dots(3, 8).slice(..9);
    }

    #[test]
    #[should_panic = "begins at 2 but ends at 1"]
    fn a_backward_range_is_refused() {
        let (begin, end) = (2, 1);
        let _ = dots(3, 8).slice(begin..end);
    }

    #[test]
    #[should_panic = "cannot reach to the last address"]
    fn an_end_that_overflows_is_refused() {
        let _ = dots(3, 8).slice(..=usize::MAX);
    }

    #[test]
    #[should_panic = "begins at 2, after the 1 initialised bytes"]
    fn a_gap_within_a_nested_slice_is_refused() {
        let _ = dots(3, 8).slice(2..).slice(2..);
    }

    #[test]
    fn a_read_into_the_spare_capacity_lengthens_the_vector() {
        let mut part = dots(3, 8).slice(3..6);
        assert_eq!((part.begin(), part.end(), part.len()), (3, 6, 0));
        assert_eq!(part.fill_from(b"abcdef"), 3);
        assert_eq!(&*part, b"abc");
        assert_eq!(part.into_inner(), b"...abc");
    }

    #[test]
    fn a_short_read_cuts_nothing_off() {
        let mut part = dots(8, 8).slice(2..6);
        assert_eq!(part.fill_from(b"a"), 1);
        assert_eq!(&*part, b"a...");
        assert_eq!(part.into_inner(), b"..a.....");
    }

    #[test]
    fn each_read_begins_at_the_start_of_the_slice() {
        let mut part = dots(2, 8).slice(1..);
        assert_eq!(part.fill_from(b"abcd"), 4);
        assert_eq!(part.fill_from(b"XY"), 2);
        assert_eq!(part.into_inner(), b".XYcd");
    }

    #[test]
    fn a_read_in_steps_goes_on_where_it_was() {
        let mut part = dots(0, 8).slice(..4);
        let start = part.fill_start();
        assert_eq!(part.fill_at(start, b"ab"), 2);
        assert_eq!(part.fill_at(start + 2, b"cdef"), 2);
        assert_eq!(part.room_at(4).len(), 0);
        assert_eq!(part.into_inner(), b"abcd");
    }

    #[test]
    #[should_panic = "begins at 1, after the 0 initialised bytes"]
    fn a_step_that_leaves_a_gap_is_refused() {
        let _ = dots(0, 8).slice(..4).fill_at(1, b"ab");
    }

    #[test]
    fn the_end_of_a_slice_holds_within_a_nested_one() {
        let mut inner = dots(4, 8).slice(1..6).slice(2..);
        assert_eq!((inner.begin(), inner.end()), (2, 5));
        assert_eq!(inner.fill_from(b"abcdef"), 3);
        assert_eq!(inner.into_inner().into_inner(), b"...abc");
    }

    #[test]
    fn an_empty_slice_has_no_room() {
        assert_eq!(dots(3, 8).slice(3..3).room().len(), 0);
        assert_eq!(dots(3, 3).slice(3..).room().len(), 0);
    }
}
