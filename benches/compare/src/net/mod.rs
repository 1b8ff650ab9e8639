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
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use camshaft::net::TcpStream;
use camshaft::runtime::{Backend, Builder};
use socket2::{Domain, Socket, Type};

use crate::failure::Missing;
use crate::twice::twice;

/// Connections that wait to be accepted, at most.
const BACKLOG: i32 = 4096;

/// Listens on a port of the system's choice. Nagle's algorithm is off for all connections.
pub(crate) fn listen() -> io::Result<TcpListener> {
    let (_, mut listeners) = listen_together(1)?;
    listeners
        .pop()
        .ok_or_else(|| io::Error::other("no listener was made"))
}

/// Makes listeners that share a port, among which the kernel deals connections out.
pub(crate) fn listen_together(count: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    let mut address: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let mut listeners = Vec::new();
    for _ in 0..count {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_port(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        // The first one says which port all others take.
        address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok((address, listeners))
}

/// Runs a future on a runtime of ours.
///
/// # Errors
///
/// [`Missing`] if the backend is named and not there, or the environment names another one, which beats it.
pub(crate) fn block_on<T>(
    backend: Backend,
    future: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let runtime = Builder::new().backend(backend).build();
    let runtime = match backend {
        Backend::Auto => runtime?,
        _ => runtime.map_err(|error| Missing::new(error.to_string()))?,
    };
    let found = runtime.backend();
    if backend != Backend::Auto && found != backend {
        let why = format!("it needs {backend}, and CAMSHAFT_BACKEND says {found}: unset it");
        return Err(Missing::new(why).into());
    }
    runtime.block_on(future)
}

/// What a bare loop on a ring says if it is refused one.
pub(crate) fn no_ring(error: &io::Error) -> Missing {
    Missing::new(format!("io_uring is refused here: {error}"))
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

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn listeners_share_a_port_and_its_connections() {
        let (address, listeners) = listen_together(2).unwrap();
        let streams: Vec<_> = (0..64).map(|_| TcpStream::connect(address)).collect();
        assert!(streams.iter().all(Result::is_ok));
        let accepted = listeners.into_iter().map(|listener| {
            listener.set_nonblocking(true).unwrap();
            listener.incoming().map_while(Result::ok).count()
        });
        let accepted: Vec<_> = accepted.collect();
        assert_eq!(accepted.iter().sum::<usize>(), 64);
        assert!(accepted.iter().all(|count| *count > 0), "{accepted:?}");
    }
}
