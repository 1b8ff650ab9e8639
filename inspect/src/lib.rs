//! Looks at futures from outside: what they wait for and what they hold, read from a program's debug information.
//!
//! The compiler turns an `async` function into a state machine and describes it for debuggers: its states, the line of the await
//! that each stands for, and what is stored where. Here this description is read by the program itself, or of any other
//! program, whatever its runtime. No future is polled, no code is annotated. A fiber is no state machine: its stack is unwound,
//! as a panic would, without running anything.
//!
//! ```text
//!   program ──image──> sections ──scan──> index          where things are
//!                                           │ load, sites
//!                                           ▼
//!                     layout, plan <──── Catalog          types, vtables, states and their lines: plain data
//!                                           │
//!   Memory ──> walk, inside ────────────────┤             which state, and what is awaited there
//!                leaves                     │             what exactly the last one waits for
//!                stack                      │             a fiber's calls, one by one
//!                                           ▼
//!                         draw, json <─── Tree            what a future waits for
//!                                           │ dump        of all tasks
//!                                           ▼
//!                              attach <─── Dump           asked for by another process
//! ```
//!
//! Beside that, `recording` keeps what the polls of a runtime were like: it needs no bytes of futures but their tags, by a `plan` that
//! the catalog makes once for a type.
//!
//! # Where to begin
//!
//! - [`tree_of`]: what a future of this program waits for, with the line of each await, down to the leaves.
//! - [`layout_of`], [`layout_of_val`]: what a future of this program holds in each state, and why it is as large as it is.
//! - [`Catalog::open`]: any program. [`Catalog::coroutines`] lists its state machines, [`Catalog::layout`] tells what one holds,
//!   [`Catalog::states`] where it waits, [`Walker`] walks through its bytes in any [`Memory`], and [`Catalog::missing`] what the
//!   program's files do not tell.
//!
//! # What is needed
//!
//! `debug = "full"` in the profile, which `dev` has and `release` has not. Split files (`.dwp`, `.dwo`) and separate `.debug`
//! files are found. Without it, [`Missing`] says which setting gives what is not there.

#![deny(unsafe_code)]

pub mod attach;
mod bare;
mod brief;
mod catalog;
mod containers;
mod cycles;
mod draw;
mod dump;
mod group;
mod hash;
mod home;
#[allow(unsafe_code, reason = "maps files")]
mod image;
mod inside;
#[doc(hidden)]
pub mod json;
mod layout;
mod leaf;
mod leaves;
mod liveness;
mod load;
#[allow(unsafe_code, reason = "asks the kernel to copy")]
mod memory;
mod missing;
pub mod names;
mod plan;
#[allow(unsafe_code, reason = "takes the addresses of vtables")]
mod program;
mod quick;
mod recording;
mod scan;
mod sites;
mod skim;
mod split;
mod stack;
mod tree;
mod twins;
mod types;
mod walk;

pub use crate::catalog::{Catalog, Precision, State};
pub use crate::dump::{Activity, Dump, Sight, TaskTree, dump};
pub use crate::group::Group;
pub use crate::layout::{Doubled, Held, Layout, Role, StateLayout};
pub use crate::leaf::{Cause, Leaf};
pub use crate::memory::{Memory, OwnMemory, Snapshot};
pub use crate::missing::Missing;
pub use crate::plan::{Plan, PlanNext, PlanState, PlanStep, plan_of};
pub use crate::program::{
    layout_of, layout_of_val, load_bias, monotonic, reading, tree_at, tree_of, with_program,
};
pub use crate::recording::{Dwell, Poll, Recording, Stand, TaskStand, WokenBy};
pub use crate::stack::fibers::{AwaitedSight, FiberActivity, FiberSight, Fibers, calls};
pub use crate::stack::registers::Registers;
pub use crate::tree::{Node, Stage, Standing, Tree};
pub use crate::types::{Member, Pointer, Scalar, Shape, Site, Type, TypeKey, Variant, Variants};

pub use crate::walk::Walker;
