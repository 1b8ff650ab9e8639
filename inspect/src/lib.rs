//! Looks at futures from outside: what they wait for and what they hold, read from a program's debug information.
//!
//! The compiler turns an `async` function into a state machine and describes it for debuggers: its states, the line of the await
//! that each stands for, and what is stored where. Here this description is read by the program itself, or of any other
//! program, whatever its runtime. No future is polled, no code is annotated.
//!
//! ```text
//!   program ──image──> sections ──scan──> index          where things are
//!                                           │ load, sites
//!                                           ▼
//!                                        Catalog          types, vtables, states and their lines: plain data
//! ```
//!
//! # Where to begin
//!
//! - [`layout_of`], [`layout_of_val`]: what a future of this program holds in each state, and why it is as large as it is.
//! - [`Catalog::open`]: any program. [`Catalog::coroutines`] lists its state machines, [`Catalog::layout`] tells what one holds,
//!   [`Catalog::states`] where it waits, and [`Catalog::missing`] what the program's files do not tell.
//!
//! # What is needed
//!
//! `debug = "full"` in the profile, which `dev` has and `release` has not. Split files (`.dwp`, `.dwo`) and separate `.debug`
//! files are found. Without it, [`Missing`] says which setting gives what is not there.

#![deny(unsafe_code)]

mod catalog;
#[allow(unsafe_code, reason = "maps files")]
mod image;
mod json;
mod layout;
mod load;
mod missing;
#[allow(unsafe_code, reason = "takes the addresses of vtables")]
mod program;
mod scan;
mod sites;
mod skim;
mod types;

pub use crate::catalog::{Catalog, Precision, State};
pub use crate::layout::{Doubled, Held, Layout, Role, StateLayout};
pub use crate::missing::Missing;
pub use crate::program::{layout_of, layout_of_val, with_program};
pub use crate::types::{Member, Pointer, Scalar, Shape, Site, Type, TypeKey, Variant, Variants};
