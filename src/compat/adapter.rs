//! What all adapters have in common: a receive and a write that stay in flight between polls.

use std::fmt;
use std::io;
use std::task::{Context, Poll, ready};

use camshaft_io::poll::{PollRead, PollWrite};

use super::reader::Reader;
use super::writer::Writer;

/// A stream between polls.
pub(super) struct Adapter<T> {
    reader: Reader,
    writer: Writer,
    /// Dropped last: a stream that goes shall have no operations left, except those that go on without it.
    stream: T,
}

/// The stream is never pinned.
impl<T> Unpin for Adapter<T> {}

impl<T> Adapter<T> {
    pub(super) fn new(stream: T) -> Self {
        Self {
            reader: Reader::default(),
            writer: Writer::default(),
            stream,
        }
    }

    pub(super) fn get_ref(&self) -> &T {
        &self.stream
    }

    pub(super) fn into_inner(self) -> T {
        drop(self.reader);
        self.stream
    }

    /// The bytes that were received and not used.
    #[cfg(feature = "stackful")]
    pub(super) fn rest(&self) -> &[u8] {
        self.reader.rest()
    }

    /// Uses the first of the bytes that were received.
    #[inline]
    pub(super) fn consume(&mut self, n: usize) {
        self.reader.consume(n);
    }

    /// Waits until the write that is under way is over.
    #[cfg(any(feature = "futures-io", feature = "tokio-io", feature = "stackful"))]
    #[inline]
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.poll_end(cx)
    }
}

impl<T: PollRead> Adapter<T> {
    /// The bytes that were received and not used; none at the end of the stream.
    #[inline]
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.reader.poll_fill(&self.stream, cx)
    }

    /// Hands as many bytes to `put` as there is `room` for, and says how many. `0`: the end of the stream, or no room.
    #[inline]
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        put: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        let bytes = ready!(self.poll_fill(cx))?;
        let n = bytes.len().min(room);
        put(&bytes[..n]);
        self.consume(n);
        Poll::Ready(Ok(n))
    }
}

impl<T: PollWrite> Adapter<T> {
    /// Waits until the write before is over, begins to write what fits into one buffer, and says how much that is.
    #[inline]
    pub(super) fn poll_write<'a>(
        &mut self,
        cx: &mut Context<'_>,
        bufs: impl IntoIterator<Item = &'a [u8]>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.writer.poll_end(cx))?;
        self.writer.poll_begin(&self.stream, bufs, cx).map(Ok)
    }

    /// Shuts writing down, after what was written before.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.writer.poll_end(cx))?;
        match ready!(self.writer.poll_shutdown(&self.stream, cx)) {
            // The peer has reset the connection, so there is nothing to shut down.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

impl<T: fmt::Debug> Adapter<T> {
    pub(super) fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("stream", &self.stream)
            .field("unread", &self.reader.rest().len())
            .finish_non_exhaustive()
    }
}

/// Gives an adapter what all of them have besides the traits.
macro_rules! adapter {
    ($name:ident) => {
        impl<T> $name<T> {
            /// Adapts a stream.
            pub fn new(stream: T) -> Self {
                Self($crate::compat::adapter::Adapter::new(stream))
            }

            /// The stream.
            ///
            /// What is read from it directly is missing here, unless nothing was read here before.
            pub fn get_ref(&self) -> &T {
                self.0.get_ref()
            }

            /// Gives the stream back. Bytes that were received but not read come first in its next read; bytes that were
            /// accepted but not flushed are written before what is written to it next.
            pub fn into_inner(self) -> T {
                self.0.into_inner()
            }
        }

        impl<T: std::fmt::Debug> std::fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.debug(stringify!($name), f)
            }
        }
    };
}

pub(super) use adapter;
