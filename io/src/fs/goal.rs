//! When a transfer is done: after a part, when a buffer is full, at the end of the file, when all is written.

use std::io;

/// When a transfer is done, and what it returns then.
pub(super) trait Goal: 'static {
    type Output;
    /// Whether everything is to be moved.
    const ALL: bool;
    /// The error if there is no more to come, or no more is taken, although not all was moved.
    const SHORT: Option<io::ErrorKind>;
    fn output(moved: usize) -> Self::Output;
}

/// What comes, or is taken, at once.
pub(super) struct Part;
/// As much as there is room for.
pub(super) struct Full;
/// Until the end of the file.
pub(super) struct ToEnd;
/// All bytes of a write.
pub(super) struct Whole;

impl Goal for Part {
    type Output = usize;
    const ALL: bool = false;
    const SHORT: Option<io::ErrorKind> = None;
    fn output(moved: usize) -> usize {
        moved
    }
}

impl Goal for Full {
    type Output = usize;
    const ALL: bool = true;
    const SHORT: Option<io::ErrorKind> = Some(io::ErrorKind::UnexpectedEof);
    fn output(moved: usize) -> usize {
        moved
    }
}

impl Goal for ToEnd {
    type Output = usize;
    const ALL: bool = true;
    const SHORT: Option<io::ErrorKind> = None;
    fn output(moved: usize) -> usize {
        moved
    }
}

impl Goal for Whole {
    type Output = ();
    const ALL: bool = true;
    const SHORT: Option<io::ErrorKind> = Some(io::ErrorKind::WriteZero);
    fn output(_: usize) {}
}
