//! What was expected beside what was measured.

use std::fmt;

use crate::experiment::{Claim, Experiment};
use crate::measure::Metric;
use crate::report::crossover;
use crate::report::numbers::{about, noise, point, times};
use crate::report::section::{Ratio, Row, Section};

/// The outcome of an expectation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It holds.
    AsExpected(String),
    /// It does not hold.
    NotAsExpected(String),
    /// It is within the noise of holding or not.
    Undecided(String),
    /// There are no figures.
    NotMeasured(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsExpected(measured) => write!(f, "as expected: {measured}"),
            Self::NotAsExpected(measured) => write!(f, "not as expected: {measured}"),
            Self::Undecided(measured) => write!(f, "undecided: {measured}"),
            Self::NotMeasured(why) => write!(f, "not measured: {why}"),
        }
    }
}

impl Verdict {
    /// In one word, for a style sheet.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::AsExpected(_) => "yes",
            Self::NotAsExpected(_) => "no",
            Self::Undecided(_) | Self::NotMeasured(_) => "open",
        }
    }
}

/// Says what a claim means in figures.
pub(crate) fn in_figures(claim: &Claim, experiment: &Experiment) -> String {
    let point = |at| point(experiment, at);
    match *claim {
        Claim::Ratio {
            of,
            to,
            at,
            least,
            most,
            metric,
        } => {
            let range = range(least, most);
            let place =
                at.map_or_else(|| "everywhere".to_owned(), |at| format!("at {}", point(at)));
            let what = what(metric, experiment);
            format!("{of} = {range} {to}, {place}{what}")
        }
        Claim::Scales {
            of,
            from,
            to,
            least,
            most,
            metric,
        } => {
            let (range, what) = (range(least, most), what(metric, experiment));
            format!(
                "{of} at {} = {range} itself at {}{what}",
                point(to),
                point(from)
            )
        }
        Claim::Crosses {
            left,
            right,
            from,
            to,
        } => {
            format!(
                "{left} is cheaper first, {right} last; they cross between {} and {}",
                point(from),
                point(to)
            )
        }
    }
}

/// The bounds of a ratio.
fn range(least: f64, most: f64) -> String {
    match (least, most) {
        (least, most) if least <= 0.0 => format!("at most {most} ×"),
        (least, most) if most >= 1e4 => format!("at least {least} ×"),
        (least, most) => format!("{least} to {most} ×"),
    }
}

/// The figure that is compared, if it isn't the chart's.
fn what(metric: Metric, experiment: &Experiment) -> String {
    if metric == experiment.metric {
        return String::new();
    }
    format!(", {}", metric.label())
}

/// Compares a claim with the results.
pub(crate) fn of(claim: &Claim, section: &Section) -> Verdict {
    if !section.decides {
        return Verdict::NotMeasured("a smoke run decides nothing".into());
    }
    let [left, right] = claim.subjects();
    let rows = (section.row(left), section.row(right));
    let (Some(left), Some(right)) = rows else {
        return Verdict::NotMeasured("a row is missing".into());
    };
    match *claim {
        Claim::Ratio {
            at,
            least,
            most,
            metric,
            ..
        } => {
            let points = at.map_or_else(|| section.points.clone(), |at| vec![at]);
            let ratio = |&at: &u64| Some((at, section.ratio(left, right, metric, at)?));
            let ratios: Vec<_> = points.iter().filter_map(ratio).collect();
            if ratios.is_empty() {
                return Verdict::NotMeasured(missing(section, [left, right], metric, at));
            }
            in_range(section, &ratios, least, most)
        }
        Claim::Scales {
            from,
            to,
            least,
            most,
            metric,
            ..
        } => match scaling(section, left, metric, from, to) {
            Some(ratio) => in_range(section, &[(to, ratio)], least, most),
            None => Verdict::NotMeasured(missing_at(section, left, metric, [from, to])),
        },
        Claim::Crosses { from, to, .. } => crossing(section, left, right, from, to),
    }
}

/// A row at one point over itself at another. Its noise is never less than what the control rows differ by at either.
fn scaling(section: &Section, row: &Row, metric: Metric, from: u64, to: u64) -> Option<Ratio> {
    let ratio = Ratio::of(row.at(metric, to)?, row.at(metric, from)?)?;
    let gap = |at| {
        let (control, again) = section.control()?;
        Ratio::of(again.at(metric, at)?, control.at(metric, at)?).map(Ratio::gap)
    };
    let gaps = [from, to].into_iter().filter_map(gap);
    Some(Ratio {
        noise: ratio.noise.map(|noise| gaps.fold(noise, f64::max)),
        ..ratio
    })
}

/// At which of these points a row has no figure.
fn missing_at(section: &Section, row: &Row, metric: Metric, points: [u64; 2]) -> String {
    let mut lacking = points.into_iter();
    match lacking.find(|&at| row.at(metric, at).is_none()) {
        Some(at) => missing(section, [row, row], metric, Some(at)),
        None => format!("{} is not comparable with itself", row.name),
    }
}

fn in_range(section: &Section, ratios: &[(u64, Ratio)], least: f64, most: f64) -> Verdict {
    let outside = |ratio: Ratio, widened: f64| {
        ratio.value * (1.0 + widened) < least || ratio.value > most * (1.0 + widened)
    };
    let near_a_bound = |ratio: Ratio| {
        let noise = ratio.slack();
        [least, most]
            .iter()
            .any(|bound| noise > 0.0 && (ratio.value / bound).ln().abs() <= noise.ln_1p())
    };
    let show = |of: Vec<(u64, Ratio)>| shown(section, &of, ratios.len() > 1);
    let refuting: Vec<_> = ratios
        .iter()
        .copied()
        .filter(|(_, ratio)| outside(*ratio, ratio.slack()))
        .collect();
    if !refuting.is_empty() {
        return Verdict::NotAsExpected(format!("measured {}", show(refuting)));
    }
    if ratios.iter().any(|(_, ratio)| near_a_bound(*ratio)) {
        let why = match ratios[0].1.noise {
            Some(_) => "which the noise does not tell from the bound",
            None => "and one round says nothing of noise",
        };
        return Verdict::Undecided(format!("measured {}, {why}", show(ratios.to_vec())));
    }
    Verdict::AsExpected(format!("measured {}", show(ratios.to_vec())))
}

/// One ratio with its noise, or the range of several with the points.
fn shown(section: &Section, ratios: &[(u64, Ratio)], at_points: bool) -> String {
    let point = |at| point(&section.experiment, at);
    let by_value =
        |left: &&(u64, Ratio), right: &&(u64, Ratio)| left.1.value.total_cmp(&right.1.value);
    let (Some(low), Some(high)) = (
        ratios.iter().min_by(by_value),
        ratios.iter().max_by(by_value),
    ) else {
        return String::new();
    };
    if ratios.len() > 1 {
        let (least, most) = (times(low.1.value), times(high.1.value));
        return format!(
            "{least} (at {}) to {most} (at {})",
            point(low.0),
            point(high.0)
        );
    }
    let noise = low
        .1
        .noise
        .map_or(String::new(), |share| format!(" ({})", noise(share)));
    let place = if at_points {
        format!(" at {}", point(low.0))
    } else {
        String::new()
    };
    format!("{}{noise}{place}", times(low.1.value))
}

fn crossing(section: &Section, left: &Row, right: &Row, from: u64, to: u64) -> Verdict {
    let points = section.common_points(left, right);
    let (Some(&first), Some(&last)) = (points.first(), points.last()) else {
        return Verdict::NotMeasured(missing(
            section,
            [left, right],
            section.experiment.metric,
            None,
        ));
    };
    let point = |at| point(&section.experiment, at);
    if first == last {
        return Verdict::NotMeasured("one point is no curve".into());
    }
    let crossings = crossover::between(section, left, right);
    let one_round = section.rounds().is_some_and(|(least, _)| least < 2);
    match &crossings[..] {
        [one] if one.before == left.name => {
            let text = format!("they cross at about {}", about(one.at));
            if one.at >= from as f64 && one.at <= to as f64 {
                Verdict::AsExpected(text)
            } else if one.from <= to && one.to >= from {
                Verdict::Undecided(format!(
                    "{text}, somewhere from {} to {}",
                    point(one.from),
                    point(one.to)
                ))
            } else {
                Verdict::NotAsExpected(text)
            }
        }
        [one] => Verdict::NotAsExpected(format!(
            "{} is cheaper first; they cross at about {}",
            right.name,
            about(one.at)
        )),
        [] if one_round => Verdict::Undecided("one round says nothing of noise".into()),
        [] => Verdict::NotAsExpected(match cheaper(section, left, right, &points) {
            Some(name) => format!("{name} is cheaper from {} to {}", point(first), point(last)),
            None => format!("they tie from {} to {}", point(first), point(last)),
        }),
        _ => Verdict::NotAsExpected(format!("they cross {} times", crossings.len())),
    }
}

/// Which of two rows that don't cross is the cheaper one; `None` if that is undecided at all points.
fn cheaper<'a>(
    section: &Section,
    left: &'a Row,
    right: &'a Row,
    points: &[u64],
) -> Option<&'a str> {
    let ratios = points
        .iter()
        .filter_map(|&at| section.ratio(left, right, section.experiment.metric, at));
    let mut decided = ratios.filter(|ratio| ratio.differs(0.0));
    let ratio = decided.next()?;
    Some(if ratio.value < 1.0 {
        &left.name
    } else {
        &right.name
    })
}

fn missing(section: &Section, rows: [&Row; 2], metric: Metric, at: Option<u64>) -> String {
    if let Some(at) = at.filter(|at| !section.points.contains(at)) {
        return format!("{} is no point of this run", point(&section.experiment, at));
    }
    let lacks = |row: &&Row| {
        section
            .points
            .iter()
            .all(|&point| at.is_some_and(|at| at != point) || row.at(metric, point).is_none())
    };
    match rows.into_iter().find(lacks) {
        Some(row) => format!("{} has no figure", row.name),
        None => "the rows have no point in common".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn verdicts(rounds: u32) -> Vec<Verdict> {
        let section = fixture::section(rounds);
        let expectations = section.experiment.expectations.iter();
        expectations
            .map(|expectation| of(&expectation.claim, &section))
            .collect()
    }

    #[test]
    fn outcomes_stand_beside_expectations() {
        let verdicts: Vec<String> = verdicts(3).iter().map(Verdict::to_string).collect();
        assert!(
            verdicts[0].starts_with("as expected: measured 2.00 × (± "),
            "{verdicts:?}"
        );
        assert!(
            verdicts[1].starts_with("not as expected: measured 0.50 × (at 10 k live tasks) to "),
            "{verdicts:?}"
        );
        assert_eq!(verdicts[2], "as expected: they cross at about 100");
        assert_eq!(verdicts[3], "not measured: threads has no figure");
    }

    #[test]
    fn one_round_decides_what_is_far_away_only() {
        let undecided = "undecided: measured 2.00 ×, and one round says nothing of noise";
        assert_eq!(verdicts(1)[0].to_string(), undecided);
        let claim = Claim::Ratio {
            of: "threads",
            to: "task",
            at: Some(1),
            least: 10.0,
            most: 1e6,
            metric: Metric::Wall,
        };
        let outcome = of(&claim, &fixture::section(1));
        assert_eq!(outcome, Verdict::AsExpected("measured 400 ×".into()));
    }

    #[test]
    fn what_lies_at_a_bound_is_undecided() {
        let section = fixture::section(3);
        let claim = Claim::Ratio {
            of: "fiber",
            to: "task",
            at: Some(1),
            least: 1.99,
            most: 3.0,
            metric: Metric::Wall,
        };
        assert!(matches!(of(&claim, &section), Verdict::Undecided(_)));
        let wrong_way = Claim::Crosses {
            left: "fiber",
            right: "task",
            from: 1,
            to: 10_000,
        };
        assert!(matches!(
            of(&wrong_way, &section),
            Verdict::NotAsExpected(_)
        ));
        let nowhere = Claim::Crosses {
            left: "loop",
            right: "task",
            from: 1,
            to: 10_000,
        };
        assert_eq!(
            of(&nowhere, &section).to_string(),
            "not as expected: loop is cheaper from 1 live tasks to 10 k live tasks"
        );
    }

    #[test]
    fn a_row_is_compared_with_itself_at_another_point() {
        let grows = |least, most, to| Claim::Scales {
            of: "task",
            from: 1,
            to,
            least,
            most,
            metric: Metric::Wall,
        };
        let section = fixture::section(3);
        // 100 to the power of 0.15.
        let outcome = of(&grows(1.5, 2.5, 100), &section);
        assert!(matches!(outcome, Verdict::AsExpected(_)), "{outcome}");
        let outcome = of(&grows(0.4, 0.6, 100), &section);
        assert!(matches!(outcome, Verdict::NotAsExpected(_)), "{outcome}");
        let outcome = of(&grows(1.5, 2.5, 7), &section);
        assert_eq!(
            outcome.to_string(),
            "not measured: 7 live tasks is no point of this run"
        );
        assert_eq!(
            in_figures(&grows(1.5, 2.5, 100), &section.experiment),
            "task at 100 live tasks = 1.5 to 2.5 × itself at 1 live tasks"
        );
    }

    #[test]
    fn a_point_of_another_scale_is_named() {
        let claim = Claim::Ratio {
            of: "fiber",
            to: "task",
            at: Some(7),
            least: 0.0,
            most: 1.0,
            metric: Metric::Wall,
        };
        assert_eq!(
            of(&claim, &fixture::section(3)).to_string(),
            "not measured: 7 live tasks is no point of this run"
        );
    }
}
