//! Memory that a loop and those who look at a recording share: values whose bytes may all be zero, reached by pointers.
//!
//! The system gives the memory when it is first written to, so room for many costs nothing until it is used.
//!
//! Invariant ROOM: all who reach a value do so by a pointer that [`Room::at`] or [`Room::first`] gives, on one thread, and a
//! reference that is made from it lives no longer than until the next of those.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// What is a value if all its bytes are zero, takes some bytes, and needs no drop.
///
/// # Safety
///
/// It is so.
pub(super) unsafe trait Zero: Copy {}

/// Room for some values.
pub(super) struct Room<T: Zero> {
    first: NonNull<T>,
    count: usize,
}

impl<T: Zero> Room<T> {
    /// Room for so many values, which are zero.
    pub(super) fn new(count: usize) -> Self {
        let count = count.max(1);
        let layout = Self::layout(count);
        // SAFETY: neither the values nor their number is zero.
        let first = unsafe { alloc_zeroed(layout) }.cast::<T>();
        let Some(first) = NonNull::new(first) else {
            handle_alloc_error(layout);
        };
        Self { first, count }
    }

    fn layout(count: usize) -> Layout {
        Layout::array::<T>(count).expect("far fewer are asked for than fill the memory")
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Where the values are.
    pub(super) fn first(&self) -> NonNull<T> {
        self.first
    }

    /// Where a value is; it is there as long as the room.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[inline]
    pub(super) fn at(&self, place: usize) -> *mut T {
        assert!(place < self.count, "a place in the room");
        self.first.as_ptr().wrapping_add(place)
    }

    /// A value as it is now.
    #[inline]
    pub(super) fn get(&self, place: usize) -> T {
        // SAFETY: ROOM.
        unsafe { self.at(place).read() }
    }

    #[inline]
    pub(super) fn set(&self, place: usize, value: T) {
        // SAFETY: ROOM.
        unsafe { self.at(place).write(value) };
    }
}

impl<T: Zero> Drop for Room<T> {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout, and its owner is gone.
        unsafe { dealloc(self.first.as_ptr().cast(), Self::layout(self.count)) };
    }
}

/// The last of some values.
pub(super) struct Last<T: Zero> {
    room: Room<T>,
    /// Where the next one comes, and whether there is an old one.
    place: usize,
    full: bool,
}

impl<T: Zero> Last<T> {
    /// None of so many.
    pub(super) fn new(count: usize) -> Self {
        Self {
            room: Room::new(count),
            place: 0,
            full: false,
        }
    }

    /// Adds a value, in the place of the oldest if there is no room.
    #[inline]
    pub(super) fn push(&mut self, value: T) {
        self.room.set(self.place, value);
        self.place += 1;
        if self.place == self.room.len() {
            (self.place, self.full) = (0, true);
        }
    }

    /// Those that are left, oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = T> {
        let oldest = if self.full {
            self.place
        } else {
            self.room.len()
        };
        let places = (oldest..self.room.len()).chain(0..self.place);
        places.map(|place| self.room.get(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // SAFETY: a number, of which zero is one.
    unsafe impl Zero for u8 {}

    #[test]
    fn the_last_are_left_in_their_order() {
        for room in 1..5 {
            let mut last = Last::new(room);
            for next in 0..20 {
                let left: Vec<u8> = last.iter().collect();
                let all: Vec<u8> = (0..next).collect();
                assert_eq!(left, all[all.len().saturating_sub(room)..], "{room}");
                last.push(next);
            }
        }
    }
}
