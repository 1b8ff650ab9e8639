//! Memory that is shared with processes that are forked later, and a lock in it.

use std::cell::UnsafeCell;
use std::io;
use std::ptr;

/// What may lie in such memory: all zeros are a value of it, and several may use it at once.
///
/// # Safety
///
/// Both must hold.
pub(crate) unsafe trait Shared: Sync {}

/// Maps a value of zeros, for as long as the process and its children live.
pub(crate) fn map<T: Shared>() -> io::Result<&'static T> {
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_SHARED | libc::MAP_ANONYMOUS,
    );
    // SAFETY: a new mapping at an address of the kernel's choice aliases nothing.
    let page = unsafe { libc::mmap(ptr::null_mut(), size_of::<T>(), protection, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is aligned, zeroed, large enough, and never unmapped; `T` may be zeros, and be shared.
    Ok(unsafe { &*page.cast::<T>() })
}

// SAFETY: it is an atomic number.
unsafe impl Shared for std::sync::atomic::AtomicU64 {}

/// A number behind a lock of the C library that processes share.
#[derive(Debug)]
pub(crate) struct Locked {
    lock: UnsafeCell<libc::pthread_mutex_t>,
    number: UnsafeCell<u64>,
}

// SAFETY: the number is touched by who holds the lock only.
unsafe impl Sync for Locked {}

// SAFETY: zeros are an unlocked lock of one process, which `share` makes one of several.
unsafe impl Shared for Locked {}

impl Locked {
    /// Prepares the lock for several processes, before there is a second one.
    pub(crate) fn share(&self) -> io::Result<()> {
        // SAFETY: zeros are memory for attributes that are to be initialised.
        let mut attributes: libc::pthread_mutexattr_t = unsafe { std::mem::zeroed() };
        // SAFETY: the attributes are valid to write to.
        done(unsafe { libc::pthread_mutexattr_init(&raw mut attributes) })?;
        let shared = libc::PTHREAD_PROCESS_SHARED;
        // SAFETY: the attributes are initialised.
        done(unsafe { libc::pthread_mutexattr_setpshared(&raw mut attributes, shared) })?;
        // SAFETY: nobody uses the lock yet.
        done(unsafe { libc::pthread_mutex_init(self.lock.get(), &raw const attributes) })
    }

    /// Adds one.
    pub(crate) fn add(&self) {
        // SAFETY: the lock is initialised and never moved.
        unsafe { libc::pthread_mutex_lock(self.lock.get()) };
        // SAFETY: the lock is held.
        unsafe { *self.number.get() += 1 };
        // SAFETY: the lock is held.
        unsafe { libc::pthread_mutex_unlock(self.lock.get()) };
    }
}

/// Turns the error number that these calls return into an error.
fn done(errno: libc::c_int) -> io::Result<()> {
    match errno {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// What processes that race tell each other.
#[derive(Debug, Default)]
pub(crate) struct Race {
    /// How many are where they shall run.
    pub(crate) ready: std::sync::atomic::AtomicU64,
    /// All may begin.
    pub(crate) begun: std::sync::atomic::AtomicBool,
    /// All shall end.
    pub(crate) over: std::sync::atomic::AtomicBool,
    /// What those who have ended did.
    pub(crate) done: std::sync::atomic::AtomicU64,
}

// SAFETY: it consists of atomics.
unsafe impl Shared for Race {}
