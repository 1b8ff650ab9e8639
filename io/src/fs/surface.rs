//! The public reads and writes of a file.

use std::future::Future;
use std::io;

use super::File;
use super::goal::{Full, Goal, Part, ToEnd, Whole};
use super::payload::{Bytes, Growing, Payload, Pieces, Room, Rooms};
use super::raw::RawFile;
use super::transfer::Transfer;
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::copy::{AsSink, AsSource, Sink, Source};
use crate::op::Op;
use crate::stream::{implement_read, implement_write};

/// At an offset.
impl File {
    /// Reads some bytes from an offset into the room of a buffer. `Ok(0)` means that the file ends there.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a buffer without room, for an offset above `i64::MAX`, and with `O_DIRECT` for what is not aligned;
    /// and what else the system reports.
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
        self.transfer::<_, Part>(Room::new(buf), Some(offset))
    }

    /// Fills the room of a buffer from an offset, and returns how much that was.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the file ends before; the buffer then holds what there was. And as [`read_at`](Self::read_at).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict, as [`read_at`](Self::read_at).
    pub fn read_exact_at<B: IoBufMut>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + use<'_, B> {
        self.transfer::<_, Full>(Room::new(buf), Some(offset))
    }

    /// Reads some bytes from an offset into several buffers, in order; into the first 1024 that have room.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if none has room. And as [`read_at`](Self::read_at).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict, as [`read_at`](Self::read_at).
    pub fn read_vectored_at<B: IoBufMut>(
        &self,
        bufs: Vec<B>,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, Vec<B>>> + use<'_, B> {
        self.transfer::<_, Part>(Rooms::new(bufs), Some(offset))
    }

    /// Writes some bytes at an offset and returns how many. In a file that is open for appending they go to its end.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for an offset above `i64::MAX`, and with `O_DIRECT` for what is not aligned; `StorageFull`, and what
    /// else the system reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Weak: some or all of it may have been written, or be written later. The buffer is freed when the kernel is done with it.
    pub fn write_at<B: IoBuf>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + use<'_, B> {
        self.transfer::<_, Part>(Bytes::new(buf), Some(offset))
    }

    /// Writes all bytes at an offset.
    ///
    /// # Errors
    ///
    /// As [`write_at`](Self::write_at); some of it may have been written then.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Weak, as [`write_at`](Self::write_at).
    pub fn write_all_at<B: IoBuf>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<(), B>> + use<'_, B> {
        self.transfer::<_, Whole>(Bytes::new(buf), Some(offset))
    }

    /// Writes all bytes at an offset, and waits until the disk has them (`RWF_DSYNC`). One operation, and cheaper than a write
    /// and a [`sync_data`](Self::sync_data).
    ///
    /// # Errors
    ///
    /// As [`write_at`](Self::write_at); some of it may have been written then.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Weak, as [`write_at`](Self::write_at).
    pub fn write_all_at_durable<B: IoBuf>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<(), B>> + use<'_, B> {
        let transfer: Transfer<_, Whole> =
            Transfer::new(self.handle(), Bytes::new(buf), Some(offset));
        Op::new(transfer.with_flags(libc::RWF_DSYNC))
    }

    /// Writes some bytes of several buffers at an offset, in order; of the first 1024 that are not empty.
    ///
    /// # Errors
    ///
    /// As [`write_at`](Self::write_at).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Weak, as [`write_at`](Self::write_at).
    pub fn write_vectored_at<B: IoBuf>(
        &self,
        bufs: Vec<B>,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, Vec<B>>> + use<'_, B> {
        self.transfer::<_, Part>(Pieces::new(bufs), Some(offset))
    }

    fn transfer<P: Payload, G: Goal>(&self, payload: P, offset: Option<u64>) -> Op<Transfer<P, G>> {
        Op::new(Transfer::new(self.handle(), payload, offset))
    }
}

/// At the position.
impl File {
    /// Reads some bytes at the position into the room of a buffer. `Ok(0)` means the end of the file.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a buffer without room, and with `O_DIRECT` for what is not aligned; and what else the system
    /// reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: the position moves only when the future returns. What a dropped read of a stream received comes first in the
    /// next read.
    pub fn read<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<usize, B>> + use<'_, B> {
        self.transfer::<_, Part>(Room::new(buf), None)
    }

    /// Fills the room of a buffer, and returns how much that was.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the file ends before; the buffer then holds what there was. And as [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict, as [`read`](Self::read).
    pub fn read_exact<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<usize, B>> + use<'_, B> {
        self.transfer::<_, Full>(Room::new(buf), None)
    }

    /// Reads until the end of the file, appending to a vector that grows as needed. Returns how much was appended.
    ///
    /// # Errors
    ///
    /// What the system reports; the vector then holds what came before.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict, as [`read`](Self::read).
    pub fn read_to_end(
        &self,
        buf: Vec<u8>,
    ) -> impl Future<Output = BufResult<usize, Vec<u8>>> + use<'_> {
        self.transfer::<_, ToEnd>(Growing::new(buf), None)
    }

    /// Reads some bytes into several buffers, in order; into the first 1024 that have room.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if none has room. And as [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict, as [`read`](Self::read).
    pub fn read_vectored<B: IoBufMut>(
        &self,
        bufs: Vec<B>,
    ) -> impl Future<Output = BufResult<usize, Vec<B>>> + use<'_, B> {
        self.transfer::<_, Part>(Rooms::new(bufs), None)
    }

    /// Writes some bytes at the position and returns how many.
    ///
    /// # Errors
    ///
    /// `StorageFull`, with `O_DIRECT` `InvalidInput` for what is not aligned, and what else the system reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Weak: some or all of it may have been written, or be written before the next operation at the position begins. The
    /// position does not move.
    pub fn write<B: IoBuf>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<usize, B>> + use<'_, B> {
        self.transfer::<_, Part>(Bytes::new(buf), None)
    }

    /// Writes all bytes.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write); the position then lies behind what was written.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Weak, as [`write`](Self::write).
    pub fn write_all<B: IoBuf>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<(), B>> + use<'_, B> {
        self.transfer::<_, Whole>(Bytes::new(buf), None)
    }

    /// Writes some bytes of several buffers, in order; of the first 1024 that are not empty.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Weak, as [`write`](Self::write).
    pub fn write_vectored<B: IoBuf>(
        &self,
        bufs: Vec<B>,
    ) -> impl Future<Output = BufResult<usize, Vec<B>>> + use<'_, B> {
        self.transfer::<_, Part>(Pieces::new(bufs), None)
    }

    /// Does nothing: what was written has been handed to the system. See [`sync_all`](Self::sync_all) for the disk.
    ///
    /// # Errors
    ///
    /// None.
    ///
    /// # Cancellation
    ///
    /// Strict: there is nothing to cancel.
    pub fn flush(&self) -> impl Future<Output = io::Result<()>> + use<> {
        std::future::ready(Ok(()))
    }

    /// Does nothing: a file has no other side that could be told.
    ///
    /// # Errors
    ///
    /// None.
    ///
    /// # Cancellation
    ///
    /// Strict: there is nothing to cancel.
    pub fn shutdown(&self) -> impl Future<Output = io::Result<()>> + use<> {
        std::future::ready(Ok(()))
    }
}

impl AsSource for File {
    fn as_source(&self) -> Option<Source> {
        Some(Source::of_file(RawFile::new(self.handle())))
    }
}

impl AsSink for File {
    fn as_sink(&self) -> Option<Sink> {
        Some(Sink::of_file(RawFile::new(self.handle())))
    }
}

implement_read!(File, File);
implement_read!(&File, File);
implement_write!(File, File);
implement_write!(&File, File);
