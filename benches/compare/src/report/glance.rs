//! Stackless beside stackful over all experiments: who wins what, computed from the figures.
//!
//! At each point the cheapest stackless row stands against the stackful one that does the same. They tie where they differ
//! by less than the noise, or by less than [`TIE`].

use crate::report::crossover::{self, Crossing};
use crate::report::numbers::{about, number, times};
use crate::report::section::{Ratio, Row, Section};

/// A difference that is too small to choose by, even where it can be measured.
pub(crate) const TIE: f64 = 0.05;

/// With more noise than this, nobody can be said to tie.
const UNCLEAR: f64 = 0.2;

/// Who wins an experiment.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Winner {
    /// Stackless, wherever they don't tie.
    Stackless,
    /// Stackful, wherever they don't tie.
    Stackful,
    /// First the one, then the other.
    Depends,
    /// Nobody, anywhere.
    Tie,
    /// The noise hides it.
    Unknown,
}

impl Winner {
    /// All, in the order of the report.
    pub(crate) const ALL: [Self; 5] = [
        Self::Stackless,
        Self::Stackful,
        Self::Depends,
        Self::Tie,
        Self::Unknown,
    ];

    /// A heading.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::Stackless => "Stackless wins",
            Self::Stackful => "Stackful wins",
            Self::Depends => "It depends",
            Self::Tie => "They tie",
            Self::Unknown => "The noise hides who wins",
        }
    }
}

/// One experiment in a line.
#[derive(Debug)]
pub(crate) struct Glance<'a> {
    /// The experiment.
    pub(crate) section: &'a Section,
    /// Who wins it.
    pub(crate) winner: Winner,
    /// By how much, and where.
    pub(crate) text: String,
}

/// All experiments that have both; those of one winner together.
pub(crate) fn of(sections: &[Section]) -> Vec<Glance<'_>> {
    let decided = sections.iter().filter(|section| section.decides);
    let mut glances: Vec<Glance<'_>> = decided.filter_map(glance).collect();
    glances.sort_by_key(|glance| glance.winner);
    glances
}

fn glance(section: &Section) -> Option<Glance<'_>> {
    let metric = section.experiment.metric;
    let ratio = |&at: &u64| {
        let (task, fiber) = best(section, at)?;
        Some((at, section.ratio(fiber, task, metric, at)?))
    };
    let ratios: Vec<(u64, Ratio)> = section.points.iter().filter_map(ratio).collect();
    let decided = |wins: fn(f64) -> bool| {
        ratios
            .iter()
            .any(|(_, ratio)| ratio.differs(TIE) && wins(ratio.value))
    };
    let winner = match (decided(|value| value > 1.0), decided(|value| value < 1.0)) {
        _ if ratios.is_empty() => return None,
        (true, true) => Winner::Depends,
        (true, false) => Winner::Stackless,
        (false, true) => Winner::Stackful,
        (false, false) if ratios.iter().any(|(_, ratio)| ratio.slack() > UNCLEAR) => {
            Winner::Unknown
        }
        (false, false) => Winner::Tie,
    };
    Some(Glance {
        section,
        winner,
        text: text(section, &ratios),
    })
}

/// The pair with the cheapest stackless row at a point, and of several with the cheapest stackful one.
fn best(section: &Section, at: u64) -> Option<(&Row, &Row)> {
    let median = |row: &Row| Some(row.at(section.experiment.metric, at)?.summary.median);
    let costs = |(task, fiber)| Some(((median(task)?, median(fiber)?), (task, fiber)));
    let pairs = crossover::pairs(section).into_iter().filter_map(costs);
    let best = pairs.min_by(|((task, fiber), _), ((other_task, other_fiber), _)| {
        task.total_cmp(other_task)
            .then(fiber.total_cmp(other_fiber))
    });
    Some(best?.1)
}

/// The ratios at the first and the last point, and at the highest and lowest between if they stand out.
fn text(section: &Section, ratios: &[(u64, Ratio)]) -> String {
    let label = section.experiment.metric.label();
    let [(_, first), .., (_, last)] = ratios else {
        return ratios.first().map_or(String::new(), |(_, ratio)| {
            format!("{label}: stackful {} stackless", times(ratio.value))
        });
    };
    let mut text = format!("{label}: stackful {} stackless", times(first.value));
    let name = section.experiment.axis.label;
    let by_gap =
        |left: &&(u64, Ratio), right: &&(u64, Ratio)| left.1.gap().total_cmp(&right.1.gap());
    text.push_str(&format!(" at {} {name}", number(ratios[0].0)));
    if let Some((at, widest)) = ratios.iter().max_by(by_gap)
        && widest.gap() > 1.1 * first.gap().max(last.gap())
    {
        text.push_str(&format!(", {} at {}", times(widest.value), number(*at)));
    }
    text.push_str(&format!(
        ", {} at {}",
        times(last.value),
        number(ratios[ratios.len() - 1].0)
    ));
    text
}

/// A crossing in words.
pub(crate) fn crossing(section: &Section, crossing: &Crossing) -> String {
    let Crossing {
        before,
        after,
        from,
        to,
        at,
        ..
    } = crossing;
    format!(
        "{before} is cheaper up to about {} {}, {after} beyond (measured at {} and {})",
        about(*at),
        section.experiment.axis.label,
        number(*from),
        number(*to)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Model;
    use crate::report::fixture;

    #[test]
    fn who_wins_is_computed() {
        let sections = [fixture::section(3)];
        let glances = of(&sections);
        assert_eq!(glances.len(), 1);
        assert_eq!(glances[0].winner, Winner::Depends);
        assert_eq!(
            glances[0].text,
            "time per operation: stackful 2.00 × stackless at 1 live tasks, 0.50 × at 10 k"
        );
    }

    #[test]
    fn a_row_of_its_own_kind_wins_nothing() {
        let mut section = fixture::section(3);
        for row in &mut section.rows {
            if row.name == "loop" {
                row.model = Model::Fiber;
                row.name = "fiber that gives up".into();
            }
        }
        assert!(of(&[section])[0].text.contains("stackful 2.00 × stackless"));
    }

    #[test]
    fn what_noise_hides_is_no_tie() {
        let winner = |rounds| {
            let mut section = fixture::section(rounds);
            section.points.truncate(2);
            section.rows.retain(|row| row.name != "fiber");
            for row in &mut section.rows {
                if row.name == "boxed task" {
                    row.model = Model::Fiber;
                }
            }
            of(&[section])[0].winner
        };
        // 1.2 times as much.
        assert_eq!(winner(1), Winner::Unknown);
        assert_eq!(winner(3), Winner::Stackless);
    }

    #[test]
    fn a_crossing_is_a_sentence() {
        let section = fixture::section(3);
        let crossings = crossover::of_models(&section);
        assert_eq!(
            crossing(&section, &crossings[0]),
            "task is cheaper up to about 100 live tasks, fiber beyond (measured at 1 and 1 k)"
        );
    }

    #[test]
    fn without_fibers_there_is_nothing_to_compare() {
        let mut section = fixture::section(3);
        section.rows.retain(|row| row.model != Model::Fiber);
        assert!(of(&[section]).is_empty());
    }
}
