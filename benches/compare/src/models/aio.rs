//! Linux's own asynchronous I/O of 2003 (`io_submit`, `io_getevents`): many requests in one call, many completions in another.
//!
//! It was made for files opened with `O_DIRECT`; on other files `io_submit` does the work before it returns. Since Linux
//! 4.18 it can wait for readiness as well (`IOCB_CMD_POLL`), one shot each.
//!
//! Invariant **IN FLIGHT**: whoever submits a block keeps it, and the memory that it names, until its event has come.

use std::io;
use std::os::fd::RawFd;
use std::ptr;

use camshaft_probe::sys::check_len;

const PREAD: u16 = 0;
const POLL: u16 = 5;

/// What is asked of the kernel: `struct iocb` of linux/aio_abi.h, as it is on machines of little endian.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Block {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    fd: u32,
    buffer: u64,
    length: u64,
    offset: u64,
    reserved: u64,
    flags: u32,
    event: u32,
}

impl Block {
    /// Waits for these events of poll(2).
    pub(crate) fn poll(token: usize, fd: RawFd, events: i16) -> Self {
        Self {
            data: token as u64,
            opcode: POLL,
            fd: fd.cast_unsigned(),
            buffer: u64::from(events.cast_unsigned()),
            ..Self::default()
        }
    }

    /// Reads from a place in a file.
    pub(crate) fn read(token: usize, fd: RawFd, buffer: *mut [u8], offset: u64) -> Self {
        Self {
            data: token as u64,
            opcode: PREAD,
            fd: fd.cast_unsigned(),
            buffer: buffer.cast::<u8>().expose_provenance() as u64,
            length: buffer.len() as u64,
            offset,
            ..Self::default()
        }
    }
}

/// What came of it: `struct io_event`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Event {
    data: u64,
    block: u64,
    result: i64,
    second: i64,
}

impl Event {
    /// The token of the block.
    pub(crate) fn token(&self) -> usize {
        usize::try_from(self.data).unwrap_or(usize::MAX)
    }

    /// Its result.
    pub(crate) fn result(&self) -> io::Result<u64> {
        let errno = i32::try_from(-self.result).unwrap_or(libc::EIO);
        u64::try_from(self.result).map_err(|_| io::Error::from_raw_os_error(errno))
    }
}

/// A queue in the kernel.
#[derive(Debug)]
pub(crate) struct Queue {
    context: libc::c_ulong,
    events: Vec<Event>,
}

impl Queue {
    /// Makes one for so many requests.
    pub(crate) fn new(requests: u32) -> io::Result<Self> {
        let mut context: libc::c_ulong = 0;
        // SAFETY: the context is zero and may be written to.
        check(unsafe { libc::syscall(libc::SYS_io_setup, requests, &raw mut context) })?;
        Ok(Self {
            context,
            events: vec![Event::default(); requests as usize],
        })
    }

    /// Hands blocks over, all of them.
    ///
    /// # Safety
    ///
    /// The blocks are valid, and IN FLIGHT.
    pub(crate) unsafe fn submit(&self, mut blocks: &[*mut Block]) -> io::Result<()> {
        while !blocks.is_empty() {
            let (first, count) = (blocks.as_ptr(), blocks.len());
            // SAFETY: so many pointers can be read there; the caller vouches for what they point to.
            let count = unsafe { libc::syscall(libc::SYS_io_submit, self.context, count, first) };
            blocks = &blocks[check(count)?..];
        }
        Ok(())
    }

    /// Waits for one event at least, and returns all that are there.
    pub(crate) fn wait(&mut self) -> io::Result<&[Event]> {
        let (first, room) = (self.events.as_mut_ptr(), self.events.len());
        let timeout = ptr::null::<libc::timespec>();
        loop {
            // SAFETY: there is room for so many events. There is no timeout.
            let count = unsafe {
                libc::syscall(
                    libc::SYS_io_getevents,
                    self.context,
                    1,
                    room,
                    first,
                    timeout,
                )
            };
            match check(count) {
                Ok(count) => return Ok(&self.events[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: no memory is passed. The call waits for what is in flight, or cancels it.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.context) };
    }
}

fn check(result: libc::c_long) -> io::Result<usize> {
    check_len(libc::ssize_t::try_from(result).map_err(io::Error::other)?)
}
