//! Processes that are forked from this one, which must have one thread, and pipes between them.

use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;

use camshaft_probe::sys;

use crate::measure::{Metric, Sample};

/// The status of a process whose work panicked, as Rust has it.
const PANICKED: libc::c_int = 101;

/// A child of this process; it is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Child(Option<libc::pid_t>);

/// Runs `work` in a copy of this process, which ends without the destructors and messages of the original. If it panics, the
/// copy ends with a status that is not zero.
///
/// # Errors
///
/// That this process has several threads: the copy would have one of them, and locks that nobody will ever unlock. And what
/// the system says.
pub(crate) fn fork(work: impl FnOnce()) -> io::Result<Child> {
    let threads = threads()?;
    if threads != 1 {
        let why = format!("a process of {threads} threads is not forked");
        return Err(io::Error::other(why));
    }
    // SAFETY: this process has one thread, so the copy may do whatever the original may.
    match sys::check(unsafe { libc::fork() })? {
        0 => {
            // An unwind would go on in the copy of the caller, who would answer a second time.
            let result = catch_unwind(AssertUnwindSafe(work));
            // SAFETY: it ends the copy at once.
            unsafe { libc::_exit(if result.is_ok() { 0 } else { PANICKED }) }
        }
        child => Ok(Child(Some(child))),
    }
}

/// How many threads this process has. One call, because processes are forked while it is measured what that costs: each
/// thread is a folder, and so a link to the folder of all.
fn threads() -> io::Result<u64> {
    let links = fs::metadata("/proc/self/task")?.nlink();
    Ok(links.saturating_sub(2))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_several_threads_is_not_forked() {
        // That of a test has one for the test, and one that waits for it.
        let (before, error) = (threads().unwrap(), fork(|| {}).unwrap_err());
        assert!(before > 1);
        assert!(
            error.to_string().ends_with("threads is not forked"),
            "{error}"
        );
    }
}
