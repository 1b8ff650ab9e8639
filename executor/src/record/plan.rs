//! How the state of a future is read from its bytes: a few steps, each of which looks at one tag.
//!
//! Whoever knows the types of a program makes a plan of each; here it is only followed. A plan that reads beyond the end of
//! the future is refused when it is made, so that following one is a handful of loads.

use super::ways::{BOXED, Check};

/// A number of a state that a plan has; see [`Plan::new`].
pub type State = u16;

/// The states that no plan has are above this.
pub(crate) const LAST: State = State::MAX - 16;

/// Reads the state of futures of one type from their bytes.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The bytes that a future has at least.
    size: usize,
    steps: Box<[Packed]>,
    /// For each step, where to go for each value of the tag, and at last for all other values.
    next: Box<[u32]>,
    boxed: bool,
}

/// One tag in a future, and what its values mean.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where the tag begins in the future, in bytes.
    pub offset: u64,
    /// Its size in bytes: 1, 2, 4 or 8.
    pub width: u64,
    /// The value that the first of `next` stands for; the others follow it, and wrap at the width.
    pub base: u64,
    /// What the values mean.
    pub next: Vec<Next>,
    /// What all other values mean.
    pub otherwise: Next,
}

/// Where a step leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// To another step, which comes later in the list.
    Step(u16),
    /// To a state: that is the answer.
    State(State),
    /// To nothing that is known.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
struct Packed {
    offset: u32,
    width: u32,
    base: u64,
    first: u32,
    count: u32,
}

/// Marks an entry of `next` that is a state.
const IS_STATE: u32 = 1 << 31;

/// No state of a plan.
pub(crate) const UNKNOWN: State = State::MAX;

impl Plan {
    /// Makes a plan for futures of `size` bytes. The first step is where to begin; without steps, no state is known.
    ///
    /// None if a step lies outside of the future, has no width that a number can have, or leads back, or if a state is one
    /// of the last sixteen numbers, which are used for other things. A recording does not use it for futures that are smaller.
    ///
    /// # Safety
    ///
    /// This, and its clones, are used for types of which that holds: whenever a future is whole, and the tags on the way to a step
    /// have the values that lead there, the bytes of its own tag are initialised, and nobody writes to them but the future itself
    /// when it is polled. A recording uses a plan for the type that its maker was asked for.
    #[must_use]
    pub unsafe fn new(size: usize, steps: &[Step]) -> Option<Self> {
        let mut packed = Vec::with_capacity(steps.len());
        let mut next = Vec::new();
        for (place, step) in steps.iter().enumerate() {
            let fits = step.offset.checked_add(step.width)? <= size as u64;
            if !fits || !matches!(step.width, 1 | 2 | 4 | 8) {
                return None;
            }
            packed.push(Packed {
                offset: u32::try_from(step.offset).ok()?,
                width: u32::try_from(step.width).ok()?,
                base: step.base,
                first: u32::try_from(next.len()).ok()?,
                count: u32::try_from(step.next.len()).ok()?,
            });
            for to in step.next.iter().chain([&step.otherwise]) {
                next.push(match *to {
                    Next::Step(to) if usize::from(to) > place && usize::from(to) < steps.len() => {
                        u32::from(to)
                    }
                    Next::State(state) if state <= LAST => IS_STATE | u32::from(state),
                    Next::Unknown => IS_STATE | u32::from(UNKNOWN),
                    _ => return None,
                });
            }
        }
        Some(Self {
            size,
            steps: packed.into(),
            next: next.into(),
            boxed: false,
        })
    }

    /// Whether it may be used for futures of so many bytes.
    pub(super) fn fits(&self, size: usize) -> bool {
        self.size <= size
    }

    /// The same plan for futures that are in a box of the executor's, which is what is looked at.
    pub(crate) fn in_a_box(mut self) -> Self {
        self.boxed = true;
        self
    }

    /// The values that the tags on the way to each state have; none for one to which several ways lead.
    pub(super) fn ways(&self) -> Vec<Option<Vec<Check>>> {
        let states = self.next.iter().filter(|to| **to & IS_STATE != 0);
        let states = states
            .map(|to| state_of(*to))
            .filter(|state| *state <= LAST);
        let count = states.max().map_or(0, |most| usize::from(most) + 1);
        let mut found: Vec<Vec<Vec<Check>>> = vec![Vec::new(); count];
        // The ways to the steps. Each leads only to later ones, but several may lead to one.
        let mut to_steps: Vec<Option<Vec<Check>>> = vec![None; self.steps.len()];
        if let Some(first) = to_steps.first_mut() {
            *first = Some(Vec::new());
        }
        for (place, step) in self.steps.iter().enumerate() {
            let Some(before) = to_steps[place].take() else {
                continue;
            };
            for index in 0..step.count {
                let mut way = before.clone();
                way.push(Check {
                    value: step.base.wrapping_add(index.into()) & mask(step.width),
                    offset: step.offset,
                    width: step.width | if self.boxed { BOXED } else { 0 },
                });
                let to = self.next[(step.first + index) as usize];
                match state_of(to) {
                    _ if to & IS_STATE == 0 => to_steps[to as usize] = Some(way),
                    state if state <= LAST => found[usize::from(state)].push(way),
                    _ => {}
                }
            }
            // Those that all other values lead to have no value to be compared with.
            let other = self.next[(step.first + step.count) as usize];
            if other & IS_STATE != 0 && state_of(other) <= LAST {
                found[usize::from(state_of(other))].extend([Vec::new(), Vec::new()]);
            }
        }
        let only = |mut ways: Vec<Vec<Check>>| (ways.len() == 1).then(|| ways.remove(0));
        found.into_iter().map(only).collect()
    }

    /// The state of the future at an address.
    ///
    /// # Safety
    ///
    /// A future of the type of the plan is there, whole, and nobody writes to it meanwhile.
    #[inline(never)]
    pub(crate) unsafe fn read(&self, future: *const u8) -> State {
        let mut at = 0;
        let mut future = future;
        if self.boxed && !self.steps.is_empty() {
            // SAFETY: the caller's: a box that is pinned is a pointer.
            future = unsafe { unboxed(future) };
        }
        while let Some(step) = self.steps.get(at) {
            let place = future.wrapping_add(step.offset as usize);
            // SAFETY: the step lies within the future; the tag of a future that is whole is initialised.
            let value = unsafe { load(place, step.width) };
            let index = value.wrapping_sub(step.base) & mask(step.width);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it is no more than the count"
            )]
            let index = index.min(u64::from(step.count)) as usize;
            let Some(&to) = self.next.get(step.first as usize + index) else {
                return UNKNOWN;
            };
            if to & IS_STATE != 0 {
                return state_of(to);
            }
            at = to as usize;
        }
        UNKNOWN
    }
}

/// The state that an entry of `next` is.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the lower half is the state"
)]
fn state_of(to: u32) -> State {
    to as State
}

/// The bits of a number of so many bytes.
fn mask(width: u32) -> u64 {
    u64::MAX >> (64 - 8 * width)
}

/// What is in the box at an address.
#[inline]
pub(super) unsafe fn unboxed(place: *const u8) -> *const u8 {
    // SAFETY: the caller's.
    unsafe { place.cast::<*const u8>().read_unaligned() }
}

/// Reads a number of so many bytes.
#[inline]
pub(super) unsafe fn load(place: *const u8, width: u32) -> u64 {
    match width {
        // SAFETY: the caller's.
        1 => u64::from(unsafe { place.read() }),
        // SAFETY: the caller's.
        2 => u64::from(unsafe { place.cast::<u16>().read_unaligned() }),
        // SAFETY: the caller's.
        4 => u64::from(unsafe { place.cast::<u32>().read_unaligned() }),
        // SAFETY: the caller's.
        _ => unsafe { place.cast::<u64>().read_unaligned() },
    }
}

#[cfg(test)]
mod tests {
    use super::super::ways::Ways;
    use super::*;

    fn step(offset: u64, width: u64, base: u64, next: &[Next], otherwise: Next) -> Step {
        Step {
            offset,
            width,
            base,
            next: next.to_vec(),
            otherwise,
        }
    }

    #[test]
    fn tags_within_each_other_are_followed() {
        let steps = [
            step(8, 1, 0, &[Next::State(0), Next::Step(1)], Next::Unknown),
            step(
                2,
                2,
                0xfffe,
                &[Next::State(1), Next::State(2)],
                Next::State(3),
            ),
        ];
        // SAFETY: all bytes of the arrays are initialised.
        let plan = unsafe { Plan::new(9, &steps) }.expect("it is sound");
        let mut ways = Ways::new();
        let kind = ways.add(crate::look::kind::<[u8; 9]>(), plan.clone());
        let mut state = |tag: u8, inner: u16| {
            let mut bytes = [0xaa; 9];
            bytes[8] = tag;
            bytes[2..4].copy_from_slice(&inner.to_ne_bytes());
            // SAFETY: nine bytes are there.
            let state = unsafe { plan.read(bytes.as_ptr()) };
            // SAFETY: the same.
            let stand = unsafe { ways.first(kind, bytes.as_ptr()) };
            assert_eq!(ways.meaning(stand), (kind, state));
            for from in 4..9 {
                for _ in 0..2 {
                    // SAFETY: the same.
                    let next = unsafe { ways.next(from, bytes.as_ptr()) };
                    assert_eq!(next, stand, "whatever it was before");
                }
            }
            state
        };
        assert_eq!(state(0, 0xfffe), 0);
        assert_eq!(state(1, 0xfffe), 1);
        assert_eq!(state(1, 0xffff), 2);
        assert_eq!([0, 1, 0xfffd].map(|inner| state(1, inner)), [3; 3]);
        assert_eq!(state(2, 0xfffe), UNKNOWN);
        // SAFETY: an empty plan reads nothing.
        assert_eq!(unsafe { Plan::default().read(std::ptr::null()) }, UNKNOWN);
    }

    #[test]
    fn a_future_in_a_box_is_looked_at_there() {
        let tag = |offset, next: &[Next]| step(offset, 1, 0, next, Next::Unknown);
        let steps = [
            tag(3, &[Next::State(0), Next::Step(1)]),
            tag(1, &[Next::State(1), Next::State(2)]),
        ];
        // SAFETY: all bytes of the arrays are initialised.
        let plan = unsafe { Plan::new(4, &steps) }
            .expect("it is sound")
            .in_a_box();
        let mut ways = Ways::new();
        let kind = ways.add(crate::look::kind::<Box<[u8; 4]>>(), plan);
        let mut last = None;
        for (bytes, state) in [
            ([9, 9, 9, 0], 0),
            ([9, 0, 9, 1], 1),
            ([9, 1, 9, 1], 2),
            ([9, 0, 9, 1], 1),
            ([9, 1, 9, 1], 2),
            ([9, 1, 9, 7], UNKNOWN),
        ] {
            let boxed: Box<[u8; 4]> = Box::new(bytes);
            let future = (&raw const boxed).cast();
            // SAFETY: a box is there.
            let first = unsafe { ways.first(kind, future) };
            assert_eq!(ways.meaning(first), (kind, state), "{bytes:?}");
            if let Some(last) = last.replace(first) {
                // SAFETY: the same.
                assert_eq!(unsafe { ways.next(last, future) }, first);
            }
        }
    }

    #[test]
    fn what_would_read_elsewhere_or_never_end_is_refused() {
        let refused = [
            step(8, 1, 0, &[], Next::Unknown),
            step(7, 2, 0, &[], Next::Unknown),
            step(u64::MAX, 2, 0, &[], Next::Unknown),
            step(0, 3, 0, &[], Next::Unknown),
            step(0, 0, 0, &[], Next::Unknown),
            step(0, 1, 0, &[Next::Step(0)], Next::Unknown),
            step(0, 1, 0, &[], Next::Step(1)),
            step(0, 1, 0, &[Next::State(LAST + 1)], Next::Unknown),
        ];
        for step in refused {
            // SAFETY: it is used for nothing.
            let plan = unsafe { Plan::new(8, std::slice::from_ref(&step)) };
            assert!(plan.is_none(), "{step:?}");
        }
    }
}
