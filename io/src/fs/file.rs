//! A file that is read at offsets.

use std::ffi::CString;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::task::Context;

use crate::buf::{BufResult, IoBufMut};
use crate::driver::{Completion, Request, transfer_len};
use crate::op::{Op, Operation, Prepare, Step};
use crate::socket::new_fd;
use crate::stream::no_room;

/// An open file.
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
    fd: Rc<OwnedFd>,
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
    pub fn open(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Self>> {
        let path = CString::new(path.as_ref().as_os_str().as_bytes());
        async move {
            let path = path.map_err(|_| {
                io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "a path can't contain a zero byte",
                )
            })?;
            let fd = Op::new(Open { path }).await?;
            Ok(Self { fd: Rc::new(fd) })
        }
    }

    /// Takes over a file of std.
    pub fn from_std(file: std::fs::File) -> Self {
        Self {
            fd: Rc::new(file.into()),
        }
    }

    /// Reads some bytes from an offset into the room of a buffer. `Ok(0)` means that the file ends there.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a buffer without room or an offset above `i64::MAX`, and what the system reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: nothing is lost, for the file keeps its bytes. The buffer is freed when the kernel is done with it.
    pub fn read_at<B: IoBufMut>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + use<'_, B> {
        Op::new(ReadAt {
            fd: self.fd.clone(),
            buf,
            offset,
        })
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("fd", &self.as_raw_fd())
            .finish()
    }
}

struct Open {
    path: CString,
}

// SAFETY: OWNED: the request points to the path, which lies on the heap.
unsafe impl Operation for Open {
    type Output = io::Result<OwnedFd>;

    fn request(&mut self) -> Request {
        Request::Open {
            path: self.path.as_ptr(),
            flags: libc::O_RDONLY,
            mode: 0,
        }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        match new_fd(completion) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            result => Step::Done(result),
        }
    }

    /// Nobody wants the file: dropping the descriptor closes it.
    fn inherit(self, completion: Completion) {
        drop(new_fd(completion));
    }
}

struct ReadAt<B> {
    fd: Rc<OwnedFd>,
    buf: B,
    offset: u64,
}

// SAFETY: OWNED: the request points into the storage of `buf`, which does not move with it (STABLE).
unsafe impl<B: IoBufMut> Operation for ReadAt<B> {
    type Output = BufResult<usize, B>;

    #[inline]
    fn prepare(mut self, _: &mut Context<'_>) -> Prepare<Self> {
        if self.buf.room().is_empty() {
            return Prepare::Served((Err(no_room()), self.buf));
        }
        // To the ring the largest number means the file's own position.
        if i64::try_from(self.offset).is_err() {
            return Prepare::Served((Err(io::ErrorKind::InvalidInput.into()), self.buf));
        }
        Prepare::Submit(self)
    }

    #[inline]
    fn request(&mut self) -> Request {
        let room = self.buf.room();
        Request::Read {
            fd: self.fd.as_raw_fd(),
            memory: room.cast::<u8>().as_ptr(),
            len: transfer_len(room.len()),
            offset: self.offset,
            flags: 0,
        }
    }

    #[inline]
    fn complete(mut self, completion: Completion) -> Step<Self> {
        match completion.len() {
            Ok(n) => {
                // SAFETY: the kernel wrote `n` bytes to the start of the room.
                unsafe { self.buf.commit(n) };
                Step::Done((Ok(n), self.buf))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            Err(error) => Step::Done((Err(error), self.buf)),
        }
    }

    fn inherit(self, _: Completion) {}
}
