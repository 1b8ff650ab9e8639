//! Numbers as a reader wants them: as long as they mean something, and no longer.

use crate::experiment::Experiment;

/// A ratio in words.
pub(crate) fn times(value: f64) -> String {
    let digits = match value {
        value if value >= 99.5 => 0,
        value if value >= 9.95 => 1,
        value if value >= 0.0995 => 2,
        _ => 4,
    };
    format!("{value:.digits$} ×")
}

/// Noise with its sign: `± 3.0 %`, or `×÷ 4.2` where it is a factor.
pub(crate) fn noise(share: f64) -> String {
    match share {
        share if share >= 1.0 => format!("×÷ {:.1}", share + 1.0),
        share if share >= 0.0995 => format!("± {:.0} %", share * 100.0),
        share => format!("± {:.1} %", share * 100.0),
    }
}

/// A place on the axis that was computed: two digits of it count.
pub(crate) fn about(at: f64) -> String {
    if at < 10.0 {
        return format!("{at:.1}");
    }
    let step = 10_f64.powf(at.log10().floor() - 1.0);
    let rounded = format!("{:.0}", (at / step).round() * step);
    rounded.parse().map_or(rounded, number)
}

/// A point of the axis with what it counts.
pub(crate) fn point(experiment: &Experiment, at: u64) -> String {
    let label = experiment.axis.label;
    let label = label.split([',', ';', '(']).next().unwrap_or(label).trim();
    format!("{} {label}", number(at))
}

/// A whole number, short where that loses nothing.
pub(crate) fn number(value: u64) -> String {
    match value {
        0 => "0".into(),
        _ if value.is_multiple_of(1_000_000) => format!("{} M", value / 1_000_000),
        _ if value.is_multiple_of(1000) => format!("{} k", value / 1000),
        _ if value >= 4096 && value.is_multiple_of(1024) => format!("{} Ki", value / 1024),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(10_000), "10 k");
        assert_eq!(number(3_000_000), "3 M");
        assert_eq!(number(16_384), "16 Ki");
        assert_eq!(number(1024), "1024");
        assert_eq!(about(2345.0), "2300");
        assert_eq!(about(21_987.0), "22 k");
        assert_eq!(about(2.34), "2.3");
        assert_eq!(times(1234.0), "1234 ×");
        assert_eq!(times(0.00834), "0.0083 ×");
        assert_eq!(noise(0.0123), "± 1.2 %");
        assert_eq!(noise(0.5), "± 50 %");
        assert_eq!(noise(3.0), "×÷ 4.0");
    }
}
