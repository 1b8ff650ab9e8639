//! A file as `io::copy` sees it: what the kernel can move to and from by itself.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::goal::Part;
use super::handle::{Changing, Cursor, Handle};
use super::payload::Room;
use super::storage::Storage;
use super::transfer::Transfer;
use crate::driver::{Completion, Request};
use crate::lane::{Direction, Turn};
use crate::op::{Op, Operation, Prepare, Step};

/// How much a worker copies from file to file at a time, in bytes.
const STEP: u32 = 16 << 20;

/// An open file, of which some handle lives or lived.
#[derive(Clone)]
pub(crate) struct RawFile(Rc<Handle>);

/// Whether a part of a file can be had without waiting for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Warmth {
    Warm,
    Cold,
    /// It is behind the end of the file.
    End,
}

impl RawFile {
    pub(super) fn new(handle: &Rc<Handle>) -> Self {
        Self(handle.clone())
    }

    /// Whether it is a regular file whose bytes go through the page cache.
    pub(crate) fn is_cached(&self) -> bool {
        let nature = self.0.nature();
        nature.regular && !nature.direct
    }

    /// Whether the two are handles of one opened file.
    pub(crate) fn shares_position(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0.cursor, &other.0.cursor)
    }

    /// Waits for the lane of the position.
    pub(crate) async fn hold(&self) -> Held {
        let mut turn = Turn::new(&self.0.cursor, Direction::Read);
        poll_fn(|cx| turn.poll(cx)).await;
        Held { _turn: turn }
    }

    /// The position. For who holds its lane.
    pub(crate) fn position(&self) -> u64 {
        self.0.position()
    }

    pub(crate) fn set_position(&self, position: u64) {
        self.0.set_position(position);
    }

    /// Reads from the position, which does not move.
    pub(crate) fn read(&self, buf: Vec<u8>) -> impl Future<Output = io::Result<Vec<u8>>> + use<> {
        let position = self.position();
        let read = Op::new(Transfer::<_, Part>::new(
            &self.0,
            Room::new(buf),
            Some(position),
        ));
        async move {
            let (result, bytes) = read.await;
            result.map(|_| bytes)
        }
    }

    /// Whether a part can be had without waiting. Only its first and its last byte are tried: the kernel reads ahead whole
    /// stretches.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if there is no telling, and what else `preadv2` reports.
    pub(crate) fn warmth(&self, offset: u64, len: usize) -> io::Result<Warmth> {
        match self.try_byte(offset) {
            Ok(0) => return Ok(Warmth::End),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Warmth::Cold),
            // Not known to file systems in memory, which never wait.
            Err(error)
                if error.raw_os_error() == Some(libc::EOPNOTSUPP)
                    && Storage::of(self.0.fd()) == Storage::Memory =>
            {
                return Ok(Warmth::Warm);
            }
            result => result?,
        };
        match self.try_byte(offset.saturating_add(len as u64 - 1)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Warmth::Cold),
            result => result.map(|_| Warmth::Warm),
        }
    }

    /// Reads a byte, if it is in the page cache.
    fn try_byte(&self, offset: u64) -> io::Result<usize> {
        let mut byte = 0_u8;
        let vector = libc::iovec {
            iov_base: (&raw mut byte).cast(),
            iov_len: 1,
        };
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        // SAFETY: one vector of one byte.
        let read =
            unsafe { libc::preadv2(self.0.fd(), &raw const vector, 1, offset, libc::RWF_NOWAIT) };
        usize::try_from(read).map_err(|_| io::Error::last_os_error())
    }
}

impl AsRawFd for RawFile {
    fn as_raw_fd(&self) -> RawFd {
        self.0.fd()
    }
}

impl fmt::Debug for RawFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawFile").field(&self.0.fd()).finish()
    }
}

/// The lane of a position, until it is dropped.
pub(crate) struct Held {
    _turn: Turn<Cursor>,
}

/// A copy of some bytes from the position of one file to that of another. Both move when it returns.
///
/// The lanes of both positions are taken in the order of their addresses, so that two copies do not wait for each other.
pub(crate) struct RangeCopy {
    source: RawFile,
    sink: RawFile,
    turns: [Turn<Cursor>; 2],
    changing: Option<Changing>,
}

impl RangeCopy {
    /// For files that do not share their position.
    pub(crate) fn new(source: &RawFile, sink: &RawFile) -> Self {
        let (first, second) = (&source.0.cursor, &sink.0.cursor);
        let mut cursors = [first, second];
        cursors.sort_by_key(|cursor| Rc::as_ptr(cursor));
        Self {
            source: source.clone(),
            sink: sink.clone(),
            turns: cursors.map(|cursor| Turn::new(cursor, Direction::Read)),
            changing: None,
        }
    }

    fn poll_turns(&mut self, cx: &Context<'_>) -> Poll<()> {
        for turn in &mut self.turns {
            ready!(turn.poll(cx));
        }
        Poll::Ready(())
    }
}

// SAFETY: OWNED: the request points to no memory.
unsafe impl Operation for RangeCopy {
    type Output = io::Result<usize>;

    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        match self.poll_turns(cx) {
            Poll::Ready(()) => Prepare::Submit(self),
            Poll::Pending => Prepare::Wait(self),
        }
    }

    fn request(&mut self) -> Request {
        self.changing = Some(self.sink.0.change());
        Request::CopyRange {
            from: self.source.as_raw_fd(),
            from_offset: self.source.position(),
            to: self.sink.as_raw_fd(),
            to_offset: self.sink.position(),
            len: STEP,
        }
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.changing = None;
        match completion.len() {
            Ok(n) => {
                for file in [&self.source, &self.sink] {
                    file.set_position(file.position() + n as u64);
                }
                Step::Done(Ok(n))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            Err(error) => Step::Done(Err(error)),
        }
    }

    fn inherit(self, _: Completion) {}
}
