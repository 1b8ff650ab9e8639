//! What a fiber waits for, for those who look at it from outside.
//!
//! A program that reads its own debug information knows the type of a vtable that a cast makes at run time. So with the feature
//! `inspect` a fiber that waits leaves the address of its future on its stack, and that of such a vtable.

use std::any::TypeId;
use std::hint::black_box;

/// What every future is cast to. Its method differs for each type, so that no two vtables are the same and folded into one.
/// That the crate that reads has one as well, and another crate, is no mistake: crates here know nothing of each other.
trait Anchor {
    #[expect(dead_code, reason = "it makes vtables differ")]
    fn identity(&self) -> TypeId
    where
        Self: 'static;
}

impl<T> Anchor for T {
    fn identity(&self) -> TypeId
    where
        Self: 'static,
    {
        TypeId::of::<T>()
    }
}

/// The address of a future, and of a vtable of its type.
#[inline]
pub(crate) fn place<F>(future: &F) -> [usize; 2] {
    let future: *const (dyn Anchor + '_) = black_box(std::ptr::from_ref(future));
    // SAFETY: a wide pointer to a trait object is two words: the data, and the vtable.
    unsafe { std::mem::transmute(future) }
}
