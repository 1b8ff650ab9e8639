//! smol on one thread: a `LocalExecutor` under `smol::block_on`, which polls the reactor itself; the reactor's helper
//! thread exists but has nothing to do meanwhile. Its CPU time and memory count.

use std::future::Future;
use std::io::{self, SeekFrom};
use std::net;
use std::path::PathBuf;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use smol::fs::File;
use smol::{Async, LocalExecutor, Timer};
#[cfg(feature = "hyper")]
use smol_hyper::rt::FuturesIo;

use super::Runtime;
use crate::files::Files;
use crate::tasks::{Sleeps, Tasks};
use crate::workload::Load;

thread_local! {
    static EXECUTOR: LocalExecutor<'static> = const { LocalExecutor::new() };
}

pub(super) struct Smol;

impl Tasks for Smol {
    fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> io::Result<T> {
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
}

impl Sleeps for Smol {
    async fn sleep(duration: Duration) {
        Timer::after(duration).await;
    }
}

/// It has no offsets: it seeks, and then reads.
impl Files for Smol {
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

impl Runtime for Smol {
    const HTTP: bool = cfg!(feature = "hyper");

    fn serve(listener: net::TcpListener, load: Load) -> io::Result<()> {
        Self::run(async move {
            let listener = Async::new(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                #[cfg(feature = "hyper")]
                if load.http {
                    Self::detach(crate::hyper::serve(FuturesIo::new(stream)));
                    continue;
                }
                Self::detach(echo(stream, load));
            }
        })?
    }
}

async fn echo(mut stream: Async<net::TcpStream>, load: Load) {
    let mut buffer = vec![0; load.buffer];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() || load.once {
            return;
        }
    }
}
