//! What is done to an open file besides reading and writing: syncs, its length, its space, its description.

use std::fs::FileTimes;
use std::io;
use std::time::SystemTime;

use super::File;
use super::change::{What, change};
use super::metadata::{self, Metadata, Permissions};

impl File {
    /// Waits until the disk has everything that was written to the file, and what describes it (`fsync`).
    ///
    /// It concerns the writes whose futures have returned. For a single write [`write_all_at_durable`][durable] is cheaper.
    ///
    /// [durable]: Self::write_all_at_durable
    ///
    /// # Errors
    ///
    /// What the system reports: `EIO` for an earlier write that failed in the background, which is told only once.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// The disk may be busy with it for some time. An error may get lost.
    pub async fn sync_all(&self) -> io::Result<()> {
        change(self.handle(), What::Sync { data_only: false }).await
    }

    /// Waits as [`sync_all`](Self::sync_all), without what is not needed to read the bytes again, such as times.
    ///
    /// # Errors
    ///
    /// As [`sync_all`](Self::sync_all).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// As [`sync_all`](Self::sync_all).
    pub async fn sync_data(&self) -> io::Result<()> {
        change(self.handle(), What::Sync { data_only: true }).await
    }

    /// Cuts the file, or lengthens it by zeroes that take no space.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a length above `i64::MAX` or a file that is not open for writing, and what else the system reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// It may happen all the same.
    pub async fn set_len(&self, len: u64) -> io::Result<()> {
        if i64::try_from(len).is_err() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a file is at most i64::MAX bytes long",
            ));
        }
        change(self.handle(), What::Truncate { len }).await
    }

    /// Reserves space on the disk, so that writes there do not fail for want of it. A file that is shorter is lengthened by
    /// zeroes (`fallocate`).
    ///
    /// # Errors
    ///
    /// `StorageFull`; `Unsupported` (`EOPNOTSUPP`) where the file system can't; `InvalidInput` for a range that is empty or
    /// ends above `i64::MAX`.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// It may happen all the same.
    pub async fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.fallocate(0, offset, len).await
    }

    /// Calls `fallocate(2)` with a mode: to punch holes, to zero, to insert or to collapse ranges.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// It may happen all the same.
    pub async fn fallocate(&self, mode: i32, offset: u64, len: u64) -> io::Result<()> {
        if i64::try_from(offset).is_err() || i64::try_from(len).is_err() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a range of a file ends at i64::MAX at the latest",
            ));
        }
        change(self.handle(), What::Allocate { mode, offset, len }).await
    }

    /// Describes the file.
    ///
    /// # Errors
    ///
    /// What the system reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: nothing is changed.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        metadata::of_file(self.handle()).await
    }

    /// Sets who may do what with the file.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, and what else the system reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// It may happen all the same.
    pub async fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        self.on_worker(move |file| file.set_permissions(permissions))
            .await
    }

    /// Sets the times of the file.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, and what else the system reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// It may happen all the same.
    pub async fn set_times(&self, times: FileTimes) -> io::Result<()> {
        self.on_worker(move |file| file.set_times(times)).await
    }

    /// Sets when the bytes of the file were last changed.
    ///
    /// # Errors
    ///
    /// As [`set_times`](Self::set_times).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// It may happen all the same.
    pub async fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.set_times(FileTimes::new().set_modified(time)).await
    }
}
