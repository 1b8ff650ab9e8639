//! The system calls of the loop and of transfers that are tried at once, inlined into their callers.
//!
//! A `ret` right after a system call is dear on processors that mitigate return prediction, and the call into libc's
//! `syscall` adds several of them to every turn of the loop. Here the instruction itself is inlined into the frame of
//! the loop, or of the future that is polled, on x86_64 and aarch64; elsewhere libc is called.
//!
//! Invariant **ENTER-ARGS**: the caller passes a ring that it owns and an argument block that outlives the call.

use std::ffi::c_int;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// The extended argument of `io_uring_enter` (`struct io_uring_getevents_arg`, kernel 5.11).
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct WaitArg {
    pub(crate) sigmask: u64,
    pub(crate) sigmask_size: u32,
    pub(crate) min_wait_usec: u32,
    pub(crate) timespec: u64,
}

/// The kernel's 64-bit time span (`struct __kernel_timespec`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timespec {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: i64,
}

impl From<Duration> for Timespec {
    #[inline(always)]
    fn from(span: Duration) -> Self {
        Self {
            seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: i64::from(span.subsec_nanos()),
        }
    }
}

impl From<Timespec> for Duration {
    /// A span before zero is none.
    fn from(span: Timespec) -> Self {
        let seconds = Self::from_secs(span.seconds.try_into().unwrap_or(0));
        seconds + Self::from_nanos(span.nanoseconds.try_into().unwrap_or(0))
    }
}

const _: () = assert!(size_of::<WaitArg>() == 24 && size_of::<Timespec>() == 16);

/// Calls `io_uring_enter` and returns the number of submissions that the kernel took.
///
/// # Errors
///
/// The errno of the call.
///
/// # Safety
///
/// ENTER-ARGS: `argument` is null or points to `size` bytes that stay valid through the call, and every submission in
/// the ring describes memory that stays valid until its completion.
#[inline(always)]
pub(crate) unsafe fn enter(
    fd: i32,
    submit: u32,
    wait: u32,
    flags: u32,
    argument: *const WaitArg,
    size: usize,
) -> io::Result<u32> {
    let arguments = [
        descriptor(fd),
        submit as usize,
        wait as usize,
        flags as usize,
        argument.expose_provenance(),
        size,
    ];
    // SAFETY: the caller's promise, handed on.
    let result = unsafe { raw(libc::SYS_io_uring_enter, arguments) };
    match u32::try_from(result) {
        Ok(taken) => Ok(taken),
        // The kernel returns errors in -4095..0.
        Err(_) => Err(io::Error::from_raw_os_error(
            i32::try_from(-result).unwrap_or(libc::EIO),
        )),
    }
}

/// Reads into one buffer as `preadv2` does, and returns what the ring would: the result, or the negated error number.
///
/// # Safety
///
/// The memory is valid for writes of `len` bytes during the call.
#[inline(always)]
pub(crate) unsafe fn read_at(
    fd: RawFd,
    memory: *mut u8,
    len: usize,
    offset: i64,
    flags: c_int,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { transfer(libc::SYS_preadv2, fd, memory, len, offset, flags) }
}

/// Writes one buffer as `pwritev2` does, and returns what the ring would: the result, or the negated error number.
///
/// # Safety
///
/// The memory is valid for reads of `len` bytes during the call.
#[inline(always)]
pub(crate) unsafe fn write_at(
    fd: RawFd,
    memory: *const u8,
    len: usize,
    offset: i64,
    flags: c_int,
) -> i32 {
    // SAFETY: the caller's promise; the kernel only reads.
    unsafe {
        transfer(
            libc::SYS_pwritev2,
            fd,
            memory.cast_mut(),
            len,
            offset,
            flags,
        )
    }
}

/// # Safety
///
/// The memory is valid for what the call does with it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "where words are half as long, the upper half is the next argument"
)]
#[inline(always)]
unsafe fn transfer(
    number: libc::c_long,
    fd: RawFd,
    memory: *mut u8,
    len: usize,
    offset: i64,
    flags: c_int,
) -> i32 {
    let vector = libc::iovec {
        iov_base: memory.cast(),
        iov_len: len,
    };
    // As wide as the kernel's numbers are, the lower half of the offset is all of it, and the upper half is shifted out.
    let arguments = [
        descriptor(fd),
        (&raw const vector).expose_provenance(),
        1,
        (offset as isize).cast_unsigned(),
        ((offset >> 32) as isize).cast_unsigned(),
        flags.cast_unsigned() as usize,
    ];
    // SAFETY: the vector outlives the call; its memory is valid by the caller's promise.
    let result = unsafe { raw(number, arguments) };
    i32::try_from(result).unwrap_or(i32::MAX)
}

/// Sign-extended, as the kernel reads it.
#[inline(always)]
fn descriptor(fd: RawFd) -> usize {
    (fd as isize).cast_unsigned()
}

/// Makes a system call: returns its result, or the negated error number.
///
/// # Safety
///
/// The arguments are those that the call wants, and the memory that they point to is valid for what it does.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn raw(number: libc::c_long, arguments: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the system call ABI of x86_64: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9; rcx and r11 are
    // clobbered; the kernel touches memory as the caller promises.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            in("r9") arguments[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// As on x86_64.
///
/// # Safety
///
/// As on x86_64.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
unsafe fn raw(number: libc::c_long, arguments: [usize; 6]) -> isize {
    let mut result = arguments[0].cast_signed();
    // SAFETY: the system call ABI of aarch64: number in x8, arguments in x0 to x5, the result in x0; the kernel touches
    // memory as the caller promises.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") result,
            in("x1") arguments[1],
            in("x2") arguments[2],
            in("x3") arguments[3],
            in("x4") arguments[4],
            in("x5") arguments[5],
            options(nostack),
        );
    }
    result
}

/// As on x86_64.
///
/// # Safety
///
/// As on x86_64.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
unsafe fn raw(number: libc::c_long, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the caller's promise.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 {
        let errno = io::Error::last_os_error().raw_os_error();
        return -(errno.unwrap_or(libc::EIO) as isize);
    }
    result as isize
}
