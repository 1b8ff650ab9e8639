//! Opening files.

use std::ffi::{CString, c_int};
use std::fs;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::File;
use super::path::{c_path, metadata};
use crate::driver::{Completion, Request};
use crate::op::{Op, Operation, Step};
use crate::pause::Pauses;
use crate::socket::new_fd;

/// How a file is to be opened: the options of [`std::fs::OpenOptions`], and those of its Unix extension.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # async fn log() -> std::io::Result<()> {
/// use camshaft::fs::OpenOptions;
///
/// let log = OpenOptions::new().append(true).create(true).open("server.log").await?;
/// let (written, _) = log.write_all("started\n").await;
/// # written
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    mode: u32,
    custom_flags: i32,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenOptions {
    /// Nothing is allowed yet: at least one of [`read`](Self::read), [`write`](Self::write) and [`append`](Self::append) has
    /// to be.
    pub const fn new() -> Self {
        Self {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            mode: 0o666,
            custom_flags: 0,
        }
    }

    /// Whether it may be read.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.read = read;
        self
    }

    /// Whether it may be written.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.write = write;
        self
    }

    /// Whether it may be written at its end only, wherever that is at the time of each write.
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.append = append;
        self
    }

    /// Whether it is emptied when it is opened.
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.truncate = truncate;
        self
    }

    /// Whether it is made if it does not exist.
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.create = create;
        self
    }

    /// Whether it must not exist, and is made. Overrides `create` and `truncate`.
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.create_new = create_new;
        self
    }

    /// The permissions of a file that is made, less the umask. 0666 if not set.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = mode;
        self
    }

    /// More flags of `open(2)`, such as `O_DIRECT` or `O_NOFOLLOW`. Those of the access mode are left out.
    pub fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.custom_flags = flags;
        self
    }

    /// Opens a file.
    ///
    /// A named pipe that is opened for writing waits for a reader. One that is opened for reading may not wait for a writer,
    /// but then the first read does. Neither keeps other tasks waiting.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied`, `AlreadyExists` and what else `openat` reports; `InvalidInput` for a path with a zero
    /// byte, and for options that contradict each other.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// The file is closed if it was opened all the same. One that was to be made or emptied may have been.
    pub fn open<P: AsRef<Path>>(&self, path: P) -> impl Future<Output = io::Result<File>> + use<P> {
        let operation = self.operation(path.as_ref());
        let waits = !self.read && self.custom_flags & libc::O_NONBLOCK == 0;
        async move {
            let mut operation = operation?;
            let mut pauses = Pauses::default();
            loop {
                let (result, back) = Op::new(operation).await;
                match result {
                    Ok(fd) => return Ok(File::opened(fs::File::from(fd))),
                    Err(error) if waits && error.raw_os_error() == Some(libc::ENXIO) => {
                        // A named pipe that nobody reads, or what can't be opened at all.
                        if !metadata(path.as_ref()).await?.file_type().is_fifo() {
                            return Err(error);
                        }
                        pauses.pause().await;
                    }
                    Err(error) => return Err(error),
                }
                operation = back;
            }
        }
    }

    fn operation(&self, path: &Path) -> io::Result<Open> {
        Ok(Open {
            path: c_path(path)?,
            flags: self.access()? | self.creation()? | self.custom_flags & !libc::O_ACCMODE,
            mode: self.mode,
        })
    }

    fn access(&self) -> io::Result<c_int> {
        match (self.read, self.write, self.append) {
            (true, false, false) => Ok(libc::O_RDONLY),
            (false, true, false) => Ok(libc::O_WRONLY),
            (true, true, false) => Ok(libc::O_RDWR),
            (false, _, true) => Ok(libc::O_WRONLY | libc::O_APPEND),
            (true, _, true) => Ok(libc::O_RDWR | libc::O_APPEND),
            (false, false, false) => Err(contradiction(
                "a file must be opened for reading, writing or appending",
            )),
        }
    }

    fn creation(&self) -> io::Result<c_int> {
        let makes = self.truncate || self.create || self.create_new;
        if makes && !self.write && !self.append {
            return Err(contradiction(
                "a file that is to be made or emptied must be opened for writing or appending",
            ));
        }
        if self.truncate && self.append && !self.create_new {
            return Err(contradiction(
                "a file that is emptied can't be opened for appending; open it for writing",
            ));
        }
        Ok(match (self.create_new, self.create, self.truncate) {
            (true, _, _) => libc::O_CREAT | libc::O_EXCL,
            (false, create, truncate) => {
                let create = if create { libc::O_CREAT } else { 0 };
                create | if truncate { libc::O_TRUNC } else { 0 }
            }
        })
    }
}

fn contradiction(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

struct Open {
    path: CString,
    flags: c_int,
    mode: libc::mode_t,
}

// SAFETY: OWNED: the request points to the path, which lies on the heap.
unsafe impl Operation for Open {
    /// The operation comes back for another try.
    type Output = (io::Result<OwnedFd>, Self);

    fn request(&mut self) -> Request {
        Request::Open {
            path: self.path.as_ptr(),
            flags: self.flags,
            mode: self.mode,
        }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        match new_fd(completion) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            result => Step::Done((result, self)),
        }
    }

    /// Nobody wants the file: dropping the descriptor closes it.
    fn inherit(self, completion: Completion) {
        drop(new_fd(completion));
    }
}
