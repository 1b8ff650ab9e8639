//! The readiness floor: a bare epoll loop.
//!
//! One buffer serves all connections. A message costs one `recv` and one `send`, and what the way of registration adds:
//!
//! ```text
//! edge      a short read counts as drained, unless the event told of the end; the next edge comes with the next bytes
//! level     nothing more: what is drained is not reported again
//! one-shot  an epoll_ctl to be told again
//! ```
//!
//! A new connection is read before it is registered, because its request has often arrived with it. What a full socket
//! does not take is kept and sent when it has room; until then nothing more is read.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};

use super::{Service, Work};
use crate::poller::{EDGES, Poller, accept, recv, send};

const LISTENER: usize = usize::MAX;

/// How connections are registered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Registration {
    /// Told of every change, once.
    Edge,
    /// As `Edge`; and all replies are sent at the end of a turn, as a loop on a ring sends them.
    EdgeSendLate,
    /// Told for as long as there is something.
    Level,
    /// Told once, and registered anew after that.
    OneShot,
}

impl Registration {
    /// The interest in reading, or in writing.
    fn interest(self, writes: bool) -> i32 {
        let what = if writes {
            libc::EPOLLOUT
        } else {
            libc::EPOLLIN | libc::EPOLLRDHUP
        };
        match self {
            Self::Edge | Self::EdgeSendLate => EDGES,
            Self::Level => what,
            Self::OneShot => what | libc::EPOLLONESHOT,
        }
    }
}

/// Accepts and echoes for ever.
pub fn serve(
    listener: &TcpListener,
    service: Service,
    registration: Registration,
    work: impl Work,
) -> io::Result<()> {
    let mut server = Server {
        buffer: vec![0; service.buffer],
        unsent: Vec::new(),
        late: Vec::new(),
        once: service.once,
        registration,
        poller: Poller::new()?,
        work,
    };
    listener.set_nonblocking(true)?;
    server
        .poller
        .add(listener.as_raw_fd(), libc::EPOLLIN, LISTENER)?;
    loop {
        for index in 0..server.poller.wait(-1)? {
            match server.poller.token(index) {
                LISTENER => server.accept(listener)?,
                fd => {
                    let last = server.poller.is_last(index);
                    server.turn(RawFd::try_from(fd).map_err(io::Error::other)?, last, false);
                }
            }
        }
        server.send_late()?;
    }
}

struct Server<W> {
    buffer: Vec<u8>,
    /// By descriptor: bytes that the socket had no room for.
    unsent: Vec<Vec<u8>>,
    /// Whose replies are to be sent at the end of the turn, and whether there may be more to read.
    late: Vec<(RawFd, bool)>,
    once: bool,
    registration: Registration,
    poller: Poller,
    work: W,
}

/// Whether a connection lives on after its turn.
#[derive(PartialEq)]
enum After {
    Open,
    Closed,
}

impl<W: Work> Server<W> {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        while let Some(fd) = accept(listener.as_raw_fd())? {
            let fd = fd.into_raw_fd();
            let token = usize::try_from(fd).map_err(io::Error::other)?;
            if self.unsent.len() <= token {
                self.unsent.resize_with(token + 1, Vec::new);
            }
            // Whatever has come already is told of again when it is registered.
            self.turn(fd, false, true);
        }
        Ok(())
    }

    /// Does what can be done for one connection now, and sees to it that the next turn comes.
    fn turn(&mut self, fd: RawFd, last: bool, new: bool) {
        let after = usize::try_from(fd)
            .map_err(io::Error::other)
            .and_then(|place| {
                let waited = !self.unsent[place].is_empty();
                let after = self.echo(fd, place, last)?;
                if after == After::Open {
                    self.register(fd, place, new, waited)?;
                }
                Ok(after)
            });
        if !matches!(after, Ok(After::Open)) {
            // SAFETY: the descriptor is open and known to this server only.
            unsafe { libc::close(fd) };
        }
    }

    /// Sends the replies of a turn, and those to what is read on the way.
    fn send_late(&mut self) -> io::Result<()> {
        while let Some((fd, more)) = self.late.pop() {
            let unsent = &mut self.unsent[usize::try_from(fd).map_err(io::Error::other)?];
            // Whoever can't be sent to is told of at its next turn.
            let sent = send(fd, unsent).ok().flatten().unwrap_or(0);
            unsent.drain(..sent);
            if more && unsent.is_empty() {
                self.turn(fd, true, false);
            }
        }
        Ok(())
    }

    fn register(&self, fd: RawFd, place: usize, new: bool, waited: bool) -> io::Result<()> {
        let waits = !self.unsent[place].is_empty();
        let interest = self.registration.interest(waits);
        match self.registration {
            _ if new => self.poller.add(fd, interest, place),
            Registration::OneShot => self.poller.change(fd, interest, place),
            Registration::Level if waits != waited => self.poller.change(fd, interest, place),
            Registration::Level | Registration::Edge | Registration::EdgeSendLate => Ok(()),
        }
    }

    fn echo(&mut self, fd: RawFd, place: usize, last: bool) -> io::Result<After> {
        let unsent = &mut self.unsent[place];
        if !unsent.is_empty() {
            let sent = send(fd, unsent)?.unwrap_or(0);
            unsent.drain(..sent);
        }
        while unsent.is_empty() {
            let Some(count) = recv(fd, &mut self.buffer)? else {
                break;
            };
            if count == 0 {
                return Ok(After::Closed);
            }
            (self.work)(&self.buffer[..count]);
            if self.registration == Registration::EdgeSendLate {
                unsent.extend_from_slice(&self.buffer[..count]);
                self.late.push((fd, last || count == self.buffer.len()));
                break;
            }
            let sent = send(fd, &self.buffer[..count])?.unwrap_or(0);
            unsent.extend_from_slice(&self.buffer[sent..count]);
            if self.once {
                return Ok(After::Closed);
            }
            if count < self.buffer.len() && !last {
                break;
            }
        }
        Ok(After::Open)
    }
}
