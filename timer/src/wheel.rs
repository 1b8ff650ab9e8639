//! The wheel as its users see it: joins the nodes, the near slots, the far buckets and the due heap.
//!
//! Invariants, beside those of the parts:
//! - **Order.** Every timer in the heap lies in the current tick or before it, every occupied slot but the current one after
//!   it, and every far bucket begins after it. So once the current slot is drained the top of the heap is the earliest of all.
//! - **Never early.** A value leaves only through [`Due::pop`], which compares its deadline with the caller's time.

use std::fmt;

use crate::{
    NEVER,
    due::Due,
    far::Far,
    near::{Near, first_tick_of, tick_of},
    nodes::{Home, Key, Node, Nodes, Place},
};

/// Timers, each with a value, ordered by their deadlines.
///
/// The [crate documentation](crate) explains the mechanism and gives the cost of each method. Time never runs backwards in a
/// wheel: a `now_ns` that is earlier than one given before only fires fewer timers.
pub struct Wheel<T> {
    nodes: Nodes<T>,
    near: Near,
    far: Far,
    due: Due,
    armings: u64,
}

impl<T> Wheel<T> {
    /// Creates a wheel whose time begins at `start_ns`, in nanoseconds since an epoch of the caller's choice.
    ///
    /// Allocates the slots, 32 KiB.
    #[must_use]
    pub fn new(start_ns: u64) -> Self {
        Self {
            nodes: Nodes::new(),
            near: Near::new(start_ns),
            far: Far::default(),
            due: Due::default(),
            armings: 0,
        }
    }

    /// Arms a timer that yields `value` at `deadline_ns`.
    ///
    /// A deadline that has passed is legal and fires at the next [`expire_next`](Self::expire_next); [`NEVER`] is legal and
    /// does not fire at all. Allocates only when there are more timers, or more far buckets, than ever before.
    ///
    /// # Panics
    ///
    /// Panics at 2^32 - 1 live timers.
    pub fn insert(&mut self, deadline_ns: u64, value: T) -> Key {
        let arming = self.next_arming();
        let key = self.nodes.insert(deadline_ns, arming, value);
        self.link(key.index());
        key
    }

    /// Removes a timer and gives its value back, or `None` if it has fired or was cancelled before.
    pub fn cancel(&mut self, key: Key) -> Option<T> {
        let index = self.nodes.find(key)?;
        let place = self.unlink(index);
        let value = self.nodes.remove(index);
        if place == Place::Due {
            self.due.abandon(&self.nodes);
        }
        Some(value)
    }

    /// Arms a timer anew, for `deadline_ns`, and says whether it was still there.
    ///
    /// Among equal deadlines it now counts as the youngest. A later deadline is only stored, and the timer moves when its
    /// former place in the wheel comes up: pushing a timeout ahead at every message costs next to nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use camshaft_timer::Wheel;
    /// let mut wheel = Wheel::new(0);
    /// let key = wheel.insert(10, 'a');
    /// assert!(wheel.reset(key, 20));
    /// assert_eq!(wheel.expire_next(19), None);
    /// assert_eq!(wheel.expire_next(20), Some('a'));
    /// assert!(!wheel.reset(key, 30));
    /// ```
    pub fn reset(&mut self, key: Key, deadline_ns: u64) -> bool {
        let Some(index) = self.nodes.find(key) else {
            return false;
        };
        let arming = self.next_arming();
        let node = self.nodes.node_mut(index);
        node.deadline = deadline_ns;
        node.arming = arming;
        let stays = match node.home.place() {
            Place::Near(slot) => self.near.readmit(slot, deadline_ns),
            Place::Far(bucket) => self.far.readmit(bucket, deadline_ns),
            Place::Due | Place::Nowhere => false,
        };
        if !stays {
            let place = self.unlink(index);
            self.link(index);
            if place == Place::Due {
                self.due.abandon(&self.nodes);
            }
        }
        true
    }

    /// Borrows the value of a timer, or returns `None` if it has fired or was cancelled.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&T> {
        self.nodes
            .find(key)
            .map(|index| &self.nodes.node(index).value)
    }

    /// Borrows the value of a timer mutably, say to exchange a waker, or returns `None` if it has fired or was cancelled.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.nodes
            .find(key)
            .map(|index| &mut self.nodes.node_mut(index).value)
    }

    /// Returns the deadline of a timer, or `None` if it has fired or was cancelled.
    #[must_use]
    pub fn deadline(&self, key: Key) -> Option<u64> {
        self.nodes
            .find(key)
            .map(|index| self.nodes.node(index).deadline)
    }

    /// Returns until when one may sleep: a time that is not after the earliest deadline, or `None` if nothing is armed for any
    /// time but [`NEVER`].
    ///
    /// It **is** the earliest deadline unless a timer of the same tick (of the same bucket, if it is more than a second ahead)
    /// was earlier and has been cancelled or re-armed. Then it may be that timer's former deadline. A caller who sleeps until
    /// the returned time and calls [`expire_next`](Self::expire_next) makes progress in any case: a bound that turns out to
    /// be stale is gone after that call, so each cancelled timer costs at most one needless wake-up, and all of one tick
    /// together cost one.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        if self.is_empty() {
            return None;
        }
        let near = self.near.first().map_or(NEVER, |(_, min)| min);
        let far = self.far.first().map_or(NEVER, |(_, min)| min);
        let first = self.due.first().unwrap_or(NEVER).min(near).min(far);
        (first != NEVER).then_some(first)
    }

    /// Removes and returns the value of the earliest timer whose deadline is not after `now_ns`.
    ///
    /// Called until it returns `None`, it yields values in the order of their deadlines to the nanosecond, and those of equal
    /// deadlines in the order in which they were armed. A timer that is armed for the past in between is yielded as well: a
    /// caller who lets values arm timers needs a limit, such as that of [`expire_into`](Self::expire_into).
    pub fn expire_next(&mut self, now_ns: u64) -> Option<T> {
        loop {
            if let Some(nodes) = self.near.take_current() {
                self.scatter(&nodes);
                self.near.recycle(nodes);
            }
            if let Some(value) = self.due.pop(&mut self.nodes, now_ns) {
                return Some(value);
            }
            // With something left in the heap, `now_ns` lies in the current tick or before it, and there is nowhere to go.
            if !self.advance(tick_of(now_ns)) {
                return None;
            }
        }
    }

    /// Appends the values of at most `limit` timers that are due at `now_ns` to `out`, as [`expire_next`](Self::expire_next)
    /// yields them, and returns how many there were.
    ///
    /// If it returns `limit`, more may be due; [`next_deadline`](Self::next_deadline) is then in the past.
    pub fn expire_into(&mut self, now_ns: u64, limit: usize, out: &mut impl Extend<T>) -> usize {
        let mut count = 0;
        while count < limit
            && let Some(value) = self.expire_next(now_ns)
        {
            out.extend(Some(value));
            count += 1;
        }
        count
    }

    /// Returns how many timers are armed, those for [`NEVER`] included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns whether no timer is armed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Disarms all timers and returns their values in no particular order.
    ///
    /// The timers are gone at once, whatever becomes of the iterator, and it does not borrow the wheel: values can be dropped
    /// or woken where the wheel may be used again. All keys are stale from here on.
    pub fn drain(&mut self) -> Drain<T> {
        self.near.clear();
        self.far.clear();
        self.due.clear();
        Drain {
            nodes: self.nodes.take().into_iter(),
        }
    }

    /// Disarms all timers and drops their values.
    pub fn clear(&mut self) {
        drop(self.drain());
    }

    /// Gives back what memory it can after a spike of timers.
    pub fn shrink_to_fit(&mut self) {
        self.nodes.shrink_to_fit();
        self.due.shrink_to_fit();
    }

    /// Goes to the next tick that has timers and is not after `last`, and readies them if they are far; without one, goes to
    /// `last` and returns `false`. The current slot must be empty, and so must the heap if `last` is a later tick.
    fn advance(&mut self, last: u64) -> bool {
        let near = self
            .near
            .first()
            .map(|(tick, _)| tick)
            .filter(|&tick| tick <= last);
        let bound = near.unwrap_or(last);
        // A bucket that begins before the next occupied slot, or with it, may hold earlier timers.
        let far = self
            .far
            .first()
            .map(|(bucket, _)| bucket)
            .filter(|&bucket| first_tick_of(bucket) <= bound);
        if let Some(bucket) = far {
            self.near.advance(first_tick_of(bucket));
            while let Some(nodes) = self.far.take_until(bucket) {
                self.scatter(&nodes);
            }
        } else {
            self.near.advance(bound.max(self.near.tick()));
        }
        near.or(far).is_some()
    }

    /// Moves nodes that were taken off their list to where they belong: to the heap, if their tick has come.
    fn scatter(&mut self, nodes: &[u32]) {
        for &index in nodes {
            let deadline = self.nodes.node(index).deadline;
            if tick_of(deadline) <= self.near.tick() && deadline != NEVER {
                self.due.push(&mut self.nodes, index);
            } else {
                self.link(index);
            }
        }
    }

    /// Puts a node that is on no list where its deadline belongs.
    fn link(&mut self, index: u32) {
        let node = self.nodes.node_mut(index);
        if node.deadline == NEVER {
            node.home = Home::NOWHERE;
        } else if let Some(slot) = self.near.slot_for(node.deadline) {
            self.near.link(&mut self.nodes, slot, index);
        } else {
            self.far.link(&mut self.nodes, index);
        }
    }

    /// Takes a node off its list and says where it was. If it was in the heap its entry is still there.
    fn unlink(&mut self, index: u32) -> Place {
        let place = self.nodes.node(index).home.place();
        match place {
            Place::Near(slot) => self.near.unlink(&mut self.nodes, slot, index),
            Place::Far(bucket) => self.far.unlink(&mut self.nodes, bucket, index),
            Place::Due | Place::Nowhere => {}
        }
        place
    }

    fn next_arming(&mut self) -> u64 {
        self.armings += 1;
        self.armings
    }
}

impl<T> fmt::Debug for Wheel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("len", &self.len())
            .field("next_deadline", &self.next_deadline())
            .finish_non_exhaustive()
    }
}

/// The values of the timers that a wheel held, in no particular order; made by [`Wheel::drain`].
pub struct Drain<T> {
    nodes: slab::IntoIter<Node<T>>,
}

impl<T> Iterator for Drain<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.nodes.next().map(|(_, node)| node.value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.nodes.size_hint()
    }
}

impl<T> ExactSizeIterator for Drain<T> {}

impl<T> fmt::Debug for Drain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
