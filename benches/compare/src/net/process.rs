//! Another process, forked from this one, so that what it is to do can be said by a closure.

use std::io::{self, Read, Write};
use std::mem;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use camshaft_probe::sys;

use crate::models::process::{Child, fork};

/// No process lives longer than this.
const SECONDS: u32 = 120;
/// Processes that one can start in turn.
const MOST: usize = 1000;

/// A process that this one has started; it is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    _child: Child,
    clock: libc::clockid_t,
    /// Says what went wrong.
    complaint: io::PipeReader,
    family: &'static Family,
}

/// The processes that a process has started. Lies in memory that all of them share.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Family {
    count: AtomicU32,
    pids: [AtomicU32; MOST],
}

impl Process {
    /// Forks; the child does this work on this core, and ends.
    ///
    /// The calling process has one thread, or the child may find locks that nobody will ever unlock.
    pub(crate) fn start(
        core: usize,
        work: impl FnOnce(&'static Family) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let threads = std::fs::read_dir("/proc/self/task")?.count();
        ensure!(threads == 1, "a process of {threads} threads is not forked");
        let family = Family::new()?;
        let (complaint, mut complain) = io::pipe()?;
        let child = fork(|| {
            let result = catch_unwind(AssertUnwindSafe(|| {
                sys::bound_life(SECONDS)?;
                sys::pin(core);
                work(family)
            }));
            let text = match result {
                Ok(Ok(())) => String::new(),
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => "it panicked".to_owned(),
            };
            // If nobody listens any more, nobody needs to know.
            let _ = complain.write_all(text.as_bytes());
        });
        let child = child.context("no process can be started")?;
        Ok(Self {
            clock: sys::cpu_clock_of(child.id())?,
            _child: child,
            complaint,
            family,
        })
    }

    /// Its CPU time, and that of those that it has started and that live.
    pub(crate) fn cpu_ns(&self) -> u64 {
        let clocks = self
            .family
            .pids()
            .filter_map(|pid| sys::cpu_clock_of(pid).ok());
        sys::clock_ns(self.clock) + clocks.map(sys::clock_ns).sum::<u64>()
    }

    /// Adds to an error what the process said if it failed.
    pub(crate) fn explain(&mut self, error: anyhow::Error) -> anyhow::Error {
        // It may be about to say it.
        thread::sleep(Duration::from_millis(20));
        // SAFETY: the descriptor is open, and no memory is passed.
        unsafe { libc::fcntl(self.complaint.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
        let mut text = [0; 512];
        match self.complaint.read(&mut text) {
            Ok(count @ 1..) => error.context(String::from_utf8_lossy(&text[..count]).into_owned()),
            _ => error,
        }
    }
}

impl Family {
    /// Memory for one.
    pub(crate) fn new() -> io::Result<&'static Self> {
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
        );
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing.
        let page =
            unsafe { libc::mmap(ptr::null_mut(), size_of::<Self>(), protection, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the mapping is aligned, zeroed, large enough, never unmapped, and this consists of atomics.
        Ok(unsafe { &*page.cast::<Self>() })
    }

    /// Forks; the child does this work, and ends. It dies with its parent.
    pub(crate) fn fork(&self, work: impl FnOnce()) -> io::Result<()> {
        let child = fork(|| {
            if sys::bound_life(SECONDS).is_ok() {
                // Whoever has connected to it sees that it is gone.
                let _ = catch_unwind(AssertUnwindSafe(work));
            }
        })?;
        let place = self.count.fetch_add(1, Ordering::Relaxed) as usize;
        if let Some(slot) = self.pids.get(place) {
            slot.store(child.id(), Ordering::Release);
        }
        // It lives until its work is done.
        mem::forget(child);
        Ok(())
    }

    fn pids(&self) -> impl Iterator<Item = u32> {
        let count = self.count.load(Ordering::Relaxed) as usize;
        let pids = self.pids.iter().take(count);
        pids.map(|pid| pid.load(Ordering::Acquire))
            .filter(|pid| *pid != 0)
    }
}

/// Has the kernel take away the processes that end.
pub(crate) fn ignore_children() {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}
