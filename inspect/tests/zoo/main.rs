//! A zoo of futures: each is polled, looked at, and must be told to be where it is.
//!
//! What is expected is a text such as `outer@there(inner@here(Pending))`. A line that ends in `// @here` is called `@here`, so no
//! line number stands in a test. Other lines are `@file.rs:12`, and what is no coroutine has none. `!new`, `!done` and `!panicked`
//! are coroutines that have not been polled, have returned or panicked, `?` marks what is said not to be known, and `~` what is
//! held by a future that may not poll it.
//!
//! The same must hold whatever the optimizer does: `.ci/run zoo` builds this with `debug = "full"` in release, with LTO, and
//! with split debug information.

#![allow(
    clippy::manual_async_fn,
    clippy::redundant_async_block,
    reason = "what could be simpler is a shape, too"
)]

mod boxed;
mod combinators;
mod common;
mod corrupt;
mod crates;
#[path = "../common/mod.rs"]
mod described;
mod fibers;
mod generic;
mod handmade;
mod labels;
mod limits;
mod macros;
mod plain;
#[cfg(target_arch = "x86_64")]
mod realigned;
mod streams;
mod sums;
