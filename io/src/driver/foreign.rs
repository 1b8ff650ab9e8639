//! Calls into code that is not ours: wakers, and the drops of users' buffers.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Has the processor fetch what a waker points to, which is used in a moment: among thousands of tasks it is rarely in the
/// first cache.
#[inline(always)]
pub(super) fn prefetch(data: *const ()) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which is allowed for any address; SSE is part of x86_64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(data.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = data;
}

/// Calls user code whose panic has nowhere to go: it is printed by the hook, and ends here.
pub(super) fn quietly(call: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
        // The payload may panic when it is dropped, and so may the payload of that.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            mem::forget(second);
        }
    }
}
