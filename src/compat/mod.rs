//! Adapters to the traits of others: futures-io, tokio's I/O traits, hyper.
//!
//! Camshaft's streams take buffers and give them back. The traits of others lend a buffer for one poll. An adapter stands in
//! between, and owns what the kernel uses:
//!
//! ```text
//!   poll_read    bytes of a buffer that the kernel picked (as with `recv()`) are copied into the caller's; a connection that
//!                is idle pins no buffer
//!   poll_write   the caller's bytes are copied into a buffer of the adapter's, whose write begins at once and ends later;
//!                the next write waits for that
//! ```
//!
//! | type | feature | what it has |
//! |---|---|---|
#![cfg_attr(
    feature = "futures-io",
    doc = "| [`FuturesIo`] | `futures-io` | `futures_io::{AsyncRead, AsyncBufRead, AsyncWrite}` |"
)]
#![cfg_attr(
    feature = "tokio-io",
    doc = "| [`TokioIo`] | `tokio-io` | `tokio::io::{AsyncRead, AsyncBufRead, AsyncWrite}` |"
)]
#![cfg_attr(
    feature = "hyper",
    doc = "| [`HyperIo`] | `hyper` | `hyper::rt::{Read, Write}` |",
    doc = "| [`HyperExecutor`] | `hyper` | `hyper::rt::Executor`, for futures that need not be `Send` |",
    doc = "| [`HyperTimer`] | `hyper` | `hyper::rt::Timer`, on the clock of the runtime |"
)]
#![cfg_attr(
    feature = "stackful",
    doc = "| [`StdIo`] | `stackful` | `std::io::{Read, BufRead, Write}`, for fibers |"
)]
//!
//! The feature `tokio-io` takes the traits of the crate `tokio` and nothing of its runtime.
//!
//! # What happens to bytes
//!
//! - **Errors come late.** A write that was accepted may fail afterwards. The error is that of the next write, flush or close.
//! - **Flush waits** until the system has taken all bytes. (That of hyper differs: see there.)
//! - **Dropping** an adapter closes its stream. Bytes that were accepted but not flushed are written all the same, in the
//!   background, for at most ten seconds, as long as the runtime runs. (A stream whose half owns the end of writing ends it
//!   at once.) A stream that is only borrowed, as by the halves of `split`, stays open, and is left as by `into_inner`.
//! - **`into_inner`** gives the stream back and loses nothing: bytes that were received but not read come first in its next
//!   read, and writes to it begin after those that the adapter accepted.
//!
//! # Which streams
//!
//! An adapter takes what implements [`PollRead`] or [`PollWrite`] (a half needs only one of them): TCP and Unix streams, their
//! halves, pipes, those of a child, the standard streams, and references to any of them. For a type of your own, make
//! [`PolledRead`] and [`PolledWrite`] out of closures that begin a read and a write.

mod adapter;
mod background;
#[cfg(feature = "futures-io")]
mod futures;
#[cfg(feature = "hyper")]
mod hyper;
mod reader;
#[cfg(feature = "stackful")]
mod std_io;
#[cfg(feature = "tokio-io")]
mod tokio;
mod writer;

pub use camshaft_io::poll::{PollRead, PollWrite, PolledRead, PolledWrite};

#[cfg(feature = "futures-io")]
pub use self::futures::FuturesIo;
#[cfg(feature = "hyper")]
pub use self::hyper::{HyperExecutor, HyperIo, HyperTimer};
#[cfg(feature = "stackful")]
pub use self::std_io::StdIo;
#[cfg(feature = "tokio-io")]
pub use self::tokio::TokioIo;
