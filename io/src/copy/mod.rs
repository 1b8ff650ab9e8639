//! Copying from readers to writers.
//!
//! Where both ends are known to the kernel, it moves the bytes, between sockets and pipes ([`splice`]) or from files
//! ([`file`]); otherwise a buffer does.

mod ends;
mod file;
mod patience;
mod plumbing;
mod splice;
mod split;

use std::io;

use self::ends::Raw;
pub(crate) use self::ends::{AsSink, AsSource};
pub use self::ends::{Sink, Source};
pub use self::split::{ReadHalf, WriteHalf, split};
use crate::join::try_both;
use crate::traits::{AsyncRead, AsyncWrite};

/// How much is read at once, where a buffer is used.
const BUFFER: usize = 64 * 1024;

/// Copies everything from a reader to a writer until the reader is at its end, and flushes the writer. Returns the number
/// of bytes.
///
/// Between sockets and pipes of this crate the kernel moves the bytes, by `splice`, without copying them to this process and
/// back; from a [`File`](crate::fs::File) to those, by `sendfile`, and to another file, by `copy_file_range`. Sockets are then
/// set to non-blocking mode, which makes no difference to anything else here. What of a file is not in the page cache is read
/// first, so that the loop does not wait for the disk; it may still have to for single pages that went meanwhile, at most 256
/// KiB at a time.
///
/// # Errors
///
/// Those of reading and writing.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// Between sockets and pipes of this crate strict, also for a copy that ends with an error: what was taken from the reader and
/// not written comes first in its next read. From a file, too: its position moves by what was written. Between files up to
/// 16 MiB may be written behind the position, which no longer moves then, and nothing once the next write there has begun.
/// Where a buffer is used, no byte is lost while it is being read; if the future is
/// dropped while it is being written, its rest, up to 64 KiB, is lost, and a prefix may have been written.
///
/// # Examples
///
/// ```no_run
/// # mod camshaft { pub use camshaft_io as io; pub use camshaft_io::net; }
/// # async fn example(stream: camshaft::net::TcpStream) -> std::io::Result<()> {
/// let copied = camshaft::io::copy(&mut &stream, &mut &stream).await?; // an echo
/// println!("{copied} bytes");
/// # Ok(())
/// # }
/// ```
pub async fn copy<R, W>(reader: &mut R, writer: &mut W) -> io::Result<u64>
where
    R: AsyncRead + ?Sized,
    W: AsyncWrite + ?Sized,
{
    let mut moved = 0;
    let done = match (reader.raw_source(), writer.raw_sink()) {
        (Some(Source(source)), Some(Sink(sink))) => in_kernel(source, sink, &mut moved).await?,
        _ => false,
    };
    if !done {
        by_buffer(reader, writer, &mut moved).await?;
    }
    writer.flush().await?;
    Ok(moved)
}

/// Has the kernel copy, and counts what it has moved. `false`: not everything, for it can't go on.
async fn in_kernel(source: Raw, sink: Raw, moved: &mut u64) -> io::Result<bool> {
    let copied = match (source, sink) {
        (Raw::Stream(source), Raw::Stream(sink)) => splice::copy(source, sink, moved).await,
        (Raw::File(source), Raw::Stream(sink)) => file::send(source, sink, moved).await,
        (Raw::File(source), Raw::File(sink)) => file::copy(source, sink, moved).await,
        (Raw::Stream(_), Raw::File(_)) => return Ok(false),
    };
    match copied {
        Ok(()) => Ok(true),
        Err(error) if is_refusal(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the kernel can't do it at all, or may not, or has no room for a pipe, or is ready in vain.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EINVAL
                | libc::ENOSYS
                | libc::EOPNOTSUPP
                | libc::EPERM
                | libc::EXDEV
                | libc::EBADF
                | libc::EMFILE
                | libc::ENFILE
                | libc::EAGAIN
        )
    )
}

async fn by_buffer<R, W>(reader: &mut R, writer: &mut W, moved: &mut u64) -> io::Result<()>
where
    R: AsyncRead + ?Sized,
    W: AsyncWrite + ?Sized,
{
    let mut buf = Vec::with_capacity(BUFFER);
    loop {
        buf.clear();
        let (read, filled) = reader.read(buf).await;
        let (written, filled) = match read {
            Ok(0) => return Ok(()),
            Ok(_) => writer.write_all(filled).await,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (Ok(()), filled),
            Err(error) => return Err(error),
        };
        written?;
        *moved += filled.len() as u64;
        buf = filled;
    }
}

/// Copies in both directions between two streams, until both are at their end. Returns how many bytes went from the first to
/// the second, and how many back.
///
/// When one stream is at its end, writing to the other is shut down, so that its peer learns of it; the other direction goes
/// on.
///
/// The streams are read and written by reference, as those of this crate can be.
///
/// # Errors
///
/// The first error of either direction, which ends the other as if its future had been dropped.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// As [`copy`], in both directions.
///
/// # Examples
///
/// ```no_run
/// # mod camshaft { pub use camshaft_io as io; pub use camshaft_io::net; }
/// # async fn proxy(client: camshaft::net::TcpStream) -> std::io::Result<()> {
/// use camshaft::io::copy_bidirectional;
/// use camshaft::net::TcpStream;
///
/// let server = TcpStream::connect("127.0.0.1:8080").await?;
/// let (sent, received) = copy_bidirectional(&client, &server).await?;
/// println!("{sent} bytes there, {received} back");
/// # Ok(())
/// # }
/// ```
pub async fn copy_bidirectional<A, B>(a: &A, b: &B) -> io::Result<(u64, u64)>
where
    for<'x> &'x A: AsyncRead + AsyncWrite,
    for<'x> &'x B: AsyncRead + AsyncWrite,
{
    try_both(one_way(a, b), one_way(b, a)).await
}

async fn one_way<A, B>(mut from: &A, mut to: &B) -> io::Result<u64>
where
    for<'x> &'x A: AsyncRead,
    for<'x> &'x B: AsyncWrite,
{
    let moved = copy(&mut from, &mut to).await?;
    match to.shutdown().await {
        // The other side is gone already, and has read all that it wanted.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(moved),
        result => result.map(|()| moved),
    }
}
