//! Lines on standard error, of what nobody can be told otherwise.

use std::fmt;
use std::io::{self, Write};

use crate::sigpipe::without_sigpipe;

/// Writes a line to standard error, if it takes it. Unlike `eprintln!` it does not panic where it does not: a pipe that nobody
/// reads, a full disk, a full terminal in non-blocking mode.
pub(crate) fn note(what: fmt::Arguments<'_>) {
    let line = format!("camshaft: {what}\n");
    // There is nobody left to tell.
    let _ = without_sigpipe(|| io::stderr().lock().write_all(line.as_bytes()));
}
