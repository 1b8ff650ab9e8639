//! Camshaft, in the configurations that are compared.
//!
//! The plain one reads into a buffer of its own, as the peers do; only for `idle_conn` it takes lent buffers, because
//! that is what they are for. The variants: lent buffers for every echo, a loop that spins before it parks, and the
//! readiness fallback.

use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::net;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "hyper")]
use camshaft::compat::HyperIo;
use camshaft::fs::File;
use camshaft::net::{TcpListener, TcpStream};
use camshaft::runtime::{Backend, Builder, Spin};
use camshaft::{task, time};

use super::{Kind, Runtime, System};
use crate::files::Files;
use crate::tasks::{self, Sleeps, Tasks};
use crate::workload::{Load, Workload};

/// A configuration.
pub(super) trait Config: 'static {
    fn builder() -> Builder;
}

/// As it comes, on the ring.
pub(super) struct OnRing;

impl Config for OnRing {
    fn builder() -> Builder {
        Builder::new().backend(Backend::IoUring)
    }
}

/// The readiness fallback.
pub(super) struct OnEpoll;

impl Config for OnEpoll {
    fn builder() -> Builder {
        Builder::new().backend(Backend::Epoll)
    }
}

/// Spins for as long as recent gaps make it worth while.
struct Adaptive;

impl Config for Adaptive {
    fn builder() -> Builder {
        OnRing::builder().spin(Spin::Adaptive)
    }
}

/// Never parks.
struct Always;

impl Config for Always {
    fn builder() -> Builder {
        OnRing::builder().spin(Spin::Always)
    }
}

pub(super) struct Camshaft<C>(PhantomData<C>);

impl<C: Config> Tasks for Camshaft<C> {
    fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> io::Result<T> {
        Ok(C::builder().build()?.block_on(future))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let handle = camshaft::spawn(future);
        async move {
            handle
                .await
                .unwrap_or_else(|_| unreachable!("no task here panics or is aborted"))
        }
    }

    fn detach(future: impl Future<Output = ()> + 'static) {
        drop(camshaft::spawn(future));
    }

    fn yield_now() -> impl Future<Output = ()> {
        task::yield_now()
    }
}

impl<C: Config> Sleeps for Camshaft<C> {
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        time::sleep(duration)
    }
}

impl<C: Config> Files for Camshaft<C> {
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

impl<C: Config> Runtime for Camshaft<C> {
    const HTTP: bool = cfg!(feature = "hyper");

    fn serve(listener: net::TcpListener, load: Load) -> io::Result<()> {
        if load.idle {
            return lend::<C>(listener, load);
        }
        Self::run(async move {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                #[cfg(feature = "hyper")]
                if load.http {
                    Self::detach(crate::hyper::serve(HyperIo::new(stream)));
                    continue;
                }
                Self::detach(echo(stream, load));
            }
        })?
    }
}

/// Serves with buffers that the ring lends.
fn lend<C: Config>(listener: net::TcpListener, load: Load) -> io::Result<()> {
    Camshaft::<C>::run(async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            Camshaft::<C>::detach(echo_lent(stream, load));
        }
    })?
}

/// With lent buffers everywhere.
pub(super) fn lending() -> System {
    System {
        takes: |workload| workload.load().is_some_and(|load| !load.idle && !load.http),
        serve: lend::<OnRing>,
        ..Camshaft::<OnRing>::system("camshaft-recv", Kind::Variant)
    }
}

/// With a spin before parking: adaptive in servers, always for the wake from another thread, whose bell rings later
/// than an adaptive spin would wait.
pub(super) fn spinning() -> System {
    System {
        takes: |workload| {
            workload.load().is_some_and(|load| !load.idle) || workload == Workload::WakeRemote
        },
        measure: tasks::measure_all::<Camshaft<Always>>,
        ..Camshaft::<Adaptive>::system("camshaft-spin", Kind::Variant)
    }
}

async fn echo(stream: TcpStream, load: Load) {
    let mut buffer = Vec::with_capacity(load.buffer);
    loop {
        let (result, filled) = stream.read(buffer).await;
        let Ok(1..) = result else { return };
        let (result, written) = stream.write_all(filled).await;
        if result.is_err() || load.once {
            return;
        }
        buffer = written;
        buffer.clear();
    }
}

async fn echo_lent(stream: TcpStream, load: Load) {
    while let Ok(lent) = stream.recv().await {
        if lent.is_empty() {
            return;
        }
        let (result, _) = stream.write_all(lent).await;
        if result.is_err() || load.once {
            return;
        }
    }
}
