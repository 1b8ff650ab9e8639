//! The I/O traits of tokio.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use camshaft_io::poll::{PollRead, PollWrite};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use super::adapter::{Adapter, adapter};

/// A stream of camshaft as one of tokio.
///
/// Of the crate `tokio` only the traits are used: no feature of it is needed, and no part of its runtime runs. Libraries that
/// take these traits (tokio-rustls, tokio-tungstenite, codecs of tokio-util) work as long as they do not spawn or sleep by
/// themselves.
///
/// See the [module](crate::compat) for what happens to bytes that were accepted or received when it is dropped or taken apart.
///
/// # Errors
///
/// Those of the stream. That of a write which was accepted is told by the next write, flush or shutdown.
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
/// use camshaft::compat::TokioIo;
/// use camshaft::net::TcpStream;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # async fn talk() -> std::io::Result<()> {
/// let mut stream = TokioIo::new(TcpStream::connect("127.0.0.1:7777").await?);
/// stream.write_all(b"hello").await?;
/// stream.shutdown().await?;
/// let mut answer = String::new();
/// stream.read_to_string(&mut answer).await?;
/// # Ok(())
/// # }
/// ```
pub struct TokioIo<T>(Adapter<T>);

adapter!(TokioIo);

impl<T: PollRead> AsyncRead for TokioIo<T> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self
            .0
            .poll_read(cx, buf.remaining(), |bytes| buf.put_slice(bytes));
        read.map_ok(|_| ())
    }
}

impl<T: PollRead> AsyncBufRead for TokioIo<T> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.get_mut().0.poll_fill(cx)
    }

    fn consume(mut self: Pin<&mut Self>, n: usize) {
        self.0.consume(n);
    }
}

impl<T: PollWrite> AsyncWrite for TokioIo<T> {
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

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}
