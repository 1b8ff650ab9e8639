//! What workloads over sockets share: listeners, servers in processes of their own, and what drives them.
//!
//! ```text
//!   run (a process of the plan)              forked by it
//!   ┌───────────────────────────┐            ┌──────────────────────┐
//!   │ listens, forks, connects  │── TCP ───▶ │ the subject          │
//!   │ core 0: the load          │            │ core 1: the server   │
//!   └────────── reads its CPU clock ────────▶└──────────────────────┘
//! ```
//!
//! The listener is made before the fork, so nobody waits for anybody: early connections wait in its backlog.

pub(crate) mod driven;
pub(crate) mod native;
pub(crate) mod paced;
pub(crate) mod process;
pub(crate) mod work;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd;

use camshaft::net::TcpStream;
use camshaft::runtime::{Backend, Builder};
use camshaft_probe::sys::{self, check};

use crate::twice::twice;

/// Connections that wait to be accepted, at most.
const BACKLOG: i32 = 4096;

/// Listens on a port of the system's choice. Nagle's algorithm is off for all connections.
pub(crate) fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    // SAFETY: listening again only changes the backlog.
    check(unsafe { libc::listen(listener.as_raw_fd(), BACKLOG) })?;
    let on: libc::c_int = 1;
    let fd = listener.as_raw_fd();
    sys::set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, on)?;
    Ok(listener)
}

/// Runs a future on a runtime of ours.
pub(crate) fn block_on<T>(
    backend: Backend,
    future: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    Builder::new().backend(backend).build()?.block_on(future)
}

twice! {
    /// Accepts for ever.
    fn accept(listener: TcpListener, start: Box<dyn Fn(TcpStream)>) -> anyhow::Result<()> {
        let listener = camshaft::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = wait!(listener.accept())?;
            start(stream);
        }
    }
}

/// Accepts for ever, and has each connection served by a task.
pub(crate) fn serve_by_tasks<F>(
    backend: Backend,
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F + 'static,
) -> anyhow::Result<()>
where
    F: Future + 'static,
{
    let start = Box::new(move |stream| drop(camshaft::spawn(serve(stream))));
    block_on(backend, async {
        camshaft::spawn(accept::task(listener, start)).await?
    })
}

/// Accepts for ever, and has each connection served by a fiber.
pub(crate) fn serve_by_fibers<T: Copy + 'static>(
    backend: Backend,
    listener: TcpListener,
    serve: fn(TcpStream, T) -> io::Result<()>,
    with: T,
) -> anyhow::Result<()> {
    let start = Box::new(move |stream| {
        drop(camshaft::fiber::spawn(move || serve(stream, with)));
    });
    block_on(backend, async {
        camshaft::fiber::spawn(|| accept::fiber(listener, start)).await?
    })
}
