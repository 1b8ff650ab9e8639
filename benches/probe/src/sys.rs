//! The system calls that measuring needs: clocks, cores, limits, resident memory and a shared page.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// The core of the measured process.
pub const SERVER_CORE: usize = 1;
/// The core of whatever drives it: the load client or the waking thread.
pub const LOAD_CORE: usize = 0;

/// Turns the `-1` of a system call into its error.
pub fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// As [`check`], for calls that return a length; the length is not negative then.
pub fn check_len(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Nanoseconds of one of the kernel's clocks; `None` if there is no such clock any more: that of a process that has ended.
pub fn read_clock(clock: libc::clockid_t) -> Option<u64> {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a valid timespec to write to.
    let result = unsafe { libc::clock_gettime(clock, &raw mut now) };
    (result == 0).then(|| now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs())
}

/// As [`read_clock`], of a clock that is there.
///
/// # Panics
///
/// Panics if there is no such clock: that of a process that has ended.
pub fn clock_ns(clock: libc::clockid_t) -> u64 {
    read_clock(clock).expect("the clock of a live process or of this machine")
}

/// Monotonic nanoseconds; comparable between the processes of one machine.
pub fn now_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// User and system time of all threads of this process, which is what `getrusage(RUSAGE_SELF)` sums, in nanoseconds.
pub fn own_cpu_ns() -> u64 {
    clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// The same clock of another process.
pub fn cpu_clock_of(pid: u32) -> io::Result<libc::clockid_t> {
    let mut clock = 0;
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: `clock` is valid to write to.
    match unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) } {
        0 => Ok(clock),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Resident bytes of a process, exact: the sum over its mappings, not the kernel's batched counters.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = line.and_then(|line| {
        line.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<u64>()
            .ok()
    });
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| io::Error::other("smaps_rollup without an Rss line"))
}

/// Pins the calling thread, and the threads it will start, to one core. A machine with fewer cores is left alone.
pub fn pin(core: usize) {
    pin_to(&[core]);
}

/// As [`pin`], to any of several cores.
pub fn pin_to(cores: &[usize]) {
    // SAFETY: a zeroed set is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &core in cores {
        // SAFETY: `core` is far below CPU_SETSIZE.
        unsafe { libc::CPU_SET(core, &mut set) };
    }
    // SAFETY: the set outlives the call. A failure leaves the thread where it was.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
}

/// Lets the calling thread, and the threads and processes it will start, run on every core that this process may use.
pub fn unpin() {
    // SAFETY: a zeroed set is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for core in 0..libc::CPU_SETSIZE.unsigned_abs() as usize {
        // SAFETY: `core` is below CPU_SETSIZE.
        unsafe { libc::CPU_SET(core, &mut set) };
    }
    // SAFETY: the set outlives the call; the system leaves out cores that do not exist.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
}

/// Raises the limit of open files to the hard limit.
pub fn raise_file_limit() -> io::Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is valid to write to.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is valid to read from.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(())
}

/// Bounds the life of this process: it dies with its parent, and by itself after `seconds`.
pub fn bound_life(seconds: u32) -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a signal number.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
    // SAFETY: `alarm` has no preconditions; SIGALRM ends the process by default.
    unsafe { libc::alarm(seconds) };
    Ok(())
}

/// Sets an option of a socket.
pub fn set_option<T: Copy>(fd: RawFd, level: i32, name: i32, value: T) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: `value` is valid to read from for its size.
    check(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), size) })?;
    Ok(())
}

/// What a server and its load client share.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Page {
    /// The port of the server, 0 until it listens.
    pub port: AtomicU32,
    /// The allocations of the server.
    pub allocations: AtomicU64,
}

/// Makes a page to share; the descriptor is inherited by children.
pub fn new_page() -> io::Result<OwnedFd> {
    // SAFETY: the name is a C string.
    let fd = check(unsafe { libc::memfd_create(c"camshaft-probe".as_ptr(), 0) })?;
    // SAFETY: the descriptor is new and owned by nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: `fd` is open. A page is far below i64::MAX.
    check(unsafe { libc::ftruncate(fd.as_raw_fd(), 4096) })?;
    Ok(fd)
}

/// Maps a page made by [`new_page`], for as long as the process lives.
pub fn map_page(fd: RawFd) -> io::Result<&'static Page> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: a new mapping at an address of the kernel's choice aliases nothing.
    let page = unsafe { libc::mmap(ptr::null_mut(), 4096, protection, flags, fd, 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is aligned, zeroed, large enough, never unmapped, and `Page` consists of atomics.
    Ok(unsafe { &*page.cast::<Page>() })
}
