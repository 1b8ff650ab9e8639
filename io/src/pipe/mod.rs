//! Pipes.
//!
//! Their ends are in non-blocking mode, so that neither a backend that tries system calls nor an older kernel, which has a
//! thread of its own wait for each read of a blocking one, is held up. The mode belongs to one end of a pipe alone.

mod polled;
mod read;
mod write;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::process::Stdio;
use std::rc::Rc;

use self::read::Read;
use self::write::{Many, One, Write};
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::copy::{AsSink, AsSource, Sink, Source};
use crate::lane::{Direction, Turn};
use crate::net::IntoStdError;
use crate::op::Op;
use crate::socket::{Kind, Socket};
use crate::stream::{implement_read, implement_write, no_room};

/// The kind of a pipe's end, whose stash has what dropped reads took.
#[derive(Default)]
pub(crate) struct Pipe;

/// Bytes, of which the first `taken` have been read.
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    taken: usize,
}

impl From<Vec<u8>> for Chunk {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, taken: 0 }
    }
}

impl From<Chunk> for Vec<u8> {
    fn from(mut chunk: Chunk) -> Self {
        chunk.bytes.drain(..chunk.taken);
        chunk.bytes
    }
}

impl Kind for Pipe {
    type Stashed = Chunk;
    const STASHED: &'static str = "bytes that were read are stashed; read them first";
}

/// Makes a pipe: what is written to its one end is read from the other.
///
/// # Errors
///
/// What `pipe2` reports: that too many descriptors are open, for example.
///
/// # Examples
///
/// ```no_run
/// # mod camshaft { pub use camshaft_io as io; }
/// # async fn example() -> std::io::Result<()> {
/// let (reader, writer) = camshaft::io::pipe()?;
/// writer.write_all("ping").await.0?;
/// drop(writer);
/// let (result, text) = reader.read_to_end(Vec::new()).await;
/// assert_eq!((result?, &text[..]), (4, &b"ping"[..]));
/// # Ok(())
/// # }
/// ```
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    Ok((PipeReader::from_std(reader)?, PipeWriter::from_std(writer)?))
}

/// The reading end of a pipe.
///
/// Reads take `&self`; they happen one after the other, first come, first served.
pub struct PipeReader {
    pipe: Rc<Socket<Pipe>>,
}

/// The writing end of a pipe. The reader is at the end of the stream when all writing ends are dropped.
///
/// Writes take `&self`; they happen one after the other, first come, first served: two `write_all` never mix their bytes.
pub struct PipeWriter {
    pipe: Rc<Socket<Pipe>>,
}

impl PipeReader {
    /// Reads some bytes into the room of a buffer. `Ok(0)` means that there is no writing end any more.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a buffer without room, and what the system reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: no byte is lost. What a dropped read took comes first in the next read.
    pub fn read<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<usize, B>> + use<'_, B> {
        Op::new(Read::some(&self.pipe, buf))
    }

    /// Fills the room of a buffer, and returns how much that was.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the stream ends before; the buffer then holds what came. And as [`read`](Self::read).
    ///
    /// # Cancellation
    ///
    /// Strict: what was taken so far is given back, and comes first in the next read.
    pub fn read_exact<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<usize, B>> + use<'_, B> {
        Op::new(Read::full(&self.pipe, buf))
    }

    /// Reads until there is no writing end any more, appending to a vector that grows as needed. Returns how much was
    /// appended.
    ///
    /// # Errors
    ///
    /// What the system reports; the vector then holds what came before.
    ///
    /// # Cancellation
    ///
    /// Strict: what was taken so far is given back, and comes first in the next read.
    pub fn read_to_end(
        &self,
        buf: Vec<u8>,
    ) -> impl Future<Output = BufResult<usize, Vec<u8>>> + use<'_> {
        Op::new(Read::to_end(&self.pipe, buf))
    }

    /// Reads some bytes into the first of several buffers that has room.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Cancellation
    ///
    /// Strict, as [`read`](Self::read).
    pub async fn read_vectored<B: IoBufMut>(&self, mut bufs: Vec<B>) -> BufResult<usize, Vec<B>> {
        let Some(at) = bufs.iter_mut().position(|buf| !buf.room().is_empty()) else {
            return (Err(no_room()), bufs);
        };
        let (result, buf) = self.read(bufs.remove(at)).await;
        bufs.insert(at, buf);
        (result, bufs)
    }
}

impl PipeWriter {
    /// Writes some bytes and returns how many.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if there is no reading end any more. `SIGPIPE` is not raised, whatever its disposition. And what else the
    /// system reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Weak: a prefix may have been written. Nothing more of it is written once the next write has begun.
    pub async fn write<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
        let (result, One(buf)) = Op::new(Write::some(&self.pipe, One(buf))).await;
        (result, buf)
    }

    /// Writes all bytes.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write); how much was written before is not known then.
    ///
    /// # Cancellation
    ///
    /// Weak, as [`write`](Self::write).
    pub async fn write_all<B: IoBuf>(&self, buf: B) -> BufResult<(), B> {
        let (result, One(buf)) = Op::new(Write::all(&self.pipe, One(buf))).await;
        (result.map(drop), buf)
    }

    /// Writes some bytes of several buffers, in order; of the first 1024 that are not empty.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Cancellation
    ///
    /// Weak, as [`write`](Self::write).
    pub async fn write_vectored<B: IoBuf>(&self, bufs: Vec<B>) -> BufResult<usize, Vec<B>> {
        let (result, Many(bufs)) = Op::new(Write::some(&self.pipe, Many(bufs))).await;
        (result, bufs)
    }

    /// Does nothing: what was written has been handed to the system.
    ///
    /// # Errors
    ///
    /// None.
    pub fn flush(&self) -> impl Future<Output = io::Result<()>> + use<> {
        std::future::ready(Ok(()))
    }

    /// Closes this end, after the writes that have begun: the reader is at the end of the stream, if there is no other
    /// writing end. Later writes report `BrokenPipe`.
    ///
    /// # Errors
    ///
    /// What `pipe2` and `dup3` report.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: nothing has happened if it is dropped before it is ready.
    pub async fn shutdown(&self) -> io::Result<()> {
        shutdown(self.pipe.clone()).await
    }
}

/// Closes the writing end of a pipe, after the writes that have begun.
async fn shutdown(pipe: Rc<Socket<Pipe>>) -> io::Result<()> {
    let mut turn = Turn::new(&pipe, Direction::Write);
    poll_fn(|cx| turn.poll(cx)).await;
    // The number stays taken, by the end of a pipe that nobody reads.
    let (_, broken) = io::pipe()?;
    nonblocking(&broken)?;
    // SAFETY: no memory is passed. The descriptor of this pipe is closed by it, which nobody uses, for the turn is ours.
    let closed = unsafe { libc::dup3(broken.as_raw_fd(), pipe.raw(), libc::O_CLOEXEC) };
    if closed < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

impl AsSource for PipeReader {
    fn as_source(&self) -> Option<Source> {
        Some((&self.pipe).into())
    }
}

impl AsSink for PipeWriter {
    fn as_sink(&self) -> Option<Sink> {
        Some((&self.pipe).into())
    }
}

implement_read!(PipeReader, PipeReader);
implement_read!(&PipeReader, PipeReader);
implement_write!(PipeWriter, PipeWriter);
implement_write!(&PipeWriter, PipeWriter);

/// Gives an end of a pipe what both have.
macro_rules! end {
    ($type:ident, $access:ident, $direction:ident, $word:literal) => {
        impl $type {
            /// Takes over an end of a pipe of std, and sets it to non-blocking mode.
            ///
            /// # Errors
            ///
            /// What `fcntl` reports.
            pub fn from_std(end: std::io::$type) -> io::Result<Self> {
                Self::adopt(end.into())
            }

            #[doc = concat!("Takes over the ", $word, " end of a pipe, or of a named pipe that was opened, and sets it to non-blocking mode.")]
            ///
            /// Other processes that have the same end open, not the other end, are subject to that mode as well.
            ///
            /// # Errors
            ///
            #[doc = concat!("`InvalidInput` for a descriptor that is not that of a pipe, or not open for ", $word, "; it is closed then. And what `fcntl` reports.")]
            pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
                check(&fd, libc::$access)?;
                Self::adopt(fd)
            }

            pub(crate) fn adopt(fd: OwnedFd) -> io::Result<Self> {
                nonblocking(&fd)?;
                Ok(Self {
                    pipe: Socket::new(fd),
                })
            }

            /// Turns it into a descriptor in blocking mode, for a child process for example.
            ///
            /// # Errors
            ///
            /// If bytes are stashed that a dropped read had taken: read them first. And what `dup` reports. The end comes
            /// back with the error.
            pub fn into_fd(self) -> Result<OwnedFd, IntoStdError<Self>> {
                match self.pipe.duplicate() {
                    Ok(fd) => Ok(fd),
                    Err(error) => Err(IntoStdError {
                        inner: self,
                        error,
                    }),
                }
            }

            /// Turns it into an end of a pipe of std, which is blocking.
            ///
            /// # Errors
            ///
            /// As [`into_fd`](Self::into_fd).
            pub fn into_std(self) -> Result<std::io::$type, IntoStdError<Self>> {
                self.into_fd().map(Into::into)
            }
        }

        impl TryFrom<$type> for Stdio {
            type Error = io::Error;

            fn try_from(end: $type) -> io::Result<Self> {
                Ok(end.into_fd()?.into())
            }
        }

        impl Drop for $type {
            /// Closes the end. Operations that were cancelled are settled first, by entering the kernel without waiting, so
            /// that it is closed now and not some time later.
            fn drop(&mut self) {
                self.pipe.settle_lane(Direction::$direction);
            }
        }

        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.pipe.fd().as_fd()
            }
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.pipe.raw()
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($type))
                    .field("fd", &self.as_raw_fd())
                    .finish()
            }
        }
    };
}

end!(PipeReader, O_RDONLY, Read, "reading");
end!(PipeWriter, O_WRONLY, Write, "writing");

fn flags(fd: &impl AsRawFd) -> io::Result<i32> {
    // SAFETY: no memory is passed.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(flags)
}

/// Sets a descriptor to non-blocking mode.
pub(crate) fn nonblocking(fd: &impl AsRawFd) -> io::Result<()> {
    let flags = flags(fd)?;
    if flags & libc::O_NONBLOCK != 0 {
        return Ok(());
    }
    // SAFETY: no memory is passed.
    let set = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) };
    if set < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Refuses what is not an end of a pipe with that access.
fn check(fd: &OwnedFd, access: i32) -> io::Result<()> {
    let mut status = MaybeUninit::<libc::stat64>::uninit();
    // SAFETY: the kernel writes one `stat`.
    if unsafe { libc::fstat64(fd.as_raw_fd(), status.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it was written.
    let is_pipe = unsafe { status.assume_init() }.st_mode & libc::S_IFMT == libc::S_IFIFO;
    let found = flags(fd)? & libc::O_ACCMODE;
    if is_pipe && (found == access || found == libc::O_RDWR) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "the descriptor is not that end of a pipe; wrap others in AsyncFd, and files in fs::File",
    ))
}
