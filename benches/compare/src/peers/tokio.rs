//! tokio: its current-thread scheduler as a `LocalRuntime`.

use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::task;
use tokio::time;

use super::Runtime;

/// The runtime of this module.
#[derive(Debug)]
pub(crate) struct Tokio;

impl Runtime for Tokio {
    fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> anyhow::Result<T> {
        Ok(Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())?
            .block_on(future))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let handle = task::spawn_local(future);
        async move { handle.await.expect("no task here panics or is aborted") }
    }

    fn detach(future: impl Future<Output = ()> + 'static) {
        drop(task::spawn_local(future));
    }

    fn yield_now() -> impl Future<Output = ()> {
        task::yield_now()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        time::sleep(duration)
    }
}
