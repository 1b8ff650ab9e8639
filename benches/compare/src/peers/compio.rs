//! compio on io_uring: one issuer, completions run when it asks for them.

use std::time::Duration;

use compio::driver::ProactorBuilder;
use compio::runtime::RuntimeBuilder;

use super::{Runtime, yield_by_wake};

/// The runtime of this module.
#[derive(Debug)]
pub(crate) struct Compio;

impl Runtime for Compio {
    fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> anyhow::Result<T> {
        let mut proactor = ProactorBuilder::new();
        proactor
            .capacity(4096)
            .single_issuer(true)
            .defer_taskrun(true);
        Ok(RuntimeBuilder::new()
            .with_proactor(proactor)
            .build()?
            .block_on(future))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let handle = compio::runtime::spawn(future);
        async move {
            handle
                .await
                .unwrap_or_else(|_| unreachable!("no task here panics or is cancelled"))
        }
    }

    fn detach(future: impl Future<Output = ()> + 'static) {
        compio::runtime::spawn(future).detach();
    }

    fn yield_now() -> impl Future<Output = ()> {
        yield_by_wake()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        compio::time::sleep(duration)
    }
}
