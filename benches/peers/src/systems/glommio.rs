//! glommio: one unpinned executor (the process is pinned already) and its futures-io streams.

use std::future::Future;
use std::io;
use std::net;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::path::PathBuf;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::io::BufferedFile;
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement, timer};
#[cfg(feature = "hyper")]
use smol_hyper::rt::FuturesIo;

use super::Runtime;
use crate::files::Files;
use crate::tasks::{Sleeps, Tasks};
use crate::workload::Load;

pub(super) struct Glommio;

impl Tasks for Glommio {
    fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> io::Result<T> {
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .ring_depth(4096)
            .make()?;
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
}

impl Sleeps for Glommio {
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        timer::sleep(duration)
    }
}

/// Its reads return memory of their own, and its writes keep what they are given: both are copied here.
impl Files for Glommio {
    type File = BufferedFile;

    async fn open(path: PathBuf) -> io::Result<BufferedFile> {
        Ok(BufferedFile::open(path).await?)
    }

    async fn create(path: PathBuf) -> io::Result<BufferedFile> {
        Ok(BufferedFile::create(path).await?)
    }

    async fn read_at(file: &mut BufferedFile, mut buf: Vec<u8>, at: u64) -> io::Result<Vec<u8>> {
        let read = file.read_at(at, buf.capacity()).await?;
        buf.extend_from_slice(&read);
        Ok(buf)
    }

    async fn append(file: &mut BufferedFile, buf: Vec<u8>, at: u64) -> io::Result<Vec<u8>> {
        let written = file.write_at(buf.clone(), at).await?;
        if written < buf.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(buf)
    }

    async fn sync(file: &mut BufferedFile) -> io::Result<()> {
        Ok(file.fdatasync().await?)
    }
}

impl Runtime for Glommio {
    const HTTP: bool = cfg!(feature = "hyper");

    fn serve(listener: net::TcpListener, load: Load) -> io::Result<()> {
        Self::run(async move {
            // SAFETY: the descriptor is a listening socket that is handed over.
            let listener = unsafe { TcpListener::from_raw_fd(listener.into_raw_fd()) };
            loop {
                let stream = listener.accept().await?;
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

async fn echo(mut stream: TcpStream, load: Load) {
    let mut buffer = vec![0; load.buffer];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() || load.once {
            return;
        }
    }
}
