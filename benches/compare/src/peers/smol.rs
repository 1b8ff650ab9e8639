//! smol on one thread: a `LocalExecutor` under `smol::block_on`, which polls the reactor itself; the reactor's helper
//! thread exists but has nothing to do meanwhile. Its CPU time and memory count.

use std::time::Duration;

use smol::{LocalExecutor, Timer};

use super::Runtime;

thread_local! {
    static EXECUTOR: LocalExecutor<'static> = const { LocalExecutor::new() };
}

/// The runtime of this module.
#[derive(Debug)]
pub(crate) struct Smol;

impl Runtime for Smol {
    fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> anyhow::Result<T> {
        Ok(EXECUTOR.with(|executor| smol::block_on(executor.run(future))))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        EXECUTOR.with(|executor| executor.spawn(future))
    }

    fn detach(future: impl Future<Output = ()> + 'static) {
        EXECUTOR.with(|executor| executor.spawn(future).detach());
    }

    fn yield_now() -> impl Future<Output = ()> {
        smol::future::yield_now()
    }

    async fn sleep(duration: Duration) {
        Timer::after(duration).await;
    }
}
