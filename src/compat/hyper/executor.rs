//! Tasks of hyper.

use std::future::Future;

use hyper::rt::Executor;

/// Spawns hyper's tasks on the current runtime; they need not be `Send`.
///
/// HTTP/2 needs one, for the streams of a connection.
///
/// # Panics
///
/// If hyper spawns outside of a camshaft runtime, which it does when its futures are polled there.
///
/// # Cancellation
///
/// The tasks are detached: to drop the future of a connection ends them only as far as hyper tells them of it. What is left is
/// dropped with the runtime.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
///
/// use camshaft::compat::HyperExecutor;
/// use hyper::rt::Executor;
///
/// camshaft::block_on(async {
///     let local = Rc::new("not Send");
///     HyperExecutor.execute(async move { println!("{local}") });
/// });
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct HyperExecutor;

impl HyperExecutor {
    /// The executor, which is that of the thread it is used on.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl<F> Executor<F> for HyperExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        drop(camshaft_executor::spawn(future));
    }
}
