//! tokio-uring: tokio's scheduler and timers over a ring whose descriptor sits in tokio's epoll.

use std::time::Duration;

use tokio::task;
use tokio::time;

use super::Runtime;

/// The runtime of this module.
#[derive(Debug)]
pub(crate) struct TokioUring;

impl Runtime for TokioUring {
    fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> anyhow::Result<T> {
        let mut ring = tokio_uring::uring_builder();
        ring.setup_coop_taskrun().setup_taskrun_flag();
        Ok(tokio_uring::builder()
            .entries(4096)
            .uring_builder(&ring)
            .start(future))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let handle = tokio_uring::spawn(future);
        async move { handle.await.expect("no task here panics or is aborted") }
    }

    fn detach(future: impl Future<Output = ()> + 'static) {
        drop(tokio_uring::spawn(future));
    }

    fn yield_now() -> impl Future<Output = ()> {
        task::yield_now()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        time::sleep(duration)
    }
}
