//! Child processes, with the names of tokio.
//!
//! A child is started by [`std::process::Command`]. Its end is waited for through a descriptor of the process (pidfd), so
//! neither `SIGCHLD` nor a thread is needed, and a signal never hits another process that got the same number.

mod child;
mod command;
mod exit;
mod orphans;

pub use std::process::{ExitStatus, Output, Stdio};

pub use self::child::Child;
pub use self::command::Command;

/// Standard input of a child: the writing end of a pipe. Dropping it, or its `shutdown`, closes it.
pub type ChildStdin = crate::PipeWriter;

/// Standard output of a child: the reading end of a pipe.
pub type ChildStdout = crate::PipeReader;

/// Standard error of a child: the reading end of a pipe.
pub type ChildStderr = crate::PipeReader;
