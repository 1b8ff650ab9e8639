//! Times and bars, as short as they are read.

use serde_json::Value;

/// The longest bar, in columns.
pub(super) const BAR: usize = 12;

/// A bar of blocks, as long as a part of the whole, which is of a length.
pub(super) fn bar(part: u64, whole: u64, length: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = u128::from(part) * (length as u128 * 8) / u128::from(whole.max(1));
    let eighths = usize::try_from(eighths)
        .unwrap_or(length * 8)
        .clamp(1, length * 8);
    let text = "█".repeat(eighths / 8) + EIGHTHS[eighths % 8];
    format!("{text:<length$}")
}

/// A time in nanoseconds, if there is one.
pub(super) fn time(value: &Value) -> String {
    value.as_u64().map_or_else(|| "–".to_owned(), nanos)
}

/// A time with three digits or so.
pub(super) fn nanos(nanos: u64) -> String {
    const STEPS: [(u64, &str); 7] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "min"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "µs"),
        (1, "ns"),
    ];
    let (step, unit) = STEPS
        .into_iter()
        .find(|(step, _)| nanos >= *step)
        .unwrap_or((1, "ns"));
    let tenths = u128::from(nanos) * 10 / u128::from(step);
    match tenths {
        1000.. => format!("{} {unit}", tenths / 10),
        _ if step == 1 => format!("{nanos} {unit}"),
        _ => format!("{}.{} {unit}", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_bars_have_their_length() {
        let said = [0, 999, 1500, 99_900_000, 123_400_000, 90_000_000_000].map(nanos);
        assert_eq!(
            said,
            ["0 ns", "999 ns", "1.5 µs", "99.9 ms", "123 ms", "1.5 min"]
        );
        assert_eq!(
            [0, 50, 100].map(|part| bar(part, 100, BAR).trim_end().chars().count()),
            [1, 6, 12]
        );
    }
}
