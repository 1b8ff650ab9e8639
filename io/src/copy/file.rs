//! Copies from files.
//!
//! To a socket or pipe: what lies in the page cache is sent from there, by a system call that does not wait for the sink. What
//! does not is read by the driver first, for that call would wait for the disk, and is sent from the buffer. The position of
//! the file moves by what was sent.
//!
//! To another file: by a thread that may wait.

use std::io;
use std::os::fd::AsRawFd;
use std::ptr;

use super::ends::End;
use super::patience::{Patience, held, would_wait};
use crate::fs::{RangeCopy, RawFile, Warmth};
use crate::lane::Direction;
use crate::op::Op;
use crate::readiness::give_way;
use crate::sigpipe::without_sigpipe;

/// The most bytes that are sent by one call, which bounds how long the loop is held.
const PORTION: usize = 256 * 1024;

/// For files that the kernel does not move by itself. Some of those, as in `/proc`, only look empty to it, so an end before the
/// first byte is this as well.
fn unsupported() -> io::Error {
    io::Error::from_raw_os_error(libc::EOPNOTSUPP)
}

/// Sends a file until its end, and counts the bytes.
pub(super) async fn send(file: RawFile, sink: End, moved: &mut u64) -> io::Result<()> {
    if !file.is_cached() {
        return Err(unsupported());
    }
    sink.prepare()?;
    loop {
        let _position = file.hold().await;
        let begin = file.position();
        match file.warmth(begin, PORTION)? {
            Warmth::End => {}
            Warmth::Warm => send_warm(&file, &sink).await?,
            Warmth::Cold => send_cold(&file, &sink).await?,
        }
        let n = file.position().saturating_sub(begin);
        if n == 0 && *moved == 0 {
            return Err(unsupported());
        }
        if n == 0 {
            return Ok(());
        }
        *moved += n;
        give_way(usize::try_from(n).unwrap_or(PORTION)).await;
    }
}

/// Sends from the page cache. Nothing: the file was cut.
async fn send_warm(file: &RawFile, sink: &End) -> io::Result<()> {
    let mut patience = Patience::default();
    let mut hold = held(sink.turn(Direction::Write)).await;
    loop {
        let begin = file.position();
        match send_now(file, begin, sink) {
            Ok(n) => {
                file.set_position(begin + n as u64);
                return Ok(());
            }
            Err(error) => {
                let waits = would_wait(&error)?;
                hold = patience.wait(hold, libc::POLLOUT, waits).await?;
            }
        }
    }
}

/// Reads, and sends what was read. Nothing: the file was cut.
async fn send_cold(file: &RawFile, sink: &End) -> io::Result<()> {
    let bytes = file.read(Vec::with_capacity(PORTION)).await?;
    let mut patience = Patience::default();
    let mut hold = held(sink.turn(Direction::Write)).await;
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        match sink.write_now(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                rest = &rest[n..];
                file.set_position(file.position() + n as u64);
                patience = Patience::default();
            }
            Err(error) => {
                let waits = would_wait(&error)?;
                hold = patience.wait(hold, libc::POLLOUT, waits).await?;
            }
        }
    }
    Ok(())
}

fn send_now(file: &RawFile, offset: u64, sink: &End) -> io::Result<usize> {
    let mut offset = i64::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    let (from, to) = (file.as_raw_fd(), sink.as_raw_fd());
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    let sent = without_sigpipe(|| match sink {
        // SAFETY: the kernel reads and writes the offset.
        End::Stream(_) => unsafe { libc::sendfile64(to, from, &raw mut offset, PORTION) },
        // SAFETY: the kernel reads and writes the offset.
        End::Pipe(_) => unsafe {
            libc::splice(from, &raw mut offset, to, ptr::null_mut(), PORTION, flags)
        },
    });
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Copies a file until its end, and counts the bytes.
pub(super) async fn copy(source: RawFile, sink: RawFile, moved: &mut u64) -> io::Result<()> {
    if !source.is_cached() || !sink.is_cached() || source.shares_position(&sink) {
        return Err(unsupported());
    }
    loop {
        match Op::new(RangeCopy::new(&source, &sink)).await? {
            0 if *moved == 0 => return Err(unsupported()),
            0 => return Ok(()),
            n => *moved += n as u64,
        }
    }
}
