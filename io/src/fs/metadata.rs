//! What describes a file: [`Metadata`], and the operation that asks for it.

use std::ffi::CString;
use std::fmt;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::handle::Handle;
use super::path::c_path;
use crate::driver::{Completion, Request};
use crate::op::{Op, Operation, Step};

pub use std::fs::Permissions;

/// Describes a file, as the system did when it was asked.
///
/// Times have the resolution of the file system. The accessors without a counterpart in [`std::fs::Metadata`] are those of
/// [`std::os::unix::fs::MetadataExt`].
#[derive(Clone)]
pub struct Metadata {
    status: libc::statx,
}

impl Metadata {
    /// The length in bytes; that of the path that it points to for a symbolic link.
    #[expect(clippy::len_without_is_empty, reason = "as in std")]
    pub fn len(&self) -> u64 {
        self.status.stx_size
    }

    /// What kind of file it is.
    pub fn file_type(&self) -> FileType {
        FileType::of_mode(self.mode())
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.file_type().is_dir()
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.file_type().is_file()
    }

    /// Whether it is a symbolic link, which only [`symlink_metadata`](super::symlink_metadata) shows.
    pub fn is_symlink(&self) -> bool {
        self.file_type().is_symlink()
    }

    /// Who may do what with it.
    pub fn permissions(&self) -> Permissions {
        Permissions::from_mode(self.mode())
    }

    /// When its bytes were last changed.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a time that the clock of std can't express.
    pub fn modified(&self) -> io::Result<SystemTime> {
        time(&self.status.stx_mtime)
    }

    /// When it was last read, as far as the file system keeps track of that.
    ///
    /// # Errors
    ///
    /// As [`modified`](Self::modified).
    pub fn accessed(&self) -> io::Result<SystemTime> {
        time(&self.status.stx_atime)
    }

    /// When it was created.
    ///
    /// # Errors
    ///
    /// `Unsupported` on a file system that does not know; and as [`modified`](Self::modified).
    pub fn created(&self) -> io::Result<SystemTime> {
        if self.status.stx_mask & libc::STATX_BTIME == 0 {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this file system does not know when a file was created",
            ));
        }
        time(&self.status.stx_btime)
    }

    /// The device that it lies on.
    pub fn dev(&self) -> u64 {
        libc::makedev(self.status.stx_dev_major, self.status.stx_dev_minor)
    }

    /// Its number on that device.
    pub fn ino(&self) -> u64 {
        self.status.stx_ino
    }

    /// Its type and permissions.
    pub fn mode(&self) -> u32 {
        self.status.stx_mode.into()
    }

    /// How many names it has.
    pub fn nlink(&self) -> u64 {
        self.status.stx_nlink.into()
    }

    /// The user that it belongs to.
    pub fn uid(&self) -> u32 {
        self.status.stx_uid
    }

    /// The group that it belongs to.
    pub fn gid(&self) -> u32 {
        self.status.stx_gid
    }

    /// The device that it is, if it is one.
    pub fn rdev(&self) -> u64 {
        libc::makedev(self.status.stx_rdev_major, self.status.stx_rdev_minor)
    }

    /// The length in bytes, as [`len`](Self::len).
    pub fn size(&self) -> u64 {
        self.status.stx_size
    }

    /// The size in bytes of the transfers that suit the file system best.
    pub fn blksize(&self) -> u64 {
        self.status.stx_blksize.into()
    }

    /// How much space it takes, in units of 512 bytes.
    pub fn blocks(&self) -> u64 {
        self.status.stx_blocks
    }

    /// When it was last read, in seconds since 1970.
    pub fn atime(&self) -> i64 {
        self.status.stx_atime.tv_sec
    }

    /// The nanoseconds of that time.
    pub fn atime_nsec(&self) -> i64 {
        self.status.stx_atime.tv_nsec.into()
    }

    /// When its bytes were last changed, in seconds since 1970.
    pub fn mtime(&self) -> i64 {
        self.status.stx_mtime.tv_sec
    }

    /// The nanoseconds of that time.
    pub fn mtime_nsec(&self) -> i64 {
        self.status.stx_mtime.tv_nsec.into()
    }

    /// When what describes it was last changed, in seconds since 1970.
    pub fn ctime(&self) -> i64 {
        self.status.stx_ctime.tv_sec
    }

    /// The nanoseconds of that time.
    pub fn ctime_nsec(&self) -> i64 {
        self.status.stx_ctime.tv_nsec.into()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("file_type", &self.file_type())
            .field("permissions", &self.permissions())
            .field("len", &self.len())
            .field("modified", &self.modified().ok())
            .finish_non_exhaustive()
    }
}

fn time(stamp: &libc::statx_timestamp) -> io::Result<SystemTime> {
    let epoch = SystemTime::UNIX_EPOCH;
    let whole = Duration::from_secs(stamp.tv_sec.unsigned_abs());
    let second = if stamp.tv_sec < 0 {
        epoch.checked_sub(whole)
    } else {
        epoch.checked_add(whole)
    };
    second
        .and_then(|second| second.checked_add(Duration::from_nanos(stamp.tv_nsec.into())))
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the time of the file is out of range",
            )
        })
}

/// The kind of a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileType {
    /// The type bits of a mode.
    mode: u32,
}

impl FileType {
    fn of_mode(mode: u32) -> Self {
        Self {
            mode: mode & libc::S_IFMT,
        }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.mode == libc::S_IFDIR
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.mode == libc::S_IFREG
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.mode == libc::S_IFLNK
    }

    /// Whether it is a block device.
    pub fn is_block_device(&self) -> bool {
        self.mode == libc::S_IFBLK
    }

    /// Whether it is a character device.
    pub fn is_char_device(&self) -> bool {
        self.mode == libc::S_IFCHR
    }

    /// Whether it is a named pipe.
    pub fn is_fifo(&self) -> bool {
        self.mode == libc::S_IFIFO
    }

    /// Whether it is a socket.
    pub fn is_socket(&self) -> bool {
        self.mode == libc::S_IFSOCK
    }
}

impl From<fs::FileType> for FileType {
    fn from(known: fs::FileType) -> Self {
        let mode = match known {
            _ if known.is_dir() => libc::S_IFDIR,
            _ if known.is_file() => libc::S_IFREG,
            _ if known.is_symlink() => libc::S_IFLNK,
            _ if known.is_block_device() => libc::S_IFBLK,
            _ if known.is_char_device() => libc::S_IFCHR,
            _ if known.is_fifo() => libc::S_IFIFO,
            _ if known.is_socket() => libc::S_IFSOCK,
            _ => 0,
        };
        Self { mode }
    }
}

impl fmt::Debug for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.mode {
            libc::S_IFDIR => "directory",
            libc::S_IFREG => "file",
            libc::S_IFLNK => "symbolic link",
            libc::S_IFBLK => "block device",
            libc::S_IFCHR => "character device",
            libc::S_IFIFO => "named pipe",
            libc::S_IFSOCK => "socket",
            _ => "unknown",
        };
        write!(f, "FileType({name})")
    }
}

/// Asks for what describes a path, or an open file.
struct Status {
    path: CString,
    /// The open file, if it is not the path that is asked for.
    handle: Option<Rc<Handle>>,
    flags: i32,
    status: Box<MaybeUninit<libc::statx>>,
}

pub(super) async fn of_path(path: &Path, follow: bool) -> io::Result<Metadata> {
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    Op::new(Status::new(c_path(path)?, None, flags)).await
}

pub(super) async fn of_file(handle: &Rc<Handle>) -> io::Result<Metadata> {
    let handle = Some(handle.clone());
    Op::new(Status::new(CString::default(), handle, libc::AT_EMPTY_PATH)).await
}

impl Status {
    fn new(path: CString, handle: Option<Rc<Handle>>, flags: i32) -> Self {
        Self {
            path,
            handle,
            flags: flags | libc::AT_STATX_SYNC_AS_STAT,
            status: Box::new(MaybeUninit::zeroed()),
        }
    }
}

// SAFETY: OWNED: the request points to the path, on the heap, and to the status, in a box.
unsafe impl Operation for Status {
    type Output = io::Result<Metadata>;

    fn request(&mut self) -> Request {
        let here: RawFd = libc::AT_FDCWD;
        Request::Status {
            directory: self.handle.as_ref().map_or(here, |handle| handle.fd()),
            path: self.path.as_ptr(),
            flags: self.flags,
            mask: libc::STATX_BASIC_STATS | libc::STATX_BTIME,
            status: self.status.as_mut_ptr(),
        }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        match completion.value() {
            Ok(_) => {
                // SAFETY: zeroed at first, and all-zero is valid for integers; the kernel has filled it.
                let status = unsafe { self.status.assume_init() };
                Step::Done(Ok(Metadata { status: *status }))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            Err(error) => Step::Done(Err(error)),
        }
    }

    fn inherit(self, _: Completion) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_and_out_of_range() {
        let stamp = |tv_sec, tv_nsec| {
            // SAFETY: all-zero is valid for integers.
            let mut stamp: libc::statx_timestamp = unsafe { std::mem::zeroed() };
            stamp.tv_sec = tv_sec;
            stamp.tv_nsec = tv_nsec;
            time(&stamp)
        };
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(
            stamp(-1, 750_000_000).expect("in range"),
            epoch - Duration::from_millis(250)
        );
        assert_eq!(stamp(2, 5).expect("in range"), epoch + Duration::new(2, 5));
        assert!(stamp(i64::MAX, 999_999_999).is_ok());
        assert!(stamp(i64::MIN, 0).is_ok());
    }
}
