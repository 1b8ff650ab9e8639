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
use std::io;
use std::time::{Duration, Instant};

use crate::arena;
use crate::overflow;
use crate::stack::{CLASSES, Stack};

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

    #[inline]
    fn put(&self, stack: Stack) {
        self.live.set(self.live.get() - 1);
        let mut shelves = self.shelves.borrow_mut();
        shelves[stack.class() as usize].free.push(stack);
    }

    /// As [`quiet`]; `now` is asked only if there is something to give.
    fn quiet(&self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        if self.peak.get() <= KEEP {
            return None;
        }
        let mut shelves = self.shelves.borrow_mut();
        if shelves.iter().all(|shelf| shelf.warm() == 0) {
            self.until.set(None);
            return None;
        }
        let now = now();
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

    fn trim(&self) {
        let deepest = arena::residency().deepest;
        self.deepest.set(self.deepest.get().max(deepest));
        for shelf in self.shelves.borrow_mut().iter_mut() {
            arena::discard(&mut shelf.free[shelf.cold..]);
            shelf.cold = shelf.free.len();
        }
    }

    fn counts(&self) -> Counts {
        Counts {
            live: self.live.get(),
            peak: self.peak.get(),
            free: self.shelves.borrow().iter().map(|it| it.free.len()).sum(),
            deepest: self.deepest.get(),
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
        if let Some(stack) = homeless.take() {
            pool.put(stack);
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
    POOL.try_with(|pool| pool.quiet(Instant::now))
        .ok()
        .flatten()
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
    // A thread that ends has given everything back.
    let _ = POOL.try_with(Pool::trim);
}

/// What a thread has counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) live: usize,
    pub(crate) peak: usize,
    pub(crate) free: usize,
    /// How deep stacks were used whose memory was given back.
    pub(crate) deepest: usize,
}

/// What this thread has counted; nothing if it is ending.
pub(crate) fn counts() -> Counts {
    POOL.try_with(Pool::counts).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::tests::{is_resident, touch};

    /// 128 KiB: no other test has these.
    const CLASS: u8 = 2;

    fn take(pool: &Pool, count: usize) -> Vec<Stack> {
        let taken = (0..count).map(|_| pool.take(CLASS).expect("there is memory"));
        taken.inspect(touch).collect()
    }

    fn put(pool: &Pool, stacks: Vec<Stack>) {
        stacks.into_iter().for_each(|stack| pool.put(stack));
    }

    /// Which of the free stacks have memory, in the order of the shelf.
    fn warm(pool: &Pool) -> Vec<bool> {
        let shelves = pool.shelves.borrow();
        shelves[CLASS as usize]
            .free
            .iter()
            .map(is_resident)
            .collect()
    }

    fn cold_then_warm(pool: &Pool, cold: usize) -> bool {
        let warm = warm(pool);
        warm.iter()
            .enumerate()
            .all(|(at, warm)| *warm == (at >= cold))
    }

    #[test]
    fn what_was_put_back_last_is_taken_next_and_all_is_counted() {
        let pool = Pool::new();
        let mut stacks = take(&pool, 3);
        let tops: Vec<_> = stacks.iter().map(Stack::top).collect();
        let fresh = pool.counts().free;
        let _in_use = stacks.pop();
        put(&pool, stacks);
        let counts = pool.counts();
        assert_eq!((counts.live, counts.peak, counts.free), (1, 3, fresh + 2));
        assert_eq!(pool.take(CLASS).expect("there are two").top(), tops[1]);
        assert_eq!((pool.counts().live, pool.counts().peak), (2, 3));
        assert_eq!(pool.take(CLASS).expect("there is one").top(), tops[0]);
    }

    #[test]
    fn what_is_supplied_counts_as_without_memory() {
        let pool = Pool::new();
        let _one = take(&pool, 1);
        let shelf = &pool.shelves.borrow()[CLASS as usize];
        assert_eq!((shelf.cold, shelf.warm()), (shelf.free.len(), 0));
    }

    #[test]
    fn what_nobody_took_for_a_window_is_given_back_but_for_some() {
        let (pool, begin) = (Pool::new(), Instant::now());
        let quiet = |windows: f64| pool.quiet(|| begin + WINDOW.mul_f64(windows));
        let stacks = take(&pool, 3 * KEEP);
        // Those that came with them.
        let others = take(&pool, pool.counts().free);
        assert!(quiet(0.0).is_none(), "none of the free has memory");
        put(&pool, stacks);
        put(&pool, others);
        let all = pool.counts().free;
        assert!(all > 2 * KEEP);

        assert_eq!(quiet(1.0), Some(WINDOW));
        assert_eq!(quiet(1.5), Some(WINDOW / 2));
        let used = take(&pool, KEEP + 10);
        assert!(cold_then_warm(&pool, 0), "the window is not over");
        put(&pool, used);
        assert_eq!(quiet(2.0), Some(WINDOW));
        assert!(
            cold_then_warm(&pool, all - KEEP - 10),
            "the others were used"
        );
        assert_eq!(quiet(2.5), Some(WINDOW / 2), "a new window");
        assert_eq!(quiet(3.0), Some(WINDOW));
        assert!(cold_then_warm(&pool, all - KEEP), "{:?}", warm(&pool));
        assert_eq!(quiet(3.5), None, "the rest is kept");

        // A window begins when there is something again.
        let stacks = take(&pool, all);
        put(&pool, stacks);
        assert_eq!(quiet(3.6), Some(WINDOW));
        assert!(cold_then_warm(&pool, 0));
        pool.trim();
        assert!(cold_then_warm(&pool, all));
        assert_eq!(quiet(5.0), None);
    }

    #[test]
    fn many_are_given_back_in_steps() {
        let (pool, begin) = (Pool::new(), Instant::now());
        let stacks = take(&pool, 2 * STEP + 2 * KEEP);
        let others = take(&pool, pool.counts().free);
        put(&pool, stacks);
        put(&pool, others);
        let all = pool.counts().free;
        assert_eq!(pool.quiet(|| begin), Some(WINDOW));
        for step in 1..=2 {
            assert_eq!(pool.quiet(|| begin + WINDOW), Some(PAUSE));
            assert!(cold_then_warm(&pool, step * STEP));
        }
        assert_eq!(pool.quiet(|| begin + WINDOW), Some(WINDOW));
        assert!(cold_then_warm(&pool, all - KEEP));
    }

    #[test]
    fn where_few_were_ever_used_the_clock_is_not_asked() {
        let pool = Pool::new();
        let stacks = take(&pool, KEEP);
        put(&pool, stacks);
        assert!(pool.quiet(|| unreachable!("the clock")).is_none());
        assert!(warm(&pool).iter().any(|warm| *warm));
    }
}
