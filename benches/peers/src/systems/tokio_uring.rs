//! tokio-uring: tokio's scheduler and timers over a ring whose descriptor sits in tokio's epoll.

use std::future::Future;
use std::io;
use std::net;
use std::path::PathBuf;
use std::time::Duration;

use tokio::task;
use tokio::time;
use tokio_uring::buf::BoundedBuf;
use tokio_uring::fs::File;
use tokio_uring::net::{TcpListener, TcpStream};

use super::Runtime;
use crate::files::Files;
use crate::tasks::{Sleeps, Tasks};
use crate::workload::Load;

pub(super) struct TokioUring;

impl Tasks for TokioUring {
    fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> io::Result<T> {
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
}

impl Sleeps for TokioUring {
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        time::sleep(duration)
    }
}

impl Files for TokioUring {
    type File = File;

    fn open(path: PathBuf) -> impl Future<Output = io::Result<File>> {
        File::open(path)
    }

    fn create(path: PathBuf) -> impl Future<Output = io::Result<File>> {
        File::create(path)
    }

    async fn read_at(file: &mut File, buf: Vec<u8>, offset: u64) -> io::Result<Vec<u8>> {
        let (result, buf) = file.read_at(buf, offset).await;
        result.map(|_| buf)
    }

    async fn append(file: &mut File, buf: Vec<u8>, offset: u64) -> io::Result<Vec<u8>> {
        let (result, buf) = file.write_all_at(buf, offset).await;
        result.map(|()| buf)
    }

    async fn sync(file: &mut File) -> io::Result<()> {
        file.sync_data().await
    }
}

impl Runtime for TokioUring {
    fn serve(listener: net::TcpListener, load: Load) -> io::Result<()> {
        Self::run(async move {
            let listener = TcpListener::from_std(listener);
            loop {
                let (stream, _) = listener.accept().await?;
                Self::detach(echo(stream, load));
            }
        })?
    }
}

async fn echo(stream: TcpStream, load: Load) {
    let mut buffer = Vec::with_capacity(load.buffer);
    loop {
        let (result, filled) = stream.read(buffer).await;
        let Ok(count @ 1..) = result else { return };
        let (result, written) = stream.write_all(filled.slice(..count)).await;
        if result.is_err() || load.once {
            return;
        }
        buffer = written.into_inner();
    }
}
