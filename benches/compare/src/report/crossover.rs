//! Where two curves cross.
//!
//! Points at which two rows differ by less than the noise decide nothing and are passed over: a crossing lies between two
//! points that are decided differently. Within, the ratio of the two is taken as straight on logarithmic axes.

use crate::experiment::Model;
use crate::report::section::{Row, Section};

/// Two rows, of which one is cheaper before and the other after.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Crossing {
    /// Cheaper before.
    pub(crate) before: String,
    /// Cheaper after.
    pub(crate) after: String,
    /// The last point at which `before` is cheaper.
    pub(crate) from: u64,
    /// The first point at which `after` is.
    pub(crate) to: u64,
    /// Where they are about equal.
    pub(crate) at: f64,
    /// What they cost there.
    pub(crate) value: f64,
}

/// All crossings of stackless with stackful rows, in the order of the axis.
pub(crate) fn of_models(section: &Section) -> Vec<Crossing> {
    let pairs = pairs(section).into_iter();
    let mut crossings: Vec<Crossing> = pairs
        .flat_map(|(task, fiber)| between(section, task, fiber))
        .collect();
    crossings.sort_by(|left, right| left.at.total_cmp(&right.at));
    crossings
}

/// Each stackless row beside the stackful one that does the same, which is what their names say: `tasks, ring` and
/// `fibers, ring`. Where no names do, every one beside every other.
pub(crate) fn pairs(section: &Section) -> Vec<(&Row, &Row)> {
    let stackful = stackful_model(section);
    let rows = |model: Model| {
        let rows = section.rows.iter();
        rows.filter(move |row| row.model == model && !row.again)
    };
    let all = rows(Model::Task).flat_map(|task| rows(stackful).map(move |fiber| (task, fiber)));
    let partners = |(task, fiber): &(&Row, &Row)| fiber.name == task.name.replace("task", "fiber");
    let named: Vec<_> = all.clone().filter(partners).collect();
    if named.is_empty() {
        all.collect()
    } else {
        named
    }
}

/// Which rows stand for stackful: those on our executor, or where there are none, those under a plain scheduler.
fn stackful_model(section: &Section) -> Model {
    let has = |model| section.rows.iter().any(|row| row.model == model);
    if !has(Model::Fiber) && has(Model::Native) {
        Model::Native
    } else {
        Model::Fiber
    }
}

/// The crossings of two rows.
pub(crate) fn between(section: &Section, left: &Row, right: &Row) -> Vec<Crossing> {
    let metric = section.experiment.metric;
    let mut crossings = Vec::new();
    // The points since the last decided one: where, the logarithm of left over right, and of left.
    let mut open: Vec<(u64, f64, f64)> = Vec::new();
    for at in section.common_points(left, right) {
        let Some(ratio) = section.ratio(left, right, metric, at) else {
            continue;
        };
        let value = left
            .at(metric, at)
            .map_or(0.0, |figure| figure.summary.median.ln());
        let spot = (at, ratio.value.ln(), value);
        if !ratio.differs(0.0) {
            if !open.is_empty() {
                open.push(spot);
            }
            continue;
        }
        if let Some(&(from, decided, _)) = open.first()
            && decided.is_sign_negative() != spot.1.is_sign_negative()
        {
            open.push(spot);
            let (place, value) = zero(&open);
            let (before, after) = if decided < 0.0 {
                (left, right)
            } else {
                (right, left)
            };
            crossings.push(Crossing {
                before: before.name.clone(),
                after: after.name.clone(),
                from,
                to: at,
                at: place,
                value,
            });
        }
        open = vec![spot];
    }
    crossings
}

/// Where the broken line through these spots first meets zero, and the value there.
fn zero(spots: &[(u64, f64, f64)]) -> (f64, f64) {
    let crosses =
        |pair: &&[(u64, f64, f64)]| pair[0].1.is_sign_negative() != pair[1].1.is_sign_negative();
    let Some(&[left, right]) = spots
        .windows(2)
        .find(crosses)
        .and_then(|pair| pair.first_chunk())
    else {
        return (0.0, 0.0);
    };
    let share = left.1 / (left.1 - right.1);
    let mix = |from: f64, to: f64| from + (to - from) * share;
    let (from, to) = (left.0 as f64, right.0 as f64);
    let place = if from > 0.0 {
        mix(from.ln(), to.ln()).exp()
    } else {
        mix(from, to)
    };
    (place, mix(left.2, right.2).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_crossing_is_interpolated_on_logarithms() {
        // The middle of 10 and 1000, and of 2 and 8, is where the ratio is as far from 1 on both sides.
        let (at, value) = zero(&[(10, -1.0, 2_f64.ln()), (1000, 1.0, 8_f64.ln())]);
        assert!((at - 100.0).abs() < 1e-9 && (value - 4.0).abs() < 1e-9);
        let (at, _) = zero(&[(0, -1.0, 0.0), (10, 1.0, 0.0)]);
        assert!((at - 5.0).abs() < 1e-9);
    }

    #[test]
    fn like_is_compared_with_like() {
        let mut section = fixture::section(1);
        let names: Vec<_> = pairs(&section)
            .iter()
            .map(|(task, fiber)| (&*task.name, &*fiber.name))
            .collect();
        assert_eq!(names, [("task", "fiber")]);
        section
            .rows
            .iter_mut()
            .filter(|row| row.name == "fiber")
            .for_each(|row| row.name = "on a stack".into());
        assert_eq!(pairs(&section).len(), 2);
    }

    #[test]
    fn tasks_and_fibers_cross_once() {
        let section = fixture::section(3);
        let crossings = of_models(&section);
        let task = &crossings[0];
        assert_eq!((&*task.before, &*task.after), ("task", "fiber"));
        // At 100 they tie within the noise, so the crossing is only known to lie between 1 and 1000.
        assert_eq!((task.from, task.to), (1, 1000));
        // 10 x^0.15 = 20 where x = 2^(1/0.15).
        assert!((task.at - 101.6).abs() < 1.0, "{task:?}");
        assert_eq!(crossings.len(), 1);
    }

    #[test]
    fn the_control_does_not_cross_itself() {
        let section = fixture::section(3);
        let (control, again) = section.control().unwrap();
        assert_eq!(between(&section, control, again), []);
    }
}
