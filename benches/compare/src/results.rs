//! The raw data of a run of the comparison: every sample of every round, and what a reader needs to judge them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::experiment::{Experiment, Model, Outcome, Scale};
use crate::measure::{Metric, Sample};

/// The shape of the file; another number can't be read.
pub(crate) const FORMAT: u32 = 1;

/// All data of one run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Results {
    /// [`FORMAT`] of the program that wrote it.
    pub(crate) format: u32,
    /// Where and when.
    pub(crate) machine: Machine,
    /// How long each run took.
    pub(crate) scale: Scale,
    /// How often each run was made.
    pub(crate) rounds: u32,
    /// Seed of the order of the runs.
    pub(crate) seed: u64,
    /// Whether somebody ended it before it was complete.
    pub(crate) interrupted: bool,
    /// The series of each experiment, by its name.
    pub(crate) experiments: BTreeMap<String, Vec<Series>>,
}

/// One subject in one experiment.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Series {
    /// Its name; that of the control row ends in [`AGAIN`](crate::experiment::AGAIN).
    pub(crate) subject: String,
    /// What it is.
    pub(crate) model: Model,
    /// Its runs at each point of the axis.
    pub(crate) points: BTreeMap<u64, Runs>,
}

/// The runs of one subject at one point.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Runs {
    /// One for each round.
    pub(crate) samples: Vec<Sample>,
    /// Why there are none, or no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<String>,
}

/// The machine, the date and the build.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Machine {
    /// Seconds since 1970.
    pub(crate) unix_time: u64,
    /// Release of the kernel.
    pub(crate) kernel: String,
    /// Number and model of the cores.
    pub(crate) cpu: String,
    /// Memory in all.
    pub(crate) memory: String,
    /// Load before the first run: other work is the first thing to suspect behind a wide spread.
    pub(crate) load_average: String,
    /// The backend that `Backend::Auto` finds.
    pub(crate) backend: String,
    /// Versions of this package, the compiler, the peers and other languages.
    pub(crate) versions: Vec<String>,
}

impl Results {
    /// Series of every subject of these experiments, and of their control rows, without runs.
    pub(crate) fn empty(experiments: &[Experiment], scale: Scale, rounds: u32, seed: u64) -> Self {
        Self {
            format: FORMAT,
            machine: Machine::here(),
            scale,
            rounds,
            seed,
            interrupted: false,
            experiments: without_runs(experiments),
        }
    }

    /// The runs of a subject at a point.
    pub(crate) fn runs_mut(&mut self, experiment: &str, subject: &str, at: u64) -> &mut Runs {
        let series = self.experiments.entry(experiment.to_owned()).or_default();
        let found = series.iter_mut().find(|series| series.subject == subject);
        let series = found.expect("every subject of a planned experiment has its series");
        series.points.entry(at).or_default()
    }

    /// How many rows went wrong at one point or more.
    pub(crate) fn failed(&self) -> usize {
        let rows = self.experiments.values().flatten();
        rows.filter(|row| row.points.values().any(|runs| runs.failed.is_some()))
            .count()
    }

    /// Reads what [`write`](Self::write) wrote.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let unlike = || format!("{} is no results.json of this program", path.display());
        let head: Head = serde_json::from_slice(&text).with_context(unlike)?;
        if head.format != FORMAT {
            bail!(
                "{} has format {}, and this program reads format {FORMAT}: use the version that wrote it, or measure again",
                path.display(),
                head.format
            );
        }
        serde_json::from_slice(&text).with_context(unlike)
    }

    /// Writes all of it as JSON; the file is replaced as a whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_vec(self)?;
        let unfinished = path.with_extension("json.new");
        fs::write(&unfinished, text)
            .and_then(|()| fs::rename(&unfinished, path))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Series of every row of these experiments.
pub(crate) fn without_runs(experiments: &[Experiment]) -> BTreeMap<String, Vec<Series>> {
    let series = |experiment: &Experiment| {
        let series = experiment.rows().map(|(subject, model)| Series {
            subject,
            model,
            points: BTreeMap::new(),
        });
        (experiment.name.to_owned(), series.collect())
    };
    experiments.iter().map(series).collect()
}

impl Runs {
    /// Takes what became of a run.
    pub(crate) fn take(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Sample(sample) => self.samples.push(sample),
            Outcome::Skipped(why) => self.skipped = Some(why),
            Outcome::Failed(how) => self.failed = Some(how),
        }
    }

    /// Whether another run may succeed.
    pub(crate) fn goes_on(&self) -> bool {
        self.skipped.is_none() && self.failed.is_none()
    }

    /// The values of one figure, one a round.
    pub(crate) fn values(&self, metric: Metric) -> Vec<f64> {
        let values = self.samples.iter();
        values
            .filter_map(|sample| sample.values.get(&metric).copied())
            .collect()
    }
}

impl Machine {
    fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let value = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default()
                .trim_matches([' ', '\t', ':'])
                .to_owned()
        };
        let cpu = read("/proc/cpuinfo");
        let cores = cpu
            .lines()
            .filter(|line| line.starts_with("processor"))
            .count();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let runtime = camshaft::runtime::Builder::new().build();
        Self {
            unix_time: now.map_or(0, |time| time.as_secs()),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpu: format!("{cores} × {}", value(&cpu, "model name")),
            memory: value(&read("/proc/meminfo"), "MemTotal"),
            load_average: read("/proc/loadavg")
                .split(' ')
                .take(3)
                .collect::<Vec<_>>()
                .join(" "),
            backend: runtime.map_or_else(
                |error| error.to_string(),
                |runtime| runtime.backend().to_string(),
            ),
            versions: versions(),
        }
    }
}

/// What this program is made of, and the other languages that are here.
fn versions() -> Vec<String> {
    let own = format!("camshaft {}", env!("CARGO_PKG_VERSION"));
    let made_of = env!("CAMSHAFT_MADE_OF").split('\t').map(str::to_owned);
    let languages = [
        ("go", "version"),
        ("python3", "--version"),
        ("cc", "--version"),
    ];
    let languages = languages.into_iter().map(|(program, argument)| {
        let output = Command::new(program).arg(argument).output().ok();
        let output = output.filter(|output| output.status.success());
        let line = output.and_then(|output| {
            Some(
                String::from_utf8_lossy(&output.stdout)
                    .lines()
                    .next()?
                    .to_owned(),
            )
        });
        line.unwrap_or_else(|| format!("no {program} on PATH"))
    });
    [own].into_iter().chain(made_of).chain(languages).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_survive_json() {
        let mut results = Results::empty(&crate::work::all(), Scale::Smoke, 1, 1);
        let first = crate::work::all()[0];
        let runs = results.runs_mut(first.name, first.subjects[0].name, 7);
        runs.take(Sample::of(3).with(Metric::Wall, 1.5).into());
        runs.take(Outcome::Skipped("no \"go\" on PATH".into()));
        assert!(!runs.goes_on());
        assert_eq!(runs.values(Metric::Wall), [1.5]);
        let text = serde_json::to_string(&results).unwrap();
        assert_eq!(serde_json::from_str::<Results>(&text).unwrap(), results);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let folder = std::env::temp_dir().join(format!("camshaft-compare-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("results.json");
        let error_of = |text: &str| {
            fs::write(&path, text).unwrap();
            format!("{:#}", Results::read(&path).unwrap_err())
        };
        assert!(
            error_of("{}").contains("is no results.json of this program: missing field `format`")
        );
        assert!(error_of("hello").contains("is no results.json of this program"));
        assert!(
            error_of(r#"{"format":7}"#).contains("has format 7, and this program reads format 1")
        );
        fs::remove_file(&path).unwrap();
        assert!(format!("{:#}", Results::read(&path).unwrap_err()).contains("cannot read"));
        let results = Results::empty(&[], Scale::Smoke, 1, 1);
        results.write(&path).unwrap();
        assert_eq!(Results::read(&path).unwrap(), results);
        fs::remove_dir_all(&folder).unwrap();
    }
}
