//! A request as a system call: waiting for nothing, or as long as it takes.
//!
//! Both return what the ring would: the result, or the negated error number.

use std::ffi::{c_char, c_int};
use std::os::fd::RawFd;
use std::ptr;

use super::super::syscall;
use super::{APPEND, Request};
use crate::descriptor::has_readiness;

/// What a pipe takes at once without waiting whenever it is writable at all.
const PIPE_ROOM: usize = 4096;

/// How a call behaves where it would have to wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Try,
    Wait,
}

/// What the ring would have put into its completion.
fn outcome(result: libc::ssize_t) -> i32 {
    if result < 0 {
        return -errno();
    }
    i32::try_from(result).unwrap_or(i32::MAX)
}

fn errno() -> i32 {
    std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

impl Request {
    /// Makes the system call without waiting; `-EAGAIN` if it would have to wait.
    ///
    /// # Safety
    ///
    /// REQUEST-MEMORY, for the time of the call.
    pub(crate) unsafe fn attempt(&self) -> i32 {
        // SAFETY: the caller's promise.
        unsafe { self.call(Mode::Try) }
    }

    /// Makes the system call, and waits in it for as long as it takes. For worker threads.
    ///
    /// # Safety
    ///
    /// REQUEST-MEMORY, for the time of the call.
    pub(crate) unsafe fn perform(&self) -> i32 {
        // SAFETY: the caller's promise.
        unsafe { self.call(Mode::Wait) }
    }

    /// As [`perform`](Self::perform). The system call of a transfer of one buffer is in the frame of the caller, for whom each
    /// `ret` after it would be dear.
    ///
    /// # Safety
    ///
    /// REQUEST-MEMORY, for the time of the call.
    #[inline(always)]
    pub(crate) unsafe fn perform_here(&self) -> i32 {
        match *self {
            Self::Read {
                fd,
                memory,
                len,
                offset,
                flags,
            } => {
                // SAFETY: the caller's promise.
                unsafe { syscall::read_at(fd, memory, len as usize, place(offset), flags) }
            }
            Self::Write {
                fd,
                memory,
                len,
                offset,
                flags,
            } => {
                // SAFETY: the caller's promise.
                unsafe { syscall::write_at(fd, memory, len as usize, place(offset), flags) }
            }
            _ => {
                // SAFETY: the caller's promise.
                unsafe { self.perform() }
            }
        }
    }

    /// The second half of a connection attempt, once the socket is writable.
    pub(crate) fn connected(fd: RawFd) -> i32 {
        let mut error: c_int = 0;
        let mut len = socket_len(size_of::<c_int>());
        // SAFETY: the kernel writes one integer and its length.
        let read = unsafe {
            libc::getsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_ERROR,
                (&raw mut error).cast(),
                &raw mut len,
            )
        };
        if read < 0 { -errno() } else { -error }
    }

    #[expect(
        clippy::multiple_unsafe_ops_per_block,
        reason = "one call for each arm; the argument is the same for all"
    )]
    unsafe fn call(&self, mode: Mode) -> i32 {
        let wait_flag = if mode == Mode::Try {
            libc::MSG_DONTWAIT
        } else {
            0
        };
        // SAFETY: the pointers are valid by REQUEST-MEMORY; a wrong descriptor is an error of the call.
        let result = unsafe {
            match *self {
                Self::Recv {
                    fd,
                    memory,
                    len,
                    flags,
                    ..
                } => libc::recv(fd, memory.cast(), len as usize, flags | wait_flag),
                Self::RecvMsg {
                    fd, message, flags, ..
                } => libc::recvmsg(fd, message, flags | wait_flag | libc::MSG_CMSG_CLOEXEC),
                Self::Send {
                    fd,
                    memory,
                    len,
                    flags,
                }
                | Self::SendZeroCopy {
                    fd,
                    memory,
                    len,
                    flags,
                } => libc::send(
                    fd,
                    memory.cast(),
                    len as usize,
                    flags | wait_flag | libc::MSG_NOSIGNAL,
                ),
                Self::SendMsg { fd, message, flags } => {
                    libc::sendmsg(fd, message, flags | wait_flag | libc::MSG_NOSIGNAL)
                }
                Self::Accept { fd, address, len } => accept(fd, address, len, mode),
                Self::AcceptMany { fd } => accept(fd, ptr::null_mut(), ptr::null_mut(), mode),
                Self::Connect { fd, address, len } => {
                    if mode == Mode::Try {
                        set_nonblocking(fd);
                    }
                    libc::connect(fd, address, len) as libc::ssize_t
                }
                Self::Poll { fd, events } => {
                    let mut poll = libc::pollfd {
                        fd,
                        events,
                        revents: 0,
                    };
                    let limit = if mode == Mode::Try { 0 } else { -1 };
                    match libc::poll(&raw mut poll, 1, limit) {
                        0 => return -libc::EAGAIN,
                        1.. if poll.revents & libc::POLLNVAL != 0 => return -libc::EBADF,
                        1.. => poll.revents as libc::ssize_t,
                        failed => failed as libc::ssize_t,
                    }
                }
                Self::RecvLent { .. }
                | Self::RecvLentMany { .. }
                | Self::Pause { .. }
                | Self::Watch { .. }
                | Self::Cancel { .. } => return -libc::EOPNOTSUPP,
                _ => return self.call_file(mode),
            }
        };
        outcome(result)
    }

    /// # Safety
    ///
    /// REQUEST-MEMORY.
    #[expect(
        clippy::multiple_unsafe_ops_per_block,
        reason = "one call for each arm; the argument is the same for all"
    )]
    unsafe fn call_file(&self, mode: Mode) -> i32 {
        // SAFETY: the pointers are valid by REQUEST-MEMORY; a wrong descriptor is an error of the call.
        let result = unsafe {
            match *self {
                Self::Read {
                    fd,
                    memory,
                    len,
                    offset,
                    flags,
                } => {
                    let vector = libc::iovec {
                        iov_base: memory.cast(),
                        iov_len: len as usize,
                    };
                    return transfer(Way::Read, fd, &vector, 1, offset, flags, mode);
                }
                Self::Write {
                    fd,
                    memory,
                    len,
                    offset,
                    flags,
                } => {
                    let vector = libc::iovec {
                        iov_base: memory.cast_mut().cast(),
                        iov_len: len as usize,
                    };
                    return transfer(Way::Write, fd, &vector, 1, offset, flags, mode);
                }
                Self::ReadVectored {
                    fd,
                    vectors,
                    count,
                    offset,
                    flags,
                } => return transfer(Way::Read, fd, vectors, count, offset, flags, mode),
                Self::WriteVectored {
                    fd,
                    vectors,
                    count,
                    offset,
                    flags,
                } => return transfer(Way::Write, fd, vectors, count, offset, flags, mode),
                Self::Open { path, flags, mode } => open(path, flags, mode) as libc::ssize_t,
                Self::Sync { fd, data_only } => {
                    let sync = if data_only {
                        libc::fdatasync
                    } else {
                        libc::fsync
                    };
                    sync(fd) as libc::ssize_t
                }
                Self::Allocate {
                    fd,
                    mode,
                    offset,
                    len,
                } => libc::fallocate64(fd, mode, signed(offset), signed(len)) as libc::ssize_t,
                Self::Truncate { fd, len } => libc::ftruncate64(fd, signed(len)) as libc::ssize_t,
                Self::CopyRange {
                    from,
                    from_offset,
                    to,
                    to_offset,
                    len,
                } => {
                    let (mut source, mut sink) = (signed(from_offset), signed(to_offset));
                    let (source, sink) = (&raw mut source, &raw mut sink);
                    libc::copy_file_range(from, source, to, sink, len as usize, 0)
                }
                _ => return self.call_path(),
            }
        };
        outcome(result)
    }

    /// # Safety
    ///
    /// REQUEST-MEMORY.
    #[expect(
        clippy::multiple_unsafe_ops_per_block,
        reason = "one call for each arm; the argument is the same for all"
    )]
    unsafe fn call_path(&self) -> i32 {
        const HERE: RawFd = libc::AT_FDCWD;
        // SAFETY: the pointers are valid by REQUEST-MEMORY.
        let result = unsafe {
            match *self {
                Self::Status {
                    directory,
                    path,
                    flags,
                    mask,
                    status,
                } => libc::statx(directory, path, flags, mask, status),
                Self::Rename { from, to, flags } => libc::renameat2(HERE, from, HERE, to, flags),
                Self::Remove { path, directory } => {
                    let flags = if directory { libc::AT_REMOVEDIR } else { 0 };
                    libc::unlinkat(HERE, path, flags)
                }
                Self::MakeDir { path, mode } => libc::mkdirat(HERE, path, mode),
                Self::SymbolicLink { target, path } => libc::symlinkat(target, HERE, path),
                Self::HardLink { from, to } => libc::linkat(HERE, from, HERE, to, 0),
                _ => return -libc::EOPNOTSUPP,
            }
        };
        outcome(result as libc::ssize_t)
    }
}

/// Opens a file as the ring does: without waiting for the other end of a named pipe, which would keep a thread for ever.
///
/// # Safety
///
/// The path is a string that ends in zero.
unsafe fn open(path: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: the caller's promise.
    let fd = unsafe { libc::open(path, flags | libc::O_NONBLOCK, mode) };
    if fd >= 0 && flags & libc::O_NONBLOCK == 0 {
        set_blocking(fd);
    }
    // Somebody has a lease on the file, and is being asked to give it up.
    if fd < 0 && errno() == libc::EWOULDBLOCK {
        // SAFETY: the caller's promise.
        return unsafe { libc::open(path, flags, mode) };
    }
    fd
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Read,
    Write,
}

/// Reads or writes. A try falls back to asking for readiness first where the file does not know `RWF_NOWAIT`.
///
/// # Safety
///
/// The vectors and the memory that they point to are valid.
unsafe fn transfer(
    way: Way,
    fd: RawFd,
    vectors: *const libc::iovec,
    count: u32,
    offset: u64,
    flags: c_int,
    mode: Mode,
) -> i32 {
    let call = match way {
        Way::Read => libc::preadv2,
        Way::Write => libc::pwritev2,
    };
    let count = c_int::try_from(count).unwrap_or(c_int::MAX);
    let offset = place(offset);
    if mode == Mode::Wait {
        // SAFETY: the caller's promise.
        return outcome(unsafe { call(fd, vectors, count, offset, flags) });
    }
    // SAFETY: the caller's promise.
    let tried = outcome(unsafe { call(fd, vectors, count, offset, flags | libc::RWF_NOWAIT) });
    if tried != -libc::EOPNOTSUPP && tried != -libc::ENOSYS {
        return tried;
    }
    if !has_readiness(fd) {
        return -libc::EAGAIN;
    }
    let events = match way {
        Way::Read => libc::POLLIN,
        Way::Write => libc::POLLOUT,
    };
    // SAFETY: no memory is passed on.
    let ready = unsafe { Request::Poll { fd, events }.attempt() };
    if ready < 0 {
        return ready;
    }
    // SAFETY: the caller's promise: there is at least the first vector.
    let mut first = unsafe { *vectors };
    // What is readable is read without waiting, and no more than that; of a pipe that is writable a page is free.
    match way {
        Way::Read => {
            // SAFETY: the caller's promise.
            outcome(unsafe { libc::read(fd, first.iov_base, first.iov_len) })
        }
        Way::Write => {
            first.iov_len = first.iov_len.min(PIPE_ROOM);
            if flags == 0 {
                // SAFETY: the caller's promise.
                return outcome(unsafe { libc::write(fd, first.iov_base, first.iov_len) });
            }
            // SAFETY: the caller's promise.
            outcome(unsafe { libc::pwritev2(fd, &raw const first, 1, -1, flags) })
        }
    }
}

/// # Safety
///
/// The pointers are null or valid.
unsafe fn accept(
    fd: RawFd,
    address: *mut libc::sockaddr,
    len: *mut libc::socklen_t,
    mode: Mode,
) -> libc::ssize_t {
    if mode == Mode::Try {
        set_nonblocking(fd);
    }
    // SAFETY: the caller's promise.
    let accepted = unsafe { libc::accept4(fd, address, len, libc::SOCK_CLOEXEC) };
    accepted as libc::ssize_t
}

/// Sockets can't be asked for a connection without waiting in any other way. The ring does not mind the flag.
fn set_nonblocking(fd: RawFd) {
    switch(fd, |flags| flags | libc::O_NONBLOCK);
}

/// Has calls wait again, as they do on a ring.
pub(crate) fn set_blocking(fd: RawFd) {
    switch(fd, |flags| flags & !libc::O_NONBLOCK);
}

fn switch(fd: RawFd, change: impl Fn(c_int) -> c_int) {
    // SAFETY: no memory is passed.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    if flags >= 0 && change(flags) != flags {
        // SAFETY: no memory is passed.
        unsafe { libc::fcntl(fd, libc::F_SETFL, change(flags)) };
    }
}

/// An offset as `preadv2` takes it: −1 for the descriptor's own.
#[inline]
fn place(offset: u64) -> i64 {
    if offset >= APPEND { -1 } else { signed(offset) }
}

#[inline]
fn signed(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

fn socket_len(len: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(len).unwrap_or(0)
}
