//! The same work on camshaft, on its peers, and on a raw ring and a raw epoll loop without any runtime.
//!
//! ```text
//! cargo run --release -p camshaft-peers -- [--quick|--full] [--only WORKLOAD] [--systems a,b,…] [--rounds N] [--json FILE]
//! ```
//!
//! ```text
//! plan: rounds, random order ──▶ one child process per (workload, system) ──▶ report: medians, ratios, goals
//!                                  task workloads: the child measures itself
//!                                  socket workloads: the child is the load client of a server in a process of its own
//! ```
//!
//! What each number means, and what it leaves out, is told in [`measure`]; how the load is made, in [`load`]. Take ratios
//! from one run, never absolutes from two. Not here: anything on more than one thread.

// The 32 nested futures of `await_chain`.
#![recursion_limit = "256"]
#![cfg_attr(
    not(feature = "camshaft"),
    allow(dead_code, reason = "what only the absent systems need stays unused")
)]

use std::fs;
use std::io::{self, Write};
use std::process::{self, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;

mod churn;
mod files;
mod goal;
#[cfg(feature = "hyper")]
mod hyper;
mod load;
mod measure;
mod plan;
mod remote;
mod report;
mod systems;
mod tasks;
mod workload;

use camshaft_probe::sys;
use plan::Plan;
use systems::System;
use workload::{Scale, Workload};

/// Runs the same work on camshaft, its peers and the floors.
#[derive(Debug, Parser)]
#[command(name = "camshaft-peers")]
struct Options {
    /// Short windows, three rounds.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Long windows, twenty rounds.
    #[arg(long)]
    full: bool,
    /// Only these workloads.
    #[arg(long, value_delimiter = ',', value_name = "WORKLOAD")]
    only: Vec<String>,
    /// Only these systems.
    #[arg(long, value_delimiter = ',', value_name = "SYSTEM")]
    systems: Vec<String>,
    /// Runs of each pair; the median is reported.
    #[arg(long)]
    rounds: Option<u32>,
    /// Seed of the order of the runs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes the raw samples to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        [plan::RUN, workload, system, level] => run(workload, system, level),
        [load::SERVE, workload, system, page] => serve(workload, system, page),
        _ => compare(&Options::parse()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(options: &Options) -> io::Result<()> {
    let (level, rounds) = if options.quick {
        (0, 3)
    } else if options.full {
        (2, 20)
    } else {
        (1, 7)
    };
    let plan = Plan {
        workloads: chosen_workloads(&options.only)?,
        systems: chosen_systems(&options.systems)?,
        rounds: options.rounds.unwrap_or(rounds),
        seed: options.seed.max(1),
        level,
    };
    let machine = machine();
    for (name, value) in &machine {
        println!("{name}: {value}");
    }
    println!("{} rounds, seed {}", plan.rounds, plan.seed);
    for name in systems::NAMES
        .iter()
        .filter(|name| wanted(&options.systems, name) && named(name).is_none())
    {
        println!("{name} skipped: its feature is off in this build");
    }
    let results = plan.execute()?;
    print!("{}", report::text(&plan, &results));
    match &options.json {
        Some(path) => fs::write(path, report::json(&plan, &results, &machine)),
        None => Ok(()),
    }
}

fn wanted(list: &[String], name: &str) -> bool {
    list.is_empty() || list.iter().any(|wanted| wanted == name)
}

fn chosen_workloads(only: &[String]) -> io::Result<Vec<Workload>> {
    for name in only {
        workload(name)?;
    }
    Ok(Workload::ALL
        .into_iter()
        .filter(|workload| wanted(only, workload.name()))
        .collect())
}

fn chosen_systems(only: &[String]) -> io::Result<Vec<System>> {
    if let Some(name) = only
        .iter()
        .find(|name| !systems::NAMES.contains(&name.as_str()))
    {
        return Err(io::Error::other(format!(
            "no system {name}: there are {}",
            systems::NAMES.join(", ")
        )));
    }
    Ok(systems::all()
        .into_iter()
        .filter(|system| wanted(only, system.name))
        .collect())
}

fn workload(name: &str) -> io::Result<Workload> {
    Workload::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Workload::ALL.into_iter().map(Workload::name).collect();
        io::Error::other(format!(
            "no workload {name}: there are {}",
            names.join(", ")
        ))
    })
}

fn named(name: &str) -> Option<System> {
    systems::all()
        .into_iter()
        .find(|system| system.name == name)
}

fn system(name: &str) -> io::Result<System> {
    named(name).ok_or_else(|| io::Error::other(format!("{name} is not built in")))
}

/// One run, in a child process: prints one line of JSON.
fn run(name: &str, on: &str, level: &str) -> io::Result<()> {
    sys::raise_file_limit()?;
    let (workload, system) = (workload(name)?, system(on)?);
    let scale = Scale::of_level(level.parse().map_err(io::Error::other)?);
    let sample = match workload.load() {
        Some(load) => load::measure(&system, workload, load, scale)?,
        None => {
            sys::pin(sys::SERVER_CORE);
            system.measure(workload, scale)?
        }
    };
    println!("{}", sample.to_json());
    io::stdout().flush()?;
    // Nothing that a system still has to say at its end shall delay the next run.
    process::exit(0)
}

/// The server of a run, in a grandchild process.
fn serve(name: &str, on: &str, page: &str) -> io::Result<()> {
    let load = workload(name)?
        .load()
        .ok_or_else(|| io::Error::other("no server is needed"))?;
    load::serve(&system(on)?, load, page.parse().map_err(io::Error::other)?)
}

/// What a reader needs to know about the machine and the build.
fn machine() -> Vec<(&'static str, String)> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or_default();
    let cores = cpu
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    vec![
        ("unix_time", seconds.to_string()),
        (
            "kernel",
            read("/proc/sys/kernel/osrelease").trim().to_owned(),
        ),
        (
            "cpu",
            format!("{} × {}", cores, model.trim_start_matches([' ', '\t', ':'])),
        ),
        ("versions", versions()),
        // Other work on the machine is the first thing to suspect behind a wide spread.
        ("load_average", read("/proc/loadavg").trim().to_owned()),
    ]
}

/// The versions of the peers, from the lock file that this was built with.
fn versions() -> String {
    let lock = include_str!("../../../Cargo.lock");
    let version = |name: &str| {
        let (_, entry) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", entry.split('"').next()?))
    };
    let names = [
        "tokio",
        "monoio",
        "glommio",
        "compio",
        "tokio-uring",
        "smol",
        "io-uring",
    ];
    names
        .into_iter()
        .filter_map(version)
        .collect::<Vec<_>>()
        .join(", ")
}
