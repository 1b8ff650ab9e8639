//! Standard output and standard error.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Mutex;
use std::task::{Context, Poll};

use super::line::{Line, Place, lock};
use super::{Next, PORTION, Standard, is_closed};
use crate::buf::{BufResult, IoBuf};
use crate::copy::{AsSink, Sink};
use crate::driver::{self, Job};
use crate::fork::Own;
use crate::offload::no_thread;
use crate::readiness::give_way;
use crate::sigpipe::{Guard, guard, without_sigpipe, write_now};
use crate::stream::implement_write;

/// One of the two streams.
struct Output {
    standard: Standard,
    shared: Own<Shared>,
}

/// What belongs to a stream of the process beside the descriptor.
struct Shared {
    /// Those who write, in the order of asking.
    line: Line,
    state: Mutex<State>,
}

struct State {
    /// How the last write of a thread ended.
    outcome: Option<io::Result<usize>>,
    /// Whether a thread writes.
    busy: bool,
}

impl Shared {
    fn new() -> Self {
        Self {
            line: Line::new(),
            state: Mutex::new(State {
                outcome: None,
                busy: false,
            }),
        }
    }
}

impl Output {
    const fn new(fd: RawFd) -> Self {
        Self {
            standard: Standard(fd),
            shared: Own::new(|_| Shared::new()),
        }
    }

    fn place(&self) -> Place<'static> {
        self.shared.get().line.place()
    }

    /// Waits until the place is the first and no thread writes. The place keeps the waker for both.
    fn poll_turn(&self, place: &Place<'_>, cx: &Context<'_>) -> Poll<()> {
        if place.poll(cx).is_pending() || lock(&self.shared.get().state).busy {
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Writes some bytes when it is the place's turn.
    async fn some(&'static self, place: &Place<'_>, bytes: &[u8]) -> io::Result<usize> {
        let mut written_by_thread = false;
        loop {
            give_way(0).await;
            poll_fn(|cx| self.poll_turn(place, cx)).await;
            let outcome = if written_by_thread {
                lock(&self.shared.get().state).outcome.take()
            } else {
                None
            };
            written_by_thread = false;
            let error = match outcome.unwrap_or_else(|| self.attempt(bytes)) {
                Ok(n) => return Ok(n),
                Err(error) if is_closed(&error) => return Ok(bytes.len()),
                Err(error) => error,
            };
            match self.standard.after(error) {
                Next::Retry => {}
                Next::Wait => self.standard.ready(libc::POLLOUT).await?,
                Next::Thread { wait_first } => {
                    if wait_first {
                        self.standard.ready(libc::POLLOUT).await?;
                    }
                    Writer::start(self, &bytes[..bytes.len().min(PORTION)]);
                    written_by_thread = true;
                }
                Next::Fail(error) => return Err(error),
            }
        }
    }

    async fn all(&'static self, place: &Place<'_>, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.some(place, rest).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => rest = &rest[n..],
            }
        }
        Ok(())
    }

    /// Waits until the writes that were begun before are over.
    async fn flush(&'static self) -> io::Result<()> {
        let place = self.place();
        poll_fn(|cx| self.poll_turn(&place, cx)).await;
        Ok(())
    }

    /// Writes without waiting.
    fn attempt(&self, bytes: &[u8]) -> io::Result<usize> {
        let write = |flags| {
            let fd = self.standard.0;
            // SAFETY: the memory is that of a slice.
            unsafe { write_now(fd, bytes.as_ptr(), bytes.len(), libc::RWF_NOWAIT | flags) }
        };
        match guard() {
            Guard::Flags(flags) => write(flags),
            Guard::Mask => without_sigpipe(|| write(0)),
        }
    }
}

/// A write by a thread that may wait. When it is over, or dropped without having run, the first in line goes on.
struct Writer {
    standard: Standard,
    shared: &'static Shared,
    bytes: Vec<u8>,
    outcome: io::Result<usize>,
    _job: Job,
}

impl Writer {
    fn start(output: &'static Output, bytes: &[u8]) {
        let driver = driver::expect_current();
        let shared = output.shared.get();
        lock(&shared.state).busy = true;
        let writer = Self {
            standard: output.standard,
            shared,
            bytes: bytes.to_vec(),
            outcome: Err(no_thread()),
            _job: driver.begin_job(),
        };
        driver.offload(Box::new(move || writer.run()));
    }

    fn run(mut self) {
        let fd = self.standard.0;
        self.outcome = without_sigpipe(|| {
            // SAFETY: the kernel reads the vector.
            let written = unsafe { libc::write(fd, self.bytes.as_ptr().cast(), self.bytes.len()) };
            usize::try_from(written).map_err(|_| io::Error::last_os_error())
        });
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Ok(0));
        let mut state = lock(&self.shared.state);
        state.outcome = Some(outcome);
        state.busy = false;
        drop(state);
        self.shared.line.wake_first();
    }
}

/// Makes a type of handles on an [`Output`].
macro_rules! output {
    ($type:ident, $make:ident, $output:ident = $fd:ident, $name:literal) => {
        static $output: Output = Output::new(libc::$fd);

        #[doc = concat!("A handle on ", $name, ".")]
        ///
        /// All handles are the same; making one costs nothing and locks nothing. Writes happen one after the other, also
        /// among threads: first come, first served; two `write_all` never mix their bytes.
        ///
        /// Nothing is buffered: what was written has been handed to the system. What `print!` and the like have buffered
        /// comes when they flush it.
        ///
        /// The descriptor is never set to non-blocking mode. A write that waits, for a terminal that is stopped, keeps
        /// neither the runtime nor the process from ending. If the descriptor is closed, what is written is lost, as it is
        /// with std.
        #[derive(Clone, Copy, Debug, Default)]
        #[non_exhaustive]
        pub struct $type;

        #[doc = concat!("A handle on ", $name, " of the process; see [`", stringify!($type), "`].")]
        #[must_use]
        pub fn $make() -> $type {
            $type
        }

        impl $type {
            /// Writes some bytes and returns how many.
            ///
            /// # Errors
            ///
            /// `BrokenPipe` if nobody reads, whatever is to be done on `SIGPIPE`; and what else `write` reports.
            ///
            /// # Panics
            ///
            /// If polled outside of a camshaft runtime.
            ///
            /// # Cancellation
            ///
            /// Weak: a prefix may have been written. Nothing more of it is written once the next write has begun.
            pub fn write<B: IoBuf>(
                &self,
                buf: B,
            ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
                async move {
                    if buf.as_slice().is_empty() {
                        return (Ok(0), buf);
                    }
                    let place = $output.place();
                    let result = $output.some(&place, buf.as_slice()).await;
                    (result, buf)
                }
            }

            /// Writes all bytes.
            ///
            /// # Errors
            ///
            /// As [`write`](Self::write); how much was written before is not known then.
            ///
            /// # Cancellation
            ///
            /// Weak, as [`write`](Self::write).
            pub fn write_all<B: IoBuf>(
                &self,
                buf: B,
            ) -> impl Future<Output = BufResult<(), B>> + use<B> {
                async move {
                    let place = $output.place();
                    let result = $output.all(&place, buf.as_slice()).await;
                    (result, buf)
                }
            }

            /// Writes some bytes of the first of several buffers that is not empty.
            ///
            /// # Errors
            ///
            /// As [`write`](Self::write).
            ///
            /// # Cancellation
            ///
            /// Weak, as [`write`](Self::write).
            pub async fn write_vectored<B: IoBuf>(
                &self,
                mut bufs: Vec<B>,
            ) -> BufResult<usize, Vec<B>> {
                let Some(at) = bufs.iter().position(|buf| !buf.as_slice().is_empty()) else {
                    return (Ok(0), bufs);
                };
                let (result, buf) = self.write(bufs.remove(at)).await;
                bufs.insert(at, buf);
                (result, bufs)
            }

            /// Waits until the writes that were begun before, also those that were dropped, are over.
            ///
            /// # Errors
            ///
            /// None.
            ///
            /// # Cancellation
            ///
            /// Strict: it only waits.
            pub fn flush(&self) -> impl Future<Output = io::Result<()>> + use<> {
                $output.flush()
            }

            /// Flushes. The stream stays open, for it belongs to the process.
            ///
            /// # Errors
            ///
            /// None.
            ///
            /// # Cancellation
            ///
            /// Strict: it only waits.
            pub fn shutdown(&self) -> impl Future<Output = io::Result<()>> + use<> {
                $output.flush()
            }
        }

        /// It may be anything, and is never set to non-blocking mode.
        impl AsSink for $type {
            fn as_sink(&self) -> Option<Sink> {
                None
            }
        }

        implement_write!($type, $type);
        implement_write!(&$type, $type);

        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                // SAFETY: the standard streams are taken to be open for as long as the process runs, as std does.
                unsafe { BorrowedFd::borrow_raw($output.standard.0) }
            }
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                $output.standard.0
            }
        }
    };
}

output!(Stdout, stdout, OUT = STDOUT_FILENO, "standard output");
output!(Stderr, stderr, ERR = STDERR_FILENO, "standard error");
