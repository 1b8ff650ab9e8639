//! An operation as data.
//!
//! A [`Request`] says what the kernel is asked to do: which operation, on which descriptor, with which memory. It does
//! not say how. The ring turns it into a submission entry ([`Request::entry`]); another interpreter may turn the same
//! value into a readiness wait and a plain system call. Nothing in `net` or `fs` knows which one is running.
//!
//! Invariant **REQUEST-MEMORY**: whoever hands a request to the driver keeps the memory behind its pointers valid and in
//! place until the completion of that request has been delivered, whatever happens to the future meanwhile.

use std::ffi::{c_char, c_int};
use std::os::fd::RawFd;

use io_uring::squeue;

use super::syscall::Timespec;

/// The most bytes that one transfer moves: what Linux itself cuts every read and write to (`MAX_RW_COUNT`).
pub(crate) const MAX_TRANSFER: u32 = 0x7fff_f000;

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
    /// Receives into a buffer that the kernel picks from a provided-buffer ring when data is there.
    RecvLent {
        fd: RawFd,
        group: u16,
        wait_first: bool,
    },
    /// Receives into several buffers.
    RecvMsg {
        fd: RawFd,
        message: *mut libc::msghdr,
        wait_first: bool,
    },
    /// Sends memory; `MSG_NOSIGNAL` is always added.
    Send {
        fd: RawFd,
        memory: *const u8,
        len: u32,
        flags: c_int,
    },
    /// Sends several buffers; `MSG_NOSIGNAL` is always added.
    SendMsg {
        fd: RawFd,
        message: *const libc::msghdr,
    },
    /// Accepts a connection, close-on-exec.
    Accept {
        fd: RawFd,
        address: *mut libc::sockaddr,
        len: *mut libc::socklen_t,
    },
    /// Connects a socket.
    Connect {
        fd: RawFd,
        address: *const libc::sockaddr,
        len: libc::socklen_t,
    },
    /// Opens a file, close-on-exec.
    Open {
        path: *const c_char,
        flags: c_int,
        mode: libc::mode_t,
    },
    /// Reads a file at an offset.
    ReadAt {
        fd: RawFd,
        memory: *mut u8,
        len: u32,
        offset: u64,
    },
    /// Waits. Used to pace retries after errors that would otherwise repeat at once.
    Pause { span: &'static Timespec },
    /// Reports the readiness of a descriptor: once, or each time until cancelled.
    Watch { fd: RawFd, repeat: bool },
    /// Cancels the request with this user data.
    Cancel { target: u64 },
}

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
    pub(super) const POLL_ADD: u8 = 6;
    pub(super) const SENDMSG: u8 = 9;
    pub(super) const RECVMSG: u8 = 10;
    pub(super) const TIMEOUT: u8 = 11;
    pub(super) const ACCEPT: u8 = 13;
    pub(super) const ASYNC_CANCEL: u8 = 14;
    pub(super) const CONNECT: u8 = 16;
    pub(super) const OPENAT: u8 = 18;
    pub(super) const READ: u8 = 22;
    pub(super) const SEND: u8 = 26;
    pub(super) const RECV: u8 = 27;

    pub(super) const SQE_BUFFER_SELECT: u8 = 1 << 5;
    pub(super) const RECVSEND_POLL_FIRST: u16 = 1;
    pub(super) const POLL_ADD_MULTI: u32 = 1;
}

/// Operations without which this driver can't work; probed before a ring is used.
pub(crate) const REQUIRED: [u8; 11] = [
    code::POLL_ADD,
    code::SENDMSG,
    code::RECVMSG,
    code::TIMEOUT,
    code::ACCEPT,
    code::ASYNC_CANCEL,
    code::CONNECT,
    code::OPENAT,
    code::READ,
    code::SEND,
    code::RECV,
];

#[expect(
    clippy::cast_sign_loss,
    reason = "flag words are bit patterns; the kernel's fields are unsigned"
)]
const fn bits(flags: c_int) -> u32 {
    flags as u32
}

impl Request {
    /// Whether the kernel ends it without the help of anybody else, as it does with work on a disk.
    ///
    /// A pipe that is opened as a file is none, but nothing here says so.
    #[inline]
    pub(crate) fn ends_by_itself(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::ReadAt { .. })
    }

    /// Encodes the request for the ring. `poll_first` tells whether the kernel knows `IORING_RECVSEND_POLL_FIRST`.
    #[inline]
    pub(crate) fn entry(&self, user_data: u64, poll_first: bool) -> squeue::Entry {
        let mut sqe = self.fields(poll_first);
        sqe.user_data = user_data;
        // SAFETY: `squeue::Entry` is a `repr(C)` wrapper of the kernel's `io_uring_sqe`; `Sqe` has the same layout
        // (size and alignment are checked above) and every bit pattern of it is valid.
        unsafe { std::mem::transmute::<Sqe, squeue::Entry>(sqe) }
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
            Self::RecvMsg {
                fd,
                message,
                wait_first,
            } => Sqe {
                opcode: code::RECVMSG,
                fd,
                ioprio: first(wait_first),
                address: message as u64,
                len: 1,
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
            Self::SendMsg { fd, message } => Sqe {
                opcode: code::SENDMSG,
                fd,
                address: message as u64,
                len: 1,
                op_flags: bits(libc::MSG_NOSIGNAL),
                ..Sqe::default()
            },
            _ => self.rare_fields(),
        }
    }

    /// The requests that are not made for every message.
    fn rare_fields(&self) -> Sqe {
        match *self {
            Self::Accept { fd, address, len } => Sqe {
                opcode: code::ACCEPT,
                fd,
                address: address as u64,
                offset: len as u64,
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
            Self::Open { path, flags, mode } => Sqe {
                opcode: code::OPENAT,
                fd: libc::AT_FDCWD,
                address: path as u64,
                len: mode,
                op_flags: bits(flags | libc::O_CLOEXEC),
                ..Sqe::default()
            },
            Self::ReadAt {
                fd,
                memory,
                len,
                offset,
            } => Sqe {
                opcode: code::READ,
                fd,
                address: memory as u64,
                len,
                offset,
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
                op_flags: bits(i32::from(libc::POLLIN)).rotate_left(word_swap()),
                ..Sqe::default()
            },
            Self::Cancel { target } => Sqe {
                opcode: code::ASYNC_CANCEL,
                fd: -1,
                address: target,
                ..Sqe::default()
            },
            Self::Recv { .. }
            | Self::RecvLent { .. }
            | Self::RecvMsg { .. }
            | Self::Send { .. }
            | Self::SendMsg { .. } => self.fields(false),
        }
    }
}

/// The kernel reads poll masks with their halves swapped on big-endian machines.
const fn word_swap() -> u32 {
    if cfg!(target_endian = "big") { 16 } else { 0 }
}
