//! Submitters that found the queue full, in the order in which they came.
//!
//! A task that does several things at once polls all of them whenever one goes on, as long as the kernel takes nothing. So each
//! is kept once, however often it asks.

use std::collections::HashSet;
use std::task::Waker;

/// Whoever is to be called when there is room.
#[derive(Default)]
pub(super) struct Waiters {
    wakers: Vec<Waker>,
    /// What the wakers consist of: two that are alike wake the same.
    known: HashSet<(usize, usize)>,
}

impl Waiters {
    /// Keeps a waker, or gives it back if one like it is kept already.
    pub(super) fn add(&mut self, waker: Waker) -> Option<Waker> {
        let table: *const _ = waker.vtable();
        if !self.known.insert((waker.data().addr(), table.addr())) {
            return Some(waker);
        }
        self.wakers.push(waker);
        None
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }

    pub(super) fn into_wakers(self) -> Vec<Waker> {
        self.wakers
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_asks_again_and_again_is_called_once() {
        let counts = [Arc::<Count>::default(), Arc::default()];
        let mut waiters = Waiters::default();
        for round in 0..1000 {
            let known = waiters.add(counts[round % 2].clone().into());
            assert_eq!(known.is_some(), round > 1);
        }
        waiters.into_wakers().into_iter().for_each(Waker::wake);
        assert!(counts.iter().all(|it| it.0.load(Ordering::Relaxed) == 1));
    }
}
