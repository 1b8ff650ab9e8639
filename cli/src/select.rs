//! Which state machines are wanted, and in what order.

use std::cmp::Reverse;

use anyhow::{Context as _, Result, bail};
use regex::Regex;

use crate::program::{Function, Program};

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Order {
    /// The largest.
    Size,
    /// What wastes the most bytes: those stored twice, and padding.
    Waste,
    /// What has the most padding.
    Padding,
    /// What has the most states.
    States,
    /// In the order of the alphabet.
    Name,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Selection {
    /// Only what has TEXT in its name; with slashes around it, /TEXT/, what matches this regular expression
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// Only what is written in this workspace, or depended on by a path, not what comes from a registry
    #[arg(long)]
    own: bool,

    /// Only what is written in this crate; may be given several times
    #[arg(long = "crate", value_name = "NAME")]
    packages: Vec<String>,
}

/// How many crates are named where one is not there.
const CRATES: usize = 20;

enum Pattern {
    Any,
    Text(String),
    Regex(Regex),
}

impl Selection {
    /// Keeps what is wanted.
    pub(crate) fn apply(&self, program: &mut Program) -> Result<()> {
        let pattern = Pattern::new(self.filter.as_deref())?;
        let packages: Vec<_> = self
            .packages
            .iter()
            .map(|name| name.replace('-', "_"))
            .collect();
        let known = |name: &String| program.functions.iter().any(|one| one.package() == name);
        if let Some(unknown) = packages.iter().find(|name| !known(name)) {
            let mut crates: Vec<_> = program.functions.iter().map(Function::package).collect();
            crates.sort_unstable();
            crates.dedup();
            let more = match crates.len().saturating_sub(CRATES) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            crates.truncate(CRATES);
            bail!(
                "{}: no state machine is written in a crate {unknown}, but in {}{more}",
                program.path.display(),
                crates.join(", ")
            );
        }
        program.functions.retain(|one| {
            (!self.own || one.own)
                && (packages.is_empty() || packages.iter().any(|name| name == one.package()))
                && (pattern.matches(&one.name) || pattern.matches(&one.layout.name))
        });
        if program.functions.is_empty() {
            bail!(
                "{}: no state machine is left; loosen --filter, --crate or --own",
                program.path.display()
            );
        }
        Ok(())
    }
}

impl Pattern {
    fn new(text: Option<&str>) -> Result<Self> {
        let Some(text) = text else {
            return Ok(Self::Any);
        };
        let inner = text
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'));
        Ok(match inner {
            Some(inner) => Self::Regex(
                Regex::new(inner)
                    .with_context(|| format!("--filter {text} is no regular expression"))?,
            ),
            None => Self::Text(text.to_owned()),
        })
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Text(text) => name.contains(text),
            Self::Regex(regex) => regex.is_match(name),
        }
    }
}

/// Puts first what is asked for first. What is equal in that stays in the order of sizes, then of names.
pub(crate) fn sort(functions: &mut [Function], order: Order) {
    if order == Order::Name {
        return; // it is the order in which they are kept
    }
    functions.sort_by_key(|one| {
        let layout = &one.layout;
        let first = match order {
            Order::Size | Order::Name => layout.size,
            Order::Waste => layout.waste(),
            Order::Padding => layout.padding(),
            Order::States => layout.states.len() as u64,
        };
        Reverse((first, layout.size))
    });
}
