//! The states of all types that were seen, each with what tells it from the others at a glance.
//!
//! Following a plan takes one load after the other. So each state also knows the values of all tags on the way to it, which
//! can be compared at once, and which state followed it the last time. That one is tried first; a loop is then followed
//! without plans.

use super::plan::{LAST, Plan, State, UNKNOWN, load, unboxed};
use super::recorder::NO_KIND;
use crate::look::Kind;

/// A state of a type: a place in [`Ways`].
pub(super) type Stand = u32;

/// States that have no type.
pub(super) const NOWHERE: Stand = 0;
pub(super) const COMPLETED: Stand = 1;
pub(super) const PANICKED: Stand = 2;
pub(super) const DROPPED: Stand = 3;

/// The most states of all types.
const MOST: usize = 1 << 24;

/// A value that a tag must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) value: u64,
    pub(super) offset: u32,
    /// How many bytes the tag has; with [`BOXED`], it is in the box that is there.
    pub(super) width: u32,
}

/// Bit of [`Check::width`].
pub(super) const BOXED: u32 = 1 << 31;

/// A state.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// The state that followed the last time.
    after: Stand,
    /// The first check, and where the others are.
    check: Check,
    more: u32,
    /// How many those are; [`BLIND`] if this state cannot be told by checks.
    count: u16,
    kind: u16,
    state: State,
}

const BLIND: u16 = u16::MAX;

/// A type that was seen.
struct Known {
    kind: Kind,
    plan: Plan,
    /// Its state that is not known; the others follow.
    first: Stand,
}

/// The types, and their states.
pub(super) struct Ways {
    ways: Vec<Way>,
    checks: Vec<Check>,
    kinds: Vec<Known>,
}

impl Ways {
    pub(super) fn new() -> Self {
        let mut ways = Self {
            ways: Vec::new(),
            checks: Vec::new(),
            kinds: Vec::new(),
        };
        for _ in [NOWHERE, COMPLETED, PANICKED, DROPPED] {
            ways.push(NO_KIND, UNKNOWN, None);
        }
        ways
    }

    /// Adds a type, unless there are too many.
    pub(super) fn add(&mut self, kind: Kind, plan: Plan) -> u16 {
        let ways = plan.ways();
        let number = u16::try_from(self.kinds.len()).unwrap_or(NO_KIND);
        let (Ok(first), true) = (
            Stand::try_from(self.ways.len()),
            number != NO_KIND && self.ways.len() + ways.len() < MOST,
        ) else {
            return NO_KIND;
        };
        self.push(number, UNKNOWN, None);
        for (state, way) in (0..).zip(&ways) {
            self.push(number, state, way.as_deref());
        }
        self.kinds.push(Known { kind, plan, first });
        number
    }

    fn push(&mut self, kind: u16, state: State, checks: Option<&[Check]>) {
        let (&check, more) = checks.and_then(<[_]>::split_first).unwrap_or((&NEVER, &[]));
        self.ways.push(Way {
            after: NOWHERE,
            check,
            more: u32::try_from(self.checks.len()).unwrap_or(u32::MAX),
            count: match checks {
                Some(_) => u16::try_from(more.len()).unwrap_or(BLIND),
                None => BLIND,
            },
            kind,
            state,
        });
        self.checks.extend_from_slice(more);
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.kinds.iter().map(|known| known.kind)
    }

    pub(super) fn is_full(&self) -> bool {
        self.kinds.len() >= usize::from(NO_KIND) || self.ways.len() >= MOST
    }

    /// The type of a state, and its number in the plan of that.
    pub(super) fn meaning(&self, stand: Stand) -> (u16, State) {
        let way = self.ways.get(stand as usize);
        way.map_or((NO_KIND, UNKNOWN), |way| (way.kind, way.state))
    }

    /// The state of a future of a type.
    ///
    /// # Safety
    ///
    /// It is at the address, whole.
    pub(super) unsafe fn first(&self, kind: u16, future: *const u8) -> Stand {
        let Some(known) = self.kinds.get(usize::from(kind)) else {
            return NOWHERE;
        };
        // SAFETY: the caller's.
        match unsafe { known.plan.read(future) } {
            state if state <= LAST => known.first + 1 + Stand::from(state),
            _ => known.first,
        }
    }

    /// The state of a future that was in another one, or the same, before.
    ///
    /// # Safety
    ///
    /// It is at the address, whole.
    #[inline]
    pub(super) unsafe fn next(&mut self, from: Stand, future: *const u8) -> Stand {
        let Some(before) = self.ways.get(from as usize) else {
            return NOWHERE;
        };
        let guess = before.after;
        if let Some(way) = self.ways.get(guess as usize)
            // SAFETY: the caller's: the first tag is there in any state.
            && unsafe { way.check.holds(future) }
        {
            if way.count == 0 {
                return guess;
            }
            let more = way.more as usize;
            let more = self.checks.get(more..more + usize::from(way.count));
            // SAFETY: the caller's: a tag is looked at only after all before it have the values that lead to it.
            if more.is_some_and(|more| more.iter().all(|check| unsafe { check.holds(future) })) {
                return guess;
            }
        }
        // SAFETY: the caller's.
        unsafe { self.look(from, future) }
    }

    #[inline(never)]
    unsafe fn look(&mut self, from: Stand, future: *const u8) -> Stand {
        let (kind, _) = self.meaning(from);
        // SAFETY: the caller's.
        let to = unsafe { self.first(kind, future) };
        // One that cannot be told by checks is never tried.
        if self.ways[to as usize].count != BLIND {
            self.ways[from as usize].after = to;
        }
        to
    }
}

/// Holds for nothing: no byte is that large.
const NEVER: Check = Check {
    value: u64::MAX,
    offset: 0,
    width: 0,
};

impl Check {
    #[inline(always)]
    unsafe fn holds(&self, future: *const u8) -> bool {
        if self.width == 1 {
            let place = future.wrapping_add(self.offset as usize);
            // SAFETY: the caller's.
            return u64::from(unsafe { place.read() }) == self.value;
        }
        // SAFETY: the caller's.
        unsafe { self.holds_elsewhere(future) }
    }

    #[inline(never)]
    unsafe fn holds_elsewhere(&self, future: *const u8) -> bool {
        let width = self.width & !BOXED;
        if width == 0 {
            return false;
        }
        let mut future = future;
        if self.width != width {
            // SAFETY: the caller's.
            future = unsafe { unboxed(future) };
        }
        // SAFETY: the caller's.
        unsafe { load(future.wrapping_add(self.offset as usize), width) == self.value }
    }
}
