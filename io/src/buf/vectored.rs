//! Lists of buffers: what the kernel is told of them, and who gets what of the bytes that came.
//!
//! The bytes of a vectored operation run through the buffers in order. Buffers that have nothing to
//! send or no room are left out of the list, so that a thousand empty ones do not use up the list's
//! limit and turn a transfer into one of zero bytes, which would mean the end of the file.

use libc::iovec;

use super::{IoBuf, IoBufMut};

/// The most entries that the kernel takes in one list (`IOV_MAX`, `UIO_MAXIOV` of the kernel).
/// Buffers after them are not touched: the transfer is short.
const ENTRIES_MAX: usize = libc::UIO_MAXIOV as usize;

/// Lists what a write sends. Empty if there is nothing to send.
///
/// The entries are valid as long as the buffers live, wherever they move (STABLE), and are not
/// used.
pub(crate) fn sources<B: IoBuf>(bufs: &[B]) -> Vec<iovec> {
    let entries = bufs.iter().map(IoBuf::as_slice).map(|bytes| iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    });
    listed(entries)
}

/// Lists the rooms that a read fills. Empty if there is no room, and then the buffers are not fit
/// for a read.
///
/// The entries are valid as long as the buffers live, wherever they move (STABLE), and are not
/// used.
pub(crate) fn rooms<B: IoBufMut>(bufs: &mut [B]) -> Vec<iovec> {
    let entries = bufs.iter_mut().map(IoBufMut::room).map(|room| iovec {
        iov_base: room.as_ptr().cast(),
        iov_len: room.len(),
    });
    listed(entries)
}

fn listed(entries: impl Iterator<Item = iovec>) -> Vec<iovec> {
    entries
        .filter(|entry| entry.iov_len != 0)
        .take(ENTRIES_MAX)
        .collect()
}

/// The sum of all rooms in bytes, or the largest number if it is more than that.
pub(crate) fn total_room<B: IoBufMut>(bufs: &mut [B]) -> usize {
    bufs.iter_mut()
        .map(|buf| buf.room().len())
        .fold(0, usize::saturating_add)
}

/// Declares that the first `n` bytes of the rooms, taken one after the other, are initialised.
///
/// # Safety
///
/// `n` is at most the sum of the rooms, and a read has filled those bytes since the rooms were
/// listed.
pub(crate) unsafe fn commit<B: IoBufMut>(bufs: &mut [B], n: usize) {
    let mut left = n;
    for buf in bufs {
        if left == 0 {
            return;
        }
        let here = left.min(buf.room().len());
        // SAFETY: `here` is within the room, and the bytes are initialised by the caller's promise.
        unsafe { buf.commit(here) };
        left -= here;
    }
    debug_assert_eq!(left, 0, "no more is committed than there was room for");
}

/// Reads from memory: copies as many of the bytes as the rooms take, in order, and returns how
/// many.
pub(crate) fn fill_from<B: IoBufMut>(bufs: &mut [B], bytes: &[u8]) -> usize {
    let mut left = bytes;
    for buf in bufs {
        if left.is_empty() {
            break;
        }
        left = &left[buf.fill_from(left)..];
    }
    bytes.len() - left.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_capacity(capacities: &[usize]) -> Vec<Vec<u8>> {
        capacities.iter().map(|&n| Vec::with_capacity(n)).collect()
    }

    fn lengths(entries: &[iovec]) -> Vec<usize> {
        entries.iter().map(|entry| entry.iov_len).collect()
    }

    /// Does what the kernel does in a read: writes 1, 2, 3, … through the entries.
    fn kernel_reads(entries: &[iovec], n: usize) {
        let mut byte = 0_u8;
        for entry in entries {
            for at in 0..entry.iov_len.min(n - usize::from(byte)) {
                byte += 1;
                // SAFETY: within the entry.
                let target = unsafe { entry.iov_base.cast::<u8>().add(at) };
                // SAFETY: the buffer is owned by the test and not used meanwhile.
                unsafe { target.write(byte) };
            }
        }
    }

    #[test]
    fn empty_buffers_are_not_listed() {
        let bufs = ["", "ab", "", "c"];
        assert_eq!(lengths(&sources(&bufs)), [2, 1]);
        assert_eq!(
            lengths(&rooms(&mut with_capacity(&[0, 3, 0, 0, 5]))),
            [3, 5]
        );
        assert!(rooms(&mut with_capacity(&[0, 0])).is_empty());
        assert_eq!(total_room(&mut with_capacity(&[0, 3, 0, 0, 5])), 8);
    }

    #[test]
    fn the_list_is_as_long_as_the_kernel_takes() {
        let mut bufs = vec![""; 5000];
        bufs.extend(["a"; 1025]);
        assert_eq!(sources(&bufs).len(), 1024);
    }

    #[test]
    fn a_read_is_spread_over_the_rooms_in_order() {
        for n in 0..=8 {
            let mut bufs = with_capacity(&[2, 0, 3, 0, 3]);
            let list = rooms(&mut bufs);
            kernel_reads(&list, n);
            // SAFETY: there is room for eight bytes, and `n` have been written.
            unsafe { commit(&mut bufs, n) };
            let all = bufs.concat();
            assert!(all.iter().copied().eq((1..=8).take(n)), "{n}: {all:?}");
            let filled: Vec<_> = bufs.iter().map(Vec::len).collect();
            assert_eq!(filled[0], n.min(2));
            assert_eq!(filled[2], n.saturating_sub(2).min(3));
        }
    }

    #[test]
    fn stashed_bytes_are_spread_in_the_same_way() {
        let mut bufs = with_capacity(&[2, 0, 3]);
        assert_eq!(fill_from(&mut bufs, b"abc"), 3);
        assert_eq!(bufs, [&b"ab"[..], b"", b"c"]);
        assert_eq!(fill_from(&mut bufs, b"defg"), 2);
        assert_eq!(bufs, [&b"ab"[..], b"", b"cde"]);
    }
}
