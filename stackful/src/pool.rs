//! The pool of each thread: stacks that were used last are used next, and what nobody takes for a while is given back.
//!
//! ```text
//!   shelf of one size   [ cold: no memory │ idle for the whole window │ used in the window ]
//!                         0 … cold          cold … low                  low … end  ⇄ take, put
//! ```
//!
//! Taking and putting is a pop and a push. How far down the shelf was emptied since the window began tells which stacks
//! nobody needed; [`quiet`], which the loop calls before it sleeps, gives those back, but for a few.
//!
//! Giving back is `MADV_DONTNEED`, neighbours together: the memory is the system's at once. `MADV_FREE` would leave it until
//! there is need, and in every count of resident memory until then.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use crate::arena::{self, CLASSES, Stack, guard};
use crate::overflow;

/// Free stacks of each size that keep their memory in any case.
const KEEP: usize = 32;
/// How long a stack has to be idle.
const WINDOW: Duration = Duration::from_millis(200);
/// Stacks that are given back in one go, about a millisecond of work…
const STEP: usize = 1024;
/// …and the pause after it.
const PAUSE: Duration = Duration::from_millis(2);

thread_local! {
    static POOL: Pool = const { Pool::new() };
}

struct Pool {
    shelves: RefCell<[Shelf; CLASSES]>,
    live: Cell<usize>,
    peak: Cell<usize>,
    /// When the window ends, if there is one.
    until: Cell<Option<Instant>>,
    deepest: Cell<usize>,
}

struct Shelf {
    free: Vec<Stack>,
    cold: usize,
    low: usize,
}

impl Shelf {
    const fn new() -> Self {
        Self {
            free: Vec::new(),
            cold: 0,
            low: 0,
        }
    }

    #[inline]
    fn take(&mut self) -> Option<Stack> {
        let stack = self.free.pop()?;
        let left = self.free.len();
        self.low = self.low.min(left);
        self.cold = self.cold.min(left);
        Some(stack)
    }

    /// How many have memory that could be given back.
    fn warm(&self) -> usize {
        (self.free.len() - self.cold).saturating_sub(KEEP)
    }

    /// How many of them nobody took since the window began.
    fn idle(&self) -> usize {
        let end = self.low.min(self.free.len().saturating_sub(KEEP));
        end.saturating_sub(self.cold)
    }
}

impl Pool {
    const fn new() -> Self {
        Self {
            shelves: RefCell::new([const { Shelf::new() }; CLASSES]),
            live: Cell::new(0),
            peak: Cell::new(0),
            until: Cell::new(None),
            deepest: Cell::new(0),
        }
    }

    #[inline]
    fn take(&self, class: u8) -> io::Result<Stack> {
        let taken = self.shelves.borrow_mut()[class as usize].take();
        let stack = match taken {
            Some(stack) => stack,
            None => self.supply(class)?,
        };
        let live = self.live.get() + 1;
        self.live.set(live);
        self.peak.set(self.peak.get().max(live));
        Ok(stack)
    }

    #[cold]
    fn supply(&self, class: u8) -> io::Result<Stack> {
        overflow::prepare()?;
        let mut shelves = self.shelves.borrow_mut();
        let shelf = &mut shelves[class as usize];
        arena::supply(class, &mut shelf.free)?;
        // They have no memory yet.
        shelf.cold = shelf.free.len();
        Ok(shelf.take().expect("stacks were supplied"))
    }

    fn quiet(&self) -> Option<Duration> {
        if self.peak.get() <= KEEP {
            return None;
        }
        let mut shelves = self.shelves.borrow_mut();
        if shelves.iter().all(|shelf| shelf.warm() == 0) {
            self.until.set(None);
            return None;
        }
        let now = Instant::now();
        let Some(until) = self.until.get() else {
            self.open_window(&mut shelves, now);
            return Some(WINDOW);
        };
        if now < until {
            return Some(until - now);
        }
        let mut left = STEP;
        for shelf in &mut *shelves {
            let count = shelf.idle().min(left);
            arena::discard(&mut shelf.free[shelf.cold..shelf.cold + count]);
            shelf.cold += count;
            left -= count;
        }
        if left == 0 {
            return Some(PAUSE);
        }
        self.open_window(&mut shelves, now);
        Some(WINDOW)
    }

    fn open_window(&self, shelves: &mut [Shelf; CLASSES], now: Instant) {
        self.until.set(Some(now + WINDOW));
        for shelf in shelves {
            shelf.low = shelf.free.len();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for (class, shelf) in (0..).zip(self.shelves.get_mut()) {
            arena::discard(&mut shelf.free[shelf.cold..]);
            if !shelf.free.is_empty() {
                arena::leave(class, std::mem::take(&mut shelf.free));
            }
        }
    }
}

/// Takes a stack.
#[inline]
pub(crate) fn take(class: u8) -> io::Result<Stack> {
    POOL.try_with(|pool| pool.take(class))
        .unwrap_or_else(|_| Err(io::Error::other("the thread is ending")))
}

/// Puts a stack back on which nothing runs any more.
#[inline]
pub(crate) fn put(stack: Stack) {
    let class = stack.class();
    let mut homeless = Some(stack);
    let put = POOL.try_with(|pool| {
        pool.live.set(pool.live.get() - 1);
        if let Some(stack) = homeless.take() {
            pool.shelves.borrow_mut()[class as usize].free.push(stack);
        }
    });
    if put.is_err() {
        arena::leave(class, homeless.into_iter().collect());
    }
}

/// Gives memory of idle stacks back if its time has come, and says how long to sleep at most before it is called again. For
/// the loop of a runtime, before it sleeps. It only counts if there is nothing to give.
#[doc(hidden)]
#[inline]
#[must_use]
pub fn quiet() -> Option<Duration> {
    POOL.try_with(Pool::quiet).ok().flatten()
}

/// Gives the memory of all free stacks of this thread back to the system.
///
/// A runtime does that by itself, for those that nobody needed in the last 200 ms, when it has nothing to do.
///
/// # Examples
///
/// ```
/// # use camshaft_stackful as fiber;
/// fiber::trim();
/// assert_eq!(fiber::census().live, 0);
/// ```
pub fn trim() {
    let trimmed = POOL.try_with(|pool| {
        pool.deepest
            .set(pool.deepest.get().max(arena::residency().deepest));
        for shelf in pool.shelves.borrow_mut().iter_mut() {
            arena::discard(&mut shelf.free[shelf.cold..]);
            shelf.cold = shelf.free.len();
        }
    });
    // A thread that ends has given everything back.
    let _ = trimmed;
}

/// What there is of stacks, and how much of them was used. See [`census`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Census {
    /// Fibers of this thread that have a stack now: those that have run, and are not over.
    pub live: usize,
    /// The most that there were at once.
    pub peak: usize,
    /// Stacks of this thread that wait to be used.
    pub free: usize,
    /// Stacks of the process.
    pub stacks: usize,
    /// Bytes of memory that the stacks of the process hold.
    pub resident: usize,
    /// How deep the deepest stack of the process was used, in bytes, rounded up to pages: the high-water mark. Stacks whose
    /// memory was given back count only if [`trim`] on this thread has done that.
    pub deepest: usize,
    /// How the guards below the stacks are made.
    pub guard: Guard,
}

/// How overflows are caught.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guard {
    /// There is no stack yet.
    #[default]
    Unknown,
    /// By marks in the page table (Linux 6.13): any number of stacks.
    Light,
    /// By pages without access: about 32,000 stacks, half of `vm.max_map_count`.
    Protected,
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "none yet",
            Self::Light => "marks in the page table",
            Self::Protected => "pages without access",
        })
    }
}

/// Counts the stacks, and looks how deep they were used.
///
/// It asks the kernel about every page of every stack: 10,000 stacks take about a millisecond.
///
/// # Examples
///
/// ```
/// # use camshaft_stackful as fiber;
/// let before = fiber::census();
/// let mut squares = fiber::Generator::new(|squares| (0..3).for_each(|n| squares.give(n * n)));
/// assert_eq!(squares.next(), Some(0));
/// assert_eq!(fiber::census().live, before.live + 1);
/// drop(squares);
/// assert_eq!(fiber::census().live, before.live);
/// ```
#[must_use]
pub fn census() -> Census {
    let residency = arena::residency();
    let mut census = Census {
        stacks: residency.stacks,
        resident: residency.bytes,
        deepest: residency.deepest,
        guard: match arena::guard_kind() {
            guard::LIGHT => Guard::Light,
            guard::PROTECTED => Guard::Protected,
            _ => Guard::Unknown,
        },
        ..Census::default()
    };
    let counted = POOL.try_with(|pool| {
        census.live = pool.live.get();
        census.peak = pool.peak.get();
        census.deepest = census.deepest.max(pool.deepest.get());
        census.free = pool.shelves.borrow().iter().map(|it| it.free.len()).sum();
    });
    // A thread that ends has no stacks of its own.
    let _ = counted;
    census
}
