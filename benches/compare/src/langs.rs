//! Programs in other languages: built with the tools that are there, run, and asked what they measured.
//!
//! Their sources are part of this program, and are unpacked beside it. Each measures itself, after its start, and prints a
//! line of three numbers: operations, nanoseconds of wall time, nanoseconds of CPU time; and where there are latencies,
//! their median and their 99th percentile.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::{Context, bail};
use camshaft_probe::sys;

use crate::experiment::{Outcome, Setting};
use crate::measure::{Metric, Sample};

/// The files of the Go program.
const GO: [(&str, &str); 4] = [
    ("channels.go", include_str!("../langs/go/channels.go")),
    ("load.go", include_str!("../langs/go/load.go")),
    ("main.go", include_str!("../langs/go/main.go")),
    ("timers.go", include_str!("../langs/go/timers.go")),
];

/// What tells Go where to keep what it has built. Without any of them it builds nothing.
const CACHES: [&str; 3] = ["GOCACHE", "XDG_CACHE_HOME", "HOME"];

/// The Python program.
const PYTHON: &str = include_str!("../langs/load.py");

/// Where a program may run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cores {
    /// On the core of this process, as our runtime does.
    One,
    /// On all there are, as the language does by itself.
    All,
}

/// Runs a workload of the Go program; skipped without `go`.
///
/// It is told the point of the axis, and how many milliseconds to measure.
pub(crate) fn go(workload: &str, setting: Setting, cores: Cores) -> anyhow::Result<Outcome> {
    go_with(workload, setting, cores, &[])
}

/// As [`go`], with further arguments.
pub(crate) fn go_with(
    workload: &str,
    setting: Setting,
    cores: Cores,
    more: &[String],
) -> anyhow::Result<Outcome> {
    sys::unpin();
    let Some(program) = build_go()? else {
        return Ok(Outcome::Skipped("no go on PATH".into()));
    };
    let mut command = Command::new(program);
    command.arg(workload).args([
        setting.at.to_string(),
        setting.scale.window().as_millis().to_string(),
    ]);
    command.args(more);
    if cores == Cores::One {
        sys::pin(sys::SERVER_CORE);
        command.env("GOMAXPROCS", "1");
    }
    answer(&mut command)
}

/// Runs a workload of the Python program with these arguments; skipped without `python3`.
pub(crate) fn python(arguments: &[&str]) -> anyhow::Result<Outcome> {
    sys::unpin();
    let script = folder(PYTHON)?.join("load.py");
    put(&script, PYTHON.as_bytes())?;
    let mut command = Command::new("python3");
    command.arg(script).args(arguments);
    match answer(&mut command) {
        Err(error) if is_missing(&error) => Ok(Outcome::Skipped("no python3 on PATH".into())),
        outcome => outcome,
    }
}

/// The Go program, built if it is not there yet; `None` without `go`.
fn build_go() -> anyhow::Result<Option<PathBuf>> {
    let folder = folder(&GO)?;
    let program = folder.join("load");
    match Command::new("go").arg("version").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("go does not start"),
        Ok(_) if program.exists() => return Ok(Some(program)),
        Ok(_) => {}
    }
    for (name, text) in GO {
        put(&folder.join(name), text.as_bytes())?;
    }
    let built = folder.join(format!("load-{}", process::id()));
    let mut go = Command::new("go");
    if CACHES.iter().all(|name| env::var_os(name).is_none()) {
        go.env("GOCACHE", folder.join("cache"));
    }
    let output = go
        .current_dir(&folder)
        .arg("build")
        .arg("-o")
        .arg(&built)
        .args(GO.map(|(name, _)| name))
        .output()?;
    if !output.status.success() {
        bail!(
            "go build: {}",
            String::from_utf8_lossy(&output.stderr).replace('\n', " ")
        );
    }
    fs::rename(&built, &program)?;
    Ok(Some(program))
}

/// A folder beside this program, for these sources and no others.
fn folder(sources: &(impl Hash + ?Sized)) -> anyhow::Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    sources.hash(&mut hasher);
    let name = format!("camshaft-compare-{:016x}", hasher.finish());
    let folder = env::current_exe()?.with_file_name(name);
    fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    Ok(folder)
}

/// Writes a file that others may read or write at the same time: it is whole at any moment.
fn put(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    let part = path.with_extension(process::id().to_string());
    fs::write(&part, text).with_context(|| format!("cannot write {}", part.display()))?;
    fs::rename(&part, path)?;
    Ok(())
}

fn is_missing(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Runs a program, and reads what it measured.
fn answer(command: &mut Command) -> anyhow::Result<Outcome> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    let [ops, wall, cpu, ref latencies @ ..] = numbers[..] else {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{}: {}",
            output.status,
            complaint.lines().next_back().unwrap_or("no answer")
        );
    };
    let each = |value: u64| value as f64 / ops as f64;
    let mut sample = Sample::of(ops)
        .with(Metric::Wall, each(wall))
        .with(Metric::Cpu, each(cpu))
        .with(Metric::Total, wall as f64);
    if let [p50, p99] = *latencies {
        sample = sample
            .with(Metric::P50, p50 as f64)
            .with(Metric::P99, p99 as f64);
    }
    Ok(sample.into())
}
