//! A bare epoll loop whose handler waits: a state machine by hand, in a table by descriptor, and a queue of deadlines.
//!
//! All handlers wait for equally long, so the queue is sorted as it is, and needs no heap.

use std::collections::VecDeque;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use camshaft_probe::poller::{Poller, accept, recv, send};

use super::servers::{Pause, REQUEST};

const LISTENER: usize = usize::MAX;

struct Connection {
    fd: OwnedFd,
    request: [u8; REQUEST],
    received: usize,
}

struct Server {
    poller: Poller,
    pause: Pause,
    /// By descriptor: those whose request is not whole.
    reading: Vec<Option<Connection>>,
    waiting: VecDeque<(Instant, Connection)>,
}

/// Serves for ever.
pub(super) fn serve(listener: &TcpListener, pause: Pause) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut server = Server {
        poller: Poller::new()?,
        pause,
        reading: Vec::new(),
        waiting: VecDeque::new(),
    };
    let fd = listener.as_raw_fd();
    server.poller.add(fd, libc::EPOLLIN, LISTENER)?;
    loop {
        let first = server.waiting.front().map(|waiting| waiting.0);
        let bound = first.map(|first| first.saturating_duration_since(Instant::now()));
        for index in 0..server.poller.wait_for(bound)? {
            match server.poller.token(index) {
                LISTENER => server.accept(fd)?,
                place => {
                    let connection = server.reading[place].take();
                    connection.map_or(Ok(()), |connection| server.read(connection, true))?;
                }
            }
        }
        server.expire();
    }
}

impl Server {
    fn accept(&mut self, listener: RawFd) -> io::Result<()> {
        while let Some(fd) = accept(listener)? {
            let connection = Connection {
                fd,
                request: [0; REQUEST],
                received: 0,
            };
            self.read(connection, false)?;
        }
        Ok(())
    }

    /// Reads what is there; the request has often come with the connection.
    fn read(&mut self, mut connection: Connection, registered: bool) -> io::Result<()> {
        let fd = connection.fd.as_raw_fd();
        let rest = &mut connection.request[connection.received..];
        match recv(fd, rest) {
            Ok(Some(0)) | Err(_) => return Ok(()),
            Ok(Some(count)) => connection.received += count,
            Ok(None) => {}
        }
        if connection.received == REQUEST {
            self.pause(connection);
            return Ok(());
        }
        let place = usize::try_from(fd).map_err(io::Error::other)?;
        if self.reading.len() <= place {
            self.reading.resize_with(place + 1, || None);
        }
        if !registered {
            self.poller.add(fd, libc::EPOLLIN, place)?;
        }
        self.reading[place] = Some(connection);
        Ok(())
    }

    fn pause(&mut self, connection: Connection) {
        match self.pause {
            Pause::Wait(Duration::ZERO) => connection.answer(),
            Pause::Wait(time) => {
                self.waiting.push_back((Instant::now() + time, connection));
            }
            Pause::Work(work) => {
                work.run();
                connection.answer();
            }
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while let Some((_, connection)) = self.waiting.pop_front_if(|waiting| waiting.0 <= now) {
            connection.answer();
        }
    }
}

impl Connection {
    /// Answers and closes. A new connection has room for an answer.
    fn answer(self) {
        // A connection that fails is over.
        let _ = send(self.fd.as_raw_fd(), &self.request);
    }
}
