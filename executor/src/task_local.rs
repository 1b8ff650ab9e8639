//! Values that belong to a task rather than to a thread.
//!
//! A value lives in the future that carries it and is swapped into a thread local for the length of each poll.

use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

/// Declares task-local keys.
///
/// # Examples
///
/// ```
/// camshaft_executor::task_local! {
///     /// Whom the task serves.
///     pub static USER: &'static str;
/// }
///
/// camshaft_executor::block_on(USER.scope("ada", async {
///     assert_eq!(USER.with(|user| *user), "ada");
/// }));
/// ```
#[macro_export]
macro_rules! task_local {
    () => {};
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty; $($rest:tt)*) => {
        $crate::task_local! { $(#[$attribute])* $visibility static $name: $type }
        $crate::task_local! { $($rest)* }
    };
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty) => {
        $(#[$attribute])*
        $visibility static $name: $crate::LocalKey<$type> = {
            ::std::thread_local! {
                static SLOT: ::std::cell::RefCell<::std::option::Option<$type>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }
            $crate::LocalKey::new(SLOT)
        };
    };
}

/// A key of a task-local value, made by [`task_local!`](crate::task_local).
pub struct LocalKey<T: 'static> {
    slot: thread::LocalKey<RefCell<Option<T>>>,
}

/// There is no value: the key was used outside of a scope of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessError;

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task-local value is not set here; use it inside of LocalKey::scope")
    }
}

impl std::error::Error for AccessError {}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(slot: thread::LocalKey<RefCell<Option<T>>>) -> Self {
        Self { slot }
    }

    /// Runs `future` with the key set to `value` during its polls and its drop.
    ///
    /// # Cancellation
    ///
    /// As the future's own; the value is dropped after it.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> TaskLocalFuture<T, F> {
        TaskLocalFuture {
            key: self,
            value: Some(value),
            future: Some(future),
        }
    }

    /// Runs a closure with the key set to `value`.
    ///
    /// # Panics
    ///
    /// Panics if the key is being used by [`with`](Self::with) around this call, or the thread is ending.
    pub fn sync_scope<F, R>(&'static self, value: T, run: F) -> R
    where
        F: FnOnce() -> R,
    {
        let mut value = Some(value);
        let _swapped = Swapped::new(self, &mut value);
        run()
    }

    /// Calls `read` with the value.
    ///
    /// # Panics
    ///
    /// Panics outside of a scope of this key.
    pub fn with<F, R>(&'static self, read: F) -> R
    where
        F: FnOnce(&T) -> R,
    {
        match self.try_with(read) {
            Ok(result) => result,
            Err(error) => panic!("camshaft: {error}"),
        }
    }

    /// Calls `read` with the value.
    ///
    /// # Errors
    ///
    /// [`AccessError`] outside of a scope of this key; then `read` is not called.
    pub fn try_with<F, R>(&'static self, read: F) -> Result<R, AccessError>
    where
        F: FnOnce(&T) -> R,
    {
        let read = |slot: &RefCell<Option<T>>| slot.try_borrow().ok()?.as_ref().map(read);
        self.slot.try_with(read).ok().flatten().ok_or(AccessError)
    }

    /// Returns a copy of the value.
    ///
    /// # Panics
    ///
    /// Panics outside of a scope of this key.
    #[must_use]
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Exchanges the value on the thread with `value`; false if neither was touched.
    fn swap(&'static self, value: &mut Option<T>) -> bool {
        let swap = |slot: &RefCell<Option<T>>| {
            slot.try_borrow_mut()
                .map(|mut held| mem::swap(&mut *held, value))
        };
        matches!(self.slot.try_with(swap), Ok(Ok(())))
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

/// Holds a value swapped in, until it is dropped.
struct Swapped<'a, T: 'static> {
    key: &'static LocalKey<T>,
    value: &'a mut Option<T>,
}

impl<'a, T: 'static> Swapped<'a, T> {
    fn new(key: &'static LocalKey<T>, value: &'a mut Option<T>) -> Self {
        assert!(
            key.swap(value),
            "camshaft: a task-local scope was entered while its key was being read, or while the thread was ending"
        );
        Self { key, value }
    }
}

impl<T: 'static> Drop for Swapped<'_, T> {
    fn drop(&mut self) {
        self.key.swap(self.value);
    }
}

/// The future of [`LocalKey::scope`].
#[must_use = "futures do nothing unless awaited"]
pub struct TaskLocalFuture<T: 'static, F> {
    key: &'static LocalKey<T>,
    value: Option<T>,
    future: Option<F>,
}

impl<T: 'static, F> TaskLocalFuture<T, F> {
    /// The parts, the future pinned.
    fn project(
        self: Pin<&mut Self>,
    ) -> (&'static LocalKey<T>, &mut Option<T>, Pin<&mut Option<F>>) {
        // SAFETY: nothing is moved out through it.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: structural pinning: the future is never moved, and it is dropped in place.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        (this.key, &mut this.value, future)
    }
}

impl<T: 'static, F: Unpin> Unpin for TaskLocalFuture<T, F> {}

impl<T: 'static, F: Future> Future for TaskLocalFuture<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let (key, value, mut future) = self.project();
        let _swapped = Swapped::new(key, value);
        let running = future.as_mut().as_pin_mut();
        let polled = running
            .expect("camshaft: a task-local future was polled after it had ended")
            .poll(cx);
        if polled.is_ready() {
            future.set(None);
        }
        polled
    }
}

impl<T: 'static, F> Drop for TaskLocalFuture<T, F> {
    fn drop(&mut self) {
        // SAFETY: it is being dropped and will not be moved again.
        let (key, value, mut future) = unsafe { Pin::new_unchecked(self) }.project();
        if future.is_some() {
            // Without the value rather than not at all, if it cannot be swapped in.
            let swapped = key.swap(value).then_some(Swapped { key, value });
            future.set(None);
            drop(swapped);
        }
    }
}

impl<T: 'static, F> fmt::Debug for TaskLocalFuture<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocalFuture").finish_non_exhaustive()
    }
}
