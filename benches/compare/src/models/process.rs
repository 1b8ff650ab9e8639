//! Processes that are forked from this one, which must have one thread, and pipes between them.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::process;

use camshaft_probe::sys;

use crate::measure::{Metric, Sample};

/// A child of this process; it is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Child(Option<libc::pid_t>);

/// Runs `work` in a copy of this process, which ends without the destructors and messages of the original.
pub(crate) fn fork(work: impl FnOnce()) -> io::Result<Child> {
    // SAFETY: this process has one thread, so the copy may do whatever the original may.
    match sys::check(unsafe { libc::fork() })? {
        0 => {
            work();
            // SAFETY: it ends the copy at once.
            unsafe { libc::_exit(0) }
        }
        child => Ok(Child(Some(child))),
    }
}

impl Child {
    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.0.map_or(0, libc::pid_t::unsigned_abs)
    }

    /// Waits until it ends by itself.
    pub(crate) fn join(mut self) -> io::Result<()> {
        let child = self.0.take().expect("it is taken but once");
        let mut status = 0;
        // SAFETY: `status` is valid to write to.
        sys::check(unsafe { libc::waitpid(child, &raw mut status, 0) })?;
        match status {
            0 => Ok(()),
            _ => Err(io::Error::other(format!(
                "process {child} of {} ended with status {status}",
                process::id()
            ))),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(child) = self.0 {
            // SAFETY: no memory is passed; the child has not been awaited, so the number is still its.
            unsafe { libc::kill(child, libc::SIGKILL) };
            // SAFETY: no memory is passed.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        }
    }
}

/// Numbers between processes.
#[derive(Debug)]
pub(crate) struct Pipe {
    reader: PipeReader,
    writer: PipeWriter,
}

/// Makes a pipe; both ends are open in whoever is forked.
pub(crate) fn pipe() -> io::Result<Pipe> {
    let (reader, writer) = io::pipe()?;
    Ok(Pipe { reader, writer })
}

impl Pipe {
    /// Sends a number.
    pub(crate) fn send(&mut self, number: u64) -> io::Result<()> {
        self.writer.write_all(&number.to_ne_bytes())
    }

    /// Waits for a number.
    pub(crate) fn receive(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.reader.read_exact(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }
}

/// Adds the CPU time of the children that have been awaited, from their start on: a little more than that of the window.
pub(crate) fn with_children(sample: Sample) -> Sample {
    // SAFETY: a zeroed `rusage` is one.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is valid to write to.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    let nanoseconds =
        |time: libc::timeval| (time.tv_sec * 1_000_000_000 + time.tv_usec * 1000) as f64;
    let children = nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime);
    let own = sample.values.get(&Metric::Cpu).copied().unwrap_or_default();
    let ops = sample.ops as f64;
    sample.with(Metric::Cpu, own + children / ops)
}
