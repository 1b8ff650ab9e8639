//! monoio on io_uring, with its timer and with the `sync` feature, without which no other thread may wake a task.

use std::future::Future;
use std::io;
use std::net;
use std::path::PathBuf;
use std::time::Duration;

use monoio::fs::File;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use monoio::{IoUringDriver, RuntimeBuilder};

use super::Runtime;
use crate::files::Files;
use crate::tasks::{Sleeps, Tasks, yield_by_wake};
use crate::workload::Load;

pub(super) struct Monoio;

impl Tasks for Monoio {
    fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> io::Result<T> {
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
}

impl Sleeps for Monoio {
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        monoio::time::sleep(duration)
    }
}

impl Files for Monoio {
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

impl Runtime for Monoio {
    fn serve(listener: net::TcpListener, load: Load) -> io::Result<()> {
        Self::run(async move {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                Self::detach(echo(stream, load));
            }
        })?
    }
}

async fn echo(mut stream: TcpStream, load: Load) {
    let mut buffer = Vec::with_capacity(load.buffer);
    loop {
        let (result, filled) = stream.read(buffer).await;
        let Ok(1..) = result else { return };
        let (result, written) = stream.write_all(filled).await;
        if result.is_err() || load.once {
            return;
        }
        buffer = written;
    }
}
