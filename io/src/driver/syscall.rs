//! The one system call of the loop, inlined into its caller.
//!
//! A `ret` right after a system call is dear on processors that mitigate return prediction, and the call into libc's
//! `syscall` adds several of them to every turn of the loop. Here the instruction itself is inlined into the frame of
//! the loop on x86_64 and aarch64; elsewhere libc is called.
//!
//! Invariant **ENTER-ARGS**: the caller passes a ring that it owns and an argument block that outlives the call.

use std::io;
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
    // SAFETY: the caller's promise, handed on.
    let result = unsafe { raw(fd, submit, wait, flags, argument, size) };
    match u32::try_from(result) {
        Ok(taken) => Ok(taken),
        // The kernel returns errors in -4095..0.
        Err(_) => Err(io::Error::from_raw_os_error(
            i32::try_from(-result).unwrap_or(libc::EIO),
        )),
    }
}

/// The number of the system call, the same on every architecture.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const NUMBER: isize = 426;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const _: () = assert!(NUMBER as libc::c_long == libc::SYS_io_uring_enter);

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn raw(
    fd: i32,
    submit: u32,
    wait: u32,
    flags: u32,
    argument: *const WaitArg,
    size: usize,
) -> isize {
    let mut result = NUMBER;
    // SAFETY: the system call ABI of x86_64: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9; rcx and r11 are
    // clobbered; the kernel touches memory only through the ring and the argument, as ENTER-ARGS allows.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") result,
            in("rdi") fd,
            in("rsi") submit,
            in("rdx") wait,
            in("r10") flags,
            in("r8") argument,
            in("r9") size,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
unsafe fn raw(
    fd: i32,
    submit: u32,
    wait: u32,
    flags: u32,
    argument: *const WaitArg,
    size: usize,
) -> isize {
    let mut result = fd as isize;
    // SAFETY: the system call ABI of aarch64: number in x8, arguments in x0 to x5, the result in x0; the kernel touches
    // memory only through the ring and the argument, as ENTER-ARGS allows.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") NUMBER,
            inlateout("x0") result,
            in("x1") submit,
            in("x2") wait,
            in("x3") flags,
            in("x4") argument,
            in("x5") size,
            options(nostack),
        );
    }
    result
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
unsafe fn raw(
    fd: i32,
    submit: u32,
    wait: u32,
    flags: u32,
    argument: *const WaitArg,
    size: usize,
) -> isize {
    // SAFETY: ENTER-ARGS.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_enter,
            fd,
            submit,
            wait,
            flags,
            argument,
            size,
        )
    };
    if result < 0 {
        let errno = io::Error::last_os_error().raw_os_error();
        return -(errno.unwrap_or(libc::EIO) as isize);
    }
    result as isize
}
