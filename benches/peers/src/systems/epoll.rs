//! The readiness floor: a raw epoll loop without tasks or futures.
//!
//! One edge-triggered registration per connection for its whole life, and one buffer for all of them. A short read
//! counts as drained, so a message costs one `recv` and one `send`; a new connection is read before it is registered,
//! because its request has often arrived with it. What a full socket does not take is kept and sent on its next edge.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;

use crate::measure::{Meter, Sample};
use crate::poller::{EDGES, Poller, or_later, recv, send};
use crate::remote::{self, Bell};
use crate::workload::{Load, Scale};
use camshaft_probe::sys::{check, check_len};

const LISTENER: usize = usize::MAX;

/// Accepts and echoes for ever.
pub(super) fn serve(listener: TcpListener, load: Load) -> io::Result<()> {
    let mut server = Server {
        buffer: vec![0; load.buffer],
        unsent: Vec::new(),
        once: load.once,
    };
    let mut poller = Poller::new()?;
    listener.set_nonblocking(true)?;
    poller.add(listener.as_raw_fd(), libc::EPOLLIN, LISTENER)?;
    loop {
        for index in 0..poller.wait(-1)? {
            match poller.token(index) {
                LISTENER => server.accept(&listener, &poller)?,
                fd => drop(server.turn(RawFd::try_from(fd).map_err(io::Error::other)?)),
            }
        }
    }
}

struct Server {
    buffer: Vec<u8>,
    /// By descriptor: bytes that the socket had no room for.
    unsent: Vec<Vec<u8>>,
    once: bool,
}

/// Whether a connection lives on after its turn.
#[derive(PartialEq)]
enum After {
    Open,
    Closed,
}

impl Server {
    fn accept(&mut self, listener: &TcpListener, poller: &Poller) -> io::Result<()> {
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: the address of the peer is not asked for.
        let accept = || unsafe {
            libc::accept4(
                listener.as_raw_fd(),
                ptr::null_mut(),
                ptr::null_mut(),
                flags,
            )
        };
        while let Some(fd) = or_later(check(accept()))? {
            let token = usize::try_from(fd).map_err(io::Error::other)?;
            if self.unsent.len() <= token {
                self.unsent.resize_with(token + 1, Vec::new);
            }
            if self.turn(fd) == After::Open {
                poller.add(fd, EDGES, token)?;
            }
        }
        Ok(())
    }

    /// Does what can be done for one connection now.
    fn turn(&mut self, fd: RawFd) -> After {
        match self.echo(fd) {
            Ok(After::Open) => After::Open,
            Ok(After::Closed) | Err(_) => {
                // SAFETY: the descriptor is open and known to this server only.
                unsafe { libc::close(fd) };
                After::Closed
            }
        }
    }

    fn echo(&mut self, fd: RawFd) -> io::Result<After> {
        let unsent = &mut self.unsent[usize::try_from(fd).map_err(io::Error::other)?];
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
            let sent = send(fd, &self.buffer[..count])?.unwrap_or(0);
            unsent.extend_from_slice(&self.buffer[sent..count]);
            if self.once {
                return Ok(After::Closed);
            }
            if count < self.buffer.len() {
                break;
            }
        }
        Ok(After::Open)
    }
}

/// The latency from a write to an eventfd until `epoll_wait` on the other core has returned.
pub(super) fn wake_remote(scale: Scale) -> io::Result<Sample> {
    let count = 2000 * scale.factor;
    // SAFETY: no pointers are involved.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: the descriptor is new and owned by nobody else.
    let event = Arc::new(unsafe { OwnedFd::from_raw_fd(fd) });
    let mut poller = Poller::new()?;
    poller.add(event.as_raw_fd(), libc::EPOLLIN | libc::EPOLLET, 0)?;
    let bell = Arc::new(Bell::default());
    // The waiter keeps the event too: closing it would take the last edge away.
    let ringing = Arc::clone(&event);
    let ringer = remote::ringer_by(Arc::clone(&bell), count, move |_| {
        let one = 1_u64;
        // SAFETY: eight bytes are valid to read from.
        let written = unsafe { libc::write(ringing.as_raw_fd(), (&raw const one).cast(), 8) };
        assert_eq!(
            check_len(written).ok(),
            Some(8),
            "an eventfd takes eight bytes"
        );
    });
    let mut latencies = Vec::new();
    let meter = Meter::start();
    for _ in 0..count {
        bell.arm();
        let latency = loop {
            poller.wait(1000)?;
            if let Some(latency) = bell.latency() {
                break latency;
            }
        };
        latencies.push(latency);
    }
    let sample = meter.stop(count).with_latencies(latencies);
    ringer
        .join()
        .map_err(|_| io::Error::other("the ringer failed"))?;
    Ok(sample)
}
