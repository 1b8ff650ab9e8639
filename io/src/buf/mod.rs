//! Buffers that the kernel may keep: the traits, the standard types that have them, [`Slice`] and
//! [`AlignedBuf`].
//!
//! A read or a write on a ring starts now and ends later, and in between the kernel uses the memory
//! on its own. A borrow cannot express that, for a future may be forgotten while the kernel still
//! writes. So an operation *takes* its buffer and gives it back beside the result, as a
//! [`BufResult`].
//!
//! ```text
//!                       storage: total_len() bytes, at one address for the life of the value
//!   ┌──────────────────────────────────────────┬──────────────────────────────────────────┐
//!   │  as_slice(): initialised, what a write   │  spare: allocated, not yet initialised   │
//!   │  sends                                   │  (empty in all but growing buffers)      │
//!   └──────────────────────────────────────────┴──────────────────────────────────────────┘
//!   ▲ fill_start() of a buffer that is         ▲ fill_start() of a buffer that is
//!     overwritten: Box<[u8]>, AlignedBuf,        appended to: Vec<u8>, BytesMut
//!     Slice
//!   └───────────────────────────── room() of the first kind ──────────────────────────────┘
//!                                              └───────── room() of the second ───────────┘
//! ```
//!
//! A read fills the room from its start and says how many bytes it brought. A buffer without room
//! cannot be read into: the operation answers `InvalidInput`, because zero bytes would mean the end
//! of the file.
//!
//! # Invariants
//!
//! Whoever implements the two unsafe traits promises these. The unsafe code of the crate cites them
//! by name.
//!
//! - **STABLE**: moving the value, or forgetting it, moves, frees and changes none of its memory.
//!   Its drop may, and so may whoever changes the value through a `&mut` by other means than these
//!   traits; no method of [`IoBuf`] or [`IoBufMut`] does.
//! - **INIT**: [`IoBuf::as_slice`] is a prefix of the storage, and all of it is initialised. No
//!   safe method takes an initialised byte away: room is handed out as a raw pointer, never as a
//!   `&mut` to memory that may be uninitialised, through which safe code could *make* it so.
//! - **EXCLUSIVE**: what a buffer that can be read into calls its storage is its own; nobody else
//!   reads or writes it as long as the value lives and is not used. What a buffer that can only be
//!   written from shows, nobody writes.
//!
//! # What is not here
//!
//! No system call and no length limit: the operations cut what is longer than the kernel takes in
//! one go. Buffers that belong to a ring, registered or provided, live with the driver.
//!
//! # Examples
//!
//! ```
//! # use camshaft_io as camshaft;
//! use camshaft::buf::{IoBuf, IoBufMut};
//!
//! let mut buf = Vec::with_capacity(16);
//! assert_eq!(buf.fill_from(b"hello, "), 7);
//! assert_eq!(buf.fill_from(b"world"), 5); // a vector is appended to
//! assert_eq!(buf, b"hello, world");
//!
//! let mut word = buf.slice(7..);
//! assert_eq!(word.fill_from(b"there"), 5); // a slice is overwritten from its start
//! assert_eq!(word.into_inner(), b"hello, there");
//! ```

use std::mem::MaybeUninit;
use std::ops::RangeBounds;
use std::ptr::NonNull;

mod aligned;
#[cfg(feature = "bytes")]
mod bytes;
mod fixed;
mod owned;
mod slice;
#[allow(dead_code, reason = "not every operation has a vectored form")]
pub(crate) mod vectored;

pub use aligned::AlignedBuf;
pub use fixed::FixedBuf;
pub use slice::Slice;

/// The outcome of an operation that took a buffer: the result, and the buffer whether it succeeded
/// or not.
pub type BufResult<T, B> = (std::io::Result<T>, B);

/// An owned buffer whose bytes the kernel may read: the argument of a write.
///
/// Implemented by `Vec<u8>`, `Box<[u8]>`, `Box<[u8; N]>`, `String`, [`AlignedBuf`], `Rc<[u8]>`,
/// `Arc<[u8]>`, `&'static [u8]`, `&'static [u8; N]`, `&'static str` and a [`Slice`] of any of them,
/// and with the feature `bytes` by `Bytes` and `BytesMut`.
///
/// A borrowed slice is refused, and so is an array, whose bytes move with it:
///
/// ```compile_fail,E0277
/// # use camshaft_io as camshaft;
/// use camshaft::buf::IoBuf;
///
/// fn write(buf: impl IoBuf) {}
/// write([0_u8; 16]);
/// ```
///
/// # Safety
///
/// The type upholds STABLE, INIT and EXCLUSIVE of the [module](self): between two calls that take
/// the value by `&mut`, [`as_slice`](Self::as_slice) and [`total_len`](Self::total_len) answer the
/// same, wherever the value has moved meanwhile; the bytes stay valid and unchanged; and
/// `as_slice().len() <= total_len()`. The provided [`slice`](Self::slice) is left as it is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used: the kernel keeps the buffer; pass an owned one such as Vec<u8>",
    label = "not an owned buffer with a stable address",
    note = "a borrowed slice may end, and an array may move, while the kernel still uses the memory",
    note = "`Vec<u8>`, `Box<[u8]>`, `AlignedBuf` and `&'static [u8]` are accepted; `buf.slice(range)` sends a part"
)]
pub unsafe trait IoBuf: 'static {
    /// The initialised bytes: what a write sends.
    fn as_slice(&self) -> &[u8];

    /// The length of the storage in bytes, with the spare room that is not initialised yet.
    ///
    /// The capacity of a `Vec`; the length of a buffer that cannot grow.
    fn total_len(&self) -> usize {
        self.as_slice().len()
    }

    /// Narrows the buffer to a range, for an operation on only that part.
    ///
    /// The range counts from the start of this buffer. It must begin within the initialised bytes,
    /// so that a read into the slice leaves no gap, but may reach into the spare room; an open end
    /// means all of it. A write sends those bytes of the range that are initialised.
    /// [`Slice::into_inner`] gives the buffer back.
    ///
    /// With this trait in scope, `bytes.slice(..)` on a `bytes::Bytes` means this method, which
    /// takes the value; `Bytes::slice(&bytes, ..)` is the other one.
    ///
    /// # Panics
    ///
    /// If the range begins after its end, after the initialised bytes, or ends after the storage.
    ///
    /// # Examples
    ///
    /// ```
    /// # use camshaft_io as camshaft;
    /// use camshaft::buf::IoBuf;
    ///
    /// let part = b"GET / HTTP/1.1".slice(4..5);
    /// assert_eq!(&*part, b"/");
    /// ```
    #[track_caller]
    fn slice(self, range: impl RangeBounds<usize>) -> Slice<Self>
    where
        Self: Sized,
    {
        Slice::new(self, range)
    }
}

/// An owned buffer whose bytes the kernel may write: the argument of a read.
///
/// Implemented by `Vec<u8>`, `Box<[u8]>`, `Box<[u8; N]>`, [`AlignedBuf`] and a [`Slice`] of any of
/// them, and with the feature `bytes` by `BytesMut`. A `Vec` and a `BytesMut` are appended to, as
/// far as their capacity goes; the others are overwritten from their start and keep their length.
///
/// ```compile_fail,E0277
/// # use camshaft_io as camshaft;
/// use camshaft::buf::IoBufMut;
///
/// fn read(buf: impl IoBufMut) {}
/// let mut on_the_stack = [0_u8; 16];
/// read(&mut on_the_stack[..]);
/// ```
///
/// # Safety
///
/// The type upholds STABLE, INIT and EXCLUSIVE of the [module](self):
///
/// - [`storage`](Self::storage) always returns the same [`total_len`](IoBuf::total_len) bytes,
///   valid for reads and writes, and of its own; [`as_slice`](IoBuf::as_slice) lies at their start.
/// - [`fill_start`](Self::fill_start) is at most `as_slice().len()`.
/// - After [`mark_init`](Self::mark_init)`(len)`, `as_slice` has at least `len` bytes, and no fewer
///   than before. Nothing else changes: the bytes and the storage stay as they were.
///
/// The provided methods are left as they are.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used: the kernel keeps the buffer; pass an owned one such as Vec<u8>",
    label = "not an owned, writable buffer with a stable address",
    note = "a borrowed slice may end, and an array may move, while the kernel still uses the memory",
    note = "a read fills the spare capacity of a `Vec<u8>`, or all of a `Box<[u8]>`, an `AlignedBuf` or a `Slice`"
)]
pub unsafe trait IoBufMut: IoBuf {
    /// All memory of the buffer, from its first byte: [`total_len`](IoBuf::total_len) bytes, of
    /// which those that [`as_slice`](IoBuf::as_slice) shows are initialised.
    ///
    /// The pointer is raw so that no safe code can uninitialise through it what was initialised. It
    /// may be written through until the buffer is used again, even after the value has moved.
    fn storage(&mut self) -> NonNull<[MaybeUninit<u8>]>;

    /// The offset in the storage where the next read begins: the length of a buffer that is
    /// appended to, else zero.
    ///
    /// After a read of `n` bytes they are `as_slice()[start..start + n]`, if `start` was taken
    /// before the read.
    fn fill_start(&self) -> usize;

    /// Declares that the first `len` bytes of the storage are initialised now.
    ///
    /// Never shortens the buffer: one that has `len` initialised bytes already is left as it is.
    ///
    /// # Safety
    ///
    /// The first `len` bytes of [`storage`](Self::storage) exist and are initialised.
    unsafe fn mark_init(&mut self, len: usize);

    /// The memory that a read may fill. It may be empty, and then the buffer is not fit for a read.
    fn room(&mut self) -> NonNull<[MaybeUninit<u8>]> {
        let start = self.fill_start();
        self.room_at(start)
    }

    /// The storage from an offset on: where a read goes on that fills a buffer in several steps.
    ///
    /// # Panics
    ///
    /// If `at` lies after the initialised bytes, where filling would leave a gap.
    fn room_at(&mut self, at: usize) -> NonNull<[MaybeUninit<u8>]> {
        let init = self.as_slice().len();
        assert!(
            at <= init,
            "the room begins at {at}, after the {init} initialised bytes of the buffer"
        );
        slice::tail(self.storage(), at)
    }

    /// Declares that the first `n` bytes of the [`room`](Self::room) are initialised, as a read has
    /// filled them.
    ///
    /// # Safety
    ///
    /// `n` is at most the length of the room, and its first `n` bytes are initialised.
    unsafe fn commit(&mut self, n: usize) {
        let len = self.fill_start() + n;
        // SAFETY: the storage up to the room is initialised (`fill_start` is within INIT), and the
        // `n` bytes after it are, by the caller's promise.
        unsafe { self.mark_init(len) }
    }

    /// Reads from memory: copies as many of the bytes as the room takes, and returns how many.
    fn fill_from(&mut self, bytes: &[u8]) -> usize {
        let start = self.fill_start();
        self.fill_at(start, bytes)
    }

    /// Copies bytes to an offset of the storage, as many as fit, and returns how many.
    ///
    /// # Panics
    ///
    /// If `at` lies after the initialised bytes, where filling would leave a gap.
    fn fill_at(&mut self, at: usize, bytes: &[u8]) -> usize {
        let room = self.room_at(at);
        let n = room.len().min(bytes.len());
        let target = room.cast::<u8>();
        // SAFETY: both are valid for `n` bytes, and the room is of this buffer alone (EXCLUSIVE),
        // so no shared slice overlaps it.
        unsafe { target.copy_from_nonoverlapping(NonNull::from(bytes).cast(), n) };
        // SAFETY: the bytes before `at` are initialised, as `room_at` has checked, and the `n`
        // after it are now.
        unsafe { self.mark_init(at + n) };
        n
    }
}
