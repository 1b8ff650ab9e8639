//! Whole files: read, written and copied by their paths.

use std::fs;
use std::io::{self, Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::handle::status_of;
use super::{File, OpenOptions};
use crate::buf::IoBuf;

/// How much a worker copies before it looks whether somebody still waits, in bytes.
const COPY_STEP: u64 = 16 << 20;

/// Reads a whole file.
///
/// # Errors
///
/// Those of [`File::open`] and [`File::read_to_end`].
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// Strict: nothing is changed.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # async fn load() -> std::io::Result<()> {
/// let config = camshaft::fs::read("/etc/hosts").await?;
/// # Ok(())
/// # }
/// ```
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let file = File::open(path).await?;
    let mut bytes = Vec::new();
    // A hint; one more than the length spares a round that would only find the end. What is longer than memory fails later,
    // when it is there.
    let len = status_of(file.handle().fd(), libc::STATX_SIZE).map_or(0, |status| status.stx_size);
    let room = usize::try_from(len).unwrap_or(0).saturating_add(1);
    bytes.try_reserve_exact(room)?;
    let (result, bytes) = file.read_to_end(bytes).await;
    result.map(|_| bytes)
}

/// Reads a whole file as a string.
///
/// # Errors
///
/// `InvalidData` if it is not UTF-8; and as [`read`].
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// Strict: nothing is changed.
pub async fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path).await?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes a whole file: makes it if it does not exist, and replaces its contents if it does.
///
/// # Errors
///
/// Those of [`File::create`] and [`File::write_all`].
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// Weak: the file may be empty, or hold a part.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # async fn store() -> std::io::Result<()> {
/// camshaft::fs::write("/tmp/greeting", "hello").await
/// # }
/// ```
pub async fn write(path: impl AsRef<Path>, contents: impl IoBuf) -> io::Result<()> {
    let file = File::create(path).await?;
    let (result, _) = file.write_all(contents).await;
    result
}

/// Copies the contents and the permissions of a file, and returns how many bytes that were.
///
/// Another thread has the kernel copy (`copy_file_range`), which shares the blocks where the file system can; where the kernel
/// can't, bytes are read and written.
///
/// # Errors
///
/// `InvalidInput` if the source is not a regular file; those of opening both, `StorageFull`, and what else the system
/// reports. A part may have been written then.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// Weak: a part may have been written, and at most 16 MiB more are.
pub async fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
    let from = File::open(from).await?;
    let source = from.metadata().await?;
    if !source.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the source of a copy must be a regular file",
        ));
    }
    let to = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(source.mode())
        .open(to)
        .await?;
    // One that existed still has its own mode. A device keeps it.
    if to.metadata().await?.is_file() {
        let permissions = PermissionsExt::from_mode(source.mode() & 0o7777);
        to.set_permissions(permissions).await?;
    }
    let mut copied = 0;
    loop {
        let target = to.handle().file.clone();
        let step = from
            .on_worker(move |source| copy_step(source, &target))
            .await?;
        copied += step;
        if step < COPY_STEP {
            return Ok(copied);
        }
    }
}

/// Copies up to [`COPY_STEP`] bytes, and fewer only at the end. What was copied before a signal came stays copied: both files
/// are then that much further.
fn copy_step(mut source: &fs::File, mut target: &fs::File) -> io::Result<u64> {
    let start = source.stream_position()?;
    loop {
        let copied = source.stream_position()? - start;
        match io::copy(&mut source.take(COPY_STEP - copied), &mut target) {
            Ok(rest) => return Ok(copied + rest),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
