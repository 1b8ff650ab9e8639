//! monoio on io_uring, with its timer.

use std::time::Duration;

use monoio::{IoUringDriver, RuntimeBuilder};

use super::{Runtime, yield_by_wake};

/// The runtime of this module.
#[derive(Debug)]
pub(crate) struct Monoio;

impl Runtime for Monoio {
    fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> anyhow::Result<T> {
        let mut runtime = RuntimeBuilder::<IoUringDriver>::new()
            .with_entries(4096)
            .enable_timer()
            .build()?;
        Ok(runtime.block_on(future))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        monoio::spawn(future)
    }

    fn detach(future: impl Future<Output = ()> + 'static) {
        drop(monoio::spawn(future));
    }

    fn yield_now() -> impl Future<Output = ()> {
        yield_by_wake()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        monoio::time::sleep(duration)
    }
}
