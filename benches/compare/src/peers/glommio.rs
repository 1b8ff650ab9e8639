//! glommio: one unpinned executor; the process is pinned already.

use std::time::Duration;

use anyhow::anyhow;
use glommio::{LocalExecutorBuilder, Placement, timer};

use super::Runtime;

/// The runtime of this module.
#[derive(Debug)]
pub(crate) struct Glommio;

impl Runtime for Glommio {
    fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> anyhow::Result<T> {
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .ring_depth(4096)
            .make()
            .map_err(|error| anyhow!("{error}"))?;
        Ok(executor.run(future))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        glommio::spawn_local(future)
    }

    fn detach(future: impl Future<Output = ()> + 'static) {
        drop(glommio::spawn_local(future).detach());
    }

    async fn yield_now() {
        glommio::executor().yield_now().await;
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        timer::sleep(duration)
    }
}
