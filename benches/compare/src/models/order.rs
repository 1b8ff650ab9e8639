//! In which order things that lie one after the other in memory have their turns.

use crate::random::Random;

/// Orders.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Order {
    /// As they were made, which is how they lie. A processor fetches ahead.
    Made,
    /// Shuffled once, and then the same in each round, as if they had been woken by events.
    Shuffled,
}

impl Order {
    /// The numbers below `count` in this order.
    pub(crate) fn of(self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        if self == Self::Shuffled {
            Random::new(0).shuffle(&mut order);
        }
        order
    }

    /// The same of what is there.
    pub(crate) fn arrange<T>(self, items: Vec<T>) -> Vec<T> {
        let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
        let order = self.of(items.len()).into_iter();
        order.filter_map(|at| items[at].take()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_one_has_its_place() {
        let mut order = Order::Shuffled.of(1000);
        assert_ne!(order, Order::Made.of(1000));
        order.sort_unstable();
        assert_eq!(order, Order::Made.of(1000));
        assert_eq!(Order::Made.arrange(vec!['a', 'b']), ['a', 'b']);
    }
}
