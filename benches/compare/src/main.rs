//! Stackless beside stackful, on one executor: what each costs, where they tie, and where each loses.
//!
//! ```text
//! cargo run --release -p camshaft-compare -- [--smoke|--quick|--full] [--only EXPERIMENT,…] [--rounds N] [--out DIR]
//! cargo run --release -p camshaft-compare -- --report results.json [--out DIR] [--charts DIR]
//! ```
//!
//! ```text
//! work: experiments as data ──▶ plan: rounds in random order, a child process a run ──▶ results.json
//!                                                                         report: results.md, index.html
//! ```
//!
//! What is compared, and what every figure means: [`experiment`], [`measure`](mod@measure). Take ratios from one run, never
//! absolutes from two.
// A hundred futures, each of which contains the next, are one of the subjects.
#![recursion_limit = "512"]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};

use anyhow::{Context, bail};
use camshaft_probe::sys;
use clap::Parser;

mod experiment;
mod failure;
mod interrupt;
mod langs;
mod measure;
mod models;
mod net;
mod peers;
mod plan;
mod random;
mod report;
mod results;
mod stats;
mod twice;
mod work;

use experiment::{Experiment, Outcome, Scale};
use plan::Plan;
use results::Results;

/// Compares stackless and stackful tasks, and everything else that could do their work.
#[derive(Debug, Parser)]
#[command(name = "camshaft-compare")]
struct Options {
    /// Within a minute, to see that everything works.
    #[arg(long, conflicts_with_all = ["quick", "full"])]
    smoke: bool,
    /// Within minutes; this is the default.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// For figures that are to be published: 20 rounds, some hours.
    #[arg(long)]
    full: bool,
    /// Only these experiments, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "EXPERIMENT")]
    only: Vec<String>,
    /// Lists the experiments.
    #[arg(long)]
    list: bool,
    /// Runs of each subject at each point, of which the median is reported; 1, 3 or 20, depending on the scale.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Seed of the order of the runs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder for results.json, results.md and index.html.
    #[arg(long, value_name = "DIR", default_value = "target/compare")]
    out: PathBuf,
    /// Runs nothing, and writes the report of this results.json once more.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Writes each chart as an SVG file into this folder, too.
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        [plan::RUN, experiment, subject, at, scale] => run(experiment, subject, at, scale),
        _ => compare(&Options::parse()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn compare(options: &Options) -> anyhow::Result<()> {
    let experiments = chosen(&options.only)?;
    if options.list {
        for experiment in experiments {
            println!(
                "{:2}  {:16} {}",
                experiment.workload, experiment.name, experiment.title
            );
        }
        return Ok(());
    }
    make_writable(&options.out)?;
    let results = match &options.report {
        Some(path) => read(path)?,
        None => measure(options, &experiments)?,
    };
    report::write(&results, &experiments, &options.out)?;
    if let Some(folder) = &options.charts {
        report::write_charts(&results, &experiments, folder)?;
    }
    let raw = options.report.is_none().then_some("results.json");
    for name in raw.into_iter().chain(["results.md", "index.html"]) {
        println!("{}", options.out.join(name).display());
    }
    if results.interrupted {
        bail!("interrupted: the report has what was measured before");
    }
    let failed = results.failed();
    if failed > 0 {
        bail!("{failed} rows failed; the report says how");
    }
    Ok(())
}

fn measure(options: &Options, experiments: &[Experiment]) -> anyhow::Result<Results> {
    let scale = match options {
        Options { smoke: true, .. } => Scale::Smoke,
        Options { full: true, .. } => Scale::Full,
        _ => Scale::Quick,
    };
    let plan = Plan {
        experiments: experiments.to_vec(),
        scale,
        rounds: options.rounds.unwrap_or(scale.rounds()),
        seed: options.seed,
    };
    let path = options.out.join("results.json");
    interrupt::listen();
    let results = plan.execute(|results| results.write(&path))?;
    results.write(&path)?;
    Ok(results)
}

/// Reads results; those of experiments that are no more can't be shown.
fn read(path: &Path) -> anyhow::Result<Results> {
    let results = Results::read(path)?;
    let all = work::all();
    for name in results.experiments.keys() {
        if all.iter().all(|experiment| experiment.name != name) {
            eprintln!("{name} is left out: this version has no such experiment");
        }
    }
    Ok(results)
}

/// Makes a folder in which files can be made: known before anything is measured, not after hours.
fn make_writable(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let trial = folder.join(".trial");
    fs::write(&trial, "")
        .and_then(|()| fs::remove_file(&trial))
        .with_context(|| {
            format!(
                "cannot write into {}; choose another folder with --out",
                folder.display()
            )
        })
}

fn chosen(only: &[String]) -> anyhow::Result<Vec<Experiment>> {
    let all = work::all();
    if let Some(name) = only
        .iter()
        .find(|name| all.iter().all(|experiment| experiment.name != **name))
    {
        let names: Vec<&str> = all.iter().map(|experiment| experiment.name).collect();
        bail!("no experiment {name}: there are {}", names.join(", "));
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|wanted| wanted == name);
    Ok(all
        .into_iter()
        .filter(|experiment| wanted(experiment.name))
        .collect())
}

/// One run, in a child process: prints one line of JSON.
fn run(experiment: &str, subject: &str, at: &str, scale: &str) -> anyhow::Result<()> {
    sys::bound_life(300)?;
    sys::raise_file_limit()?;
    sys::pin(sys::SERVER_CORE);
    let outcome = plan::run(&work::all(), experiment, subject, at, scale)
        .unwrap_or_else(|error| failure::outcome(&error));
    println!("{}", serde_json::to_string(&sound(outcome))?);
    // Nothing that a subject still has to say at its end shall delay the next run.
    process::exit(0)
}

/// A sample in which nothing was done has no figures: a machine at work may let a short window pass.
fn sound(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Sample(sample) if sample.values.values().any(|value| !value.is_finite()) => {
            Outcome::Failed(format!(
                "a figure is no number, after {} operations",
                sample.ops
            ))
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use measure::{Metric, Sample};

    #[test]
    fn figures_are_numbers() {
        let sample = |value| Outcome::Sample(Sample::of(0).with(Metric::Wall, value));
        assert_eq!(sound(sample(1.0)), sample(1.0));
        let failed = Outcome::Failed("a figure is no number, after 0 operations".into());
        assert_eq!(sound(sample(f64::NAN)), failed);
    }

    #[test]
    fn the_documentation_has_a_command_for_every_experiment() {
        let text = include_str!("../../../docs/comparison.md");
        let named = |experiment: &Experiment| text.contains(&format!("`{}`", experiment.name));
        let unnamed: Vec<_> = work::all()
            .iter()
            .filter(|experiment| !named(experiment))
            .map(|experiment| experiment.name)
            .collect();
        assert_eq!(
            unnamed,
            [] as [&str; 0],
            "add them to the table of experiments in docs/comparison.md"
        );
    }

    #[test]
    fn an_unknown_experiment_is_told_the_others() {
        let error = chosen(&["nonsense".to_owned()]).unwrap_err().to_string();
        assert!(
            error.starts_with("no experiment nonsense: there are ") && error.contains("counters"),
            "{error}"
        );
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_refused_at_once() {
        let error = format!(
            "{:#}",
            make_writable(Path::new("/proc/compare")).unwrap_err()
        );
        assert!(
            error.starts_with("cannot make the folder /proc/compare: "),
            "{error}"
        );
    }
}
