//! From values to places, and which values are written at an axis.

use crate::measure::Unit;

/// A logarithmic axis is for values that lie further apart than this.
const DECADES: f64 = 10.0;

/// An axis: what it shows, and where.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    kind: Kind,
    least: f64,
    most: f64,
    /// The places of `least` and `most`.
    range: (f64, f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Linear,
    /// With a place of its own for zero, below `least`, if there is one.
    Log {
        zero: bool,
    },
}

impl Scale {
    /// An axis for these values. It begins at zero unless it is logarithmic.
    pub(crate) fn of_costs(
        values: impl Iterator<Item = f64> + Clone,
        unit: Unit,
        range: (f64, f64),
    ) -> Self {
        let most = values.clone().fold(0.0, f64::max);
        let least = values.fold(f64::INFINITY, f64::min);
        if least > 0.0 && most / least > DECADES {
            let (least, most) = (Self::step(least, unit, false), Self::step(most, unit, true));
            return Self {
                kind: Kind::Log { zero: false },
                least,
                most,
                range,
            };
        }
        let most = if most > 0.0 { most } else { 1.0 };
        let step = linear_step(most, unit);
        let most = (most / step).ceil() * step;
        Self {
            kind: Kind::Linear,
            least: 0.0,
            most,
            range,
        }
    }

    /// An axis for the points of an experiment, which are sorted.
    pub(crate) fn of_points(points: &[u64], range: (f64, f64)) -> Self {
        let most = points.last().map_or(1.0, |&at| at as f64);
        let least = points
            .iter()
            .find(|at| **at > 0)
            .map_or(1.0, |&at| at as f64);
        let first = points.first().map_or(0.0, |&at| at as f64);
        if most / least >= DECADES {
            return Self {
                kind: Kind::Log { zero: first == 0.0 },
                least,
                most,
                range,
            };
        }
        Self {
            kind: Kind::Linear,
            least: first,
            most,
            range,
        }
    }

    /// Whether equal distances are equal ratios.
    pub(crate) fn is_log(&self) -> bool {
        matches!(self.kind, Kind::Log { .. })
    }

    /// The place of a value.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let (from, to) = self.range;
        let span = match self.kind {
            _ if self.most <= self.least => return f64::midpoint(from, to),
            Kind::Linear => (value - self.least) / (self.most - self.least),
            Kind::Log { zero } => {
                // Zero lies as far below the least as a share of the axis.
                let room = if zero { 0.12 } else { 0.0 };
                if value <= 0.0 {
                    0.0
                } else {
                    room + (1.0 - room) * (value / self.least).ln() / (self.most / self.least).ln()
                }
            }
        };
        from + (to - from) * span.clamp(0.0, 1.0)
    }

    /// Values to be written at the axis, with lines across.
    pub(crate) fn ticks(&self, unit: Unit) -> Vec<f64> {
        match self.kind {
            Kind::Linear => {
                let step = linear_step(self.most, unit);
                let values = (0_u32..=16).map(|index| f64::from(index) * step);
                values
                    .take_while(|value| *value <= self.most * 1.0001)
                    .collect()
            }
            Kind::Log { .. } => {
                let mut ticks = Vec::new();
                for factors in [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]] {
                    ticks = self.log_ticks(unit, factors);
                    if ticks.len() <= 8 {
                        break;
                    }
                }
                ticks
            }
        }
    }

    fn log_ticks(&self, unit: Unit, factors: &[f64]) -> Vec<f64> {
        let base: f64 = if unit == Unit::Bytes {
            4.0_f64.powi(4 - i32::try_from(factors.len()).unwrap_or(1))
        } else {
            10.0
        };
        let factors = if unit == Unit::Bytes { &[1.0] } else { factors };
        let first = self.least.log(base).floor();
        let powers = (0..64).map(|power| base.powf(first + f64::from(power)));
        let values = powers.flat_map(|power| factors.iter().map(move |factor| power * factor));
        let (least, most) = (self.least * 0.999, self.most * 1.001);
        values
            .skip_while(|value| *value < least)
            .take_while(|value| *value <= most)
            .collect()
    }

    /// The nearest round value on one side, for the end of a logarithmic axis.
    fn step(value: f64, unit: Unit, up: bool) -> f64 {
        let (base, factors): (f64, &[f64]) = if unit == Unit::Bytes {
            (2.0, &[1.0, 2.0])
        } else {
            (10.0, &[1.0, 2.0, 5.0, 10.0])
        };
        let power = base.powf(value.log(base).floor());
        let mut candidates = factors.iter().map(|factor| factor * power);
        if up {
            candidates
                .find(|candidate| *candidate >= value * 0.9999)
                .unwrap_or(value)
        } else {
            candidates
                .rfind(|candidate| *candidate <= value * 1.0001)
                .unwrap_or(value)
        }
    }
}

/// A round distance of which about five make the whole.
fn linear_step(most: f64, unit: Unit) -> f64 {
    let rough = most / 5.0;
    if unit == Unit::Bytes {
        return 2_f64.powf(rough.log2().ceil());
    }
    let power = 10_f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let nice = factors
        .iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * 0.9999);
    nice.unwrap_or(rough)
}

/// Of sorted places with the widths of their labels, those that can be written without touching; the last one always.
pub(crate) fn apart(places: &[(f64, f64)]) -> Vec<usize> {
    let Some(last) = places.len().checked_sub(1) else {
        return Vec::new();
    };
    let touches = |left: usize, right: usize| {
        places[right].0 - places[left].0 < f64::midpoint(places[left].1, places[right].1) + 6.0
    };
    let mut kept: Vec<usize> = Vec::new();
    for index in 0..last {
        if kept.last().is_none_or(|&left| !touches(left, index)) && !touches(index, last) {
            kept.push(index);
        }
    }
    kept.push(last);
    kept
}

/// Moves sorted places down, and where there is no room up, until each is `distance` below the one before.
pub(crate) fn spread(places: &mut [f64], distance: f64, least: f64, most: f64) {
    let mut below = least;
    for place in places.iter_mut() {
        *place = place.max(below);
        below = *place + distance;
    }
    let mut above = most;
    for place in places.iter_mut().rev() {
        *place = place.min(above);
        above = *place - distance;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(values: &[f64], unit: Unit) -> Vec<f64> {
        let ticks = Scale::of_costs(values.iter().copied(), unit, (0.0, 100.0)).ticks(unit);
        ticks
            .iter()
            .map(|tick| (tick * 1000.0).round() / 1000.0)
            .collect()
    }

    #[test]
    fn linear_axes_begin_at_zero() {
        assert_eq!(
            ticks(&[10.0, 23.0], Unit::Nanoseconds),
            [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]
        );
        assert_eq!(
            ticks(&[0.0, 0.0], Unit::Count),
            [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
        );
        assert_eq!(
            ticks(&[700.0, 4000.0], Unit::Bytes),
            [0.0, 1024.0, 2048.0, 3072.0, 4096.0]
        );
        assert_eq!(ticks(&[0.0, 5e9], Unit::Nanoseconds)[1], 1e9);
    }

    #[test]
    fn logarithmic_axes_have_round_ends() {
        assert_eq!(
            ticks(&[3.0, 90.0], Unit::Nanoseconds),
            [2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
        );
        assert_eq!(
            ticks(&[1.0, 4e6], Unit::Nanoseconds),
            [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6]
        );
        assert_eq!(
            ticks(&[100.0, 60_000.0], Unit::Bytes),
            [64.0, 256.0, 1024.0, 4096.0, 16_384.0, 65_536.0]
        );
    }

    #[test]
    fn places_follow_ratios_on_a_logarithmic_axis() {
        let scale = Scale::of_points(&[1, 10, 100], (0.0, 100.0));
        assert!((scale.at(10.0) - 50.0).abs() < 1e-9 && scale.is_log());
        let with_zero = Scale::of_points(&[0, 1, 10, 100], (0.0, 100.0));
        assert_eq!(with_zero.at(0.0), 0.0);
        assert!((with_zero.at(1.0) - 12.0).abs() < 1e-9);
        let linear = Scale::of_points(&[1, 2], (0.0, 100.0));
        assert_eq!((linear.at(1.0), linear.at(2.0)), (0.0, 100.0));
        assert_eq!(Scale::of_points(&[7], (0.0, 100.0)).at(7.0), 50.0);
    }

    #[test]
    fn labels_keep_apart() {
        assert_eq!(
            apart(&[(0.0, 10.0), (5.0, 10.0), (20.0, 10.0), (30.0, 10.0)]),
            [0, 3]
        );
        assert_eq!(apart(&[(0.0, 10.0), (20.0, 10.0), (40.0, 10.0)]), [0, 1, 2]);
        assert_eq!(apart(&[]), [] as [usize; 0]);
        let mut places = [0.0, 1.0, 50.0, 99.0, 100.0];
        spread(&mut places, 10.0, 0.0, 100.0);
        assert_eq!(places, [0.0, 10.0, 50.0, 90.0, 100.0]);
    }
}
