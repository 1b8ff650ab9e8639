//! A bare loop on Linux's own asynchronous I/O: readiness in one shot, as with one-shot epoll, but all that is to be told
//! again is said in one call a turn.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};

use camshaft_probe::poller::{accept, recv, send};

use super::servers::Job;
use crate::models::aio::{Block, Queue};

/// Connections and a listener.
const REQUESTS: u32 = 4096;
const LISTENER: usize = usize::MAX;

struct Connection {
    fd: OwnedFd,
    block: Box<Block>,
    unsent: Vec<u8>,
}

struct Server {
    /// By descriptor.
    connections: Vec<Option<Connection>>,
    buffer: Vec<u8>,
    job: Job,
    /// What is to be submitted.
    next: Vec<*mut Block>,
}

/// Accepts and echoes for ever.
pub(super) fn serve(listener: TcpListener, job: Job) -> anyhow::Result<()> {
    listener.set_nonblocking(true)?;
    let mut waiting = Block::poll(LISTENER, listener.as_raw_fd(), libc::POLLIN);
    let mut server = Server {
        connections: Vec::new(),
        buffer: vec![0; job.room],
        job,
        next: vec![&raw mut waiting],
    };
    // The last one, so that it is dropped first, and waits for what is in flight.
    let mut queue = Queue::new(REQUESTS)?;
    loop {
        // SAFETY: IN FLIGHT: the blocks lie in boxes that are kept as long as their connections, and a connection is removed
        // only when its block is not in flight; they and that of the listener are dropped after the queue.
        unsafe { queue.submit(&server.next) }?;
        server.next.clear();
        for event in queue.wait()? {
            event.result()?;
            match event.token() {
                LISTENER => {
                    server.accept(&listener)?;
                    server.next.push(&raw mut waiting);
                }
                token => server.turn(token),
            }
        }
    }
}

impl Server {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        while let Some(fd) = accept(listener.as_raw_fd())? {
            let token = usize::try_from(fd.as_raw_fd()).map_err(io::Error::other)?;
            let connection = Connection {
                fd,
                block: Box::default(),
                unsent: Vec::new(),
            };
            if self.connections.len() <= token {
                self.connections.resize_with(token + 1, || None);
            }
            self.connections[token] = Some(connection);
            self.turn(token);
        }
        Ok(())
    }

    /// Does what can be done for one connection now, and sees to it that the next turn comes.
    fn turn(&mut self, token: usize) {
        let slot = &mut self.connections[token];
        let Some(connection) = slot else {
            return;
        };
        let Ok(true) = connection.echo(&mut self.buffer, self.job) else {
            *slot = None;
            return;
        };
        let events = if connection.unsent.is_empty() {
            libc::POLLIN
        } else {
            libc::POLLOUT
        };
        *connection.block = Block::poll(token, connection.fd.as_raw_fd(), events);
        self.next.push(&raw mut *connection.block);
    }
}

impl Connection {
    /// Returns whether the connection lives on.
    fn echo(&mut self, buffer: &mut [u8], job: Job) -> io::Result<bool> {
        let fd = self.fd.as_raw_fd();
        if !self.unsent.is_empty() {
            let sent = send(fd, &self.unsent)?.unwrap_or(0);
            self.unsent.drain(..sent);
        }
        while self.unsent.is_empty() {
            let Some(count) = recv(fd, buffer)? else {
                break;
            };
            if count == 0 {
                return Ok(false);
            }
            job.work.run();
            let sent = send(fd, &buffer[..count])?.unwrap_or(0);
            self.unsent.extend_from_slice(&buffer[sent..count]);
            if count < buffer.len() {
                break;
            }
        }
        Ok(true)
    }
}
