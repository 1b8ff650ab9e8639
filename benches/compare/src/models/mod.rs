//! The models that are not camshaft's: written here, so that they can be compared with it.
//!
//! What is "in the style of" another project is written from its description, and shares no line with it.
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "passes memory to the kernel")]
pub(crate) mod aio;
pub(crate) mod channel;
#[allow(unsafe_code, reason = "lays fibers out on stacks, and switches")]
pub(crate) mod native;
pub(crate) mod order;
#[allow(unsafe_code, reason = "forks")]
pub(crate) mod process;
pub(crate) mod room;
#[allow(unsafe_code, reason = "shares memory between processes")]
pub(crate) mod shared;
#[allow(unsafe_code, reason = "maps memory")]
pub(crate) mod stacks;
pub(crate) mod switch;
pub(crate) mod timers;
pub(crate) mod written;
