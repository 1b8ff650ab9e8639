//! Standard input.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr::NonNull;
use std::sync::Mutex;
use std::task::{Context, Poll};

use super::line::{Line, Place, lock};
use super::{Next, PORTION, Standard, is_closed};
use crate::buf::{BufResult, IoBufMut};
use crate::copy::{AsSource, Source};
use crate::driver::{self, Job};
use crate::fork::Own;
use crate::offload::no_thread;
use crate::readiness::give_way;
use crate::stream::{implement_read, no_room};

const INPUT: Standard = Standard(libc::STDIN_FILENO);

/// What belongs to the process's standard input beside the descriptor.
struct Shared {
    /// Those who read, in the order of asking.
    line: Line,
    state: Mutex<State>,
}

struct State {
    /// What was read for futures that are gone.
    stash: VecDeque<u8>,
    /// How the last read of a thread ended, if not with bytes: the end of the stream, or an error.
    outcome: Option<io::Result<()>>,
    /// Whether a thread reads.
    busy: bool,
}

impl Shared {
    /// A forked child begins with a copy of what is stashed, as of all memory.
    fn new(parent: Option<&Self>) -> Self {
        let stash = parent
            .and_then(|parent| parent.state.try_lock().ok())
            .map(|state| state.stash.clone());
        Self {
            line: Line::new(),
            state: Mutex::new(State {
                stash: stash.unwrap_or_default(),
                outcome: None,
                busy: false,
            }),
        }
    }
}

fn shared() -> &'static Shared {
    static SHARED: Own<Shared> = Own::new(Shared::new);
    SHARED.get()
}

/// A handle on standard input.
///
/// All handles are the same; making one costs nothing and locks nothing. Each read has the stream for itself until it is
/// done, also among threads: first come, first served.
///
/// Nothing is buffered, but what [`std::io::stdin`] has buffered is only there. A terminal hands out whole lines, unless it
/// is set to something else.
///
/// The descriptor is never set to non-blocking mode. A read that waits keeps neither the runtime nor the process from
/// ending. If the descriptor is closed, the stream is at its end.
///
/// # Examples
///
/// ```no_run
/// # mod camshaft { pub use camshaft_io as io; }
/// # async fn read() -> std::io::Result<()> {
/// use camshaft::io;
///
/// let (result, line) = io::stdin().read(Vec::with_capacity(1024)).await;
/// println!("{} bytes: {:?}", result?, line);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Stdin;

/// A handle on the standard input of the process; see [`Stdin`].
#[must_use]
pub fn stdin() -> Stdin {
    Stdin
}

impl Stdin {
    /// Reads some bytes into the room of a buffer. `Ok(0)` means the end of the stream.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a buffer without room, and what `read` reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: no byte is lost. What was read for a future that is gone comes first in the next read of any handle of the
    /// process.
    pub fn read<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let mut filling = Filling::new(buf);
        async move {
            if filling.room().is_empty() {
                return filling.finish(Err(no_room()));
            }
            let place = shared().line.place();
            // Dropped before the place, so that nobody reads before its bytes are back.
            let mut filling = filling;
            let result = filling.more(&place).await.map(drop);
            filling.finish(result)
        }
    }

    /// Fills the room of a buffer, and returns how much that was.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the stream ends before; the buffer then holds what came. And as [`read`](Self::read).
    ///
    /// # Cancellation
    ///
    /// Strict: what was taken so far is given back, and comes first in the next read.
    pub fn read_exact<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let mut filling = Filling::new(buf);
        async move {
            if filling.room().is_empty() {
                return filling.finish(Err(no_room()));
            }
            let place = shared().line.place();
            let mut filling = filling;
            while !filling.room().is_empty() {
                match filling.more(&place).await {
                    Ok(0) => return filling.finish(Err(io::ErrorKind::UnexpectedEof.into())),
                    Ok(_) => {}
                    Err(error) => return filling.finish(Err(error)),
                }
            }
            filling.finish(Ok(()))
        }
    }

    /// Reads until the end of the stream, appending to a vector that grows as needed. Returns how much was appended.
    ///
    /// # Errors
    ///
    /// What `read` reports; the vector then holds what came before.
    ///
    /// # Cancellation
    ///
    /// Strict: what was taken so far is given back, and comes first in the next read.
    pub fn read_to_end(
        &self,
        buf: Vec<u8>,
    ) -> impl Future<Output = BufResult<usize, Vec<u8>>> + use<> {
        let filling = Filling::new(buf);
        async move {
            let place = shared().line.place();
            let mut filling = filling;
            loop {
                filling.grow();
                match filling.more(&place).await {
                    Ok(0) => return filling.finish(Ok(())),
                    Ok(_) => {}
                    Err(error) => return filling.finish(Err(error)),
                }
            }
        }
    }

    /// Reads some bytes into the first of several buffers that has room.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Cancellation
    ///
    /// Strict, as [`read`](Self::read).
    pub async fn read_vectored<B: IoBufMut>(&self, mut bufs: Vec<B>) -> BufResult<usize, Vec<B>> {
        let Some(at) = bufs.iter_mut().position(|buf| !buf.room().is_empty()) else {
            return (Err(no_room()), bufs);
        };
        let (result, buf) = self.read(bufs.remove(at)).await;
        bufs.insert(at, buf);
        (result, bufs)
    }
}

/// It may be anything, and is never set to non-blocking mode.
impl AsSource for Stdin {
    fn as_source(&self) -> Option<Source> {
        None
    }
}

implement_read!(Stdin, Stdin);
implement_read!(&Stdin, Stdin);

impl AsFd for Stdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the standard streams are taken to be open for as long as the process runs, as std does.
        unsafe { BorrowedFd::borrow_raw(INPUT.0) }
    }
}

impl AsRawFd for Stdin {
    fn as_raw_fd(&self) -> RawFd {
        INPUT.0
    }
}

/// A buffer that is being filled. Dropped before it is finished, it gives back what it took.
struct Filling<B: IoBufMut> {
    /// `None` once it is finished.
    buf: Option<B>,
    /// Where the room of the buffer began when it came.
    start: usize,
    filled: usize,
}

impl<B: IoBufMut> Filling<B> {
    fn new(buf: B) -> Self {
        Self {
            start: buf.fill_start(),
            buf: Some(buf),
            filled: 0,
        }
    }

    fn buf(&mut self) -> &mut B {
        self.buf
            .as_mut()
            .expect("a buffer is filled until it is finished")
    }

    fn room(&mut self) -> NonNull<[MaybeUninit<u8>]> {
        let at = self.start + self.filled;
        self.buf().room_at(at)
    }

    fn finish(mut self, result: io::Result<()>) -> BufResult<usize, B> {
        let buf = self.buf.take().expect("finished once");
        (result.map(|()| self.filled), buf)
    }

    /// Reads some bytes when it is the place's turn.
    async fn more(&mut self, place: &Place<'_>) -> io::Result<usize> {
        loop {
            // Before a read: its bytes must not be held at an await.
            give_way(0).await;
            poll_fn(|cx| poll_turn(place, cx)).await;
            let error = match self.attempt() {
                Ok(n) => return Ok(n),
                Err(error) if is_closed(&error) => return Ok(0),
                Err(error) => error,
            };
            match INPUT.after(error) {
                Next::Retry => {}
                Next::Wait => INPUT.ready(libc::POLLIN).await?,
                Next::Thread { wait_first } => {
                    if wait_first {
                        INPUT.ready(libc::POLLIN).await?;
                    }
                    Reader::start(self.room().len());
                }
                Next::Fail(error) => return Err(error),
            }
        }
    }

    /// Takes what is stashed, or what can be read without waiting.
    fn attempt(&mut self) -> io::Result<usize> {
        let mut state = lock(&shared().state);
        if !state.stash.is_empty() {
            let at = self.start + self.filled;
            let taken = self.buf().fill_at(at, state.stash.as_slices().0);
            state.stash.drain(..taken);
            self.filled += taken;
            return Ok(taken);
        }
        if let Some(outcome) = state.outcome.take() {
            return outcome.map(|()| 0);
        }
        drop(state);
        let room = self.room();
        // SAFETY: the room is memory of the buffer, which is ours.
        let taken = unsafe { read_now(room.cast().as_ptr(), room.len()) }?;
        self.filled += taken;
        let end = self.start + self.filled;
        // SAFETY: the kernel wrote that many bytes to the start of the room.
        unsafe { self.buf().mark_init(end) };
        Ok(taken)
    }
}

impl Filling<Vec<u8>> {
    /// Makes room, by doubling.
    fn grow(&mut self) {
        let buf = self.buf();
        if buf.capacity() - buf.len() < PORTION / 8 {
            buf.reserve(PORTION / 8);
        }
    }
}

impl<B: IoBufMut> Drop for Filling<B> {
    fn drop(&mut self) {
        if let Some(buf) = &self.buf {
            unread(&buf.as_slice()[self.start..self.start + self.filled]);
        }
    }
}

/// Puts bytes in front of all others.
pub(super) fn unread(bytes: &[u8]) {
    let mut state = lock(&shared().state);
    for byte in bytes.iter().rev() {
        state.stash.push_front(*byte);
    }
}

/// Waits until the place is the first and no thread reads. The place keeps the waker for both.
fn poll_turn(place: &Place<'_>, cx: &Context<'_>) -> Poll<()> {
    if place.poll(cx).is_pending() || lock(&shared().state).busy {
        return Poll::Pending;
    }
    Poll::Ready(())
}

/// Reads without waiting.
///
/// # Safety
///
/// The memory is valid for writes of that length.
unsafe fn read_now(memory: *mut u8, len: usize) -> io::Result<usize> {
    let vector = libc::iovec {
        iov_base: memory.cast(),
        iov_len: len,
    };
    // SAFETY: one vector, and the caller's promise.
    let read = unsafe { libc::preadv2(INPUT.0, &raw const vector, 1, -1, libc::RWF_NOWAIT) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

/// A read by a thread that may wait. When it is over, or dropped without having run, the first in line goes on.
struct Reader {
    shared: &'static Shared,
    len: usize,
    outcome: io::Result<Vec<u8>>,
    _job: Job,
}

impl Reader {
    fn start(len: usize) {
        let driver = driver::expect_current();
        let shared = shared();
        lock(&shared.state).busy = true;
        let reader = Self {
            shared,
            len: len.min(PORTION),
            outcome: Err(no_thread()),
            _job: driver.begin_job(),
        };
        driver.offload(Box::new(move || reader.run()));
    }

    fn run(mut self) {
        let mut bytes = vec![0; self.len];
        // SAFETY: the kernel writes into the vector, as much as it has room for at most.
        let read = unsafe { libc::read(INPUT.0, bytes.as_mut_ptr().cast(), bytes.len()) };
        self.outcome = match usize::try_from(read) {
            Ok(n) => {
                bytes.truncate(n);
                Ok(bytes)
            }
            Err(_) => Err(io::Error::last_os_error()),
        };
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        match std::mem::replace(&mut self.outcome, Ok(Vec::new())) {
            Ok(bytes) if bytes.is_empty() => state.outcome = Some(Ok(())),
            Ok(bytes) => state.stash.extend(bytes),
            Err(error) => match error.raw_os_error() {
                // Interrupted, or somebody else was faster: it is tried again.
                Some(libc::EINTR | libc::EAGAIN) => {}
                Some(libc::EBADF) => state.outcome = Some(Ok(())),
                _ => state.outcome = Some(Err(error)),
            },
        }
        state.busy = false;
        drop(state);
        self.shared.line.wake_first();
    }
}
