//! The command `camshaft`: what the futures of any Rust program hold, why they are as large as they are, and what those of a
//! process that runs wait for.
//!
//! ```text
//!   program ── camshaft-inspect ──> Program ──┬── select ── sizes ── words, a table, JSON, a budget
//!                                   (names)   ├── diff             two programs
//!                                             └── find ── states   one function (flow: its source)
//!
//!   process ── socket ── attach ──> JSON ──┬── dump
//!                                          └── top
//! ```
//!
//! The upper half needs the debug information of the program and nothing else: no runtime, no annotations, and it never
//! runs the program. The lower half asks a process whose runtime is camshaft's, and lets itself be asked.

#![forbid(unsafe_code)]

mod attach;
mod describe;
mod diff;
mod dump;
mod find;
mod flow;
mod program;
mod select;
mod sizes;
mod states;
mod terminal;
mod tokens;
mod top;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use serde_json::json;

use crate::diff::Diff;
use crate::program::Program;
use crate::select::{Order, Selection};
use crate::states::Diagram;
use crate::terminal::{Color, Page};

/// A budget is exceeded.
const OVER_BUDGET: u8 = 1;
/// As for wrong arguments.
const FAILED: u8 = 2;

/// Shows the state machines that the compiler makes of `async` code, in any Rust program, and what they wait for in a
/// process
#[derive(Parser)]
#[command(name = "camshaft", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// When to use colours
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true)]
    color: Color,
}

#[derive(Subcommand)]
enum Command {
    Sizes(Sizes),
    States(States),
    Dump(Dump),
    Top(Top),
}

/// What a process does, renewed every second: its tasks, where their time goes, and what waits for long; without a process,
/// which ones can be asked
///
/// The process must have a runtime of camshaft that was built with `Builder::attach(true)`, and belong to this user, unless that
/// is root.
/// Keys: arrows and page keys scroll, p pauses, q quits.
#[derive(clap::Args)]
struct Top {
    /// The process
    #[arg(long)]
    pid: Option<u32>,

    /// Print it once, as where standard output is no terminal
    #[arg(long)]
    once: bool,

    /// How often to ask
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    interval: Duration,

    #[command(flatten)]
    patience: Patience,
}

/// Seconds, of which there may be a tenth or an hour.
fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    let allowed = (0.1..=3600.0).contains(&seconds);
    allowed
        .then(|| Duration::from_secs_f64(seconds))
        .ok_or_else(|| "it must be from 0.1 to 3600".to_owned())
}

/// What all tasks of a process wait for; without a process, which ones can be asked
///
/// The process must have a runtime of camshaft that was built with `Builder::attach(true)`, and belong to this user, unless that
/// is root.
#[derive(clap::Args)]
struct Dump {
    /// The process
    #[arg(long)]
    pid: Option<u32>,

    /// Print JSON: a list with an object for each runtime
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    patience: Patience,
}

#[derive(clap::Args)]
struct Patience {
    /// How long to wait for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// How large each `async` fn, block and closure is, what it holds across each await, and what of that is wasted
///
/// Sizes are those of `size_of_val`. The program must have debug information: `debug = "full"` in its profile.
#[derive(clap::Args)]
struct Sizes {
    /// The program, such as target/debug/app
    binary: PathBuf,

    /// What comes first
    #[arg(long, value_enum, default_value_t = Order::Waste)]
    sort: Order,

    #[command(flatten)]
    selection: Selection,

    /// Show at most so many
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,

    /// Show a line for each, without states
    #[arg(long)]
    brief: bool,

    /// Print JSON, with whole names and paths
    #[arg(long)]
    json: bool,

    /// Fail with a list if any is larger: a budget, for continuous integration
    #[arg(long, value_name = "BYTES")]
    max: Option<u64>,

    /// Compare with this newer program: what has grown or shrunk, what is new or gone
    #[arg(long, value_name = "NEW", conflicts_with = "max")]
    diff: Option<PathBuf>,
}

/// The state diagram of one function: where it waits, what it holds there, and what can follow
#[derive(clap::Args)]
struct States {
    /// The program, such as target/debug/app
    binary: PathBuf,

    /// The function by the end of its path, such as serve or Server::serve, or by its place: main.rs:12
    function: String,

    /// In which form
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a terminal.
    Text,
    /// For web pages that draw Mermaid.
    Mermaid,
    /// For Graphviz.
    Dot,
    /// A drawing; needs `dot` on PATH.
    Svg,
    /// For programs.
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let page = Page::new(arguments.color);
    let done = match arguments.command {
        Command::Sizes(command) => command.run(page),
        Command::States(command) => command.run(page),
        Command::Dump(command) => command.run(),
        Command::Top(command) => command.run(page),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(FAILED)
    })
}

impl Sizes {
    fn run(&self, mut page: Page) -> Result<ExitCode> {
        let limit = self.limit.unwrap_or(usize::MAX);
        let mut program = Program::open(&self.binary)?;
        self.selection.apply(&mut program)?;
        if let Some(new) = &self.diff {
            let mut new = Program::open(new)?;
            self.selection.apply(&mut new)?;
            let diff = Diff::of(&program, &new);
            if self.json {
                terminal::print(&format!("{:#}\n", diff.to_json()?))?;
            } else {
                diff.write(&mut page, limit);
                terminal::print(&page.text())?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        // A list of what is too large begins with the largest.
        let order = if self.max.is_some() {
            Order::Size
        } else {
            self.sort
        };
        select::sort(&mut program.functions, order);
        let mut exit = ExitCode::SUCCESS;
        if let Some(max) = self.max {
            if sizes::over_budget(&program, max).next().is_some() {
                exit = ExitCode::from(OVER_BUDGET);
            }
            if self.json {
                program.functions.retain(|one| one.layout.size > max);
            } else {
                sizes::budget(&mut page, &program, max, limit);
            }
        } else if self.brief && !self.json {
            sizes::table(&mut page, &program, limit);
        } else if !self.json {
            sizes::details(&mut page, &program, limit);
        }
        if self.json {
            let mut value = sizes::to_json(&program, limit)?;
            value["max"] = json!(self.max);
            terminal::print(&format!("{value:#}\n"))?;
        } else {
            terminal::print(&page.text())?;
        }
        Ok(exit)
    }
}

impl Dump {
    fn run(&self) -> Result<ExitCode> {
        match self.pid {
            Some(pid) => dump::dump(pid, self.json, self.patience.time())?,
            None => dump::list(self.json)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Top {
    fn run(&self, page: Page) -> Result<ExitCode> {
        let Some(pid) = self.pid else {
            dump::list(false)?;
            return Ok(ExitCode::SUCCESS);
        };
        let top = top::Top {
            pid,
            interval: self.interval,
            patience: self.patience.time(),
            once: self.once,
        };
        top.run(page)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Patience {
    fn time(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

impl States {
    fn run(&self, mut page: Page) -> Result<ExitCode> {
        let program = Program::open(&self.binary)?;
        let diagram = Diagram::of(&program, find::find(&program, &self.function)?);
        let text = match self.format {
            Format::Text => {
                states::text(&mut page, &diagram);
                page.text()
            }
            Format::Mermaid => states::mermaid(&diagram),
            Format::Dot => states::dot(&diagram),
            Format::Svg => states::svg(&diagram)?,
            Format::Json => format!("{:#}\n", diagram.to_json()?),
        };
        terminal::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}
