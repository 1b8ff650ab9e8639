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
    /// Nothing in the program was compiled by rustc, as far as it says.
    NotRust,
    /// The debug information is compressed.
    Compressed,
    /// The debug information is split, and this file of it is not where it was made.
    SplitFile(String),
    /// The program's debug information is in a file of its own, or many, and the one at this path was made for another build.
    OtherBuild(String),
    /// Units of the debug information are damaged, or of a kind that is not known; what they describe is missing.
    Units {
        /// How many could not be read to their ends.
        unread: usize,
        /// How many there are.
        all: usize,
        /// What is wrong with the first.
        why: String,
    },
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
            Self::NotRust => write!(
                f,
                "nothing in it was compiled by rustc, so there are no coroutines of Rust to be seen"
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
                "the debug information in {path} does not belong to this build of the program (their ids differ); \
                 keep the file of this build there instead"
            ),
            Self::Units { unread, all, why } => write!(
                f,
                "{unread} of {all} units of debug information cannot be read to the end, so some of what they describe is \
                 missing; build the program anew if its file is damaged ({why})"
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

/// Units that could not be read, counted.
#[derive(Default)]
pub(crate) struct Damage {
    units: usize,
    first: Option<String>,
}

impl Damage {
    pub(crate) fn add(&mut self, why: &dyn fmt::Display) {
        self.units += 1;
        self.first.get_or_insert_with(|| why.to_string());
    }

    /// What is missing of so many.
    pub(crate) fn said(&self, all: usize) -> Option<Missing> {
        let why = self.first.clone()?;
        Some(Missing::Units {
            unread: self.units,
            all: all.max(self.units),
            why,
        })
    }
}

/// Files that are not as they should be, counted.
#[derive(Default)]
pub(crate) struct Lost {
    first: Option<String>,
    more: usize,
}

impl Lost {
    pub(crate) fn add(&mut self, name: String) {
        match self.first {
            None => self.first = Some(name),
            Some(_) => self.more += 1,
        }
    }

    pub(crate) fn said(self) -> Option<String> {
        let first = self.first?;
        Some(match self.more {
            0 => first,
            more => format!("{first} (and {more} more)"),
        })
    }
}
