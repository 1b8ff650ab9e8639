//! What is compared: an experiment puts one question to several subjects at the points of one axis.
//!
//! ```text
//! Experiment ── question, axis, metrics, expectations
//!     └─ Subject ── a model or a peer, and the function that runs it
//!            └─ Setting ── a point of the axis, and how long to measure
//!                   └─ Outcome ── a sample, or why there is none
//! ```
//!
//! Everything here is data; [`plan`](crate::plan) runs it and [`report`](crate::report) shows it. What is expected is
//! written down with the experiment, so that the report can print outcomes beside expectations.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::measure::{Metric, Sample};

/// One question, and everything that is asked it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Experiment {
    /// The name on the command line.
    pub(crate) name: &'static str,
    /// The number of the workload that it belongs to.
    pub(crate) workload: u8,
    /// The heading of its section.
    pub(crate) title: &'static str,
    /// What it answers, in a sentence or two.
    pub(crate) question: &'static str,
    /// What one operation is.
    pub(crate) operation: &'static str,
    /// What varies.
    pub(crate) axis: Axis,
    /// What the chart shows.
    pub(crate) metric: Metric,
    /// What the table shows beside it.
    pub(crate) also: &'static [Metric],
    /// What was expected before it was measured.
    pub(crate) expectations: &'static [Expectation],
    /// The subject that runs a second time under the name [`AGAIN`], to show what equal looks like.
    pub(crate) control: &'static str,
    /// Who is asked, in the order of the table.
    pub(crate) subjects: &'static [Subject],
}

impl Experiment {
    /// Its rows: the subjects, and the control at the end.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (String, Model)> + use<> {
        let rows = self.subjects.iter();
        let control = self.subject(self.control);
        rows.map(|subject| (subject.name.to_owned(), subject.model))
            .chain(control.map(|subject| (format!("{}{AGAIN}", subject.name), subject.model)))
    }

    /// The subject behind a row.
    pub(crate) fn subject(&self, row: &str) -> Option<&'static Subject> {
        let name = row.strip_suffix(AGAIN).unwrap_or(row);
        self.subjects.iter().find(|subject| subject.name == name)
    }
}

/// The name of the control row: its subject's, followed by this.
pub(crate) const AGAIN: &str = " (again)";

/// The one thing that varies within an experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    /// What it counts, such as `live tasks`.
    pub(crate) label: &'static str,
    /// Its points in a smoke run.
    pub(crate) smoke: &'static [u64],
    /// Its points in a quick run.
    pub(crate) quick: &'static [u64],
    /// Its points in a full run.
    pub(crate) full: &'static [u64],
}

impl Axis {
    /// The points of a run at this scale.
    pub(crate) fn points(&self, scale: Scale) -> &'static [u64] {
        match scale {
            Scale::Smoke => self.smoke,
            Scale::Quick => self.quick,
            Scale::Full => self.full,
        }
    }
}

/// How long a run may take.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scale {
    /// All experiments within a minute: shows that they work, and no more.
    Smoke,
    /// All experiments within minutes.
    Quick,
    /// For figures that are to be published.
    Full,
}

impl Scale {
    /// The measured window of a run that repeats its operation.
    pub(crate) fn window(self) -> Duration {
        Duration::from_millis(match self {
            Self::Smoke => 5,
            Self::Quick => 60,
            Self::Full => 250,
        })
    }

    /// How often every run is made, unless the user says it.
    pub(crate) fn rounds(self) -> u32 {
        match self {
            Self::Smoke => 1,
            Self::Quick => 3,
            Self::Full => 20,
        }
    }

    /// The name on the command line of a child.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }

    /// The scale with this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Smoke, Self::Quick, Self::Full]
            .into_iter()
            .find(|scale| scale.name() == name)
    }
}

/// One run: where on the axis, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// The point of the axis.
    pub(crate) at: u64,
    /// How long.
    pub(crate) scale: Scale,
}

impl Setting {
    /// The point as a count of things in memory.
    pub(crate) fn count(self) -> usize {
        usize::try_from(self.at).expect("points of an axis fit a machine with 64 bits")
    }
}

/// Who is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    /// The name in the table.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) model: Model,
    /// The last point that it is asked at, and why not beyond.
    pub(crate) limit: Option<(u64, &'static str)>,
    /// Does one run.
    pub(crate) run: fn(Setting) -> anyhow::Result<Outcome>,
}

impl Subject {
    /// A subject without a limit.
    pub(crate) const fn new(
        name: &'static str,
        model: Model,
        run: fn(Setting) -> anyhow::Result<Outcome>,
    ) -> Self {
        Self {
            name,
            model,
            limit: None,
            run,
        }
    }

    /// The same, asked up to a point only.
    pub(crate) const fn up_to(self, last: u64, why: &'static str) -> Self {
        Self {
            limit: Some((last, why)),
            ..self
        }
    }
}

/// The kinds of subjects; each has its colour in the charts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Model {
    /// `async` tasks on our executor: stackless.
    Task,
    /// Fibers on the same executor, ring, timers and channels: stackful.
    Fiber,
    /// The same fibers under a plain scheduler without futures.
    Native,
    /// A hand-written state machine.
    Machine,
    /// Threads of the operating system.
    Thread,
    /// Processes.
    Process,
    /// A bare epoll loop.
    Epoll,
    /// A bare `io_uring` loop.
    Ring,
    /// Less than any model can do, to compare with.
    Floor,
    /// How it was done once.
    Historic,
    /// Another runtime.
    Peer,
    /// Another language.
    Language,
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Task => "stackless",
            Self::Fiber => "stackful",
            Self::Native => "stackful, native",
            Self::Machine => "hand-written",
            Self::Thread => "threads",
            Self::Process => "processes",
            Self::Epoll => "bare epoll",
            Self::Ring => "bare ring",
            Self::Floor => "floor",
            Self::Historic => "historic",
            Self::Peer => "peer",
            Self::Language => "other language",
        })
    }
}

/// What became of a run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It was measured.
    Sample(Sample),
    /// It can't be done here, and why.
    Skipped(String),
    /// It went wrong, and how.
    Failed(String),
}

impl From<Sample> for Outcome {
    fn from(sample: Sample) -> Self {
        Self::Sample(sample)
    }
}

/// A prediction that figures can confirm or refute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expectation {
    /// In words, with the reason.
    pub(crate) text: &'static str,
    /// In figures.
    pub(crate) claim: Claim,
}

impl Expectation {
    /// One subject's figure is so many times another's, at a point or, without one, everywhere.
    pub(crate) const fn ratio(
        text: &'static str,
        metric: Metric,
        of: &'static str,
        to: &'static str,
        at: Option<u64>,
        (least, most): (f64, f64),
    ) -> Self {
        let claim = Claim::Ratio {
            of,
            to,
            at,
            least,
            most,
            metric,
        };
        Self { text, claim }
    }

    /// One subject's figure at a point is so many times its own at another.
    pub(crate) const fn scales(
        text: &'static str,
        metric: Metric,
        of: &'static str,
        (from, to): (u64, u64),
        (least, most): (f64, f64),
    ) -> Self {
        let claim = Claim::Scales {
            of,
            from,
            to,
            least,
            most,
            metric,
        };
        Self { text, claim }
    }

    /// One subject is cheaper at first, the other at last; they cross between two points.
    pub(crate) const fn crosses(
        text: &'static str,
        left: &'static str,
        right: &'static str,
        (from, to): (u64, u64),
    ) -> Self {
        let claim = Claim::Crosses {
            left,
            right,
            from,
            to,
        };
        Self { text, claim }
    }
}

/// A statement about the medians of two subjects, or of one at two points.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Claim {
    /// `of` is `least` to `most` times `to`, at this point or, without one, at all points that both have.
    Ratio {
        /// The subject above the line.
        of: &'static str,
        /// The subject below it.
        to: &'static str,
        /// Where.
        at: Option<u64>,
        /// At least.
        least: f64,
        /// At most.
        most: f64,
        /// Of which figure.
        metric: Metric,
    },
    /// `of` is at `to` `least` to `most` times what it is at `from`.
    Scales {
        /// The subject.
        of: &'static str,
        /// The point below the line.
        from: u64,
        /// The point above it.
        to: u64,
        /// At least.
        least: f64,
        /// At most.
        most: f64,
        /// Of which figure.
        metric: Metric,
    },
    /// `left` is lower at first and `right` at last; they cross between these points.
    Crosses {
        /// Lower at first.
        left: &'static str,
        /// Lower at last.
        right: &'static str,
        /// Not before.
        from: u64,
        /// Not after.
        to: u64,
    },
}

impl Claim {
    /// The two subjects that it is about, or one twice.
    pub(crate) fn subjects(&self) -> [&'static str; 2] {
        match *self {
            Self::Ratio { of, to, .. } => [of, to],
            Self::Scales { of, .. } => [of, of],
            Self::Crosses { left, right, .. } => [left, right],
        }
    }

    /// The figure that it is about, if it isn't the chart's.
    pub(crate) fn metric(&self) -> Option<Metric> {
        match *self {
            Self::Ratio { metric, .. } | Self::Scales { metric, .. } => Some(metric),
            Self::Crosses { .. } => None,
        }
    }
}
