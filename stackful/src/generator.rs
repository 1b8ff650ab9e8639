//! A generator: an iterator whose `next` resumes a fiber.

use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;

use crate::fiber::{Builder, Outcome, settle, start};
use crate::frame::{self, Core, Frame};
use crate::here::{self, Refusal};

/// An iterator over the values that a function gives away, one at a time, wherever it is in its calls.
///
/// The function runs on a stack of its own, from one [`give`](Give::give) to the next: recursion needs no boxes, and a tree
/// is walked by a plain function that calls itself. It begins at the first `next`. It may be used anywhere, outside of a
/// runtime too; if a fiber uses it, the function may [`wait`](crate::wait), and that fiber waits.
///
/// For what need not suspend in the middle of calls, `std::iter::from_fn` and adapters are smaller and quicker.
///
/// # Panics
///
/// `next` panics as the function does, once; after that there is nothing more. And if there is no memory for a stack.
///
/// # Cancellation
///
/// Dropping it unwinds the function, as with a [`Fiber`](crate::Fiber).
///
/// # Examples
///
/// ```
/// use camshaft_stackful::{Generator, Give};
///
/// struct Tree(Option<Box<(Tree, u32, Tree)>>);
///
/// fn walk(tree: &Tree, out: &Give<u32>) {
///     if let Some(node) = &tree.0 {
///         walk(&node.0, out);
///         out.give(node.1);
///         walk(&node.2, out);
///     }
/// }
///
/// let leaf = |n| Tree(Some(Box::new((Tree(None), n, Tree(None)))));
/// let tree = Tree(Some(Box::new((leaf(1), 2, leaf(3)))));
/// let sorted: Vec<u32> = Generator::new(move |out| walk(&tree, out)).collect();
/// assert_eq!(sorted, [1, 2, 3]);
/// ```
pub struct Generator<T: 'static> {
    core: Option<Core>,
    items: PhantomData<fn() -> T>,
}

/// Where a generator's function puts its values.
pub struct Give<T> {
    frame: *const Frame,
    items: PhantomData<fn(T)>,
}

/// What comes out of a resume.
enum Came<T> {
    Nothing,
    Item(T),
    End(Outcome<()>),
}

impl<T: 'static> Generator<T> {
    /// Makes a generator with a stack of 64 KiB.
    ///
    /// # Panics
    ///
    /// Panics if there is no memory for a stack.
    #[track_caller]
    pub fn new(function: impl FnOnce(&Give<T>) + 'static) -> Self {
        Builder::new().generator(function)
    }
}

impl Builder {
    /// Makes a generator, as [`Generator::new`] does.
    ///
    /// # Panics
    ///
    /// Panics if there is no memory for a stack.
    #[track_caller]
    pub fn generator<T: 'static>(self, function: impl FnOnce(&Give<T>) + 'static) -> Generator<T> {
        let body = move |frame: &Frame| {
            let give = Give {
                frame,
                items: PhantomData,
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                // Dropped before the first `next`: then the function is only dropped.
                if !frame.is_cancelled() {
                    function(&give);
                }
            }));
            give.put(Came::End(outcome));
        };
        Generator {
            core: Some(start(self.birth(), true, body)),
            items: PhantomData,
        }
    }
}

impl<T> Give<T> {
    /// Gives a value to whoever called `next`. Returns at the next `next`.
    ///
    /// # Panics
    ///
    /// Anywhere but in the generator's own function: in another fiber that it runs, or in a future that it polls. And while
    /// the function unwinds.
    // Always: as `wait`.
    #[inline(always)]
    #[track_caller]
    pub fn give(&self, value: T) {
        let Some(frame) = frame::current().filter(|frame| ptr::eq(*frame, self.frame)) else {
            here::refuse("Give::give", Refusal::Outside);
        };
        if frame.polling.get() {
            here::refuse("Give::give", Refusal::InPoll);
        }
        here::enter(frame, "Give::give");
        self.put(Came::Item(value));
        frame.switch_out();
        if frame.is_cancelled() {
            frame.unwind();
        }
    }

    #[inline]
    fn put(&self, came: Came<T>) {
        // SAFETY: ON STACK (see `crate::frame`): only what runs on that stack has a `Give`.
        let out = unsafe { &*self.frame }.out().cast::<Came<T>>();
        // SAFETY: RUNNING (see `crate::frame`): whoever has resumed the fiber waits for this, with a place of this type.
        unsafe { *out = came };
    }
}

impl<T: 'static> Iterator for Generator<T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        let core = self.core.as_mut()?;
        let mut came = Came::Nothing;
        let ended = core.resume(None, (&raw mut came).cast());
        if ended && let Some(core) = self.core.take() {
            core.finish();
        }
        match came {
            Came::Item(item) => Some(item),
            Came::End(Err(panic)) => resume_unwind(panic),
            Came::End(Ok(())) | Came::Nothing => None,
        }
    }
}

impl<T: 'static> FusedIterator for Generator<T> {}

impl<T: 'static> Drop for Generator<T> {
    fn drop(&mut self) {
        let Some(mut core) = self.core.take() else {
            return;
        };
        let mut came = Came::<T>::Nothing;
        if !core.cancel((&raw mut came).cast()) {
            return;
        }
        core.finish();
        if let Came::End(outcome) = came {
            settle(Some(outcome));
        }
    }
}

impl<T: 'static> fmt::Debug for Generator<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator")
            .field("is_over", &self.core.is_none())
            .finish()
    }
}

impl<T> fmt::Debug for Give<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Give").finish_non_exhaustive()
    }
}
