//! The attributes `#[camshaft::main]` and `#[camshaft::test]`, which run an `async fn` on a runtime of its own.
//!
//! Use them through the `camshaft` crate, which re-exports both.
//!
//! # What they expand to
//!
//! The function stays as it was written, inside one of the same name that is not async:
//!
//! ```text
//! #[camshaft::main]                          fn main() -> io::Result<()> {
//! async fn main() -> io::Result<()> {            async fn main() -> io::Result<()> {
//!     serve().await             ────────▶            serve().await
//! }                                              }
//!                                                ::camshaft::block_on(main())
//!                                            }
//! ```
//!
//! Since the body is not moved into a block of another type, the compiler infers and reports exactly what it would without the
//! attribute. With options, the last line becomes a chain of calls on `camshaft::runtime::Builder`.
//!
//! # Options
//!
//! All are optional, each may be given once, in any order.
//!
//! | option | meaning |
//! |---|---|
//! | `backend = "auto"`, `"io_uring"`, `"epoll"` | who carries out I/O: `Builder::backend`; `"epoll"` is not there yet and panics |
//! | `spin = "off"`, `"adaptive"`, `"always"` | whether to poll for a while before sleeping: `Builder::spin` |
//! | `ring_entries = 256` | the size of the submission queue, from 1 to 2^32 - 1: `Builder::ring_entries` |
//! | `paused_clock = true` | time stands still, and jumps when all tasks wait for it: `Builder::paused_clock` |
//! | `name = "acceptor"` | the name of the runtime in logs and dumps: `Builder::name` |
//! | `crate = "my_crate::camshaft"` | where to find the `camshaft` crate, if it is re-exported or renamed |

#![forbid(unsafe_code)]

mod expand;
mod options;

use proc_macro::TokenStream;

use expand::Kind;

/// Runs an `async fn main` on a runtime of its own.
///
/// The function takes no arguments and may return whatever a `main` may, such as a `Result`. It need not be called `main`: any
/// function becomes one that blocks until its body is done. Tasks that still run then are dropped with the runtime.
///
/// The [options](crate#options) configure the runtime.
///
/// # Panics
///
/// The function panics if the runtime cannot be built, with the reason that the kernel gave, and if it is called on a thread
/// that is already running a runtime.
///
/// # Examples
///
/// ```ignore (needs the camshaft crate, which depends on this one)
/// #[camshaft::main]
/// async fn main() -> std::io::Result<()> {
///     let listener = camshaft::net::TcpListener::bind("127.0.0.1:0").await?;
///     println!("listening on {}", listener.local_addr()?);
///     Ok(())
/// }
/// ```
///
/// With options:
///
/// ```ignore (needs the camshaft crate, which depends on this one)
/// #[camshaft::main(backend = "io_uring", spin = "adaptive", name = "acceptor")]
/// async fn main() {
///     camshaft::task::yield_now().await;
/// }
/// ```
///
/// A crate that re-exports camshaft says where it is:
///
/// ```ignore (needs the camshaft crate, which depends on this one)
/// use framework::camshaft;
///
/// #[camshaft::main(crate = "framework::camshaft")]
/// async fn main() {}
/// ```
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Kind::Main, options.into(), item.into()).into()
}

/// Makes a test of an `async fn`, with a runtime of its own for every run.
///
/// It takes the place of `#[test]`. Other attributes keep their meaning, above it or below it: `#[should_panic]`, `#[ignore]`,
/// `#[cfg(…)]`, doc comments. The function takes no arguments and may return a `Result`, whose error fails the test.
///
/// The [options](crate#options) configure the runtime. `paused_clock = true` makes a test that sleeps for an hour take no time.
///
/// # Panics
///
/// The test fails if the runtime cannot be built, with the reason that the kernel gave.
///
/// # Examples
///
/// ```ignore (needs the camshaft crate, which depends on this one)
/// use camshaft::time::{Duration, Elapsed, sleep, timeout};
///
/// #[camshaft::test(paused_clock = true)]
/// async fn an_hour_is_longer_than_a_minute() {
///     let slept = timeout(Duration::from_secs(60), sleep(Duration::from_secs(3600))).await;
///     assert!(slept.is_err());
/// }
///
/// #[camshaft::test]
/// #[should_panic(expected = "on purpose")]
/// async fn a_panic_fails_the_test() {
///     panic!("on purpose");
/// }
/// ```
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Kind::Test, options.into(), item.into()).into()
}
