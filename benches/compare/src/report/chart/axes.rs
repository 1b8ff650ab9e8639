//! The frame of a chart: what is measured, its lines across, and the points of the axis.

use super::scale::{Scale, apart};
use super::{Drawing, width_of};
use crate::measure::Metric;
use crate::report::numbers::number;
use crate::report::section::Section;

/// The room of the curves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

/// Writes what is measured, and a line across for each round value.
pub(super) fn across(drawing: &mut Drawing, frame: Frame, metric: Metric, scale: &Scale) {
    let kind = if scale.is_log() { ", logarithmic" } else { "" };
    drawing.text((0.0, 14.0), "what", &format!("{}{kind}", metric.label()));
    for tick in scale.ticks(metric.unit()) {
        let y = scale.at(tick);
        drawing.line((frame.left, y), (frame.right, y), "grid");
        let value = metric.unit().show(tick).to_string();
        drawing.text((frame.left - 8.0, y + 4.0), "tick end", &rounded(&value));
    }
}

/// Writes the points of the experiment below, as many as have room, and what they count.
pub(super) fn points(drawing: &mut Drawing, frame: Frame, section: &Section, scale: &Scale) {
    let labels: Vec<String> = section.points.iter().map(|&at| number(at)).collect();
    let places: Vec<(f64, f64)> = section
        .points
        .iter()
        .zip(&labels)
        .map(|(&at, label)| (scale.at(at as f64), width_of(label)))
        .collect();
    for (x, _) in &places {
        drawing.line((*x, frame.bottom), (*x, frame.bottom + 5.0), "axis");
    }
    for index in apart(&places) {
        drawing.text(
            (places[index].0, frame.bottom + 19.0),
            "tick middle",
            &labels[index],
        );
    }
    drawing.line(
        (
            places.first().map_or(frame.left, |place| place.0),
            frame.bottom,
        ),
        (frame.right, frame.bottom),
        "axis",
    );
    let kind = if scale.is_log() { ", logarithmic" } else { "" };
    let label = format!("{}{kind}", section.experiment.axis.label);
    drawing.text((frame.right, frame.bottom + 36.0), "what end", &label);
}

/// A tick without digits that say nothing: `5 µs` for `5.00 µs`.
pub(super) fn rounded(shown: &str) -> String {
    let (digits, unit) = shown
        .split_once(' ')
        .map_or((shown, String::new()), |(digits, unit)| {
            (digits, format!(" {unit}"))
        });
    if !digits.contains('.') {
        return shown.to_owned();
    }
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits}{unit}")
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn ticks_are_short() {
        assert_eq!(rounded("5.00 µs"), "5 µs");
        assert_eq!(rounded("2.50 KiB"), "2.5 KiB");
        assert_eq!(rounded("100 ns"), "100 ns");
        assert_eq!(rounded("0.20"), "0.2");
    }
}
