//! Tasks that wait for each other's end.

use std::collections::HashMap;

use crate::dump::{Activity, Dump};
use crate::tree::Node;

impl Dump {
    /// The tasks that wait for each other's end in a circle, and so for ever: of each circle the numbers, each waiting for
    /// the next, and the last for the first.
    ///
    /// Only a task that waits for nothing else is known to wait for ever: one that waits for several things, such as a task
    /// or a time, is in no circle.
    #[must_use]
    pub fn cycles(&self) -> Vec<Vec<u64>> {
        let waiting = self
            .tasks
            .iter()
            .filter(|task| task.activity == Activity::Waiting);
        let next: HashMap<u64, u64> = waiting
            .filter_map(|task| Some((task.id?, only(&task.root)?)))
            .collect();
        circles(&next)
    }
}

/// The task that a future waits for, if it waits for nothing else.
fn only(root: &Node) -> Option<u64> {
    let mut node = root;
    loop {
        match (&node.children[..], &node.leaf) {
            ([], Some(leaf)) => return leaf.task,
            ([child], _) if !child.held => node = child,
            _ => return None,
        }
    }
}

/// The circles of a graph in which each has one successor at most. Each begins with its smallest number.
fn circles(next: &HashMap<u64, u64>) -> Vec<Vec<u64>> {
    let mut found = Vec::new();
    // From where each was first come to.
    let mut seen: HashMap<u64, u64> = HashMap::new();
    let mut starts: Vec<_> = next.keys().copied().collect();
    starts.sort_unstable();
    for start in starts {
        let mut at = start;
        while !seen.contains_key(&at) {
            seen.insert(at, start);
            match next.get(&at) {
                Some(to) => at = *to,
                None => break,
            }
        }
        // Back to where this way has been before: a circle that no other way has met.
        if seen.get(&at) != Some(&start) || !next.contains_key(&at) {
            continue;
        }
        let mut circle = vec![at];
        let mut to = next[&at];
        while to != at {
            circle.push(to);
            to = next[&to];
        }
        let least = (0..circle.len()).min_by_key(|place| circle[*place]);
        circle.rotate_left(least.unwrap_or(0));
        found.push(circle);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(edges: &[(u64, u64)]) -> Vec<Vec<u64>> {
        circles(&edges.iter().copied().collect())
    }

    #[test]
    fn each_circle_is_found_once_wherever_it_is_entered() {
        assert_eq!(of(&[]), Vec::<Vec<u64>>::new());
        assert_eq!(of(&[(1, 2), (2, 3)]), Vec::<Vec<u64>>::new());
        assert_eq!(of(&[(7, 7)]), [vec![7]]);
        let two = [(1, 5), (5, 3), (3, 5), (2, 3), (4, 1), (8, 9), (9, 8)];
        assert_eq!(of(&two), [vec![3, 5], vec![8, 9]]);
    }

    #[test]
    fn a_long_way_and_a_long_circle_end() {
        let mut edges: Vec<_> = (0..100_000).map(|at| (at, at + 1)).collect();
        edges.push((100_000, 50_000));
        let circles = of(&edges);
        assert_eq!(circles.len(), 1);
        assert_eq!(circles[0].len(), 50_001);
        assert_eq!(circles[0][0], 50_000);
    }
}
