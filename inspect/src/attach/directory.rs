//! The directory of the sockets.
//!
//! Others may write to the place where it is, such as `/tmp`. So what is used is never its name, which may mean
//! something else a moment later, but the directory that was opened and looked at: all its files go by `/proc/self/fd`.
//! That also makes room in addresses, which have 107 bytes.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    PermissionsExt as _,
};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

/// More runtimes of one thread are not given sockets, and no more names are looked at in one directory.
const MOST: usize = 4096;

/// A directory of sockets, of one user, and closed to all others.
#[derive(Clone, Debug)]
pub struct Directory {
    opened: Arc<File>,
    path: PathBuf,
}

/// A socket in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Listed {
    /// The process whose it is.
    pub pid: u32,
    /// The thread of the runtime.
    pub thread: u32,
    /// Which of that thread's runtimes it is.
    pub number: u32,
    /// Where to connect, as long as the directory is held.
    pub path: PathBuf,
}

/// The file of a socket, which is removed with this; not by a forked child.
#[derive(Debug)]
pub struct Bound {
    directory: Directory,
    name: String,
    pid: u32,
}

impl Directory {
    /// Opens the directory of a user, and makes it if it is not there.
    ///
    /// # Errors
    ///
    /// If it can't be made, is a symbolic link, is not this user's, or is open to others.
    pub(super) fn make(path: &Path, user: u32) -> io::Result<Self> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(refused(path, error.kind(), &error.to_string()));
            }
            _ => {}
        }
        Self::open(path, user)
    }

    /// Opens the directory of a user.
    ///
    /// # Errors
    ///
    /// If it is not there, is a symbolic link, is not this user's, or is open to others.
    pub(super) fn open(path: &Path, user: u32) -> io::Result<Self> {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
            .open(path)
            .map_err(|error| match error.raw_os_error() {
                Some(libc::ELOOP | libc::ENOTDIR) => refused(
                    path,
                    ErrorKind::InvalidInput,
                    "it is no directory; remove it",
                ),
                _ => refused(path, error.kind(), &error.to_string()),
            })?;
        let found = opened.metadata()?;
        if found.uid() != user {
            let why = format!(
                "it belongs to user {}, and not to {user}; have it removed, or set XDG_RUNTIME_DIR to a directory of your own",
                found.uid()
            );
            return Err(refused(path, ErrorKind::PermissionDenied, &why));
        }
        if found.mode() & 0o077 != 0 {
            let why = "it is open to other users; remove it, or chmod it to 700";
            return Err(refused(path, ErrorKind::PermissionDenied, why));
        }
        Ok(Self {
            opened: Arc::new(opened),
            path: path.to_owned(),
        })
    }

    /// Whether it was not known by another name: most processes see the same files, and variables name the same place.
    pub(super) fn is_new(&self, known: &mut HashSet<(u64, u64)>) -> bool {
        let data = self.opened.metadata();
        data.is_ok_and(|data| known.insert((data.dev(), data.ino())))
    }

    /// Where it was found.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a socket of this thread, listens, and removes sockets that others have left behind.
    ///
    /// The file is to be removed before the listener is closed: a socket at which nobody listens any more is anybody's to remove.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn listen(&self) -> io::Result<(UnixListener, Bound)> {
        let pid = process::id();
        let thread = thread();
        let mut refusal = None;
        for number in 0..MOST {
            let name = format!("{pid}-{thread}-{number}");
            let path = self.place(&name);
            match UnixListener::bind(&path) {
                Ok(listener) => {
                    let directory = self.clone();
                    let bound = Bound {
                        directory,
                        name,
                        pid,
                    };
                    // Nobody else has come in meanwhile: the directory is closed.
                    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
                    // Where this one seems to be stale, as in some sandboxes, the others may listen as well.
                    if !is_stale(&path) {
                        self.sweep();
                    }
                    return Ok((listener, bound));
                }
                Err(error) if error.kind() == ErrorKind::AddrInUse => refusal = Some(error),
                Err(error) => return Err(refused(&self.path, error.kind(), &error.to_string())),
            }
        }
        Err(refusal.unwrap_or_else(|| ErrorKind::AddrInUse.into()))
    }

    /// The sockets that are there, by process, thread and number.
    #[must_use]
    pub fn sockets(&self) -> Vec<Listed> {
        let Ok(entries) = fs::read_dir(self.place("")) else {
            return Vec::new();
        };
        let listed = |entry: fs::DirEntry| {
            let is_socket = entry.file_type().is_ok_and(|kind| kind.is_socket());
            let (pid, thread, number) = is_socket.then(|| parsed(&entry.file_name()))??;
            let path = entry.path();
            Some(Listed {
                pid,
                thread,
                number,
                path,
            })
        };
        let mut sockets: Vec<_> = entries.flatten().take(MOST).filter_map(listed).collect();
        sockets.sort_unstable();
        sockets
    }

    /// Removes the sockets of processes that are gone. Whether one has this number says nothing: it may be another one, and one
    /// that is not seen from here may still listen.
    fn sweep(&self) {
        // Of two at once, one could remove what has just come in the place of what the other had removed.
        if matches!(self.opened.try_lock(), Err(TryLockError::WouldBlock)) {
            return;
        }
        for socket in self.sockets() {
            if is_stale(&socket.path) {
                // It may have been removed by hand.
                let _ = fs::remove_file(&socket.path);
            }
        }
        // If it can't be unlocked, nobody sweeps before this is closed.
        let _ = self.opened.unlock();
    }

    fn place(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.opened.as_raw_fd()))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if process::id() == self.pid {
            // It may have been removed by hand.
            let _ = fs::remove_file(self.directory.place(&self.name));
        }
    }
}

/// Whether nobody has the socket open. It is not connected to: a socket of another kind is told of its kind, if it is alive.
fn is_stale(path: &Path) -> bool {
    let connected = UnixDatagram::unbound().and_then(|probe| probe.connect(path));
    connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// The numbers in the name of a socket.
fn parsed(name: &OsStr) -> Option<(u32, u32, u32)> {
    let mut numbers = name.to_str()?.split('-').map(|word| {
        let number = word.parse::<u32>().ok()?;
        (number.to_string() == word).then_some(number)
    });
    let found = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(found)
}

fn refused(path: &Path, kind: ErrorKind, why: &str) -> io::Error {
    let path = path.display();
    io::Error::new(
        kind,
        format!("the directory {path} can't have sockets to be asked through: {why}"),
    )
}

/// The effective user of this process.
#[must_use]
pub fn user() -> u32 {
    // SAFETY: it can't fail, and passes no memory.
    unsafe { libc::geteuid() }
}

/// The number of this thread.
#[must_use]
pub fn thread() -> u32 {
    // SAFETY: it can't fail, and passes no memory.
    unsafe { libc::gettid() }.cast_unsigned()
}

/// The process that listens at the other end of a connection, by its number here; 0 if it is not seen from here.
///
/// # Errors
///
/// If this is no connection of a Unix socket.
pub fn listener(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut peer = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut length = size_of_val(&peer).try_into().unwrap_or(0);
    // SAFETY: the kernel writes at most as many bytes as `peer` has, and the length; any bytes are a `ucred`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    };
    match result {
        0 => Ok(u32::try_from(peer.pid).unwrap_or(0)),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// A directory of the test's own, which is removed with this.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(test: &str) -> Self {
            let name = format!("camshaft-{test}-{}", process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).expect("it is new");
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("it is the test's");
        }
    }

    /// A child that is forked meanwhile would hold what is closed here.
    fn alone() -> MutexGuard<'static, ()> {
        static FORKS: Mutex<()> = Mutex::new(());
        FORKS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).expect("it is there").mode() & 0o777
    }

    #[test]
    fn nobody_else_can_reach_a_socket_and_it_goes_with_its_owner() {
        let scratch = Scratch::new("rights");
        let path = scratch.0.join("sockets");
        let directory = Directory::make(&path, user()).expect("it is new");
        assert_eq!(mode(&path), 0o700);
        let (one, bound) = directory.listen().expect("it is free");
        let (_two, other) = directory.listen().expect("there may be several");
        let listed = directory.sockets();
        let numbers: Vec<_> = listed
            .iter()
            .map(|socket| (socket.pid, socket.number))
            .collect();
        assert_eq!(numbers, [(process::id(), 0), (process::id(), 1)]);
        assert_eq!(mode(&path.join(&bound.name)), 0o600);
        let stream = UnixStream::connect(&listed[0].path).expect("it listens");
        assert_eq!(listener(stream.as_fd()).ok(), Some(process::id()));
        let unconnected = UnixDatagram::unbound().expect("a descriptor is left");
        assert_ne!(listener(unconnected.as_fd()).ok(), Some(process::id()));
        one.accept().expect("one has come");
        drop((bound, other));
        assert_eq!(directory.sockets(), []);
    }

    #[test]
    fn a_forked_child_leaves_the_file() {
        let _alone = alone();
        let scratch = Scratch::new("forked");
        let directory = Directory::make(&scratch.0.join("sockets"), user()).expect("it is new");
        let mut bound = Some(directory.listen().expect("it is free"));
        // SAFETY: the child removes a file at most, for which it takes no lock but that of the allocator, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            drop(bound.take());
            // SAFETY: the child ends here.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: the kernel writes one integer.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(directory.sockets().len(), 1);
        drop(bound.take());
        assert_eq!(directory.sockets().len(), 0);
    }

    #[test]
    fn a_directory_that_others_can_change_is_refused() {
        let scratch = Scratch::new("refusals");
        let refusal = |path: &Path, user| {
            let error = Directory::make(path, user).expect_err("it is not safe");
            error.to_string()
        };
        let open = scratch.0.join("open");
        fs::create_dir(&open).expect("it is new");
        fs::set_permissions(&open, Permissions::from_mode(0o750)).expect("it is the test's");
        assert!(refusal(&open, user()).contains("is open to other users"));
        fs::set_permissions(&open, Permissions::from_mode(0o700)).expect("it is the test's");
        assert!(refusal(&open, user() + 1).contains("belongs to user"));
        Directory::make(&open, user()).expect("it is safe now");
        let link = scratch.0.join("link");
        std::os::unix::fs::symlink(&open, &link).expect("it is new");
        assert!(refusal(&link, user()).contains("is no directory"));
        let file = scratch.0.join("file");
        fs::write(&file, "").expect("it is new");
        assert!(refusal(&file, user()).contains("is no directory"));
        assert!(refusal(&scratch.0.join("not/there"), user()).contains("not/there"));
    }

    #[test]
    fn what_the_dead_have_left_is_swept_and_nothing_else() {
        let _alone = alone();
        let scratch = Scratch::new("sweep");
        let path = scratch.0.join("sockets");
        let directory = Directory::make(&path, user()).expect("it is new");
        // Processes have smaller numbers.
        let dead = path.join("4294967295-1-0");
        drop(UnixListener::bind(&dead).expect("it is new"));
        let elsewhere = path.join("4294967294-1-0");
        let _lives = UnixListener::bind(&elsewhere).expect("it is new");
        let same_number = path.join(format!("{}-1-0", process::id()));
        drop(UnixListener::bind(&same_number).expect("it is new"));
        let here = path.join(format!("{}-2-0", process::id()));
        let _listens = UnixListener::bind(&here).expect("it is new");
        let foreign = path.join("4294967293-1-0.txt");
        fs::write(&foreign, "").expect("it is new");
        let _bound = directory.listen().expect("it is free");
        assert!(!dead.exists() && !same_number.exists());
        assert!(elsewhere.exists() && here.exists() && foreign.exists());
    }

    #[test]
    fn names_are_three_numbers() {
        assert_eq!(parsed(OsStr::new("12-34-0")), Some((12, 34, 0)));
        for other in [
            "",
            "12",
            "12-34",
            "12-34-0-1",
            "12-34-x",
            "+1-2-3",
            "01-2-3",
            "-1-2-3",
        ] {
            assert_eq!(parsed(OsStr::new(other)), None, "{other}");
        }
    }
}
