//! Copying from readers to writers.
//!
//! Where both ends are sockets or pipes, the kernel moves the bytes ([`splice`]); otherwise a buffer does.

mod ends;
mod plumbing;
mod splice;
mod split;

use std::io;

pub(crate) use self::ends::{AsSink, AsSource};
pub use self::ends::{Sink, Source};
use self::splice::Outcome;
pub use self::split::{ReadHalf, WriteHalf, split};
use crate::join::try_both;
use crate::traits::{AsyncRead, AsyncWrite};

/// How much is read at once, where a buffer is used.
const BUFFER: usize = 64 * 1024;

/// Copies everything from a reader to a writer until the reader is at its end, and flushes the writer. Returns the number
/// of bytes.
///
/// Between sockets and pipes of this crate the kernel moves the bytes, by `splice`, without copying them to this process and
/// back. Those sockets are then set to non-blocking mode, which makes no difference to anything else here.
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
/// not written comes first in its next read. Where a buffer is used, no byte is lost while it is being read; if the future is
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
    let outcome = match (reader.raw_source(), writer.raw_sink()) {
        (Some(Source(source)), Some(Sink(sink))) => splice::copy(source, sink, &mut moved).await?,
        _ => Outcome::Unsupported,
    };
    if matches!(outcome, Outcome::Unsupported) {
        by_buffer(reader, writer, &mut moved).await?;
    }
    writer.flush().await?;
    Ok(moved)
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
