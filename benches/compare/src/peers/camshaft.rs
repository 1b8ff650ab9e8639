//! Camshaft, as it comes.

use std::time::Duration;

use camshaft::runtime::Builder;
use camshaft::{task, time};

use super::Runtime;

/// Our runtime.
#[derive(Debug)]
pub(crate) struct Camshaft;

impl Runtime for Camshaft {
    fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> anyhow::Result<T> {
        Ok(Builder::new().build()?.block_on(future))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let handle = camshaft::spawn(future);
        async move { handle.await.expect("no task here is aborted") }
    }

    fn detach(future: impl Future<Output = ()> + 'static) {
        drop(camshaft::spawn(future));
    }

    fn yield_now() -> impl Future<Output = ()> {
        task::yield_now()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        time::sleep(duration)
    }
}
