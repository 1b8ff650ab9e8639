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
            } => Sqe {
                opcode: code::RECV,
                fd,
                ioprio: first(wait_first),
                address: memory as u64,
                len,
                op_flags: bits(flags),
                ..Sqe::default()
            },
            Self::RecvLent {
                fd,
                group,
                wait_first,
            } => Sqe {
                opcode: code::RECV,
                flags: code::SQE_BUFFER_SELECT,
                fd,
                ioprio: first(wait_first),
                buffer: group,
                ..Sqe::default()
            },
            Self::Send {
                fd,
                memory,
                len,
                flags,
            } => Sqe {
                opcode: code::SEND,
                fd,
                address: memory as u64,
                len,
                op_flags: bits(flags | libc::MSG_NOSIGNAL),
                ..Sqe::default()
            },
            Self::Read {
                fd,
                memory,
                len,
                offset,
                flags,
            } => Sqe {
                opcode: code::READ,
                fd,
                address: memory as u64,
                len,
                offset,
                op_flags: bits(flags),
                ..Sqe::default()
            },
            Self::Write {
                fd,
                memory,
                len,
                offset,
                flags,
            } => Sqe {
                opcode: code::WRITE,
                fd,
                address: memory as u64,
                len,
                offset,
                op_flags: bits(flags),
                ..Sqe::default()
            },
            _ => self.socket_fields(first),
        }
    }

    /// The requests on sockets that are not made for every transfer.
    fn socket_fields(&self, first: impl Fn(bool) -> u16) -> Sqe {
        match *self {
            Self::RecvLentMany { fd, group } => Sqe {
                opcode: code::RECV,
                flags: code::SQE_BUFFER_SELECT,
                fd,
                ioprio: code::RECV_MULTISHOT,
                buffer: group,
                ..Sqe::default()
            },
            Self::RecvMsg {
                fd,
                message,
                flags,
                wait_first,
            } => Sqe {
                opcode: code::RECVMSG,
                fd,
                ioprio: first(wait_first),
                address: message as u64,
                len: 1,
                op_flags: bits(flags),
                ..Sqe::default()
            },
            Self::SendZeroCopy {
                fd,
                memory,
                len,
                flags,
            } => Sqe {
                opcode: code::SEND_ZC,
                fd,
                ioprio: code::SEND_ZC_REPORT_USAGE,
                address: memory as u64,
                len,
                op_flags: bits(flags | libc::MSG_NOSIGNAL),
                ..Sqe::default()
            },
            Self::SendMsg { fd, message, flags } => Sqe {
                opcode: code::SENDMSG,
                fd,
                address: message as u64,
                len: 1,
                op_flags: bits(flags | libc::MSG_NOSIGNAL),
                ..Sqe::default()
            },
            Self::Accept { fd, address, len } => Sqe {
                opcode: code::ACCEPT,
                fd,
                address: address as u64,
                offset: len as u64,
                op_flags: bits(libc::SOCK_CLOEXEC),
                ..Sqe::default()
            },
            Self::AcceptMany { fd } => Sqe {
                opcode: code::ACCEPT,
                fd,
                ioprio: code::ACCEPT_MULTISHOT,
                op_flags: bits(libc::SOCK_CLOEXEC),
                ..Sqe::default()
            },
            Self::Connect { fd, address, len } => Sqe {
                opcode: code::CONNECT,
                fd,
                address: address as u64,
                offset: u64::from(len),
                ..Sqe::default()
            },
            Self::ReadVectored { .. }
            | Self::WriteVectored { .. }
            | Self::Open { .. }
            | Self::Sync { .. }
            | Self::Allocate { .. }
            | Self::Truncate { .. } => self.file_fields(),
            Self::Status { .. }
            | Self::Rename { .. }
            | Self::Remove { .. }
            | Self::MakeDir { .. }
            | Self::SymbolicLink { .. }
            | Self::HardLink { .. } => self.path_fields(),
            _ => self.other_fields(),
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
            } => Sqe {
                opcode: code::READV,
                fd,
                address: vectors as u64,
                len: count,
                offset,
                op_flags: bits(flags),
                ..Sqe::default()
            },
            Self::WriteVectored {
                fd,
                vectors,
                count,
                offset,
                flags,
            } => Sqe {
                opcode: code::WRITEV,
                fd,
                address: vectors as u64,
                len: count,
                offset,
                op_flags: bits(flags),
                ..Sqe::default()
            },
            Self::Open { path, flags, mode } => Sqe {
                opcode: code::OPENAT,
                fd: libc::AT_FDCWD,
                address: path as u64,
                len: mode,
                op_flags: bits(flags | libc::O_CLOEXEC),
                ..Sqe::default()
            },
            Self::Sync { fd, data_only } => Sqe {
                opcode: code::FSYNC,
                fd,
                op_flags: u32::from(data_only) * code::FSYNC_DATASYNC,
                ..Sqe::default()
            },
            Self::Allocate {
                fd,
                mode,
                offset,
                len,
            } => Sqe {
                opcode: code::FALLOCATE,
                fd,
                offset,
                address: len,
                len: bits(mode),
                ..Sqe::default()
            },
            Self::Truncate { fd, len } => Sqe {
                opcode: code::FTRUNCATE,
                fd,
                offset: len,
                ..Sqe::default()
            },
            _ => unreachable!("not a request on an open file: {self:?}"),
        }
    }

    fn path_fields(&self) -> Sqe {
        let here = bits(libc::AT_FDCWD);
        match *self {
            Self::Status {
                directory,
                path,
                flags,
                mask,
                status,
            } => Sqe {
                opcode: code::STATX,
                fd: directory,
                address: path as u64,
                len: mask,
                offset: status as u64,
                op_flags: bits(flags),
                ..Sqe::default()
            },
            Self::Rename { from, to, flags } => Sqe {
                opcode: code::RENAMEAT,
                fd: libc::AT_FDCWD,
                address: from as u64,
                len: here,
                offset: to as u64,
                op_flags: flags,
                ..Sqe::default()
            },
            Self::Remove { path, directory } => Sqe {
                opcode: code::UNLINKAT,
                fd: libc::AT_FDCWD,
                address: path as u64,
                op_flags: u32::from(directory) * bits(libc::AT_REMOVEDIR),
                ..Sqe::default()
            },
            Self::MakeDir { path, mode } => Sqe {
                opcode: code::MKDIRAT,
                fd: libc::AT_FDCWD,
                address: path as u64,
                len: mode,
                ..Sqe::default()
            },
            Self::SymbolicLink { target, path } => Sqe {
                opcode: code::SYMLINKAT,
                fd: libc::AT_FDCWD,
                address: target as u64,
                offset: path as u64,
                ..Sqe::default()
            },
            Self::HardLink { from, to } => Sqe {
                opcode: code::LINKAT,
                fd: libc::AT_FDCWD,
                address: from as u64,
                len: here,
                offset: to as u64,
                ..Sqe::default()
            },
            _ => unreachable!("not a request on a path: {self:?}"),
        }
    }

    fn other_fields(&self) -> Sqe {
        match *self {
            Self::Poll { fd, events } => Sqe {
                opcode: code::POLL_ADD,
                fd,
                op_flags: poll_mask(events),
                ..Sqe::default()
            },
            Self::Pause { span } => Sqe {
                opcode: code::TIMEOUT,
                fd: -1,
                address: std::ptr::from_ref(span) as u64,
                len: 1,
                ..Sqe::default()
            },
            Self::Watch { fd, repeat } => Sqe {
                opcode: code::POLL_ADD,
                fd,
                len: if repeat { code::POLL_ADD_MULTI } else { 0 },
                op_flags: poll_mask(libc::POLLIN),
                ..Sqe::default()
            },
            Self::Cancel { target } => Sqe {
                opcode: code::ASYNC_CANCEL,
                fd: -1,
                address: target,
                ..Sqe::default()
            },
            _ => unreachable!("encoded elsewhere: {self:?}"),
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
