//! Reading and writing with owned buffers.
//!
//! Every transfer takes its buffer and gives it back beside the result, because the kernel uses the memory while the
//! future waits. See [`crate::buf`] for what a buffer is, and for where a read puts its bytes.

use std::future::Future;
use std::io;

use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::copy::{Sink, Source};

/// A source of bytes.
///
/// # Cancellation
///
/// Strict for the streams of this crate: a read that is dropped loses no byte. What it had received, or receives before
/// its cancellation takes effect, comes first in the next read of any kind. The provided methods keep that promise only
/// as far as the implementor overrides them; as provided they lose what they had already put in their buffer.
pub trait AsyncRead {
    /// Reads some bytes into the room of a buffer. `Ok(0)` means the end of the stream.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a buffer without room, and what the system reports. The buffer comes back in any case.
    fn read<B: IoBufMut>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>>;

    /// Reads some bytes into several buffers, in order. As provided it reads into the first that has room.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn read_vectored<B: IoBufMut>(
        &mut self,
        mut bufs: Vec<B>,
    ) -> impl Future<Output = BufResult<usize, Vec<B>>> {
        async move {
            let Some(at) = bufs.iter_mut().position(|buf| !buf.room().is_empty()) else {
                return (Err(crate::stream::no_room()), bufs);
            };
            let (result, buf) = self.read(bufs.remove(at)).await;
            bufs.insert(at, buf);
            (result, bufs)
        }
    }

    /// Fills the room of a buffer: all of a `Box<[u8]>` or a slice, the spare capacity of a `Vec`. Returns how much that
    /// was.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the stream ends before; the buffer then holds what came. And as [`read`](Self::read).
    fn read_exact<B: IoBufMut>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        async move {
            let start = buf.fill_start();
            let end = buf.total_len();
            let mut at = start;
            let mut buf = buf;
            loop {
                let (result, slice) = self.read(buf.slice(at..end)).await;
                buf = slice.into_inner();
                match result {
                    Ok(0) => return (Err(io::ErrorKind::UnexpectedEof.into()), buf),
                    Ok(n) => at += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return (Err(error), buf),
                }
                if at == end {
                    return (Ok(end - start), buf);
                }
            }
        }
    }

    /// Reads until the end of the stream, appending to a vector that grows as needed. Returns how much was appended.
    ///
    /// # Errors
    ///
    /// What the system reports; the buffer then holds what came before.
    fn read_to_end(&mut self, mut buf: Vec<u8>) -> impl Future<Output = BufResult<usize, Vec<u8>>> {
        async move {
            let start = buf.len();
            loop {
                buf.reserve(32);
                let (result, back) = self.read(buf).await;
                buf = back;
                match result {
                    Ok(0) => return (Ok(buf.len() - start), buf),
                    Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                        return (Err(error), buf);
                    }
                    _ => {}
                }
            }
        }
    }

    /// What the kernel can take the bytes from by itself, for [`copy`](crate::copy()). Only for what is of this crate.
    #[doc(hidden)]
    fn raw_source(&self) -> Option<Source> {
        None
    }
}

/// Conveniences for every [`AsyncRead`].
pub trait AsyncReadExt: AsyncRead {
    /// Reads until the end of the stream, appending to a string. Returns how many bytes were appended.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the bytes are not UTF-8; the string is unchanged then. And as
    /// [`read_to_end`](AsyncRead::read_to_end).
    ///
    /// # Cancellation
    ///
    /// That of [`read_to_end`](AsyncRead::read_to_end).
    fn read_to_string(
        &mut self,
        mut text: String,
    ) -> impl Future<Output = BufResult<usize, String>> {
        async move {
            let (result, bytes) = self.read_to_end(Vec::new()).await;
            let read = match result {
                Ok(n) => n,
                Err(error) => return (Err(error), text),
            };
            match str::from_utf8(&bytes) {
                Ok(read_text) => {
                    text.push_str(read_text);
                    (Ok(read), text)
                }
                Err(error) => (Err(io::Error::new(io::ErrorKind::InvalidData, error)), text),
            }
        }
    }
}

impl<R: AsyncRead + ?Sized> AsyncReadExt for R {}

/// A sink of bytes.
///
/// # Cancellation
///
/// Weak: a write that is dropped may have sent a prefix of its bytes. For the streams of this crate nothing of it is sent
/// once the next write has begun.
pub trait AsyncWrite {
    /// Writes some bytes and returns how many.
    ///
    /// # Errors
    ///
    /// What the system reports. The buffer comes back in any case.
    fn write<B: IoBuf>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>>;

    /// Writes some bytes of several buffers, in order. As provided it writes the first that is not empty.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    fn write_vectored<B: IoBuf>(
        &mut self,
        mut bufs: Vec<B>,
    ) -> impl Future<Output = BufResult<usize, Vec<B>>> {
        async move {
            let Some(at) = bufs.iter().position(|buf| !buf.as_slice().is_empty()) else {
                return (Ok(0), bufs);
            };
            let (result, buf) = self.write(bufs.remove(at)).await;
            bufs.insert(at, buf);
            (result, bufs)
        }
    }

    /// Writes all bytes.
    ///
    /// # Errors
    ///
    /// `WriteZero` if the sink takes no more; and as [`write`](Self::write). How much was written before is not known
    /// then.
    fn write_all<B: IoBuf>(&mut self, buf: B) -> impl Future<Output = BufResult<(), B>> {
        async move {
            let end = buf.as_slice().len();
            let mut at = 0;
            let mut buf = buf;
            while at < end {
                let (result, slice) = self.write(buf.slice(at..end)).await;
                buf = slice.into_inner();
                match result {
                    Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buf),
                    Ok(n) => at += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return (Err(error), buf),
                }
            }
            (Ok(()), buf)
        }
    }

    /// Hands on what the sink itself has buffered. The streams of this crate buffer nothing.
    ///
    /// # Errors
    ///
    /// What the system reports.
    fn flush(&mut self) -> impl Future<Output = io::Result<()>>;

    /// Says that no more will be written: the peer reads the end of the stream.
    ///
    /// # Errors
    ///
    /// What the system reports.
    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>>;

    /// What the kernel can give the bytes to by itself, for [`copy`](crate::copy()). Only for what is of this crate.
    #[doc(hidden)]
    fn raw_sink(&self) -> Option<Sink> {
        None
    }
}

/// Conveniences for every [`AsyncWrite`].
pub trait AsyncWriteExt: AsyncWrite {
    /// Writes all bytes of several buffers, in order.
    ///
    /// # Errors
    ///
    /// As [`write_all`](AsyncWrite::write_all).
    ///
    /// # Cancellation
    ///
    /// Weak: a prefix of the bytes may have been sent.
    fn write_all_vectored<B: IoBuf>(
        &mut self,
        bufs: Vec<B>,
    ) -> impl Future<Output = BufResult<(), Vec<B>>> {
        async move {
            let mut back = Vec::with_capacity(bufs.len());
            let mut bufs = bufs.into_iter();
            while let Some(buf) = bufs.next() {
                let (result, buf) = self.write_all(buf).await;
                back.push(buf);
                if let Err(error) = result {
                    back.extend(bufs);
                    return (Err(error), back);
                }
            }
            (Ok(()), back)
        }
    }
}

impl<W: AsyncWrite + ?Sized> AsyncWriteExt for W {}
