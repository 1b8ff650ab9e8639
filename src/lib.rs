//! A single-threaded async runtime for Linux: one thread drives many state machines.
//!
//! An executor with a ready queue, an io_uring driver and a timer wheel share one loop on one thread. Futures need not be
//! `Send`, wakes on the thread are plain memory writes, and what many tasks ask of the kernel goes there in one system call.
//!
//! ```
//! use camshaft::time::{Duration, sleep};
//!
//! camshaft::block_on(async {
//!     let greeting = camshaft::spawn(async {
//!         sleep(Duration::from_millis(5)).await;
//!         "hello"
//!     });
//!     assert_eq!(greeting.await.unwrap(), "hello");
//! });
//! ```
//!
//! # Where things are
//!
//! | module | what is in it |
//! |---|---|
//! | crate root | [`block_on`], [`spawn`], `#[camshaft::main]`, `#[camshaft::test]` |
//! | [`runtime`] | [`Builder`](runtime::Builder), [`Runtime`](runtime::Runtime), [`Handle`](runtime::Handle) for other threads, metrics |
//! | [`task`] | handles, sets of tasks, names, task locals, `spawn_blocking` |
//! | [`time`] | sleeps, timeouts, intervals, a clock that can be paused |
//! | [`net`], [`fs`] | sockets and files |
//! | [`process`], [`signal`] | child processes, Ctrl-C and other signals |
//! | [`io`], [`buf`] | the traits of reading and writing, and the buffers that they take |
#![cfg_attr(
    feature = "stackful",
    doc = "| [`fiber`] | tasks with a stack of their own, which wait in the middle of any function |"
)]
#![cfg_attr(
    feature = "inspect",
    doc = "| [`inspect`] | what tasks wait for, line by line, and what futures hold |"
)]
//!
//! # Owned buffers
//!
//! The kernel reads and writes memory while a future waits, so an operation takes its buffer and gives it back:
//!
//! ```no_run
//! # async fn read(stream: camshaft::net::TcpStream) -> std::io::Result<()> {
//! let (result, buf) = stream.read(Vec::with_capacity(4096)).await;
//! println!("{} bytes: {:?}", result?, &buf[..]);
//! # Ok(())
//! # }
//! ```
//!
//! # Cancellation
//!
//! Any future may be dropped at any await. No memory is freed that the kernel still uses, and nothing is lost: bytes that a
//! dropped read received, and connections that a dropped accept took, come first in the next one. Every future here says
//! under `# Cancellation` what its drop does.
//!
//! Forgetting a future ([`std::mem::forget`]) is sound, and no drop: it keeps its buffer for ever, and its turn, so that
//! whatever else wants to go the same way on its socket waits for ever.

#![forbid(unsafe_op_in_unsafe_fn)]

#[cfg(any(
    feature = "futures-io",
    feature = "tokio-io",
    feature = "hyper",
    feature = "stackful"
))]
pub mod compat;
mod driver;
#[cfg(feature = "stackful")]
pub mod fiber;
#[cfg(feature = "inspect")]
pub mod inspect;
pub mod runtime;
pub mod time;

pub use camshaft_executor::spawn;
#[cfg(feature = "macros")]
pub use camshaft_macros::{main, test};

pub mod task {
    //! Tasks: handles on them, sets of them, what is local to them, and work for other threads.

    pub use camshaft_executor::task_local;
    pub use camshaft_executor::{
        AbortHandle, AccessError, Builder, Id, JoinError, JoinHandle, JoinSet, LocalKey,
        TaskLocalFuture, YieldNow, id, spawn, spawn_blocking, try_id, try_name, yield_now,
    };
}

pub mod io {
    //! The traits of reading and writing with owned buffers, copying, pipes, the standard streams, and the readiness of other descriptors.

    pub use camshaft_io::{
        AsyncFd, AsyncFdReadyGuard, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufResult,
        Interest, PipeReader, PipeWriter, ReadHalf, Ready, Stderr, Stdin, Stdout, TryIoError,
        WriteHalf, copy, copy_bidirectional, pipe, split, stderr, stdin, stdout,
    };
}

pub mod buf {
    //! Buffers that operations take and give back.

    pub use camshaft_io::buf::{AlignedBuf, BufResult, FixedBuf, IoBuf, IoBufMut, Slice};
    pub use camshaft_io::driver::{BufGuard, BufRing};
}

pub use camshaft_executor::task_local;
pub use camshaft_io::{fs, net, process, signal};

/// Runs a future on a new runtime, on this thread, until it is done; then drops the runtime with the tasks that are left.
///
/// The future may borrow and need not be `Send`. For a runtime with other settings, or one that lives on between runs, see
/// [`runtime::Builder`].
///
/// # Panics
///
/// If the thread is already running a runtime; if the system refuses one, with the reason; and with the panic of the
/// future itself.
///
/// # Examples
///
/// ```
/// let sum = camshaft::block_on(async { 1 + 2 });
/// assert_eq!(sum, 3);
/// ```
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    match runtime::Builder::new().build() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("camshaft: the runtime cannot start: {error}"),
    }
}

/// Compiles and runs what the README shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
