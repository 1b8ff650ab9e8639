//! Which runs are done, in which order, and in which process.
//!
//! Every (workload, system) pair runs once a round, in a random order that is new in each round, so that what drifts on
//! the machine falls on all systems alike. Each run is a child process of its own: nothing that one system leaves in an
//! allocator, a ring or a cache of threads helps or hurts another. A child that does not answer in time is killed.

use std::collections::BTreeMap;
use std::env;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};

use indicatif::{ProgressBar, ProgressStyle};

use crate::measure::Sample;
use crate::systems::System;
use crate::workload::Workload;

/// The hidden subcommand of a run.
pub(crate) const RUN: &str = "__run";
/// A run that takes longer than this hangs.
const PATIENCE_MS: i32 = 40_000;

/// What to do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The workloads, in the order of the report.
    pub(crate) workloads: Vec<Workload>,
    /// The systems, in the order of the report.
    pub(crate) systems: Vec<System>,
    /// How often each pair runs.
    pub(crate) rounds: u32,
    /// Seed of the order.
    pub(crate) seed: u64,
    /// The scale of a run.
    pub(crate) level: u8,
}

/// The runs of one pair.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs {
    /// One for each round that succeeded.
    pub(crate) samples: Vec<Sample>,
    /// Why it was given up.
    pub(crate) skipped: Option<String>,
}

/// All runs by workload and name of the system.
pub(crate) type Results = BTreeMap<(Workload, &'static str), Runs>;

impl Plan {
    /// Does all runs, showing how far it is.
    pub(crate) fn execute(&self) -> io::Result<Results> {
        let mut pairs: Vec<(Workload, System)> = Vec::new();
        for &workload in &self.workloads {
            pairs.extend(
                self.systems
                    .iter()
                    .filter(|system| system.takes(workload))
                    .map(|&system| (workload, system)),
            );
        }
        let bar = ProgressBar::new(pairs.len() as u64 * u64::from(self.rounds));
        let style =
            ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed}, {eta} left  {msg}");
        bar.set_style(style.map_err(io::Error::other)?);
        let mut results = Results::new();
        let mut random = self.seed;
        for _ in 0..self.rounds {
            shuffle(&mut pairs, &mut random);
            for &(workload, system) in &pairs {
                let runs = results.entry((workload, system.name)).or_default();
                if runs.skipped.is_none() {
                    bar.set_message(format!("{} on {}", workload.name(), system.name));
                    match self.run(workload, system.name) {
                        Ok(sample) => runs.samples.push(sample),
                        Err(error) => runs.skipped = Some(error.to_string()),
                    }
                }
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        Ok(results)
    }

    fn run(&self, workload: Workload, system: &str) -> io::Result<Sample> {
        let mut command = Command::new(env::current_exe()?);
        command.args([RUN, workload.name(), system, &self.level.to_string()]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let result = answer(&mut child);
        // A child that has ended already needs no ending.
        let _ = child.kill();
        let status = child.wait()?;
        result?.ok_or_else(|| {
            let why = child.stderr.take().map(complaint).unwrap_or_default();
            io::Error::other(if why.is_empty() {
                status.to_string()
            } else {
                why
            })
        })
    }
}

/// Waits for the line that a child prints at its end; `None` if it prints another or none.
fn answer(child: &mut Child) -> io::Result<Option<Sample>> {
    let Some(mut pipe) = child.stdout.take() else {
        return Ok(None);
    };
    let mut wait = libc::pollfd {
        fd: pipe.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one pollfd is valid to read and write.
    match unsafe { libc::poll(&raw mut wait, 1, PATIENCE_MS) } {
        1 => {}
        _ => return Err(io::Error::other("hung")),
    }
    let mut line = String::new();
    pipe.read_to_string(&mut line)?;
    Ok(Sample::from_json(&line))
}

/// Why a child failed: its first complaint. A server complains before its load client does, and the heading of a panic
/// comes before its message.
fn complaint(mut stderr: impl Read) -> String {
    let mut text = String::new();
    // What is not text is no explanation.
    let _ = stderr.read_to_string(&mut text);
    let tells = |line: &&str| !line.trim().is_empty() && !line.starts_with("thread '");
    text.lines().find(tells).unwrap_or_default().to_owned()
}

/// Fisher and Yates' shuffle over a xorshift generator.
fn shuffle<T>(items: &mut [T], random: &mut u64) {
    for last in (1..items.len()).rev() {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        let other = usize::try_from(*random % (last as u64 + 1)).unwrap_or(last);
        items.swap(last, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..100).collect();
        let mut random = 7;
        shuffle(&mut items, &mut random);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_complaint_counts() {
        let text =
            "\nthread 'main' panicked at main.rs:1:1:\nout of memory\nnote: run with a backtrace\n";
        assert_eq!(complaint(text.as_bytes()), "out of memory");
    }
}
