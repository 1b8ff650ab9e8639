//! Medians, spreads, and what is too small to be a finding.

/// Some values in four numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    /// The middle.
    pub(crate) median: f64,
    /// The 5th percentile.
    pub(crate) p5: f64,
    /// The 95th percentile.
    pub(crate) p95: f64,
    /// How many there are.
    pub(crate) rounds: usize,
}

impl Summary {
    /// Of these values; `None` if there are none.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |share: f64| {
            let place = share * last as f64;
            let (low, high) = (
                values[place.floor() as usize],
                values[place.ceil() as usize],
            );
            low + (high - low) * place.fract()
        };
        Some(Self {
            median: at(0.5),
            p5: at(0.05),
            p95: at(0.95),
            rounds: values.len(),
        })
    }

    /// Half the distance from the 5th to the 95th percentile, as a share of the median.
    pub(crate) fn spread(&self) -> f64 {
        (self.p95 - self.p5) / 2.0 / self.median
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_between_values() {
        let summary = Summary::of(vec![4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(summary.median, 2.5);
        assert!((summary.p5 - 1.15).abs() < 1e-9 && (summary.p95 - 3.85).abs() < 1e-9);
        assert!((summary.spread() - 0.54).abs() < 1e-9);
        assert_eq!(Summary::of(vec![]), None);
    }
}
