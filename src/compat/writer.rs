//! The writing side of an adapter: a buffer, in flight or spare.
//!
//! ```text
//!   idle ── begin: copy, submit ──> under way ── polled: over ──> idle, with the buffer for the next
//!                                       └── goes on only when polled ──> away, in a task of its own ──> idle
//! ```
//!
//! What was accepted is written whether the adapter is polled or not, and also if it is dropped (see [`super::background`]).
//!
//! Invariant **ONE-BUFFER**: at most [`LIMIT`] bytes are under way. That is all that a peer who does not read can make an
//! adapter hold.

use std::io;
use std::mem;
use std::task::{Context, Poll, ready};

use camshaft_io::poll::{PollWrite, PolledWrite};

use super::background::{self, Away};

/// The most bytes of one write.
const LIMIT: usize = 64 << 10;

/// The writing side of an adapter.
#[derive(Default)]
pub(super) struct Writer {
    place: Place,
    /// The empty buffer of the write before.
    spare: Vec<u8>,
}

/// Where the means of writing are.
#[derive(Default)]
enum Place {
    /// Not asked for yet, or lost with a task that was aborted.
    #[default]
    Nowhere,
    Here(PolledWrite),
    Away(Away),
}

impl Writer {
    /// Waits until the write that is under way is over.
    #[inline]
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (result, buf) = match &mut self.place {
            Place::Nowhere => return Poll::Ready(Ok(())),
            Place::Here(polled) if polled.is_idle() => return Poll::Ready(Ok(())),
            Place::Here(polled) => ready!(polled.poll_end(cx)),
            Place::Away(away) => match ready!(away.poll_back(cx)) {
                Some((polled, written)) => {
                    self.place = Place::Here(polled);
                    written
                }
                None => {
                    self.place = Place::Nowhere;
                    (Err(lost()), Vec::new())
                }
            },
        };
        self.spare = buf;
        self.spare.clear();
        Poll::Ready(result)
    }

    /// Begins to write what fits into one buffer, and says how much that is. To be called when nothing is under way.
    #[inline]
    pub(super) fn poll_begin<'a>(
        &mut self,
        stream: &impl PollWrite,
        bufs: impl IntoIterator<Item = &'a [u8]>,
        cx: &mut Context<'_>,
    ) -> Poll<usize> {
        let mut buf = mem::take(&mut self.spare);
        gather(&mut buf, bufs);
        let n = buf.len();
        let polled = self.here(stream);
        if n > 0 && polled.poll_begin(&mut buf, cx).is_pending() {
            buf.clear();
            self.spare = buf;
            return Poll::Pending;
        }
        if polled.needs_polls() {
            self.finish_elsewhere();
        }
        Poll::Ready(n)
    }

    /// Shuts writing down. To be called when nothing is under way.
    pub(super) fn poll_shutdown(
        &mut self,
        stream: &impl PollWrite,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.here(stream).poll_shutdown(cx)
    }
}

impl Writer {
    /// The means of writing, which is nowhere else.
    #[inline]
    fn here(&mut self, stream: &impl PollWrite) -> &mut PolledWrite {
        if !matches!(self.place, Place::Here(_)) {
            self.place = Place::Here(stream.polled_write());
        }
        match &mut self.place {
            Place::Here(polled) => polled,
            Place::Nowhere | Place::Away(_) => unreachable!("just put here"),
        }
    }

    /// Has a task finish what was begun.
    #[cold]
    fn finish_elsewhere(&mut self) {
        if let Place::Here(polled) = mem::take(&mut self.place) {
            self.place = Place::Away(Away::new(polled));
        }
    }
}

impl Drop for Writer {
    /// Has a task finish what was accepted. One that has the write already notices by itself.
    fn drop(&mut self) {
        if let Place::Here(polled) = mem::take(&mut self.place) {
            background::finish(polled);
        }
    }
}

/// Appends as much as one write takes.
#[inline]
fn gather<'a>(buf: &mut Vec<u8>, bufs: impl IntoIterator<Item = &'a [u8]>) {
    for bytes in bufs {
        let n = bytes.len().min(LIMIT - buf.len());
        buf.extend_from_slice(&bytes[..n]);
        if buf.len() == LIMIT {
            return;
        }
    }
}

fn lost() -> io::Error {
    io::Error::other("the task that was writing has been dropped with its runtime")
}
