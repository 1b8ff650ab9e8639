//! One experiment as the report sees it: rows of figures with their noise, and why some are missing.

use std::collections::{BTreeMap, BTreeSet};

use crate::experiment::{AGAIN, Experiment, Model, Scale};
use crate::measure::Metric;
use crate::results::{Runs, Series};
use crate::stats::{self, Summary};

/// What one round may be wrong by: a factor of two.
const UNKNOWN_NOISE: f64 = 1.0;

/// An experiment with its results.
#[derive(Debug)]
pub(crate) struct Section {
    /// What was asked.
    pub(crate) experiment: Experiment,
    /// The points that were asked at.
    pub(crate) points: Vec<u64>,
    /// Who was asked.
    pub(crate) rows: Vec<Row>,
    /// Whether its figures may decide anything; runs of milliseconds may not.
    pub(crate) decides: bool,
}

/// One subject, or the control.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: String,
    /// What it is.
    pub(crate) model: Model,
    /// How many rows of the same model come before it.
    pub(crate) nth: usize,
    /// Whether it is the control's second run.
    pub(crate) again: bool,
    /// Why figures are missing.
    pub(crate) remarks: Vec<Remark>,
    figures: BTreeMap<(Metric, u64), Figure>,
}

/// A reason, and the points that it holds for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Remark {
    /// Whether something went wrong.
    pub(crate) failed: bool,
    /// Why.
    pub(crate) why: String,
    /// Where.
    pub(crate) points: Vec<u64>,
}

/// What the rounds say together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// The middle, and how far the rounds lie apart.
    pub(crate) summary: Summary,
    /// How well the median is known; `None` if nothing can be said.
    pub(crate) noise: Option<f64>,
}

/// One figure over another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    /// The quotient of the medians.
    pub(crate) value: f64,
    /// How well it is known; `None` if nothing can be said.
    pub(crate) noise: Option<f64>,
}

impl Section {
    /// The results of an experiment.
    pub(crate) fn new(experiment: Experiment, series: &[Series], scale: Scale) -> Self {
        let points: BTreeSet<u64> = series
            .iter()
            .flat_map(|row| row.points.keys().copied())
            .collect();
        let metrics: BTreeSet<Metric> = metrics_of(&experiment);
        let mut usual = BTreeMap::new();
        for &metric in &metrics {
            for &at in &points {
                let runs = series.iter().filter_map(|row| row.points.get(&at));
                let variances = runs.filter_map(|runs| stats::variance(&runs.values(metric)));
                usual.insert(
                    (metric, at),
                    stats::median(variances.collect()).unwrap_or(0.0),
                );
            }
        }
        let rows = series.iter().enumerate().map(|(index, row)| {
            let before = series[..index]
                .iter()
                .filter(|other| other.model == row.model);
            Row {
                name: row.subject.clone(),
                model: row.model,
                nth: before.count(),
                again: row.subject.ends_with(AGAIN),
                remarks: remarks(&row.points),
                figures: figures(&row.points, &usual),
            }
        });
        Self {
            experiment,
            rows: rows.collect(),
            points: points.into_iter().collect(),
            decides: scale != Scale::Smoke,
        }
    }

    /// The row with this name.
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// The control and its second run.
    pub(crate) fn control(&self) -> Option<(&Row, &Row)> {
        let control = self.row(self.experiment.control)?;
        Some((control, self.rows.iter().find(|row| row.again)?))
    }

    /// What tables show ratios to: the first floor, or the control.
    pub(crate) fn reference(&self) -> Option<&Row> {
        let has_data = |row: &&Row| {
            self.points
                .iter()
                .any(|&at| row.at(self.experiment.metric, at).is_some())
        };
        let mut rows = self.rows.iter().filter(has_data);
        rows.clone()
            .find(|row| row.model == Model::Floor)
            .or_else(|| rows.find(|row| row.name == self.experiment.control))
    }

    /// The figures that there are, the chart's first.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let has_data = |metric: &Metric| {
            self.rows
                .iter()
                .any(|row| self.points.iter().any(|&at| row.at(*metric, at).is_some()))
        };
        let also = self.experiment.also.iter().copied();
        let also = also.filter(|metric| *metric != self.experiment.metric);
        std::iter::once(self.experiment.metric)
            .chain(also)
            .filter(has_data)
            .collect()
    }

    /// One row over another. Its noise is that of both, and never less than what the control rows differ by.
    pub(crate) fn ratio(&self, above: &Row, below: &Row, metric: Metric, at: u64) -> Option<Ratio> {
        let ratio = Ratio::of(above.at(metric, at)?, below.at(metric, at)?)?;
        let control = self
            .control()
            .and_then(|(control, again)| Ratio::of(again.at(metric, at)?, control.at(metric, at)?));
        let gap = control.map_or(0.0, |control| control.gap());
        Some(Ratio {
            noise: ratio.noise.map(|noise| noise.max(gap)),
            ..ratio
        })
    }

    /// Where the figure of the chart was measured for both.
    pub(crate) fn common_points(&self, left: &Row, right: &Row) -> Vec<u64> {
        let metric = self.experiment.metric;
        let both = |at: &u64| left.at(metric, *at).is_some() && right.at(metric, *at).is_some();
        self.points.iter().copied().filter(both).collect()
    }

    /// The fewest and the most rounds behind a figure of the chart.
    pub(crate) fn rounds(&self) -> Option<(usize, usize)> {
        let metric = self.experiment.metric;
        let figures = self
            .rows
            .iter()
            .flat_map(|row| self.points.iter().filter_map(move |&at| row.at(metric, at)));
        let rounds: Vec<usize> = figures.map(|figure| figure.summary.rounds).collect();
        Some((*rounds.iter().min()?, *rounds.iter().max()?))
    }
}

impl Row {
    /// A figure of this row at a point.
    pub(crate) fn at(&self, metric: Metric, at: u64) -> Option<&Figure> {
        self.figures.get(&(metric, at))
    }

    /// Whether there is a figure of this kind at all.
    pub(crate) fn has(&self, metric: Metric) -> bool {
        self.figures.keys().any(|(other, _)| *other == metric)
    }
}

impl Ratio {
    /// Of two figures; `None` if it is not a number.
    pub(crate) fn of(above: &Figure, below: &Figure) -> Option<Self> {
        let value = match (above.summary.median, below.summary.median) {
            (0.0, 0.0) => 1.0,
            (above, below) => above / below,
        };
        let noise = above
            .noise
            .zip(below.noise)
            .map(|(above, below)| stats::together(above, below));
        (value.is_finite() && value > 0.0).then_some(Self { value, noise })
    }

    /// How far it is from 1, in either direction, as a share.
    pub(crate) fn gap(self) -> f64 {
        self.value.max(1.0 / self.value) - 1.0
    }

    /// The noise, or what must be reckoned with where it is unknown.
    pub(crate) fn slack(self) -> f64 {
        self.noise.unwrap_or(UNKNOWN_NOISE)
    }

    /// Whether it differs from 1 by more than the noise and this share.
    pub(crate) fn differs(self, share: f64) -> bool {
        self.gap() > self.slack().max(share)
    }
}

fn metrics_of(experiment: &Experiment) -> BTreeSet<Metric> {
    let claimed = experiment
        .expectations
        .iter()
        .filter_map(|expectation| expectation.claim.metric());
    let shown = experiment.also.iter().copied();
    shown.chain(claimed).chain([experiment.metric]).collect()
}

fn figures(
    points: &BTreeMap<u64, Runs>,
    usual: &BTreeMap<(Metric, u64), f64>,
) -> BTreeMap<(Metric, u64), Figure> {
    let figure = |(&(metric, at), &usual): (&(Metric, u64), &f64)| {
        let values = points.get(&at)?.values(metric);
        let noise = match &values[..] {
            [first, others @ ..] if metric.is_exact() => {
                others.iter().all(|other| other == first).then_some(0.0)
            }
            values => stats::noise(values, usual),
        };
        let summary = Summary::of(values)?;
        Some(((metric, at), Figure { summary, noise }))
    };
    usual.iter().filter_map(figure).collect()
}

fn remarks(points: &BTreeMap<u64, Runs>) -> Vec<Remark> {
    let mut remarks: Vec<Remark> = Vec::new();
    for (&at, runs) in points {
        let failed = runs.failed.iter().map(|why| (true, why));
        let skipped = runs.skipped.iter().map(|why| (false, why));
        for (failed, why) in failed.chain(skipped) {
            match remarks
                .iter_mut()
                .find(|remark| remark.failed == failed && remark.why == *why)
            {
                Some(remark) => remark.points.push(at),
                None => remarks.push(Remark {
                    failed,
                    why: why.clone(),
                    points: vec![at],
                }),
            }
        }
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn reasons_are_told_once() {
        let section = fixture::section(3);
        let threads = section.row("threads").unwrap();
        assert_eq!(
            threads.remarks,
            [Remark {
                failed: false,
                why: "no room for <stacks>".into(),
                points: vec![1000, 10_000],
            }]
        );
        assert!(
            threads.at(Metric::Wall, 100).is_some() && threads.at(Metric::Wall, 1000).is_none()
        );
    }

    #[test]
    fn ratios_are_to_the_floor() {
        let section = fixture::section(3);
        assert_eq!(section.reference().unwrap().name, "loop");
        assert_eq!(section.rounds(), Some((3, 3)));
        assert_eq!(section.metrics(), [Metric::Wall, Metric::Cpu]);
    }

    #[test]
    fn what_the_control_differs_by_is_noise() {
        let section = fixture::section(3);
        let (control, again) = section.control().unwrap();
        let gap = section
            .ratio(again, control, Metric::Wall, 1)
            .unwrap()
            .gap();
        let fiber = section.row("fiber").unwrap();
        let noise = section
            .ratio(fiber, control, Metric::Wall, 1)
            .unwrap()
            .noise
            .unwrap();
        assert!(gap > 0.0 && noise >= gap, "{noise} {gap}");
    }

    #[test]
    fn one_round_has_no_noise() {
        let section = fixture::section(1);
        let (control, again) = section.control().unwrap();
        assert_eq!(
            section
                .ratio(again, control, Metric::Wall, 1)
                .unwrap()
                .noise,
            None
        );
    }

    #[test]
    fn what_is_counted_needs_no_second_round() {
        let mut results = fixture::results(1);
        for series in results.experiments.get_mut("switch").unwrap() {
            for sample in series
                .points
                .values_mut()
                .flat_map(|runs| &mut runs.samples)
            {
                sample.values.insert(Metric::Polls, 3.0);
            }
        }
        let mut experiment = fixture::EXPERIMENT;
        experiment.also = &[Metric::Polls];
        let section = Section::new(experiment, &results.experiments["switch"], results.scale);
        let noise = |metric| section.row("task").unwrap().at(metric, 1).unwrap().noise;
        assert_eq!(
            (noise(Metric::Polls), noise(Metric::Wall)),
            (Some(0.0), None)
        );
    }

    #[test]
    fn rows_of_a_model_are_numbered() {
        let section = fixture::section(1);
        assert_eq!(section.row("boxed task").unwrap().nth, 1);
    }
}
