//! An open file, and what can be done with it.

use std::fmt;
use std::fs;
use std::future::{Future, poll_fn};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use super::handle::Handle;
use super::open::OpenOptions;
use crate::lane::{Direction, Turn};
use crate::net::IntoStdError;
use crate::offload::offload;

/// An open file.
///
/// Reads and writes come in two kinds. Those **at an offset** ([`read_at`](Self::read_at), [`write_at`](Self::write_at) and
/// so on) are independent of each other, and any number may be under way. Those **at the position** ([`read`](Self::read),
/// [`write`](Self::write) and so on, and [`AsyncRead`](crate::AsyncRead) and [`AsyncWrite`](crate::AsyncWrite)) happen one
/// after the other, first come, first served, and move the position when their future returns. All take `&self`.
///
/// Pipes, terminals, sockets and most devices are streams: reads and writes take what comes and what goes. Where there are no
/// offsets, as in a pipe, they are ignored. What a dropped read of a stream received comes first in the next read.
/// Where nobody reads, a write is the error `BrokenPipe`, and raises no signal. Writes to a terminal are made by another thread;
/// one that was dropped may still be writing, but nothing of it comes behind the next write.
///
/// # What is done on the thread of the loop
///
/// Buffered transfers of regular files are tried at once, because for what lies in the page cache that is the cheapest way.
/// Between two turns of the loop at most 256 such calls are made, or about 1 MiB is moved; then the task gives way to the others.
/// Transfers longer than 256 KiB are left to the kernel. A read never waits for a disk there. A write does not where the file
/// system can tell (XFS, btrfs); on the other local ones it is a plain system call, which may have to wait when the system is
/// short of memory or the disk is overloaded. If it holds the loop for more than 50 ms, or for more than a millisecond twice
/// within 32 writes, the writes of that file are done elsewhere for 10 ms, and for longer and longer, up to a second, if it
/// happens again.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # async fn read() -> std::io::Result<()> {
/// use camshaft::fs::File;
///
/// let file = File::open("/etc/hostname").await?;
/// let (read, name) = file.read_at(Vec::with_capacity(256), 0).await;
/// println!("{} bytes: {:?}", read?, name);
/// # Ok(())
/// # }
/// ```
pub struct File {
    handle: Rc<Handle>,
}

impl File {
    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied` and what else `openat` reports; `InvalidInput` for a path with a zero byte.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// The file is closed if it was opened all the same.
    pub fn open<P: AsRef<Path>>(path: P) -> impl Future<Output = io::Result<Self>> + use<P> {
        OpenOptions::new().read(true).open(path)
    }

    /// Opens a file for writing: makes it if it does not exist, and empties it if it does.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// The file is closed if it was opened all the same; it may have been made or emptied.
    pub fn create<P: AsRef<Path>>(path: P) -> impl Future<Output = io::Result<Self>> + use<P> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).open(path)
    }

    /// Makes a file that must not exist, and opens it for reading and writing.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`, and as [`open`](Self::open).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// The file is closed if it was opened all the same; it may have been made.
    pub fn create_new<P: AsRef<Path>>(path: P) -> impl Future<Output = io::Result<Self>> + use<P> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).open(path)
    }

    /// The options of another way to open a file; the same as [`OpenOptions::new`].
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    pub(super) fn opened(file: fs::File) -> Self {
        Self {
            handle: Handle::opened(file),
        }
    }

    /// Takes over a file of std, with its position.
    pub fn from_std(file: fs::File) -> Self {
        Self {
            handle: Handle::new(file),
        }
    }

    /// Turns it into a file of std, with its position.
    ///
    /// # Errors
    ///
    /// If it is a stream of which a dropped read had taken bytes: read them first. If the descriptor has to be duplicated,
    /// because an operation that was dropped still uses it, what `dup` reports. The file comes back with the error.
    pub fn into_std(self) -> Result<fs::File, IntoStdError<Self>> {
        if self.handle.has_stash() {
            return Err(IntoStdError {
                inner: self,
                error: io::Error::other("bytes that were read are stashed; read them first"),
            });
        }
        self.handle.publish_position();
        let handle = match Rc::try_unwrap(self.handle) {
            Err(shared) => shared,
            Ok(mut handle) => match Arc::try_unwrap(handle.file) {
                Ok(file) => return Ok(file),
                Err(shared) => {
                    handle.file = shared;
                    Rc::new(handle)
                }
            },
        };
        handle.file.try_clone().map_err(|error| IntoStdError {
            inner: Self { handle },
            error,
        })
    }

    pub(super) fn handle(&self) -> &Rc<Handle> {
        &self.handle
    }

    /// Moves the position of the next read or write, after those that have begun, and returns it, counted from the start.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a place before the start, `NotSeekable` for a stream.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: the position moves only when the future returns.
    pub async fn seek(&self, to: SeekFrom) -> io::Result<u64> {
        let mut turn = Turn::new(&self.handle.cursor, Direction::Read);
        poll_fn(|cx| turn.poll(cx)).await;
        if !self.handle.nature().positioned {
            return self.handle.seek_stream(to);
        }
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.handle.position().checked_add_signed(by),
            SeekFrom::End(by) => self.end().await?.checked_add_signed(by),
        };
        let Some(place) = place.filter(|place| i64::try_from(*place).is_ok()) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a position lies between the start of the file and i64::MAX",
            ));
        };
        self.handle.set_position(place);
        Ok(place)
    }

    /// Where the file ends. On another thread, since it may be on another machine.
    async fn end(&self) -> io::Result<u64> {
        if self.handle.nature().regular {
            return Ok(self.metadata().await?.len());
        }
        let file = self.handle.file.clone();
        offload(move || (&*file).seek(SeekFrom::End(0))).await
    }

    /// The position of the next read or write, counted from the start.
    ///
    /// # Errors
    ///
    /// `NotSeekable` for a stream.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: nothing is changed.
    pub async fn stream_position(&self) -> io::Result<u64> {
        self.seek(SeekFrom::Current(0)).await
    }

    /// Moves the position to the start.
    ///
    /// # Errors
    ///
    /// `NotSeekable` for a stream.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: the position moves only when the future returns.
    pub async fn rewind(&self) -> io::Result<()> {
        self.seek(SeekFrom::Start(0)).await.map(drop)
    }

    /// Opens a second descriptor of the same open file. The two share the position, the mode and the locks, and operations at
    /// the position happen one after the other, whichever of the two they use.
    ///
    /// # Errors
    ///
    /// `EMFILE`, when the process has as many descriptors as it may.
    ///
    /// # Cancellation
    ///
    /// Strict: it waits for nothing.
    pub async fn try_clone(&self) -> io::Result<Self> {
        let file = self.handle.file.try_clone()?;
        Ok(Self {
            handle: Handle::with_cursor(file, self.handle.cursor.clone()),
        })
    }

    /// Has another thread do something with the file that the ring has no operation for.
    pub(super) async fn on_worker<T: Send + 'static>(
        &self,
        job: impl FnOnce(&fs::File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let file: Arc<fs::File> = self.handle.file.clone();
        offload(move || job(&file)).await
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.file.as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.handle.fd()
    }
}

impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> Self {
        Self::from_std(fd.into())
    }
}

impl From<fs::File> for File {
    fn from(file: fs::File) -> Self {
        Self::from_std(file)
    }
}

impl FromRawFd for File {
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        // SAFETY: the caller's promise: an open descriptor that nobody else owns.
        Self::from_std(unsafe { fs::File::from_raw_fd(fd) })
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("fd", &self.as_raw_fd())
            .finish()
    }
}
