//! Native stacks: those of fibers, and of a thread whose poll does not end.
//!
//! A coroutine says in its bytes where it waits. A fiber is a plain function on a stack of its own, so it is unwound, and each
//! address that comes of that is given a name and a line.
//!
//! ```text
//!   fibers ──registers──> unwind ──address──> calls ──name, line──> Node
//!     │                    │   │                │
//!     │ who owns which     │   └──> rows        │ symbols, line tables
//!     │ stack, what for    │          │         │
//!     ▼ it waits           └──> modules <───────┘
//!   Walker                      the files in this process, and the tables of each
//! ```
//!
//! What follows of the two kinds of tables: unwinding needs no debug information, for panics need the same; names need symbols, and
//! lines need line tables. Nothing here stops a thread or changes a stack. The stacks may be in the middle of anything, so all
//! that is read of them is checked before it is followed, and what cannot be followed is said in its place.

pub(crate) mod calls;
pub(crate) mod fibers;
#[allow(unsafe_code, reason = "asks the linker what is loaded")]
pub(crate) mod modules;
pub(crate) mod registers;
mod rows;
pub(crate) mod unwind;
