//! Medians, spreads, and what is too small to be a finding.
//!
//! The **noise** of a median is half the width of an interval that holds the true one with 99 % confidence. It is computed
//! on logarithms, because costs scatter by factors, and told as a share of the median: 0.05 is a factor of 1.05 up or down.
//!
//! - From eight rounds on, the interval lies between two of the sorted rounds. The true median has as many of them on its
//!   left as a tossed coin shows heads, whatever their distribution: 4th to 17th of 20.
//! - Fewer rounds can't give such an interval. Their logarithms are taken as normal: Student's t times the standard error of
//!   a median. As two or three rounds know little of their own spread, it is averaged with what is usual among their
//!   neighbours, which count as [`NEIGHBOURS`] rounds more, but never taken for less than it is.
//! - Noise is never below [`LEAST_NOISE`]: where code and memory happen to lie makes a difference that rounds don't show.
//! - One round says nothing of noise.

/// What noise is at least.
pub(crate) const LEAST_NOISE: f64 = 0.01;

/// As many rounds count the other rows of a point when the spread of few rounds is estimated.
pub(crate) const NEIGHBOURS: usize = 4;

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
        let at = |percent: usize| {
            let (place, beyond) = (percent * last / 100, percent * last % 100);
            let (low, high) = (values[place], values[(place + 1).min(last)]);
            low + (high - low) * beyond as f64 / 100.0
        };
        Some(Self {
            median: at(50),
            p5: at(5),
            p95: at(95),
            rounds: values.len(),
        })
    }
}

/// Variance of the logarithms about their median; `None` of fewer than two values, or if one has no logarithm.
pub(crate) fn variance(values: &[f64]) -> Option<f64> {
    let logarithms = logarithms(values)?;
    let median = median(logarithms.clone())?;
    let squares = logarithms.iter().map(|value| (value - median).powi(2));
    Some(squares.sum::<f64>() / (values.len() - 1) as f64)
}

fn logarithms(values: &[f64]) -> Option<Vec<f64>> {
    let all = values.len() >= 2 && values.iter().all(|value| *value > 0.0);
    all.then(|| values.iter().map(|value| value.ln()).collect())
}

/// The noise of the median of these rounds, where this variance is usual; `None` if it can't be known.
pub(crate) fn noise(values: &[f64], usual: f64) -> Option<f64> {
    let count = values.len();
    if count >= 2 && values.iter().all(|value| *value == 0.0) {
        return Some(LEAST_NOISE);
    }
    let own = variance(values)?;
    let noise = match outside(count) {
        Some(outside) => {
            let mut sorted = logarithms(values)?;
            sorted.sort_by(f64::total_cmp);
            (sorted[count - 1 - outside] - sorted[outside]) / 2.0
        }
        None => {
            let (freedom, neighbours) = (count - 1, NEIGHBOURS as f64);
            let pooled =
                (own * freedom as f64 + usual * neighbours) / (freedom as f64 + neighbours);
            let variance = pooled.max(own);
            student(freedom + NEIGHBOURS) * MEDIAN_ERROR * (variance / count as f64).sqrt()
        }
    };
    Some(noise.exp_m1().max(LEAST_NOISE))
}

/// Noise of the ratio of two medians with these noises.
pub(crate) fn together(left: f64, right: f64) -> f64 {
    left.ln_1p().hypot(right.ln_1p()).exp_m1()
}

/// The middle of these; `None` if there are none.
pub(crate) fn median(values: Vec<f64>) -> Option<f64> {
    Some(Summary::of(values)?.median)
}

/// The standard error of a median is that of a mean times the root of π/2.
const MEDIAN_ERROR: f64 = 1.2533;

/// The quantile of Student's distribution that leaves half a percent above.
fn student(freedom: usize) -> f64 {
    const FROM_FIVE: [f64; 6] = [4.032, 3.707, 3.499, 3.355, 3.250, 3.169];
    FROM_FIVE[freedom.clamp(5, 10) - 5]
}

/// So many sorted rounds may be left out at each end; `None` if even all are not enough.
fn outside(count: usize) -> Option<usize> {
    let mut below = 0.0;
    let mut chance = 0.5_f64.powi(i32::try_from(count).ok()?);
    let mut outside = None;
    for heads in 0..count {
        below += chance;
        if 2.0 * below > 0.01 {
            break;
        }
        outside = Some(heads);
        chance *= (count - heads) as f64 / (heads + 1) as f64;
    }
    outside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_between_values() {
        let summary = Summary::of(vec![4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(summary.median, 2.5);
        assert!((summary.p5 - 1.15).abs() < 1e-9 && (summary.p95 - 3.85).abs() < 1e-9);
        assert_eq!(Summary::of(vec![]), None);
    }

    #[test]
    fn one_round_knows_no_noise() {
        assert_eq!(noise(&[1.0], 0.0), None);
        assert_eq!(noise(&[], 0.0), None);
    }

    #[test]
    fn intervals_of_sorted_rounds() {
        assert_eq!(outside(7), None);
        assert_eq!(outside(8), Some(0));
        assert_eq!(outside(20), Some(3));
        // 4th and 17th of 1 … 20.
        let rounds: Vec<f64> = (1..=20).map(f64::from).collect();
        assert!((noise(&rounds, 0.0).unwrap() - ((17.0_f64 / 4.0).sqrt() - 1.0)).abs() < 1e-9);
    }

    #[test]
    fn an_outlier_among_many_rounds_is_no_noise() {
        let mut rounds = vec![100.0; 20];
        rounds[3] = 900.0;
        assert_eq!(noise(&rounds, 0.0), Some(LEAST_NOISE));
    }

    #[test]
    fn few_rounds_learn_from_their_neighbours() {
        let quiet = noise(&[100.0, 100.0, 100.0], 0.0).unwrap();
        let among_noise = noise(&[100.0, 100.0, 100.0], 0.01).unwrap();
        let noisy = noise(&[90.0, 100.0, 110.0], 0.01).unwrap();
        assert_eq!(quiet, LEAST_NOISE);
        assert!(
            among_noise > 0.1 && noisy > among_noise,
            "{among_noise} {noisy}"
        );
        let rounds = [(-0.1_f64).exp(), 1.0, 0.1_f64.exp()];
        let expected = (3.707 * MEDIAN_ERROR * (0.01_f64 / 3.0).sqrt()).exp_m1();
        assert!((noise(&rounds, 0.01).unwrap() - expected).abs() < 1e-9);
    }

    #[test]
    fn nothing_varies_about_zero() {
        assert_eq!(noise(&[0.0, 0.0], 0.5), Some(LEAST_NOISE));
        assert_eq!(noise(&[0.0, 0.0, 1.0], 0.5), None);
    }

    #[test]
    fn factors_add_as_logarithms() {
        assert!((together(0.03, 0.04) - 0.05).abs() < 0.001);
        // A factor of ten each way is one of 26 together, not of 13.
        assert!((together(9.0, 9.0) - 24.95).abs() < 0.1);
    }

    /// Two rows of the same thing differ by more than their noise once in a hundred times or less.
    #[test]
    fn equal_rows_seldom_differ() {
        for width in [1.0, 10.0] {
            for rounds in [3, 5, 8, 20] {
                let missed = missed(rounds, width);
                assert!(
                    missed <= 20,
                    "{missed} of 1000 with {rounds} rounds, {width} times as wide"
                );
            }
        }
    }

    /// How many of 1000 pairs of the same thing seem to differ where both are so many times as wide as their neighbours.
    fn missed(rounds: u32, width: f64) -> u32 {
        let mut state = 9_u64;
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        // A sum of uniforms, and now and then somebody else's work.
        let mut value = |width: f64| {
            let quiet = 100.0 + (0..4).map(|_| uniform()).sum::<f64>() * 2.0 * width;
            if uniform() < 0.05 { quiet * 1.5 } else { quiet }
        };
        let mut missed = 0;
        for _ in 0..1000 {
            let mut rows = Vec::new();
            for width in [width, width, 1.0, 1.0, 1.0, 1.0] {
                rows.push((0..rounds).map(|_| value(width)).collect::<Vec<f64>>());
            }
            let usual = median(rows.iter().filter_map(|row| variance(row)).collect()).unwrap();
            let ratio = median(rows[0].clone()).unwrap() / median(rows[1].clone()).unwrap();
            let noise = together(
                noise(&rows[0], usual).unwrap(),
                noise(&rows[1], usual).unwrap(),
            );
            missed += u32::from(ratio.ln().abs() > noise.ln_1p());
        }
        missed
    }
}
