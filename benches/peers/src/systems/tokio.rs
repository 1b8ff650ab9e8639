//! tokio: its current-thread scheduler as a `LocalRuntime`, and `AsyncReadExt`/`AsyncWriteExt`.

use std::future::Future;
use std::io::{self, SeekFrom};
use std::net;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "hyper")]
use hyper_util::rt::TokioIo;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task;
use tokio::time;

use super::Runtime;
use crate::files::Files;
use crate::tasks::{Sleeps, Tasks};
use crate::workload::Load;

pub(super) struct Tokio;

impl Tasks for Tokio {
    fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> io::Result<T> {
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
}

impl Sleeps for Tokio {
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        time::sleep(duration)
    }
}

/// It has no offsets: it seeks, and then reads.
impl Files for Tokio {
    type File = File;

    fn open(path: PathBuf) -> impl Future<Output = io::Result<File>> {
        File::open(path)
    }

    fn create(path: PathBuf) -> impl Future<Output = io::Result<File>> {
        File::create(path)
    }

    async fn read_at(file: &mut File, mut buf: Vec<u8>, offset: u64) -> io::Result<Vec<u8>> {
        file.seek(SeekFrom::Start(offset)).await?;
        buf.resize(buf.capacity(), 0);
        file.read_exact(&mut buf).await?;
        Ok(buf)
    }

    async fn append(file: &mut File, buf: Vec<u8>, _: u64) -> io::Result<Vec<u8>> {
        file.write_all(&buf).await?;
        Ok(buf)
    }

    async fn sync(file: &mut File) -> io::Result<()> {
        file.flush().await?;
        file.sync_data().await
    }
}

impl Runtime for Tokio {
    const HTTP: bool = cfg!(feature = "hyper");

    fn serve(listener: net::TcpListener, load: Load) -> io::Result<()> {
        Self::run(async move {
            listener.set_nonblocking(true)?;
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                #[cfg(feature = "hyper")]
                if load.http {
                    Self::detach(crate::hyper::serve(TokioIo::new(stream)));
                    continue;
                }
                Self::detach(echo(stream, load));
            }
        })?
    }
}

async fn echo(mut stream: TcpStream, load: Load) {
    let mut buffer = vec![0; load.buffer];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() || load.once {
            return;
        }
    }
}
