//! Our runtime and others behind one trait, so that all run the same workload function.
//!
//! Each runs on one thread, with its timers on, as it is documented for that. The others are features of this package, off
//! unless asked for: without its feature, a row says so.

use std::time::Duration;

use crate::experiment::Outcome;

mod camshaft;
#[cfg(feature = "compio")]
mod compio;
#[cfg(feature = "glommio")]
mod glommio;
#[cfg(feature = "monoio")]
mod monoio;
#[cfg(feature = "smol")]
mod smol;
#[cfg(feature = "tokio")]
mod tokio;
#[cfg(feature = "tokio-uring")]
mod tokio_uring;

pub(crate) use camshaft::Camshaft;
#[cfg(feature = "compio")]
pub(crate) use compio::Compio;
#[cfg(feature = "glommio")]
pub(crate) use glommio::Glommio;
#[cfg(feature = "monoio")]
pub(crate) use monoio::Monoio;
#[cfg(feature = "smol")]
pub(crate) use smol::Smol;
#[cfg(feature = "tokio")]
pub(crate) use tokio::Tokio;
#[cfg(feature = "tokio-uring")]
pub(crate) use tokio_uring::TokioUring;

/// What workloads of tasks need.
pub(crate) trait Runtime: 'static {
    /// Runs `future` as the root of a new runtime on this thread.
    fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> anyhow::Result<T>;
    /// Starts a task; the future returned joins it; the task may end when that future is dropped.
    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static;
    /// Starts a task that nobody joins.
    fn detach(future: impl Future<Output = ()> + 'static);
    /// Lets other tasks run: the runtime's own way, or [`yield_by_wake`] where it has none.
    fn yield_now() -> impl Future<Output = ()>;
    /// Completes when `duration` has passed.
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static;
}

/// Runs a workload in a task: the root of several runtimes is not scheduled like one.
pub(crate) fn run<R: Runtime, O: Into<Outcome> + 'static>(
    work: impl Future<Output = O> + 'static,
) -> anyhow::Result<Outcome> {
    R::run(async { R::spawn(work).await }).map(Into::into)
}

/// Wakes its own task and returns pending once: the yield for runtimes that offer none.
#[cfg(any(feature = "compio", feature = "monoio"))]
pub(crate) fn yield_by_wake() -> impl Future<Output = ()> {
    use std::task::Poll;

    let mut yielded = false;
    std::future::poll_fn(move |context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

/// The subjects given, and after them a row for every other runtime, which runs a function that is generic over it.
macro_rules! with_peers {
    ($function:ident; $($subject:expr),* $(,)?) => {
        &[
            $($subject,)*
            crate::peers::peer!($function, Tokio, "tokio"),
            crate::peers::peer!($function, Smol, "smol"),
            crate::peers::peer!($function, Monoio, "monoio"),
            crate::peers::peer!($function, Glommio, "glommio"),
            crate::peers::peer!($function, Compio, "compio"),
            crate::peers::peer!($function, TokioUring, "tokio-uring"),
        ]
    };
}

/// The row of may, which is stackful: a workload of its own.
macro_rules! may {
    ($work:expr) => {
        crate::experiment::Subject::new("may", crate::experiment::Model::Peer, {
            #[cfg(feature = "may")]
            {
                |setting| crate::models::written::may::run(move || $work(setting))
            }
            #[cfg(not(feature = "may"))]
            {
                |_| crate::peers::not_built("may")
            }
        })
    };
}

/// The row of one other runtime.
macro_rules! peer {
    ($function:ident, $runtime:ident, $feature:literal) => {
        crate::experiment::Subject::new($feature, crate::experiment::Model::Peer, {
            #[cfg(feature = $feature)]
            {
                $function::<crate::peers::$runtime>
            }
            #[cfg(not(feature = $feature))]
            {
                |_| crate::peers::not_built($feature)
            }
        })
    };
}
pub(crate) use {may, peer, with_peers};

/// The row of a peer without its feature.
#[allow(dead_code, reason = "with all features there is none")]
pub(crate) fn not_built(feature: &str) -> anyhow::Result<Outcome> {
    Ok(Outcome::Skipped(format!(
        "built without the feature {feature}"
    )))
}
