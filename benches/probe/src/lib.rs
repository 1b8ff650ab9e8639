//! What measuring needs of the system, shared by the comparison packages.
//!
//! - [`alloc`]: a global allocator that counts. To depend on this crate is to have it.
//! - [`bare`]: echo servers without tasks or futures, the floor below all models.
//! - [`client`]: a load client in a closed loop, and [`poller`], the thin epoll that it is written on.
//! - [`sys`]: clocks, cores, limits, resident memory, and a page that two processes share. Its errors are those of the
//!   system call behind each name, unchanged.

#![expect(
    clippy::missing_errors_doc,
    reason = "told once for all of them, above"
)]

pub mod alloc;
pub mod bare;
pub mod client;
pub mod poller;
pub mod sys;
