//! Operations on paths that are one request each, and functions of that name.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::metadata::{self, Metadata, Permissions};
use crate::driver::{Completion, Request};
use crate::offload::offload;
use crate::op::{Op, Operation, Step};

/// A path as the kernel wants it.
pub(super) fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "a path can't contain a zero byte",
        )
    })
}

/// Changes the names in a file system.
struct Change {
    what: What,
    first: CString,
    second: CString,
}

#[derive(Clone, Copy)]
enum What {
    Rename,
    Remove { directory: bool },
    MakeDir { mode: libc::mode_t },
    SymbolicLink,
    HardLink,
}

impl Change {
    async fn one(what: What, path: &Path) -> io::Result<()> {
        let change = Self {
            what,
            first: c_path(path)?,
            second: CString::default(),
        };
        Op::new(change).await
    }

    async fn two(what: What, first: &Path, second: &Path) -> io::Result<()> {
        let change = Self {
            what,
            first: c_path(first)?,
            second: c_path(second)?,
        };
        Op::new(change).await
    }
}

// SAFETY: OWNED: the request points to the paths, which lie on the heap.
unsafe impl Operation for Change {
    type Output = io::Result<()>;

    fn request(&mut self) -> Request {
        let (first, second) = (self.first.as_ptr(), self.second.as_ptr());
        match self.what {
            What::Rename => Request::Rename {
                from: first,
                to: second,
                flags: 0,
            },
            What::Remove { directory } => Request::Remove {
                path: first,
                directory,
            },
            What::MakeDir { mode } => Request::MakeDir { path: first, mode },
            What::SymbolicLink => Request::SymbolicLink {
                target: first,
                path: second,
            },
            What::HardLink => Request::HardLink {
                from: first,
                to: second,
            },
        }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        match completion.value() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            result => Step::Done(result.map(drop)),
        }
    }

    fn inherit(self, _: Completion) {}
}

/// Renames a file or directory; replaces what bears the new name.
///
/// # Errors
///
/// `NotFound`, `CrossesDevices` between file systems, `DirectoryNotEmpty`, and what else the system reports.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// It may happen all the same.
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    Change::two(What::Rename, from.as_ref(), to.as_ref()).await
}

/// Removes the name of a file, or of a symbolic link itself.
///
/// # Errors
///
/// `NotFound`, `IsADirectory`, and what else the system reports.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// It may happen all the same.
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    Change::one(What::Remove { directory: false }, path.as_ref()).await
}

/// Removes an empty directory.
///
/// # Errors
///
/// `NotFound`, `DirectoryNotEmpty`, `NotADirectory`, and what else the system reports.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// It may happen all the same.
pub async fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    Change::one(What::Remove { directory: true }, path.as_ref()).await
}

/// Removes a directory with everything in it, on another thread. Symbolic links are removed, not followed.
///
/// # Errors
///
/// `NotFound`, and what else the system reports; part of the tree may be gone then.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// Once begun it goes on to its end, or to its error, whether somebody waits or not.
pub async fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    offload(move || fs::remove_dir_all(path)).await
}

/// Makes a directory, with the permissions 0777 less the umask.
///
/// # Errors
///
/// `AlreadyExists`, `NotFound` if a parent is missing, and what else the system reports.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// It may happen all the same.
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    make_dir(path.as_ref(), 0o777).await
}

pub(super) async fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    Change::one(What::MakeDir { mode }, path).await
}

/// Makes a directory and its parents, as far as they are missing, on another thread.
///
/// # Errors
///
/// `NotADirectory` if a file is in the way, and what else the system reports; some parents may have been made then.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// Once begun it goes on to its end, whether somebody waits or not.
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    offload(move || fs::create_dir_all(path)).await
}

/// Gives a file a second name on the same file system. A symbolic link itself gets it, not what it points to.
///
/// # Errors
///
/// `AlreadyExists`, `CrossesDevices`, and what else the system reports.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// It may happen all the same.
pub async fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    Change::two(What::HardLink, original.as_ref(), link.as_ref()).await
}

/// Makes a symbolic link. What it points to need not exist.
///
/// # Errors
///
/// `AlreadyExists`, and what else the system reports.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// It may happen all the same.
pub async fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    Change::two(What::SymbolicLink, original.as_ref(), link.as_ref()).await
}

/// Reads where a symbolic link points to.
///
/// # Errors
///
/// `InvalidInput` if it is no symbolic link, `NotFound`, and what else the system reports.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// Strict: nothing is changed.
pub async fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    offload(move || fs::read_link(path)).await
}

/// Makes a path absolute and free of symbolic links, `.` and `..`.
///
/// # Errors
///
/// `NotFound` if it does not exist, and what else the system reports.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// Strict: nothing is changed.
pub async fn canonicalize(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    offload(move || fs::canonicalize(path)).await
}

/// Sets the permissions of a file or directory; follows symbolic links.
///
/// # Errors
///
/// `PermissionDenied`, `NotFound`, and what else the system reports.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// It may happen all the same.
pub async fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    offload(move || fs::set_permissions(path, permissions)).await
}

/// Describes what a path leads to; follows symbolic links.
///
/// # Errors
///
/// `NotFound`, `PermissionDenied` for a directory on the way, and what else the system reports.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// Strict: nothing is changed.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # async fn size() -> std::io::Result<()> {
/// let hosts = camshaft::fs::metadata("/etc/hosts").await?;
/// println!("{} bytes, changed {:?}", hosts.len(), hosts.modified()?);
/// # Ok(())
/// # }
/// ```
pub async fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    metadata::of_path(path.as_ref(), true).await
}

/// Describes a path; a symbolic link itself, not what it points to.
///
/// # Errors
///
/// As [`metadata`].
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// Strict: nothing is changed.
pub async fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    metadata::of_path(path.as_ref(), false).await
}

/// Whether a path leads to something. A symbolic link that leads nowhere does not.
///
/// # Errors
///
/// If it can't be told: a directory on the way that may not be searched, for example.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// Strict: nothing is changed.
pub async fn try_exists(path: impl AsRef<Path>) -> io::Result<bool> {
    match metadata(path).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
