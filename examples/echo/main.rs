//! An echo server on camshaft, with a load of clients in another process, and what it costs.
//!
//! Run it with `cargo run --release --example echo`. After about five seconds it prints the round trips per second, how
//! long they took, and what they cost the server: CPU time, system calls, allocations. `--help` lists the options: more
//! connections, larger messages, spinning instead of sleeping, JSON.
//!
//! ```text
//!   this process                               the load: this program again, with --load
//!     main thread    starts the load   <─────    "measuring", "done": one word a line through a pipe
//!     server thread  camshaft          <─────>   camshaft: a task for each connection checks every byte
//! ```
//!
//! The first second is not measured: buffers and queues grow to the size that they need.

mod load;
mod report;
mod server;
mod system;

use std::io::{self, Write};
use std::net::SocketAddr;

use anyhow::{Context, Result};
use camshaft::runtime::Spin;
use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use crate::load::{Event, Load};
use crate::report::Report;
use crate::server::Server;

#[global_allocator]
static ALLOCATOR: system::Counting = system::Counting;

/// Measures an echo server on camshaft.
#[derive(Clone, Debug, Parser)]
#[command(name = "echo")]
struct Options {
    /// Connections, each with one message under way.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Bytes of a message.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    size: u32,
    /// Seconds to measure, after one second of warm-up.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Whether the server looks for work in user space before it sleeps in the kernel.
    #[arg(long, value_enum, default_value_t = SpinMode::Off)]
    spin: SpinMode,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Be the load of a server at this address.
    #[arg(long, hide = true)]
    load: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SpinMode {
    /// Never: sleep at once.
    Off,
    /// For a moment, if work has been coming in fast.
    Adaptive,
    /// Never sleep: one core is busy all the time.
    Always,
}

impl From<SpinMode> for Spin {
    fn from(mode: SpinMode) -> Self {
        match mode {
            SpinMode::Off => Self::Off,
            SpinMode::Adaptive => Self::Adaptive,
            SpinMode::Always => Self::Always,
        }
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(server) = options.load {
        return load::run(server, &options);
    }
    system::allow_descriptors(options.connections)?;
    let server = Server::start(options.spin.into(), options.size)?;
    let mut load = Load::start(server.address, &options)?;
    let bar = ProgressBar::new(u64::from(options.seconds) * 1000).with_style(
        ProgressStyle::with_template("{msg} {wide_bar} {percent}%")
            .context("the template of the bar")?,
    );
    bar.set_message("connecting");
    let measured = loop {
        match load.next()? {
            Event::Connected => bar.set_message("warming up"),
            Event::Measuring => server.next_phase()?,
            Event::Progress {
                millis,
                round_trips,
            } => {
                bar.set_position(millis);
                bar.set_message(format!("{round_trips} round trips"));
            }
            Event::Done(measured) => break measured,
        }
    };
    server.next_phase()?;
    load.wait()?;
    bar.finish_and_clear();
    let report = Report {
        about: server.about.clone(),
        cost: server.stop()?,
        measured,
        options,
    };
    write!(io::stdout(), "{report}").context("cannot print the result")
}
