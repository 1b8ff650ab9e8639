//! Bare switches, old and new: into one of many stacks, threads or processes, and back, without any scheduler.
//!
//! All stacks come from [`stacks`](super::stacks) and have their coroutine's data at the upper end, as camshaft's fibers
//! have, so that rows differ in the switch alone.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[allow(unsafe_code, reason = "switches stacks by hand")]
pub(crate) mod assembly;
#[allow(
    unsafe_code,
    reason = "switches stacks by corosensei, without a destructor"
)]
pub(crate) mod bare;
#[cfg(c_switches)]
#[allow(unsafe_code, reason = "calls C")]
pub(crate) mod c;
#[allow(unsafe_code, reason = "calls futex")]
pub(crate) mod handoff;

/// Something that is switched to, and switches back.
pub(crate) trait Switch {
    /// One turn of it.
    fn turn(&mut self);
}
