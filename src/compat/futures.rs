//! The traits of futures-io.

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use camshaft_io::poll::{PollRead, PollWrite};
use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};

use super::adapter::{Adapter, adapter};

/// A stream of camshaft as one of futures-io.
///
/// See the [module](crate::compat) for what happens to bytes that were accepted or received when it is dropped or taken apart.
///
/// # Errors
///
/// Those of the stream. That of a write which was accepted is told by the next write, flush or close.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// Strict: the futures that others make of these traits may be dropped at any time. What is in flight stays with the adapter.
///
/// # Examples
///
/// ```no_run
/// use camshaft::compat::FuturesIo;
/// use camshaft::net::TcpStream;
/// use futures_lite::{AsyncBufReadExt, AsyncWriteExt, StreamExt};
///
/// # async fn talk() -> std::io::Result<()> {
/// let mut stream = FuturesIo::new(TcpStream::connect("127.0.0.1:6379").await?);
/// stream.write_all(b"PING\r\n").await?;
/// stream.flush().await?;
/// println!("{:?}", stream.lines().next().await);
/// # Ok(())
/// # }
/// ```
pub struct FuturesIo<T>(Adapter<T>);

adapter!(FuturesIo);

impl<T: PollRead> AsyncRead for FuturesIo<T> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let room = buf.len();
        let put = |bytes: &[u8]| buf[..bytes.len()].copy_from_slice(bytes);
        self.0.poll_read(cx, room, put)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let room = bufs.iter().map(|buf| buf.len()).sum();
        self.0.poll_read(cx, room, |mut bytes| {
            for buf in bufs {
                let (now, later) = bytes.split_at(bytes.len().min(buf.len()));
                buf[..now.len()].copy_from_slice(now);
                bytes = later;
            }
        })
    }
}

impl<T: PollRead> AsyncBufRead for FuturesIo<T> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.get_mut().0.poll_fill(cx)
    }

    fn consume(mut self: Pin<&mut Self>, n: usize) {
        self.0.consume(n);
    }
}

impl<T: PollWrite> AsyncWrite for FuturesIo<T> {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, [buf])
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bufs.iter().map(|buf| &**buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}
