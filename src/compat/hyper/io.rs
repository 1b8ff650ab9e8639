//! The I/O traits of hyper.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use camshaft_io::poll::{PollRead, PollWrite};
use hyper::rt::{Read, ReadBufCursor, Write};

use crate::compat::adapter::{Adapter, adapter};

/// A stream of camshaft as one of hyper, for the connections of its server and client.
///
/// A flush is ready as soon as all bytes are under way: hyper flushes after each message and never relies on more, and does
/// not have to be polled again only to learn that they are gone. `poll_shutdown` waits for them. If the runtime is dropped
/// before, what the peer has no room for is lost.
///
/// See the [module](crate::compat) for what happens to bytes that were accepted or received when it is dropped or taken apart.
///
/// # Errors
///
/// Those of the stream. That of a write which was accepted is told by the next write or shutdown.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// Strict: what is in flight stays with the adapter.
///
/// # Examples
///
/// ```no_run
/// use camshaft::compat::HyperIo;
/// use camshaft::net::TcpListener;
/// use http_body_util::Full;
/// use hyper::body::Bytes;
/// use hyper::server::conn::http1;
/// use hyper::service::service_fn;
/// use hyper::{Error, Response};
///
/// # async fn serve() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:8080").await?;
/// loop {
///     let (stream, _) = listener.accept().await?;
///     let hello = service_fn(async |_| Ok::<_, Error>(Response::new(Full::new(Bytes::from("hello")))));
///     camshaft::spawn(http1::Builder::new().serve_connection(HyperIo::new(stream), hello));
/// }
/// # }
/// ```
pub struct HyperIo<T>(Adapter<T>);

adapter!(HyperIo);

impl<T: PollRead> Read for HyperIo<T> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self
            .0
            .poll_read(cx, buf.remaining(), |bytes| buf.put_slice(bytes));
        read.map_ok(|_| ())
    }
}

impl<T: PollWrite> Write for HyperIo<T> {
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

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was accepted is under way, and goes on by itself.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}
