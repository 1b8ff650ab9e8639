//! Files without a name, which are gone when they are closed.

use std::env;
use std::io;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{File, OpenOptions, remove_file};

/// How many names are tried on a file system that knows no files without a name.
const TRIES: u32 = 64;

/// Opens a file without a name in the directory for temporary files, for reading and writing. It is gone when it is closed.
///
/// # Errors
///
/// Those of opening a file.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// The file is gone. On a file system that knows no files without a name (overlay before Linux 6.3, NFS) an empty one may
/// stay.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # async fn sort() -> std::io::Result<()> {
/// let spill = camshaft::fs::tempfile().await?;
/// spill.write_all_at(vec![0; 1 << 20], 0).await.0
/// # }
/// ```
pub async fn tempfile() -> io::Result<File> {
    tempfile_in(env::temp_dir()).await
}

/// Opens a file without a name on the file system of a directory, for reading and writing. It is gone when it is closed.
///
/// # Errors
///
/// Those of opening a file.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// As [`tempfile`].
pub async fn tempfile_in(directory: impl AsRef<Path>) -> io::Result<File> {
    let directory = directory.as_ref();
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let nameless = options
        .clone()
        .custom_flags(libc::O_TMPFILE)
        .open(directory)
        .await;
    match nameless {
        // The last is what a kernel or a file system says that takes the flag for that of a directory.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => {
            named(directory, options.create_new(true)).await
        }
        result => result,
    }
}

/// Makes a file under a name that nobody knows, and takes the name away.
async fn named(directory: &Path, options: &OpenOptions) -> io::Result<File> {
    for _ in 0..TRIES {
        let path = directory.join(name());
        match options.open(&path).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(file) => {
                remove_file(path).await?;
                return Ok(file);
            }
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Names need not be secret, for the file must not exist; only rarely taken.
fn name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = time.map_or(0, |time| time.subsec_nanos());
    format!(".camshaft-{}-{count}-{nanos:x}", process::id())
}
