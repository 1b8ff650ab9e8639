//! The states of all types that were seen, each with what tells it from the others at a glance.
//!
//! Following a plan takes one load after the other. So each state also knows the values of all tags on the way to it, which
//! can be compared at once, and which state followed it the last time. That one is tried first; a loop is then followed
//! without plans.
//!
//! Invariants:
//!
//! - **BYTES**: where a state says that bytes are, and as many as it says, there are some in the list, which only grows.
//! - **STAND**: a [`Stand`] that a recording keeps is the place of a state in its own list, which only grows; it was
//!   got from there, or is zero.

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
    /// What tells that one, if bytes do: the first, and where the others are, and how many.
    byte: Byte,
    bytes_at: u32,
    bytes: u32,
    /// Where the checks of this one are, and how many; [`BLIND`] if it cannot be told by checks.
    checks_at: u32,
    checks: u16,
    kind: u16,
    state: State,
}

/// A tag of one byte: where it is, and the value that it must have.
#[derive(Clone, Copy, Debug)]
struct Byte {
    offset: u32,
    value: u32,
}

const BLIND: u16 = u16::MAX;

/// No byte has such a value.
const NO_BYTE: Byte = Byte {
    offset: 0,
    value: u32::MAX,
};

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
    /// The same, of those that are bytes.
    bytes: Vec<Byte>,
    kinds: Vec<Known>,
}

impl Ways {
    pub(super) fn new() -> Self {
        let mut ways = Self {
            ways: Vec::new(),
            checks: Vec::new(),
            bytes: Vec::new(),
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
        let checks_at = u32::try_from(self.checks.len());
        let count = checks.map(|checks| u16::try_from(checks.len()));
        let (checks_at, count) = match (checks_at, count) {
            (Ok(at), Some(Ok(count))) => (at, count),
            _ => (0, BLIND),
        };
        for check in checks.unwrap_or_default() {
            self.checks.push(*check);
            self.bytes.push(check.byte().unwrap_or(NO_BYTE));
        }
        self.ways.push(Way {
            after: NOWHERE,
            byte: NO_BYTE,
            bytes_at: 0,
            bytes: 0,
            checks_at,
            checks: count,
            kind,
            state,
        });
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
    /// It is at the address, whole. What it was in before is one of these states (STAND), and of its type.
    #[inline(always)]
    pub(super) unsafe fn next(&mut self, from: Stand, future: *const u8) -> Stand {
        debug_assert!((from as usize) < self.ways.len(), "STAND");
        // SAFETY: STAND.
        let before = unsafe { self.ways.get_unchecked(from as usize) };
        // SAFETY: the caller's: the first tag is there in any state.
        if before.byte.value != NO_BYTE.value && unsafe { before.byte.holds(future) } {
            if before.bytes == 0 {
                return before.after;
            }
            let mut at = before.bytes_at as usize;
            let end = at + before.bytes as usize;
            loop {
                // SAFETY: BYTES.
                let byte = unsafe { self.bytes.get_unchecked(at) };
                // SAFETY: the caller's: a tag is looked at only after all before it have the values that lead to it.
                if !unsafe { byte.holds(future) } {
                    break;
                }
                at += 1;
                if at == end {
                    return before.after;
                }
            }
        }
        // SAFETY: the caller's.
        unsafe { self.follow(from, future) }
    }

    /// As [`next`](Self::next), where bytes do not tell.
    #[inline(never)]
    unsafe fn follow(&mut self, from: Stand, future: *const u8) -> Stand {
        let before = self.ways[from as usize];
        let guess = self.ways[before.after as usize];
        if before.byte.value == NO_BYTE.value && guess.checks != BLIND {
            // SAFETY: the caller's: a tag is looked at only after all before it have the values that lead to it.
            let holds = |check: &Check| unsafe { check.holds(future) };
            if self.checks_of(guess).iter().all(holds) {
                return before.after;
            }
        }
        // SAFETY: the caller's.
        let to = unsafe { self.first(before.kind, future) };
        self.expect(from, to);
        to
    }

    /// A state is to be tried first after another one. One that cannot be told by checks never is.
    fn expect(&mut self, from: Stand, to: Stand) {
        let way = self.ways[to as usize];
        if way.checks == BLIND {
            return;
        }
        let bytes = way.checks_at as usize..way.checks_at as usize + usize::from(way.checks);
        let first = self.bytes.get(bytes).and_then(<[_]>::split_first);
        let all = self
            .checks_of(way)
            .iter()
            .all(|check| check.byte().is_some());
        let before = &mut self.ways[from as usize];
        before.after = to;
        (before.byte, before.bytes_at, before.bytes) = match first {
            // Not more than the checks are, whose number fits.
            Some((first, _)) if all => (*first, way.checks_at + 1, u32::from(way.checks) - 1),
            _ => (NO_BYTE, 0, 0),
        };
    }

    fn checks_of(&self, way: Way) -> &[Check] {
        let first = way.checks_at as usize;
        &self.checks[first..first + usize::from(way.checks)]
    }
}

impl Byte {
    #[inline(always)]
    unsafe fn holds(self, future: *const u8) -> bool {
        // SAFETY: the caller's.
        u32::from(unsafe { future.wrapping_add(self.offset as usize).read() }) == self.value
    }
}

impl Check {
    /// The same as a byte, if it is of one.
    fn byte(&self) -> Option<Byte> {
        let value = u32::try_from(self.value).ok();
        let offset = self.offset;
        value
            .filter(|_| self.width == 1)
            .map(|value| Byte { offset, value })
    }

    unsafe fn holds(&self, future: *const u8) -> bool {
        let width = self.width & !BOXED;
        let mut future = future;
        if self.width != width {
            // SAFETY: the caller's.
            future = unsafe { unboxed(future) };
        }
        // SAFETY: the caller's.
        unsafe { load(future.wrapping_add(self.offset as usize), width) == self.value }
    }
}
