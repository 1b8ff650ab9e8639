//! [`FixedBuf`]: memory that a ring knows in advance.

use std::fmt;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::rc::Weak;

use super::{AlignedBuf, IoBuf, IoBufMut};
use crate::driver::{self, Inner};

/// A buffer of fixed length whose memory is registered with the ring of the runtime in which it was made.
///
/// The kernel looks the memory up and pins it once, instead of at each transfer. Reads and writes of files gain a few per cent by
/// that, most of all direct ones of 4 KiB, for which it is aligned (see [`AlignedBuf`]). Sockets gain nothing. Parts of it
/// ([`slice`](IoBuf::slice)) are registered, too.
///
/// It is an ordinary buffer where there is nothing to register it with: outside of a runtime, on epoll, on rings before
/// 5.19, when 1024 are registered, or beyond the locked memory that the process may have (`ulimit -l`); and on every other
/// runtime than its own. [`is_registered`](Self::is_registered) tells.
///
/// Making and dropping one costs a system call each and the pinning of its pages: keep them, and use them again.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # async fn read(file: camshaft::fs::File) -> std::io::Result<()> {
/// use camshaft::buf::FixedBuf;
///
/// let mut block = FixedBuf::zeroed(4096);
/// for n in 0..1000 {
///     let (read, same) = file.read_at(block, n * 4096).await;
///     println!("{} bytes", read?);
///     block = same;
/// }
/// # Ok(())
/// # }
/// ```
pub struct FixedBuf {
    buf: AlignedBuf,
    /// Whose ring knows it. Dangling if none does.
    driver: Weak<Inner>,
}

impl FixedBuf {
    /// Allocates a buffer of `len` zero bytes and registers it with the current runtime, if there is one that can.
    ///
    /// # Panics
    ///
    /// As [`AlignedBuf::zeroed`].
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let buf = AlignedBuf::zeroed(len);
        let driver = driver::current().filter(|driver| {
            // SAFETY: the drop takes it out before the memory is freed.
            len > 0 && unsafe { driver.register(buf.as_ptr_range()) }
        });
        Self {
            buf,
            driver: driver.map_or_else(Weak::new, |driver| std::rc::Rc::downgrade(&driver)),
        }
    }

    /// Whether a runtime that still exists knows it.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.driver.strong_count() > 0
    }
}

impl Drop for FixedBuf {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.upgrade() {
            driver.unregister(self.buf.as_ptr());
        }
    }
}

impl Deref for FixedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buf
    }
}

impl DerefMut for FixedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.buf
    }
}

// SAFETY: as `AlignedBuf`, in whose storage all bytes lie.
unsafe impl IoBuf for FixedBuf {
    fn as_slice(&self) -> &[u8] {
        &self.buf
    }
}

// SAFETY: as `AlignedBuf`.
unsafe impl IoBufMut for FixedBuf {
    fn storage(&mut self) -> NonNull<[MaybeUninit<u8>]> {
        self.buf.storage()
    }

    fn fill_start(&self) -> usize {
        self.buf.fill_start()
    }

    unsafe fn mark_init(&mut self, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.buf.mark_init(len) }
    }
}

impl fmt::Debug for FixedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedBuf")
            .field("len", &self.buf.len())
            .field("registered", &self.is_registered())
            .finish()
    }
}
