//! Another process, forked from this one, so that what it is to do can be said by a closure.

use std::io::{self, Read};
use std::mem;
use std::os::fd::AsRawFd;
use std::process;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use camshaft_probe::sys;

use crate::experiment::Outcome;
use crate::failure;
use crate::models::process::{Child, fork};
use crate::models::shared::{self, Shared};

/// No process lives longer than this.
const SECONDS: u32 = 120;
/// Processes that one can start.
const MOST: usize = 4096;

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
    members: [Member; MOST],
}

/// One of them: zeros until it has begun.
#[derive(Debug)]
#[repr(C)]
struct Member {
    pid: AtomicU32,
    /// What it used until it ended, which nobody could ask the kernel for any more.
    cpu_ns: AtomicU64,
}

// SAFETY: it consists of atomics.
unsafe impl Shared for Family {}

impl Process {
    /// Forks; the child does this work on this core, and ends.
    pub(crate) fn start(
        core: usize,
        work: impl FnOnce(&'static Family) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let family = Family::new()?;
        let (complaint, mut complain) = io::pipe()?;
        let child = fork(|| {
            sys::pin(core);
            let result = sys::bound_life(SECONDS).map_err(Into::into);
            let Err(error) = result.and_then(|()| work(family)) else {
                return;
            };
            // If nobody listens any more, nobody needs to know.
            let _ = serde_json::to_writer(&mut complain, &failure::outcome(&error));
        });
        let child = child.context("no process can be started")?;
        Ok(Self {
            clock: sys::cpu_clock_of(child.id())?,
            _child: child,
            complaint,
            family,
        })
    }

    /// Its CPU time, and that of those that it has started, which is without what the kernel needs to end them.
    pub(crate) fn cpu_ns(&self) -> u64 {
        // If it has ended, whoever talks to it will learn that.
        let own = sys::read_clock(self.clock).unwrap_or(0);
        let members = self.family.members().map(Member::cpu_ns);
        own + members.sum::<u64>()
    }

    /// Adds to an error what the process said if it failed.
    pub(crate) fn explain(&mut self, error: anyhow::Error) -> anyhow::Error {
        // It may be about to say it.
        thread::sleep(Duration::from_millis(20));
        // SAFETY: the descriptor is open, and no memory is passed.
        unsafe { libc::fcntl(self.complaint.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
        let mut text = Vec::new();
        // It ends with an error if the process lives.
        let read = self.complaint.read_to_end(&mut text);
        match serde_json::from_slice(&text) {
            Ok(Outcome::Skipped(why)) => failure::Missing::new(why).into(),
            Ok(Outcome::Failed(why)) => error.context(why),
            _ if read.is_ok() => error.context("the process has ended without a word"),
            _ => error,
        }
    }
}

impl Family {
    /// Memory for one.
    pub(crate) fn new() -> io::Result<&'static Self> {
        shared::map()
    }

    /// Forks; the child does this work, and ends. It dies with its parent.
    pub(crate) fn fork(&self, work: impl FnOnce()) -> io::Result<()> {
        let place = self.count.load(Ordering::Relaxed);
        let Some(member) = self.members.get(place as usize) else {
            return Err(io::Error::other(format!("more than {MOST} processes")));
        };
        self.count.store(place + 1, Ordering::Relaxed);
        let child = fork(|| {
            // Whoever has connected to it sees when it is gone.
            member.live(|| sys::bound_life(SECONDS).map(|()| work()));
        })?;
        // It lives until its work is done.
        mem::forget(child);
        Ok(())
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        let count = self.count.load(Ordering::Relaxed) as usize;
        self.members.iter().take(count)
    }
}

impl Member {
    /// Does the work of this process, the last thing that it does.
    fn live<T>(&self, work: impl FnOnce() -> T) {
        self.pid.store(process::id(), Ordering::Release);
        work();
        self.cpu_ns.store(sys::own_cpu_ns(), Ordering::Release);
    }

    /// By its clock while it lives, and then by what it left.
    fn cpu_ns(&self) -> u64 {
        let left = || Some(self.cpu_ns.load(Ordering::Acquire)).filter(|ns| *ns > 0);
        let lives = || {
            let pid = Some(self.pid.load(Ordering::Acquire)).filter(|pid| *pid != 0)?;
            sys::read_clock(sys::cpu_clock_of(pid).ok()?)
        };
        // It may end between the first two.
        left().or_else(lives).or_else(left).unwrap_or(0)
    }
}

/// Has the kernel take away the processes that end.
pub(crate) fn ignore_children() {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn who_has_ended_counts_by_what_it_left() {
        let mut other = Command::new("true").spawn().unwrap();
        other.wait().unwrap();
        let member = &Family::new().unwrap().members[0];
        assert_eq!(member.cpu_ns(), 0, "it has not begun");
        member.pid.store(other.id(), Ordering::Release);
        assert_eq!(member.cpu_ns(), 0, "it left nothing");

        let burn = || {
            let start = sys::own_cpu_ns();
            while sys::own_cpu_ns() < start + 5_000_000 {}
        };
        member.live(|| {
            burn();
            let lives = member.cpu_ns();
            assert!(lives >= 5_000_000, "while it lives: {lives} ns");
        });
        member.pid.store(other.id(), Ordering::Release);
        let left = member.cpu_ns();
        assert!(left >= 5_000_000, "after its end: {left} ns");
    }
}
