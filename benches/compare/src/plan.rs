//! Which runs are made, in which order, and in which process.
//!
//! Every subject at every point runs once a round, in a random order that is new in each round, so that what drifts on the
//! machine falls on all alike. Each run is a child process of its own: nothing that one leaves in an allocator, a ring or a
//! pool of stacks helps or hurts another. A child that does not answer in time is killed, with all that it started.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::experiment::{Experiment, Outcome, Scale, Setting};
use crate::interrupt;
use crate::random::Random;
use crate::results::Results;

/// The hidden subcommand of a run.
pub(crate) const RUN: &str = "__run";

/// A run that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// So often is looked whether the user wants no more.
const GLANCE: Duration = Duration::from_millis(50);

/// What to do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The experiments, in the order of the report.
    pub(crate) experiments: Vec<Experiment>,
    /// The scale of each run.
    pub(crate) scale: Scale,
    /// How often each run is made.
    pub(crate) rounds: u32,
    /// Seed of the order.
    pub(crate) seed: u64,
}

/// One run that is to be made.
#[derive(Clone, Debug)]
struct Job {
    experiment: Experiment,
    /// The name of the row.
    subject: String,
    at: u64,
}

impl Plan {
    /// Makes all runs, showing how far it is. After each round it hands over what there is, so that a long run that is
    /// killed is not in vain. An interrupt ends it early.
    pub(crate) fn execute(
        &self,
        mut keep: impl FnMut(&Results) -> anyhow::Result<()>,
    ) -> anyhow::Result<Results> {
        let mut results = Results::empty(&self.experiments, self.scale, self.rounds, self.seed);
        let mut jobs = self.jobs(&mut results);
        let progress = Progress::new(jobs.len() as u64 * u64::from(self.rounds))?;
        let mut random = Random::new(self.seed);
        for _ in 0..self.rounds {
            random.shuffle(&mut jobs);
            for job in &jobs {
                let runs = results.runs_mut(job.experiment.name, &job.subject, job.at);
                if runs.goes_on() {
                    progress.tell(job);
                    match job.run(self.scale)? {
                        Some(outcome) => runs.take(outcome),
                        None => {
                            results.interrupted = true;
                            progress.end();
                            return Ok(results);
                        }
                    }
                }
                progress.step();
            }
            keep(&results)?;
        }
        progress.end();
        Ok(results)
    }

    /// Every row at every point; where a subject has its limit, the results are told why.
    fn jobs(&self, results: &mut Results) -> Vec<Job> {
        let mut jobs = Vec::new();
        for &experiment in &self.experiments {
            for (subject, _) in experiment.rows() {
                for &at in experiment.axis.points(self.scale) {
                    let limit = experiment
                        .subject(&subject)
                        .and_then(|subject| subject.limit);
                    match limit {
                        Some((last, why)) if at > last => results
                            .runs_mut(experiment.name, &subject, at)
                            .take(Outcome::Skipped(why.to_owned())),
                        _ => jobs.push(Job {
                            experiment,
                            subject: subject.clone(),
                            at,
                        }),
                    }
                }
            }
        }
        jobs
    }
}

/// How far it is: a bar in a terminal, and a line now and then elsewhere.
struct Progress {
    bar: ProgressBar,
    lines: bool,
}

impl Progress {
    fn new(runs: u64) -> anyhow::Result<Self> {
        let bar = ProgressBar::new(runs);
        let style = "{bar:30} {pos}/{len} {elapsed}, {eta} left  {msg}";
        bar.set_style(ProgressStyle::with_template(style)?);
        let lines = bar.is_hidden();
        Ok(Self { bar, lines })
    }

    fn tell(&self, job: &Job) {
        let Job {
            experiment,
            subject,
            at,
        } = job;
        self.bar
            .set_message(format!("{}: {subject} at {at}", experiment.name));
    }

    fn step(&self) {
        self.bar.inc(1);
        let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let tenth = |runs: u64| runs * 10 / all.max(1);
        if self.lines && tenth(done) > tenth(done - 1) {
            eprintln!("{done} of {all} runs in {} s", self.bar.elapsed().as_secs());
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Job {
    /// Makes the run in a child process; `None` if it was interrupted.
    fn run(&self, scale: Scale) -> anyhow::Result<Option<Outcome>> {
        let program = env::current_exe().context("the path of this program is unknown")?;
        let mut command = Command::new(program);
        command
            .args([RUN, self.experiment.name, &self.subject])
            .args([&self.at.to_string(), scale.name()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().context("no child process can be started")?;
        let answer = answer(&mut child);
        end(&mut child);
        let status = reap(&mut child);
        let line = match answer {
            Answer::Line(line) => line,
            Answer::Interrupted => return Ok(None),
            Answer::TooLate => {
                let late = format!("no answer within {} s", PATIENCE.as_secs());
                return Ok(Some(Outcome::Failed(late)));
            }
        };
        if let Ok(outcome) = serde_json::from_str(&line) {
            return Ok(Some(outcome));
        }
        // The pipe of a child that is stuck stays open.
        let stderr = child.stderr.take().filter(|_| status.is_some());
        let why = stderr.map(complaint).unwrap_or_default();
        Ok(Some(Outcome::Failed(match (&*why, line.trim(), status) {
            ("", "", None) => "it cannot be ended".to_owned(),
            ("", "", Some(status)) => status.to_string(),
            ("", line, _) => format!("its answer is not understood: {line}"),
            (why, ..) => why.to_owned(),
        })))
    }
}

/// What comes of waiting for a child.
enum Answer {
    /// The first line that it prints; empty if it ends without one.
    Line(String),
    /// It takes too long.
    TooLate,
    /// The user wants no more.
    Interrupted,
}

fn answer(child: &mut Child) -> Answer {
    let Some(pipe) = child.stdout.take() else {
        return Answer::Line(String::new());
    };
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        // A pipe that fails is as good as one that is closed.
        let _ = BufReader::new(pipe).read_line(&mut line);
        // Nobody listens any more if it took too long.
        let _ = sender.send(line);
    });
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match receiver.recv_timeout(GLANCE) {
            Ok(line) if interrupt::is_wanted() && line.is_empty() => return Answer::Interrupted,
            Ok(line) => return Answer::Line(line),
            Err(_) if interrupt::is_wanted() => return Answer::Interrupted,
            Err(_) => {}
        }
    }
    Answer::TooLate
}

/// Ends a child and what it started.
fn end(child: &mut Child) {
    let Ok(group) = libc::pid_t::try_from(child.id()) else {
        return;
    };
    // SAFETY: no memory is passed. The child leads a group of its own, and has not been awaited, so the number is still its.
    unsafe { libc::kill(-group, libc::SIGKILL) };
}

/// Awaits a child that was told to end. One that is stuck in the kernel is left there: the others shall not wait for it.
fn reap(child: &mut Child) -> Option<ExitStatus> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        // An error would mean that somebody else has awaited it.
        if let Some(status) = child.try_wait().ok()? {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(1));
    }
    None
}

/// Why a child failed: its first complaint; the heading of a panic comes before its message.
fn complaint(mut stderr: impl Read) -> String {
    let mut text = String::new();
    // What is not text is no explanation.
    let _ = stderr.read_to_string(&mut text);
    let tells = |line: &&str| !line.trim().is_empty() && !line.starts_with("thread '");
    text.lines().find(tells).unwrap_or_default().to_owned()
}

/// Makes one run in this process, and returns what is to be printed.
pub(crate) fn run(
    experiments: &[Experiment],
    name: &str,
    row: &str,
    at: &str,
    scale: &str,
) -> anyhow::Result<Outcome> {
    let experiment = experiments.iter().find(|other| other.name == name);
    let Some(subject) = experiment.and_then(|experiment| experiment.subject(row)) else {
        bail!("no {row} in {name}");
    };
    let setting = Setting {
        at: at.parse()?,
        scale: Scale::from_name(scale).context("no such scale")?,
    };
    (subject.run)(setting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_complaint_counts() {
        let text =
            "\nthread 'main' panicked at main.rs:1:1:\nout of memory\nnote: run with a backtrace\n";
        assert_eq!(complaint(text.as_bytes()), "out of memory");
    }

    #[test]
    fn every_experiment_is_whole() {
        for experiment in crate::work::all() {
            let name = experiment.name;
            assert!(
                experiment.subject(experiment.control).is_some(),
                "{name} has no control"
            );
            let rows: Vec<_> = experiment.rows().collect();
            for (row, _) in &rows {
                assert_eq!(
                    rows.iter().filter(|(other, _)| other == row).count(),
                    1,
                    "{name}: {row}"
                );
            }
            for scale in [Scale::Smoke, Scale::Quick, Scale::Full] {
                let points = experiment.axis.points(scale);
                assert!(
                    !points.is_empty() && points.is_sorted(),
                    "{name}: {points:?}"
                );
            }
            for expectation in experiment.expectations {
                for subject in expectation.claim.subjects() {
                    assert!(
                        experiment.subject(subject).is_some(),
                        "{name} expects of {subject}"
                    );
                }
            }
        }
    }
}
