//! A request as a submission entry of the ring.

use std::ffi::c_int;

use io_uring::{Probe, squeue};

use super::{APPEND, CURSOR, Request};

/// The layout of a submission entry (`struct io_uring_sqe`), which is fixed by the kernel's ABI.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Sqe {
    opcode: u8,
    flags: u8,
    ioprio: u16,
    fd: i32,
    offset: u64,
    address: u64,
    len: u32,
    op_flags: u32,
    user_data: u64,
    buffer: u16,
    personality: u16,
    file_index: u32,
    address3: u64,
    pad: u64,
}

impl Sqe {
    #[inline(always)]
    fn new(opcode: u8, fd: i32) -> Self {
        Self {
            opcode,
            fd,
            ..Self::default()
        }
    }

    /// What lies there, so long: bytes, or elements of an array.
    #[inline(always)]
    fn memory<T>(mut self, start: *const T, len: u32) -> Self {
        (self.address, self.len) = (start as u64, len);
        self
    }

    /// The field that holds a place in a file, or a second address.
    #[inline(always)]
    fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// The flags of the operation itself.
    #[inline(always)]
    fn op_flags(mut self, flags: u32) -> Self {
        self.op_flags = flags;
        self
    }

    /// The flags that io_uring adds to the operation.
    #[inline(always)]
    fn ring_flags(mut self, flags: u16) -> Self {
        self.ioprio = flags;
        self
    }

    /// The memory is a buffer of this group.
    #[inline(always)]
    fn lent(mut self, group: u16) -> Self {
        (self.flags, self.buffer) = (code::SQE_BUFFER_SELECT, group);
        self
    }
}

const _: () = assert!(size_of::<Sqe>() == 64 && size_of::<squeue::Entry>() == 64);
const _: () = assert!(align_of::<Sqe>() == align_of::<squeue::Entry>());

mod code {
    //! Numbers of `include/uapi/linux/io_uring.h`.
    pub(super) const READV: u8 = 1;
    pub(super) const WRITEV: u8 = 2;
    pub(super) const FSYNC: u8 = 3;
    pub(super) const READ_FIXED: u8 = 4;
    pub(super) const WRITE_FIXED: u8 = 5;
    pub(super) const POLL_ADD: u8 = 6;
    pub(super) const SENDMSG: u8 = 9;
    pub(super) const RECVMSG: u8 = 10;
    pub(super) const TIMEOUT: u8 = 11;
    pub(super) const ACCEPT: u8 = 13;
    pub(super) const ASYNC_CANCEL: u8 = 14;
    pub(super) const CONNECT: u8 = 16;
    pub(super) const FALLOCATE: u8 = 17;
    pub(super) const OPENAT: u8 = 18;
    pub(super) const STATX: u8 = 21;
    pub(super) const READ: u8 = 22;
    pub(super) const WRITE: u8 = 23;
    pub(super) const SEND: u8 = 26;
    pub(super) const RECV: u8 = 27;
    pub(super) const RENAMEAT: u8 = 35;
    pub(super) const UNLINKAT: u8 = 36;
    pub(super) const MKDIRAT: u8 = 37;
    pub(super) const SYMLINKAT: u8 = 38;
    pub(super) const LINKAT: u8 = 39;
    pub(super) const SEND_ZC: u8 = 47;
    pub(super) const FTRUNCATE: u8 = 55;
    pub(super) const PIPE: u8 = 62;

    pub(super) const SQE_BUFFER_SELECT: u8 = 1 << 5;
    pub(super) const RECVSEND_POLL_FIRST: u16 = 1;
    pub(super) const RECV_MULTISHOT: u16 = 1 << 1;
    pub(super) const SEND_ZC_REPORT_USAGE: u16 = 1 << 3;
    pub(super) const ACCEPT_MULTISHOT: u16 = 1;
    pub(super) const POLL_ADD_MULTI: u32 = 1;
    pub(super) const FSYNC_DATASYNC: u32 = 1;
}

/// Operations without which this driver can't work; probed before a ring is used. The others have a substitute.
pub(crate) const REQUIRED: [u8; 12] = [
    code::POLL_ADD,
    code::SENDMSG,
    code::RECVMSG,
    code::TIMEOUT,
    code::ACCEPT,
    code::ASYNC_CANCEL,
    code::CONNECT,
    code::OPENAT,
    code::READ,
    code::WRITE,
    code::SEND,
    code::RECV,
];

/// The operations that a ring supports, one bit each.
pub(crate) fn supports(probe: &Probe) -> u64 {
    (0..64)
        .filter(|code| probe.is_supported(*code))
        .fold(0, |known, code| known | 1 << code)
}

#[expect(
    clippy::cast_sign_loss,
    reason = "flag words are bit patterns; the kernel's fields are unsigned"
)]
const fn bits(flags: c_int) -> u32 {
    flags as u32
}

impl Request {
    /// Encodes the request for the ring. `poll_first` tells whether the kernel knows `IORING_RECVSEND_POLL_FIRST`.
    /// `fixed` is the slot of the registered buffer that the transfer lies in.
    #[inline(always)]
    pub(crate) fn entry(
        &self,
        user_data: u64,
        poll_first: bool,
        fixed: Option<u16>,
    ) -> squeue::Entry {
        let mut sqe = self.fields(poll_first);
        sqe.user_data = user_data;
        if sqe.offset == APPEND {
            sqe.offset = CURSOR;
        }
        if let Some(slot) = fixed {
            sqe.buffer = slot;
            sqe.opcode = match sqe.opcode {
                code::READ => code::READ_FIXED,
                code::WRITE => code::WRITE_FIXED,
                other => other,
            };
        }
        // SAFETY: `squeue::Entry` is a `repr(C)` wrapper of the kernel's `io_uring_sqe`; `Sqe` has the same layout
        // (size and alignment are checked above) and every bit pattern of it is valid.
        unsafe { std::mem::transmute::<Sqe, squeue::Entry>(sqe) }
    }

    /// Whether a ring with these operations (see [`supports`]) has one for it. What every ring must have is not looked up.
    #[inline(always)]
    pub(crate) fn is_among(&self, known: u64) -> bool {
        match self {
            Self::Recv { .. }
            | Self::RecvLent { .. }
            | Self::RecvMsg { .. }
            | Self::Send { .. }
            | Self::SendMsg { .. }
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Accept { .. }
            | Self::Connect { .. }
            | Self::Open { .. }
            | Self::Poll { .. }
            | Self::Pause { .. }
            | Self::Watch { .. }
            | Self::Cancel { .. } => true,
            // It shares its buffers with receives of one completion, and where bytes lie in a buffer follows from the order of
            // completions, which kernels before 6.16 do not keep between the two. Nothing else tells but what came with it.
            Self::RecvLentMany { .. } => known & (1 << code::PIPE) != 0,
            Self::CopyRange { .. } => false,
            _ => known & (1 << self.fields(false).opcode) != 0,
        }
    }

    #[inline]
    fn fields(&self, poll_first: bool) -> Sqe {
        let first = |wait: bool| u16::from(wait && poll_first) * code::RECVSEND_POLL_FIRST;
        match *self {
            Self::Recv {
                fd,
                memory,
                len,
                flags,
                wait_first,
            } => Sqe::new(code::RECV, fd)
                .memory(memory, len)
                .op_flags(bits(flags))
                .ring_flags(first(wait_first)),
            Self::RecvLent {
                fd,
                group,
                wait_first,
            } => Sqe::new(code::RECV, fd)
                .lent(group)
                .ring_flags(first(wait_first)),
            Self::Send {
                fd,
                memory,
                len,
                flags,
            } => Sqe::new(code::SEND, fd)
                .memory(memory, len)
                .op_flags(bits(flags | libc::MSG_NOSIGNAL)),
            Self::Read {
                fd,
                memory,
                len,
                offset,
                flags,
            } => Sqe::new(code::READ, fd)
                .memory(memory, len)
                .offset(offset)
                .op_flags(bits(flags)),
            Self::Write {
                fd,
                memory,
                len,
                offset,
                flags,
            } => Sqe::new(code::WRITE, fd)
                .memory(memory, len)
                .offset(offset)
                .op_flags(bits(flags)),
            _ => self.socket_fields(first),
        }
    }

    /// The requests on sockets that are not made for every transfer.
    fn socket_fields(&self, first: impl Fn(bool) -> u16) -> Sqe {
        match *self {
            Self::RecvLentMany { fd, group } => Sqe::new(code::RECV, fd)
                .lent(group)
                .ring_flags(code::RECV_MULTISHOT),
            Self::RecvMsg {
                fd,
                message,
                flags,
                wait_first,
            } => Sqe::new(code::RECVMSG, fd)
                .memory(message, 1)
                .op_flags(bits(flags))
                .ring_flags(first(wait_first)),
            Self::SendZeroCopy {
                fd,
                memory,
                len,
                flags,
            } => Sqe::new(code::SEND_ZC, fd)
                .memory(memory, len)
                .op_flags(bits(flags | libc::MSG_NOSIGNAL))
                .ring_flags(code::SEND_ZC_REPORT_USAGE),
            Self::SendMsg { fd, message, flags } => Sqe::new(code::SENDMSG, fd)
                .memory(message, 1)
                .op_flags(bits(flags | libc::MSG_NOSIGNAL)),
            Self::Accept { fd, address, len } => Sqe::new(code::ACCEPT, fd)
                .memory(address, 0)
                .offset(len as u64)
                .op_flags(bits(libc::SOCK_CLOEXEC)),
            Self::AcceptMany { fd } => Sqe::new(code::ACCEPT, fd)
                .op_flags(bits(libc::SOCK_CLOEXEC))
                .ring_flags(code::ACCEPT_MULTISHOT),
            Self::Connect { fd, address, len } => Sqe::new(code::CONNECT, fd)
                .memory(address, 0)
                .offset(len.into()),
            _ => self.file_fields(),
        }
    }

    fn file_fields(&self) -> Sqe {
        match *self {
            Self::ReadVectored {
                fd,
                vectors,
                count,
                offset,
                flags,
            } => Sqe::new(code::READV, fd)
                .memory(vectors, count)
                .offset(offset)
                .op_flags(bits(flags)),
            Self::WriteVectored {
                fd,
                vectors,
                count,
                offset,
                flags,
            } => Sqe::new(code::WRITEV, fd)
                .memory(vectors, count)
                .offset(offset)
                .op_flags(bits(flags)),
            Self::Sync { fd, data_only } => {
                Sqe::new(code::FSYNC, fd).op_flags(u32::from(data_only) * code::FSYNC_DATASYNC)
            }
            // The kernel reads the length from the field of the address.
            Self::Allocate {
                fd,
                mode,
                offset,
                len,
            } => Sqe {
                address: len,
                len: bits(mode),
                ..Sqe::new(code::FALLOCATE, fd).offset(offset)
            },
            Self::Truncate { fd, len } => Sqe::new(code::FTRUNCATE, fd).offset(len),
            _ => self.path_fields(),
        }
    }

    fn path_fields(&self) -> Sqe {
        const HERE: c_int = libc::AT_FDCWD;
        match *self {
            Self::Open { path, flags, mode } => Sqe::new(code::OPENAT, HERE)
                .memory(path, mode)
                .op_flags(bits(flags | libc::O_CLOEXEC)),
            Self::Status {
                directory,
                path,
                flags,
                mask,
                status,
            } => Sqe::new(code::STATX, directory)
                .memory(path, mask)
                .offset(status as u64)
                .op_flags(bits(flags)),
            Self::Rename { from, to, flags } => Sqe::new(code::RENAMEAT, HERE)
                .memory(from, bits(HERE))
                .offset(to as u64)
                .op_flags(flags),
            Self::Remove { path, directory } => Sqe::new(code::UNLINKAT, HERE)
                .memory(path, 0)
                .op_flags(u32::from(directory) * bits(libc::AT_REMOVEDIR)),
            Self::MakeDir { path, mode } => Sqe::new(code::MKDIRAT, HERE).memory(path, mode),
            Self::SymbolicLink { target, path } => Sqe::new(code::SYMLINKAT, HERE)
                .memory(target, 0)
                .offset(path as u64),
            Self::HardLink { from, to } => Sqe::new(code::LINKAT, HERE)
                .memory(from, bits(HERE))
                .offset(to as u64),
            _ => self.other_fields(),
        }
    }

    fn other_fields(&self) -> Sqe {
        const NONE: c_int = -1;
        match *self {
            Self::Poll { fd, events } => Sqe::new(code::POLL_ADD, fd).op_flags(poll_mask(events)),
            Self::Pause { span } => Sqe::new(code::TIMEOUT, NONE).memory(span, 1),
            Self::Watch { fd, repeat } => Sqe {
                len: u32::from(repeat) * code::POLL_ADD_MULTI,
                ..Sqe::new(code::POLL_ADD, fd).op_flags(poll_mask(libc::POLLIN))
            },
            Self::Cancel { target } => Sqe {
                address: target,
                ..Sqe::new(code::ASYNC_CANCEL, NONE)
            },
            _ => unreachable!("not a request of a ring: {self:?}"),
        }
    }
}

/// The kernel reads poll masks with their halves swapped on big-endian machines.
const fn poll_mask(events: i16) -> u32 {
    let mask = bits(events as c_int);
    if cfg!(target_endian = "big") {
        mask.rotate_left(16)
    } else {
        mask
    }
}
