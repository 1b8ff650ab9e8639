//! The I/O of camshaft: an io_uring driver, owned buffers, sockets and files.
//!
//! ```text
//!   net, fs         names as in std; every transfer takes its buffer and gives it back
//!     │  operations that own their memory (op, stream, socket)
//!   driver          a request is data; the ring interprets it; the table knows who waits
//!     │
//!   kernel
//! ```
//!
//! This crate knows no executor and no timers: it talks to tasks through [`std::task::Waker`], and somebody else calls
//! [`driver::Driver::park`]. The crate `camshaft` joins them; use that one.
//!
//! # Cancellation
//!
//! Dropping the future of an operation never loses data and never frees memory that the kernel still uses. What a
//! dropped receive or accept brought is kept on the socket for the next one. See the `# Cancellation` section of each.
//!
//! Forgetting a future ([`std::mem::forget`]) is sound, and no drop: it keeps its buffer for ever, and its turn, so that
//! whatever else wants to go the same way on its socket waits for ever.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("camshaft is for Linux on 64-bit machines");

mod async_fd;
pub mod buf;
mod copy;
mod descriptor;
pub mod driver;
mod flow;
mod fork;
pub mod fs;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod join;
mod lane;
mod message;
pub mod net;
mod note;
mod offload;
mod op;
mod pause;
mod pipe;
pub mod poll;
pub mod process;
mod readiness;
pub mod signal;
mod sigpipe;
mod socket;
mod stdio;
mod stream;
mod traits;

pub use async_fd::{AsyncFd, AsyncFdReadyGuard, Interest, Ready, TryIoError};
pub use buf::BufResult;
pub use copy::{ReadHalf, WriteHalf, copy, copy_bidirectional, split};
#[doc(hidden)]
pub use copy::{Sink, Source};
pub use pipe::{PipeReader, PipeWriter, pipe};
#[doc(hidden)]
pub use sigpipe::without_sigpipe;
pub use stdio::{Stderr, Stdin, Stdout, stderr, stdin, stdout};
pub use traits::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
