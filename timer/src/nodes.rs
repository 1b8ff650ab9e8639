//! The timers themselves: nodes in a slab, named by index on lists that have no order.
//!
//! A list is an array of indices and a lower bound of the deadlines. A node knows its list and its position there, so it
//! leaves in constant time: the last of the list takes its position. Arrays rather than links, because a tick that has come
//! is read from end to end: the loads of all its nodes overlap, where links would have each wait for the one before it
//! (100,000 timers within a second: about 60 ns to expire each, against 170).
//!
//! Invariants:
//! - **One home.** A node is on at most one list, the one that its `home` names, at its `position` there.
//! - **Bound.** The `min` of a list is no later than any deadline on it. It may be earlier: cancelling or re-arming the
//!   earliest node leaves it as it was. It is [`NEVER`] if the list is empty.
//!
//! Which list a deadline belongs to is the business of [`near`](crate::near) and [`far`](crate::far).

use std::num::NonZeroU32;

use slab::Slab;

use crate::NEVER;

/// Names a timer of one [`Wheel`](crate::Wheel).
///
/// A key stays harmless when its timer has fired or was cancelled: every method then reports that there is no such timer,
/// even if the memory serves another one by now. (Keys tell 2^32 - 1 successive timers apart; one that is kept for longer
/// than that might name a newcomer.) Keys of another wheel mean nothing here.
///
/// A `Key` and an `Option<Key>` take eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    index: u32,
    generation: NonZeroU32,
}

impl Key {
    #[inline]
    pub(crate) fn index(self) -> u32 {
        self.index
    }
}

const _: () = assert!(size_of::<Option<Key>>() == 8);
/// What a sleeping task pays here: the payload and 32 bytes.
const _: () = assert!(size_of::<Node<[usize; 2]>>() == 48);
const _: () = assert!(size_of::<Option<Node<[usize; 2]>>>() == 48);

/// Where a node is kept, packed into four bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Home(u32);

/// A [`Home`], taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the list of this slot of the near wheel.
    Near(usize),
    /// On the list of the far bucket with this index.
    Far(usize),
    /// In the heap of the due tick, on no list.
    Due,
    /// Nowhere: the deadline is [`NEVER`].
    Nowhere,
}

impl Home {
    pub(crate) const DUE: Self = Self(u32::MAX - 1);
    pub(crate) const NOWHERE: Self = Self(u32::MAX);
    /// Homes below this are near slots, homes from here on far buckets.
    const FAR: u32 = 1 << 16;

    #[inline]
    pub(crate) fn near(slot: usize) -> Self {
        debug_assert!(slot < Self::FAR as usize);
        Self(index_u32(slot))
    }

    #[inline]
    pub(crate) fn far(bucket: usize) -> Self {
        let home = index_u32(bucket).checked_add(Self::FAR);
        Self(
            home.filter(|&home| home < Self::DUE.0)
                .expect("fewer than 2^31 far buckets"),
        )
    }

    #[inline]
    pub(crate) fn place(self) -> Place {
        match self {
            Self::DUE => Place::Due,
            Self::NOWHERE => Place::Nowhere,
            Self(slot) if slot < Self::FAR => Place::Near(slot as usize),
            Self(bucket) => Place::Far((bucket - Self::FAR) as usize),
        }
    }
}

/// A set of nodes in no order.
pub(crate) struct List {
    /// See the invariant **Bound**.
    pub(crate) min: u64,
    indices: Vec<u32>,
}

impl List {
    pub(crate) const EMPTY: Self = Self {
        min: NEVER,
        indices: Vec::new(),
    };

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Lowers the bound for a node on this list whose deadline is now `deadline`.
    #[inline]
    pub(crate) fn admit(&mut self, deadline: u64) {
        self.min = self.min.min(deadline);
    }

    /// Forgets the nodes and gives the array up for use elsewhere.
    #[inline]
    pub(crate) fn take(&mut self) -> Vec<u32> {
        self.min = NEVER;
        std::mem::take(&mut self.indices)
    }

    /// Gives an array without nodes to an empty list.
    #[inline]
    pub(crate) fn lend(&mut self, array: Vec<u32>) {
        debug_assert!(self.is_empty() && array.is_empty());
        self.indices = array;
    }
}

pub(crate) struct Node<T> {
    pub(crate) deadline: u64,
    /// The number of the arming, which breaks ties between equal deadlines.
    pub(crate) arming: u64,
    pub(crate) value: T,
    pub(crate) home: Home,
    position: u32,
    generation: NonZeroU32,
}

pub(crate) struct Nodes<T> {
    slab: Slab<Node<T>>,
    generation: NonZeroU32,
}

impl<T> Nodes<T> {
    pub(crate) fn new() -> Self {
        Self {
            slab: Slab::new(),
            generation: NonZeroU32::MIN,
        }
    }

    /// Adds a node that is nowhere yet.
    pub(crate) fn insert(&mut self, deadline: u64, arming: u64, value: T) -> Key {
        let generation = self.generation;
        self.generation = generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        let index = index_u32(self.slab.insert(Node {
            deadline,
            arming,
            value,
            home: Home::NOWHERE,
            position: 0,
            generation,
        }));
        Key { index, generation }
    }

    /// Takes a node out of the slab; it must be on no list.
    pub(crate) fn remove(&mut self, index: u32) -> T {
        self.slab.remove(index as usize).value
    }

    /// The index of the node that `key` names, if it is still there.
    pub(crate) fn find(&self, key: Key) -> Option<u32> {
        let node = self.slab.get(key.index as usize)?;
        (node.generation == key.generation).then_some(key.index)
    }

    pub(crate) fn node(&self, index: u32) -> &Node<T> {
        &self.slab[index as usize]
    }

    pub(crate) fn node_mut(&mut self, index: u32) -> &mut Node<T> {
        &mut self.slab[index as usize]
    }

    /// Whether the node at `index` exists and was last armed by `arming`.
    pub(crate) fn is_armed(&self, index: u32, arming: u64) -> bool {
        self.slab
            .get(index as usize)
            .is_some_and(|node| node.arming == arming)
    }

    /// Puts a node that is on no list onto `list`, which is the list of `home`.
    pub(crate) fn link(&mut self, list: &mut List, home: Home, index: u32) {
        let node = self.node_mut(index);
        node.home = home;
        node.position = index_u32(list.indices.len());
        list.admit(node.deadline);
        list.indices.push(index);
    }

    /// Takes a node off `list`, the list of its home, and says whether the list is empty now.
    pub(crate) fn unlink(&mut self, list: &mut List, index: u32) -> bool {
        let position = self.node(index).position;
        let removed = list.indices.swap_remove(position as usize);
        debug_assert_eq!(removed, index, "one home");
        if let Some(&moved) = list.indices.get(position as usize) {
            self.node_mut(moved).position = position;
        } else if list.is_empty() {
            list.min = NEVER;
        }
        list.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.slab.shrink_to_fit();
    }

    /// Gives the nodes up for their values. Later keys still differ from all earlier ones.
    #[inline]
    pub(crate) fn take(&mut self) -> Slab<Node<T>> {
        std::mem::take(&mut self.slab)
    }
}

#[inline]
fn index_u32(index: usize) -> u32 {
    let index = u32::try_from(index).ok().filter(|&index| index != u32::MAX);
    index.expect("fewer than 2^32 - 1 timers live at once")
}
