//! The A/A rows: the same subject measured twice must differ by less than the noise that is stated.

use crate::report::section::{Ratio, Section};

/// One pair of equals at one point.
#[derive(Debug)]
pub(crate) struct Pair {
    /// The point.
    pub(crate) at: u64,
    /// The second run over the first.
    pub(crate) ratio: Ratio,
}

impl Pair {
    /// Whether they differ by less than the noise; `None` if no noise is known.
    pub(crate) fn holds(&self) -> Option<bool> {
        Some(self.ratio.gap() <= self.ratio.noise?)
    }
}

/// Every pair of every experiment.
pub(crate) fn pairs(sections: &[Section]) -> Vec<Pair> {
    sections.iter().flat_map(pairs_of).collect()
}

/// The pairs of one experiment, by its chart's figure.
pub(crate) fn pairs_of(section: &Section) -> Vec<Pair> {
    let Some((control, again)) = section.control() else {
        return Vec::new();
    };
    let metric = section.experiment.metric;
    let pair = |&at: &u64| {
        // The plain ratio: its noise must not know of the outcome that it judges.
        let ratio = Ratio::of(again.at(metric, at)?, control.at(metric, at)?)?;
        Some(Pair { at, ratio })
    };
    section.points.iter().filter_map(pair).collect()
}

/// All of them in a sentence.
pub(crate) fn in_short(pairs: &[Pair]) -> String {
    let judged = pairs.iter().filter(|pair| pair.holds().is_some()).count();
    let failed = pairs
        .iter()
        .filter(|pair| pair.holds() == Some(false))
        .count();
    match (judged, failed) {
        (0, _) => "With one round nothing can be said about noise: a difference below a factor of two may be chance.".into(),
        (_, 0) => format!("All {judged} A/A pairs differ by less than the noise that is stated."),
        _ => format!(
            "{failed} of {judged} A/A pairs {} by more than the noise that is stated; one in a hundred would by chance.",
            if failed == 1 { "differs" } else { "differ" }
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn equals_are_equal() {
        let sections = [fixture::section(3)];
        let pairs = pairs(&sections);
        assert_eq!(pairs.len(), 4);
        assert!(pairs.iter().all(|pair| pair.holds() == Some(true)));
        assert_eq!(
            in_short(&pairs),
            "All 4 A/A pairs differ by less than the noise that is stated."
        );
    }

    #[test]
    fn a_pair_that_differs_is_told() {
        let mut results = fixture::results(8);
        for round in 0..8 {
            let runs = results.runs_mut("switch", "task (again)", 100);
            let value = runs.samples[round]
                .values
                .get_mut(&crate::measure::Metric::Wall)
                .unwrap();
            *value *= 1.2;
        }
        let series = &results.experiments["switch"];
        let sections = [Section::new(fixture::EXPERIMENT, series, results.scale)];
        let pairs = pairs(&sections);
        assert_eq!(
            pairs
                .iter()
                .filter(|pair| pair.holds() == Some(false))
                .count(),
            1
        );
        assert!(in_short(&pairs).starts_with("1 of 4 A/A pairs differs by more"));
    }

    #[test]
    fn one_round_judges_nobody() {
        let sections = [fixture::section(1)];
        let pairs = pairs(&sections);
        assert!(pairs.iter().all(|pair| pair.holds().is_none()));
        assert!(in_short(&pairs).starts_with("With one round nothing"));
    }
}
