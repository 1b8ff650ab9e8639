//! Requests: what the kernel is asked to do, as plain data.
//!
//! A request says what an operation wants: which call, on which descriptor, with which memory. It does not say how. There
//! are three interpreters of the same value:
//!
//! - the ring turns it into a submission entry ([`Request::entry`]);
//! - the readiness backend tries the system call without waiting ([`Request::attempt`]), and again when the descriptor is
//!   ready for it ([`Request::needs`]);
//! - a worker thread makes the system call and waits in it ([`Request::perform`]).
//!
//! Nothing in `net` or `fs` knows which one is running.
//!
//! Invariant **REQUEST-MEMORY**: whoever hands a request to the driver keeps the memory behind its pointers valid and in
//! place until the completion of that request has been delivered, whatever happens to the future meanwhile.

mod call;
mod entry;

use std::ffi::{c_char, c_int};
use std::os::fd::RawFd;

pub(crate) use self::call::set_blocking;
pub(crate) use self::entry::{REQUIRED, supports};
use super::syscall::Timespec;

/// The most bytes that one transfer moves: what Linux itself cuts every read and write to (`MAX_RW_COUNT`).
pub(crate) const MAX_TRANSFER: u32 = 0x7fff_f000;

/// The offset that means the descriptor's own position, or that it has none, as a pipe.
pub(crate) const CURSOR: u64 = u64::MAX;

/// The offset that means the end of a file that is opened for appending. Unlike [`CURSOR`], it says that it is a file.
pub(crate) const APPEND: u64 = u64::MAX - 1;

/// Cuts a length to what one transfer can carry; the rest is left to the next one.
#[inline]
pub(crate) fn transfer_len(len: usize) -> u32 {
    u32::try_from(len).map_or(MAX_TRANSFER, |len| len.min(MAX_TRANSFER))
}

/// What the kernel is asked to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request {
    /// Receives into memory. `wait_first` tells the kernel not to try before the socket is readable.
    Recv {
        fd: RawFd,
        memory: *mut u8,
        len: u32,
        flags: c_int,
        wait_first: bool,
    },
    /// Receives into a buffer that is picked from the provided ones when data is there.
    RecvLent {
        fd: RawFd,
        group: u16,
        wait_first: bool,
    },
    /// Receives into provided buffers again and again, until it is cancelled or fails. Only for the ring, and there only of a
    /// kernel that keeps the order of completions (6.16); elsewhere it fails with `EOPNOTSUPP`.
    RecvLentMany { fd: RawFd, group: u16 },
    /// Receives a message: several buffers, the sender's address, control data.
    RecvMsg {
        fd: RawFd,
        message: *mut libc::msghdr,
        flags: c_int,
        wait_first: bool,
    },
    /// Sends memory; `MSG_NOSIGNAL` is always added.
    Send {
        fd: RawFd,
        memory: *const u8,
        len: u32,
        flags: c_int,
    },
    /// Sends memory without copying it; its only completion comes when the memory is free again. Only for the ring.
    SendZeroCopy {
        fd: RawFd,
        memory: *const u8,
        len: u32,
        flags: c_int,
    },
    /// Sends a message: several buffers, an address, control data; `MSG_NOSIGNAL` is always added.
    SendMsg {
        fd: RawFd,
        message: *const libc::msghdr,
        flags: c_int,
    },
    /// Accepts a connection, close-on-exec.
    Accept {
        fd: RawFd,
        address: *mut libc::sockaddr,
        len: *mut libc::socklen_t,
    },
    /// Accepts connections again and again, until it is cancelled or fails. Only for the ring.
    AcceptMany { fd: RawFd },
    /// Connects a socket.
    Connect {
        fd: RawFd,
        address: *const libc::sockaddr,
        len: libc::socklen_t,
    },
    /// Reads at an offset, or at [`CURSOR`]. `flags` are those of `preadv2`.
    Read {
        fd: RawFd,
        memory: *mut u8,
        len: u32,
        offset: u64,
        flags: c_int,
    },
    /// Writes at an offset, or at [`CURSOR`]. `flags` are those of `pwritev2`.
    Write {
        fd: RawFd,
        memory: *const u8,
        len: u32,
        offset: u64,
        flags: c_int,
    },
    /// Reads into several buffers.
    ReadVectored {
        fd: RawFd,
        vectors: *const libc::iovec,
        count: u32,
        offset: u64,
        flags: c_int,
    },
    /// Writes several buffers.
    WriteVectored {
        fd: RawFd,
        vectors: *const libc::iovec,
        count: u32,
        offset: u64,
        flags: c_int,
    },
    /// Opens a file, close-on-exec.
    Open {
        path: *const c_char,
        flags: c_int,
        mode: libc::mode_t,
    },
    /// Writes a file's data, or also what describes it, to the disk.
    Sync { fd: RawFd, data_only: bool },
    /// Allocates or frees the space of a range of a file; `mode` as for `fallocate`.
    Allocate {
        fd: RawFd,
        mode: c_int,
        offset: u64,
        len: u64,
    },
    /// Sets the length of a file.
    Truncate { fd: RawFd, len: u64 },
    /// Copies a range of one file to another; as `copy_file_range`. Only workers can do it.
    CopyRange {
        from: RawFd,
        from_offset: u64,
        to: RawFd,
        to_offset: u64,
        len: u32,
    },
    /// Reads what describes a file; as `statx`.
    Status {
        directory: RawFd,
        path: *const c_char,
        flags: c_int,
        mask: u32,
        status: *mut libc::statx,
    },
    /// Renames; as `renameat2`.
    Rename {
        from: *const c_char,
        to: *const c_char,
        flags: u32,
    },
    /// Removes a name: that of a directory or that of anything else.
    Remove {
        path: *const c_char,
        directory: bool,
    },
    /// Makes a directory.
    MakeDir {
        path: *const c_char,
        mode: libc::mode_t,
    },
    /// Makes a symbolic link.
    SymbolicLink {
        target: *const c_char,
        path: *const c_char,
    },
    /// Gives a file another name. A symbolic link itself gets it, not what it points to.
    HardLink {
        from: *const c_char,
        to: *const c_char,
    },
    /// Waits until a descriptor is ready, once; the result is the events of `poll`.
    Poll { fd: RawFd, events: i16 },
    /// Waits. Used to pace retries after errors that would otherwise repeat at once.
    Pause { span: &'static Timespec },
    /// Reports that the driver's own eventfd is readable: once, or each time until cancelled. Only for the ring.
    Watch { fd: RawFd, repeat: bool },
    /// Cancels the request with this user data.
    Cancel { target: u64 },
}

/// What has to be there before a request can be tried without waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needs {
    /// These events of `poll` on a descriptor; whether it may be tried at once, because they may be there already.
    Ready {
        fd: RawFd,
        events: i16,
        try_first: bool,
    },
    /// A thread that may wait.
    Worker,
    /// Time.
    Time(&'static Timespec),
    /// Nothing: it is about another request.
    Nothing,
}

impl Request {
    /// Whether the kernel ends it without the help of anybody else, as it does with work on a disk.
    ///
    /// A pipe that is opened as a file is none, but nothing here says so.
    #[inline]
    pub(crate) fn ends_by_itself(&self) -> bool {
        match self {
            Self::Read { .. }
            | Self::Write { .. }
            | Self::ReadVectored { .. }
            | Self::WriteVectored { .. } => self.is_for_disk(),
            Self::Open { .. }
            | Self::Sync { .. }
            | Self::Allocate { .. }
            | Self::Truncate { .. }
            | Self::CopyRange { .. }
            | Self::Status { .. }
            | Self::Rename { .. }
            | Self::Remove { .. }
            | Self::MakeDir { .. }
            | Self::SymbolicLink { .. }
            | Self::HardLink { .. } => true,
            _ => false,
        }
    }

    /// Whether it moves data of a file at an offset: what had been in memory was moved inline, so it is about a disk.
    #[inline(always)]
    pub(crate) fn is_for_disk(&self) -> bool {
        matches!(
            self,
            Self::Read { offset, .. }
            | Self::Write { offset, .. }
            | Self::ReadVectored { offset, .. }
            | Self::WriteVectored { offset, .. }
                if *offset != CURSOR
        )
    }

    /// The memory of a transfer that may be registered: where it begins, and its length.
    #[inline(always)]
    pub(crate) fn memory(&self) -> Option<(usize, u32)> {
        match self {
            Self::Read { memory, len, .. } => Some((memory.addr(), *len)),
            Self::Write { memory, len, .. } => Some((memory.addr(), *len)),
            _ => None,
        }
    }

    /// The same transfer without an offset. `None` if it has none, or is no transfer.
    pub(crate) fn at_cursor(mut self) -> Option<Self> {
        match &mut self {
            Self::Read { offset, .. }
            | Self::Write { offset, .. }
            | Self::ReadVectored { offset, .. }
            | Self::WriteVectored { offset, .. }
                if *offset != CURSOR =>
            {
                *offset = CURSOR;
                Some(self)
            }
            _ => None,
        }
    }

    /// What is left of a send that has to be whole, after `n` bytes. `None` if nothing is, or if any part will do.
    pub(crate) fn rest_after(mut self, n: u32) -> Option<Self> {
        match &mut self {
            Self::Send {
                memory, len, flags, ..
            }
            | Self::SendZeroCopy {
                memory, len, flags, ..
            } if *flags & libc::MSG_WAITALL != 0 && n < *len => {
                *memory = memory.wrapping_add(n as usize);
                *len -= n;
                Some(self)
            }
            _ => None,
        }
    }

    /// Whether it is to end with `EAGAIN` where it would have to wait.
    pub(crate) fn is_hasty(&self) -> bool {
        match self {
            Self::Send { flags, .. } | Self::SendMsg { flags, .. } => {
                flags & libc::MSG_DONTWAIT != 0
            }
            _ => false,
        }
    }

    /// What it needs before it can be tried without waiting.
    pub(crate) fn needs(&self) -> Needs {
        let ready = |fd, events, try_first| Needs::Ready {
            fd,
            events,
            try_first,
        };
        match *self {
            Self::Recv { fd, wait_first, .. }
            | Self::RecvLent { fd, wait_first, .. }
            | Self::RecvMsg { fd, wait_first, .. } => ready(fd, libc::POLLIN, !wait_first),
            Self::RecvLentMany { fd, .. } | Self::AcceptMany { fd } => {
                ready(fd, libc::POLLIN, true)
            }
            Self::Accept { fd, .. } => ready(fd, libc::POLLIN, true),
            Self::Send { fd, .. }
            | Self::SendZeroCopy { fd, .. }
            | Self::SendMsg { fd, .. }
            | Self::Connect { fd, .. } => ready(fd, libc::POLLOUT, true),
            Self::Read { fd, offset, .. } | Self::ReadVectored { fd, offset, .. }
                if offset == CURSOR =>
            {
                ready(fd, libc::POLLIN, true)
            }
            Self::Write { fd, offset, .. } | Self::WriteVectored { fd, offset, .. }
                if offset == CURSOR =>
            {
                ready(fd, libc::POLLOUT, true)
            }
            Self::Poll { fd, events } => ready(fd, events, true),
            Self::Watch { fd, .. } => ready(fd, libc::POLLIN, false),
            Self::Pause { span } => Needs::Time(span),
            Self::Cancel { .. } => Needs::Nothing,
            _ => Needs::Worker,
        }
    }
}
