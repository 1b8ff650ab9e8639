//! Directories, read on another thread in batches.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::future::{Future, poll_fn};
use std::io;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::metadata::{self, FileType, Metadata};
use crate::offload::offload;

/// The most entries that are held ahead of their reader.
const BATCH: usize = 128;

/// Reads a directory.
///
/// # Errors
///
/// `NotFound`, `NotADirectory`, `PermissionDenied`, and what else the system reports.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// Strict: nothing is changed, and the directory is closed.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # async fn list() -> std::io::Result<()> {
/// let mut entries = camshaft::fs::read_dir("/etc").await?;
/// while let Some(entry) = entries.next_entry().await? {
///     println!("{:?}", entry.file_name());
/// }
/// # Ok(())
/// # }
/// ```
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let root: Arc<Path> = path.as_ref().into();
    let batch = offload(move || {
        let entries = fs::read_dir(&root)?;
        Ok(Batch::next(entries, root))
    })
    .await?;
    Ok(ReadDir {
        ready: batch.ready,
        rest: batch.rest.map_or(Rest::Nothing, Rest::Unread),
    })
}

/// The entries of a directory, in no order, without `.` and `..`.
pub struct ReadDir {
    ready: VecDeque<io::Result<DirEntry>>,
    rest: Rest,
}

/// What was not read yet, and where it goes on.
type Unread = (fs::ReadDir, Arc<Path>);

enum Rest {
    Nothing,
    Unread(Unread),
    /// Kept here, and not in the future of [`ReadDir::next_entry`], so that a dropped one loses no entries.
    Reading(Pin<Box<dyn Future<Output = io::Result<Batch>>>>),
}

struct Batch {
    ready: VecDeque<io::Result<DirEntry>>,
    rest: Option<Unread>,
}

impl Batch {
    /// Reads a batch. For a worker thread.
    fn next(mut entries: fs::ReadDir, root: Arc<Path>) -> Self {
        let mut ready = VecDeque::new();
        while ready.len() < BATCH {
            match entries.next() {
                Some(entry) => {
                    ready.push_back(entry.map(|entry| DirEntry::new(&entry, root.clone())));
                }
                None => return Self { ready, rest: None },
            }
        }
        Self {
            ready,
            rest: Some((entries, root)),
        }
    }
}

impl ReadDir {
    /// The next entry, or `None` if there are no more.
    ///
    /// Another thread reads 128 entries at a time; most calls find theirs in memory.
    ///
    /// # Errors
    ///
    /// What the system reports. The entries behind an error may still come.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: no entry is lost.
    pub async fn next_entry(&mut self) -> io::Result<Option<DirEntry>> {
        poll_fn(|cx| self.poll_next_entry(cx)).await
    }

    fn poll_next_entry(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<DirEntry>>> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Poll::Ready(entry.map(Some));
            }
            let mut reading = match std::mem::replace(&mut self.rest, Rest::Nothing) {
                Rest::Nothing => return Poll::Ready(Ok(None)),
                Rest::Unread((entries, root)) => {
                    Box::pin(offload(move || Ok(Batch::next(entries, root))))
                }
                Rest::Reading(reading) => reading,
            };
            match reading.as_mut().poll(cx) {
                Poll::Pending => {
                    self.rest = Rest::Reading(reading);
                    return Poll::Pending;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(batch)) => {
                    self.ready = batch.ready;
                    self.rest = batch.rest.map_or(Rest::Nothing, Rest::Unread);
                }
            }
        }
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDir")
            .field("ready", &self.ready.len())
            .finish_non_exhaustive()
    }
}

/// An entry of a directory.
pub struct DirEntry {
    directory: Arc<Path>,
    name: OsString,
    ino: u64,
    /// `None` if the system does not tell it with the name.
    file_type: Option<FileType>,
}

impl DirEntry {
    fn new(entry: &fs::DirEntry, directory: Arc<Path>) -> Self {
        Self {
            directory,
            name: entry.file_name(),
            ino: entry.ino(),
            file_type: entry.file_type().ok().map(FileType::from),
        }
    }

    /// The path: that of the directory, as it was given, and the name.
    pub fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// The name.
    pub fn file_name(&self) -> OsString {
        self.name.clone()
    }

    /// Its number on its device.
    pub fn ino(&self) -> u64 {
        self.ino
    }

    /// What kind of file it is; a symbolic link itself, not what it points to. Known already, as a rule.
    ///
    /// # Errors
    ///
    /// As [`metadata`](Self::metadata).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: nothing is changed.
    pub async fn file_type(&self) -> io::Result<FileType> {
        match self.file_type {
            Some(known) => Ok(known),
            None => Ok(self.metadata().await?.file_type()),
        }
    }

    /// Describes it; a symbolic link itself, not what it points to.
    ///
    /// # Errors
    ///
    /// `NotFound` if it was removed, and what else the system reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: nothing is changed.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        metadata::of_path(&self.path(), false).await
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DirEntry").field(&self.path()).finish()
    }
}
