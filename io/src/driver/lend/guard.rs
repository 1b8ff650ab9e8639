//! [`BufGuard`]: received bytes that are lent.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::slice;

use super::BufRing;
use crate::buf::IoBuf;

/// Received bytes in a buffer that is lent from the runtime's ring; empty ones mean the end of the stream.
///
/// Dropping the guard gives its part of the buffer back. It may outlive the stream and the runtime. Several guards may share
/// a buffer, which is used again when the last of them is gone, so what is to be kept for long is better copied. Guards that
/// are kept exhaust the ring; receives then get private buffers and never wait.
///
/// It derefs to `[u8]`, and is an [`IoBuf`], so it can be written to another stream without copying.
pub struct BufGuard {
    bytes: Bytes,
}

enum Bytes {
    Lent {
        ring: Rc<BufRing>,
        place: u32,
        len: u32,
    },
    Private(Vec<u8>),
}

impl BufGuard {
    /// The buffers that it is lent from; `None` for a private one.
    #[must_use]
    pub fn ring(&self) -> Option<&BufRing> {
        match &self.bytes {
            Bytes::Lent { ring, .. } => Some(ring),
            Bytes::Private(_) => None,
        }
    }

    pub(crate) fn private(bytes: Vec<u8>) -> Self {
        Self {
            bytes: Bytes::Private(bytes),
        }
    }

    /// # Safety
    ///
    /// The bytes are a piece that the ring has booked, the whole of it, and nobody else has it.
    pub(super) unsafe fn lent(ring: Rc<BufRing>, place: u32, len: u32) -> Self {
        Self {
            bytes: Bytes::Lent { ring, place, len },
        }
    }
}

/// Bytes of one's own in the place of lent ones, for a stream that has no others.
impl From<Vec<u8>> for BufGuard {
    fn from(bytes: Vec<u8>) -> Self {
        Self::private(bytes)
    }
}

impl Deref for BufGuard {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.bytes {
            // SAFETY: by LENT-ONCE nobody else touches these bytes, by LENT-MEMORY they are mapped as long as `ring` is
            // held, and they are initialised: the kernel wrote them, and a mapping is initialised from the start.
            Bytes::Lent { ring, place, len } => unsafe {
                slice::from_raw_parts(ring.at(*place).as_ptr(), *len as usize)
            },
            Bytes::Private(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for BufGuard {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

// SAFETY: STABLE: the bytes lie in the mapping of the ring or on the heap, and neither moves with the guard. INIT: all of
// `deref` is initialised. EXCLUSIVE: nobody writes them while the guard lives (LENT-ONCE).
unsafe impl IoBuf for BufGuard {
    fn as_slice(&self) -> &[u8] {
        self
    }
}

impl Drop for BufGuard {
    fn drop(&mut self) {
        if let Bytes::Lent { ring, place, .. } = &self.bytes {
            ring.release(*place);
        }
    }
}

impl fmt::Debug for BufGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufGuard")
            .field("len", &self.len())
            .field("lent", &matches!(self.bytes, Bytes::Lent { .. }))
            .finish()
    }
}
