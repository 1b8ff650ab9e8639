//! What could not be found, and what to do about it.

use std::fmt;

/// What a program's files do not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// The file cannot be read, or is no program for Linux on a 64-bit machine; with the reason.
    Unreadable(String),
    /// The program has no debug information, and no file beside it has.
    DebugInfo,
    /// The program has neither debug information nor symbols, and no file beside it has.
    Stripped,
    /// The debug information has lines, but no types.
    Types,
    /// The debug information is compressed.
    Compressed,
    /// The debug information is split, and this file of it is not where it was made.
    SplitFile(String),
    /// The program's debug information is in a file of its own, and the one at this path was made for another build.
    OtherBuild(String),
    /// The type is not described, although others are: its crate was built with less debug information, or it is no coroutine.
    Type(String),
    /// There is no runtime on the thread that asks.
    Runtime,
}

impl Missing {
    /// What to say at each task, if the whole is said once.
    pub(crate) fn brief(&self) -> String {
        match self {
            Self::Type(_) => {
                "nothing describes this type; build its crate with `debug = \"full\"`".to_owned()
            }
            _ => "its state is not known".to_owned(),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "{why}"),
            Self::DebugInfo => write!(
                f,
                "the program has no debug information, so states and lines are unknown; \
                 set `debug = \"full\"` and `strip = false` in its profile, or keep its `.debug` file beside it"
            ),
            Self::Stripped => write!(
                f,
                "the program is stripped, so states and lines are unknown; \
                 set `strip = false` and `debug = \"full\"` in its profile, or keep its `.debug` file beside it"
            ),
            Self::Types => write!(
                f,
                "the program has line tables but no types, so states are unknown; \
                 set `debug = \"full\"` in its profile (`line-tables-only` and `limited` are not enough)"
            ),
            Self::Compressed => write!(
                f,
                "the debug information is compressed; link without `--compress-debug-sections`"
            ),
            Self::SplitFile(name) => write!(
                f,
                "the debug information is split, and {name} is not to be found; keep the `.dwp` or `.dwo` files \
                 where they were built, or set `split-debuginfo = \"off\"` in the profile"
            ),
            Self::OtherBuild(path) => write!(
                f,
                "the debug information in {path} does not belong to this build of the program (their build ids differ); \
                 keep the file of this build there instead"
            ),
            Self::Type(name) => write!(
                f,
                "nothing describes {name} as a state machine; build its crate with `debug = \"full\"`, \
                 and ask for the future of an `async` function, block or closure"
            ),
            Self::Runtime => write!(
                f,
                "no runtime runs on this thread, so nothing is told of any task; \
                 ask on the thread that runs one, inside of its `block_on`, or ask the runtime itself"
            ),
        }
    }
}

impl std::error::Error for Missing {}
