//! A stream as two values.

use std::fmt;
use std::io;
use std::rc::Rc;

use super::{Sink, Source};
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::traits::{AsyncRead, AsyncWrite};

/// Splits a stream that can be read and written by reference into a half that reads and one that writes, for two tasks.
///
/// The sockets of this crate have an `into_split` of their own, whose writing half shuts writing down when it is dropped;
/// here nothing happens to the stream until both halves are gone.
///
/// # Examples
///
/// ```no_run
/// # mod camshaft { pub use camshaft_io as io; pub use camshaft_io::net; }
/// # async fn example(stream: camshaft::net::TcpStream) -> std::io::Result<()> {
/// use camshaft::io;
///
/// let (mut reader, mut writer) = io::split(stream);
/// io::copy(&mut reader, &mut writer).await?; // an echo
/// # Ok(())
/// # }
/// ```
pub fn split<T>(stream: T) -> (ReadHalf<T>, WriteHalf<T>)
where
    for<'a> &'a T: AsyncRead + AsyncWrite,
{
    let stream = Rc::new(stream);
    (ReadHalf(stream.clone()), WriteHalf(stream))
}

/// The reading half of a stream; see [`split`].
pub struct ReadHalf<T>(Rc<T>);

/// The writing half of a stream; see [`split`].
pub struct WriteHalf<T>(Rc<T>);

impl<T> ReadHalf<T> {
    /// Whether they are halves of the same stream.
    pub fn is_pair_of(&self, other: &WriteHalf<T>) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Makes a stream of the two halves again.
    ///
    /// # Panics
    ///
    /// If they are halves of different streams.
    #[must_use]
    #[track_caller]
    pub fn unsplit(self, other: WriteHalf<T>) -> T {
        assert!(
            self.is_pair_of(&other),
            "the halves belong to different streams; ask is_pair_of first"
        );
        drop(other);
        Rc::into_inner(self.0).expect("a stream has two halves, and both are here")
    }
}

impl<T> WriteHalf<T> {
    /// Whether they are halves of the same stream.
    pub fn is_pair_of(&self, other: &ReadHalf<T>) -> bool {
        other.is_pair_of(self)
    }
}

impl<T> AsyncRead for ReadHalf<T>
where
    for<'a> &'a T: AsyncRead,
{
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        (&mut &*self.0).read(buf).await
    }

    async fn read_vectored<B: IoBufMut>(&mut self, bufs: Vec<B>) -> BufResult<usize, Vec<B>> {
        (&mut &*self.0).read_vectored(bufs).await
    }

    async fn read_exact<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        (&mut &*self.0).read_exact(buf).await
    }

    async fn read_to_end(&mut self, buf: Vec<u8>) -> BufResult<usize, Vec<u8>> {
        (&mut &*self.0).read_to_end(buf).await
    }

    fn raw_source(&self) -> Option<Source> {
        (&*self.0).raw_source()
    }
}

impl<T> AsyncWrite for WriteHalf<T>
where
    for<'a> &'a T: AsyncWrite,
{
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        (&mut &*self.0).write(buf).await
    }

    async fn write_vectored<B: IoBuf>(&mut self, bufs: Vec<B>) -> BufResult<usize, Vec<B>> {
        (&mut &*self.0).write_vectored(bufs).await
    }

    async fn write_all<B: IoBuf>(&mut self, buf: B) -> BufResult<(), B> {
        (&mut &*self.0).write_all(buf).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        (&mut &*self.0).flush().await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        (&mut &*self.0).shutdown().await
    }

    fn raw_sink(&self) -> Option<Sink> {
        (&*self.0).raw_sink()
    }
}

impl<T: fmt::Debug> fmt::Debug for ReadHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadHalf").field(&self.0).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for WriteHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteHalf").field(&self.0).finish()
    }
}
