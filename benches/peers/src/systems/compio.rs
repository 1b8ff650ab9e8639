//! compio on io_uring: one issuer, completions run when it asks for them.

use std::future::Future;
use std::io;
use std::net;
use std::path::PathBuf;
use std::time::Duration;

use compio::BufResult;
use compio::driver::ProactorBuilder;
use compio::fs::File;
use compio::io::{AsyncRead, AsyncReadAt, AsyncWriteAtExt, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::RuntimeBuilder;
#[cfg(feature = "hyper")]
use cyper_core::HyperStream;

use super::Runtime;
use crate::files::Files;
use crate::tasks::{Sleeps, Tasks, yield_by_wake};
use crate::workload::Load;

pub(super) struct Compio;

impl Tasks for Compio {
    fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> io::Result<T> {
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
}

impl Sleeps for Compio {
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        compio::time::sleep(duration)
    }
}

impl Files for Compio {
    type File = File;

    fn open(path: PathBuf) -> impl Future<Output = io::Result<File>> {
        File::open(path)
    }

    fn create(path: PathBuf) -> impl Future<Output = io::Result<File>> {
        File::create(path)
    }

    async fn read_at(file: &mut File, buf: Vec<u8>, offset: u64) -> io::Result<Vec<u8>> {
        let BufResult(result, buf) = file.read_at(buf, offset).await;
        result.map(|_| buf)
    }

    async fn append(file: &mut File, buf: Vec<u8>, offset: u64) -> io::Result<Vec<u8>> {
        let BufResult(result, buf) = file.write_all_at(buf, offset).await;
        result.map(|()| buf)
    }

    async fn sync(file: &mut File) -> io::Result<()> {
        file.sync_data().await
    }
}

impl Runtime for Compio {
    const HTTP: bool = cfg!(feature = "hyper");

    fn serve(listener: net::TcpListener, load: Load) -> io::Result<()> {
        Self::run(async move {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                #[cfg(feature = "hyper")]
                if load.http {
                    Self::detach(crate::hyper::serve(HyperStream::new_plain(stream)));
                    continue;
                }
                Self::detach(echo(stream, load));
            }
        })?
    }
}

async fn echo(mut stream: TcpStream, load: Load) {
    let mut buffer = Vec::with_capacity(load.buffer);
    loop {
        let BufResult(result, filled) = stream.read(buffer).await;
        let Ok(1..) = result else { return };
        let BufResult(result, written) = stream.write_all(filled).await;
        if result.is_err() || load.once {
            return;
        }
        buffer = written;
        // A read counts from the start but only ever raises the length.
        buffer.clear();
    }
}
