//! Sockets that fibers under the plain scheduler wait for, with the traits of std.

use std::io::{self, Read, Write};
use std::net;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use camshaft_probe::poller;

use crate::models::native::{self, Epoll, Interest, Policy, Watched};

/// Runs a function as the first fiber, with an epoll below.
pub(crate) fn run<T: 'static>(main: impl FnOnce(Rc<Epoll>) -> T + 'static) -> io::Result<T> {
    let epoll = Epoll::new()?;
    native::run(epoll.clone(), move || main(epoll))
}

/// Accepts for ever, and has each connection served by a fiber.
pub(crate) fn serve<T: Copy + 'static>(
    policy: Policy,
    listener: net::TcpListener,
    serve: fn(Stream, T) -> io::Result<()>,
    with: T,
) -> anyhow::Result<()> {
    let accept = move |epoll: Rc<Epoll>| -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = Watched::new(&epoll, policy, listener);
        loop {
            let would_block = || io::ErrorKind::WouldBlock.into();
            let accepted = listener.retry(Interest::Read, |listener| {
                poller::accept(listener.as_raw_fd())?.ok_or_else(would_block)
            });
            let stream = Stream::new(&epoll, policy, accepted?.into());
            drop(native::spawn(move || drop(serve(stream, with))));
        }
    };
    Ok(run(accept)??)
}

/// A connection.
///
/// A read that did not fill its buffer has emptied the socket, so the next one waits before it tries: as in the bare
/// loops, a message costs one `recv`.
#[derive(Debug)]
pub(crate) struct Stream {
    watched: Watched<net::TcpStream>,
    is_empty: bool,
}

impl Stream {
    /// Of a connection that does not block.
    fn new(epoll: &Rc<Epoll>, policy: Policy, stream: net::TcpStream) -> Self {
        Self {
            watched: Watched::new(epoll, policy, stream),
            is_empty: false,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.is_empty {
            self.watched.wait(Interest::Read, None)?;
        }
        let read = |mut stream: &net::TcpStream| stream.read(buf);
        let count = self.watched.retry(Interest::Read, read)?;
        self.is_empty = count < buf.len();
        Ok(count)
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let write = |mut stream: &net::TcpStream| stream.write(buf);
        self.watched.retry(Interest::Write, write)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
