//! What the kernel says when an operation has ended, or a part of it.

use std::io;

use crate::offload;

/// What the kernel said about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    pub(crate) result: i32,
    pub(crate) flags: u32,
    /// Where the bytes lie in the lent buffers, if the kernel picked one; see [`super::lend`].
    pub(crate) place: u32,
}

impl Completion {
    /// The place of bytes that are in no lent buffer.
    pub(crate) const NOWHERE: u32 = u32::MAX;

    #[inline]
    pub(crate) fn new(result: i32, flags: u32) -> Self {
        Self {
            result,
            flags,
            place: Self::NOWHERE,
        }
    }

    /// Whether the kernel picked a buffer for it.
    #[inline]
    pub(crate) fn names_buffer(self) -> bool {
        self.flags & PICKED != 0
    }

    /// The count or descriptor, or the errno as an error.
    #[inline]
    pub(crate) fn value(self) -> io::Result<u32> {
        u32::try_from(self.result).map_err(|_| self.error())
    }

    #[cold]
    fn error(self) -> io::Error {
        match -self.result {
            NO_THREAD => offload::no_thread(),
            errno => io::Error::from_raw_os_error(errno),
        }
    }

    /// [`Completion::value`] as a length in memory.
    #[inline]
    pub(crate) fn len(self) -> io::Result<usize> {
        self.value().map(|n| n as usize)
    }

    /// Whether it is this errno.
    #[inline]
    pub(crate) fn is_error(self, errno: i32) -> bool {
        self.result == -errno
    }

    /// Whether the request goes on, and will have another completion.
    #[inline]
    pub(crate) fn has_more(self) -> bool {
        io_uring::cqueue::more(self.flags)
    }

    /// Whether it says that the memory of a send without a copy is free.
    #[inline]
    pub(super) fn is_notice(self) -> bool {
        io_uring::cqueue::notif(self.flags)
    }

    /// Says in the first completion of a send without a copy what the notice told.
    pub(super) fn with_notice(self, notice: Self) -> Self {
        let copied = notice.result & NOTICE_COPIED != 0;
        let flags = if copied { COPIED } else { 0 };
        Self { flags, ..self }
    }

    /// The first completion of a send without a copy whose notice is not waited for any longer.
    pub(super) fn without_notice(self) -> Self {
        Self {
            flags: KEPT,
            ..self
        }
    }

    /// Whether the kernel may use the memory of the request for ever: it must never be freed.
    #[inline]
    pub(crate) fn keeps_memory(self) -> bool {
        self.flags & KEPT != 0
    }

    /// For a send without a copy: whether the kernel copied the memory all the same.
    pub(crate) fn was_copied(self) -> bool {
        self.flags & COPIED != 0
    }
}

/// In the place of an errno: no thread was found for the request. No errno of the kernel, which has none above 4095 and names
/// none above 600.
pub(super) const NO_THREAD: i32 = 4095;
/// The kernel picked a buffer (`IORING_CQE_F_BUFFER`).
const PICKED: u32 = 1;
/// In the flags of a delivered send without a copy: it was copied. No flag of the kernel.
const COPIED: u32 = 1 << 31;
/// In the flags of one whose notice has not come. No flag of the kernel.
const KEPT: u32 = 1 << 30;
/// In the result of the kernel's notice: it was copied (`IORING_NOTIF_USAGE_ZC_COPIED`).
const NOTICE_COPIED: i32 = i32::MIN;
