//! A load client: one epoll loop that drives an echo, or whatever else answers each message with one of known length.
//!
//! It works in a closed loop: each connection has one message under way. With one connection it spins.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::poller::{EDGES, Poller, recv, send};
use crate::sys;

/// A reply that takes longer than this has been lost.
const LOST_MS: i32 = 5000;
const LOST_NS: u64 = 1_000_000 * LOST_MS as u64;

/// One message there and back.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    sent: usize,
    received: usize,
    started_ns: u64,
}

/// Some connections to one server.
#[derive(Debug)]
pub struct Client {
    poller: Poller,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
    message: Vec<u8>,
    /// The length of a whole reply.
    reply: usize,
    /// New messages are started only before this.
    until_ns: u64,
    under_way: usize,
    /// Whole replies in the last run.
    pub replies: u64,
    /// How long each of them took.
    pub latencies_ns: Vec<u64>,
}

impl Client {
    /// Opens connections, on which `message` will be sent and `reply` bytes be expected.
    pub fn connect(
        address: SocketAddr,
        count: usize,
        message: Vec<u8>,
        reply: usize,
    ) -> io::Result<Self> {
        let poller = Poller::new()?;
        let mut connections = Vec::with_capacity(count);
        for index in 0..count {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            poller.add(stream.as_raw_fd(), EDGES, index)?;
            connections.push(Connection {
                stream,
                sent: 0,
                received: 0,
                started_ns: 0,
            });
        }
        Ok(Self {
            poller,
            connections,
            scratch: vec![0; 256 << 10],
            message,
            reply,
            until_ns: 0,
            under_way: 0,
            replies: 0,
            latencies_ns: Vec::with_capacity(4 << 20),
        })
    }

    /// One message on each connection.
    pub fn round(&mut self) -> io::Result<()> {
        self.run(Duration::ZERO)
    }

    /// Waits for replies and returns how many connections have some; none if they are overdue. With one connection it spins:
    /// a wake-up of the client takes as long as the server's whole turn, and is not what is measured.
    fn replied(&mut self) -> io::Result<usize> {
        if self.connections.len() > 1 {
            return self.poller.wait(LOST_MS);
        }
        let lost_ns = sys::now_ns() + LOST_NS;
        loop {
            let count = self.poller.wait(0)?;
            if count > 0 || sys::now_ns() > lost_ns {
                return Ok(count);
            }
        }
    }

    /// Starts a message on each connection and new ones for as long as `window`, then waits for the last replies.
    pub fn run(&mut self, window: Duration) -> io::Result<()> {
        let window_ns = u64::try_from(window.as_nanos()).map_err(io::Error::other)?;
        (self.replies, self.until_ns) = (0, sys::now_ns() + window_ns);
        self.latencies_ns.clear();
        for index in 0..self.connections.len() {
            self.start(index)?;
        }
        while self.under_way > 0 {
            let count = self.replied()?;
            if count == 0 {
                return Err(io::Error::other(format!(
                    "{} replies were lost",
                    self.under_way
                )));
            }
            for event in 0..count {
                self.turn(self.poller.token(event))?;
            }
        }
        Ok(())
    }

    fn start(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        (connection.sent, connection.received, connection.started_ns) = (0, 0, sys::now_ns());
        self.under_way += 1;
        self.send(index)
    }

    fn send(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        while connection.sent < self.message.len() {
            match send(
                connection.stream.as_raw_fd(),
                &self.message[connection.sent..],
            )? {
                Some(count) => connection.sent += count,
                None => break,
            }
        }
        Ok(())
    }

    /// Does what can be done for one connection now.
    fn turn(&mut self, index: usize) -> io::Result<()> {
        self.send(index)?;
        loop {
            let connection = &mut self.connections[index];
            let Some(count) = recv(connection.stream.as_raw_fd(), &mut self.scratch)? else {
                return Ok(());
            };
            connection.received += count;
            if count == 0 || connection.received > self.reply {
                return Err(io::Error::other(
                    "the server closed a connection or sent too much",
                ));
            }
            if connection.received == self.reply {
                self.finish(index)?;
            }
            if count < self.scratch.len() {
                return Ok(());
            }
        }
    }

    fn finish(&mut self, index: usize) -> io::Result<()> {
        let now = sys::now_ns();
        self.replies += 1;
        self.under_way -= 1;
        if self.latencies_ns.len() < self.latencies_ns.capacity() {
            self.latencies_ns
                .push(now - self.connections[index].started_ns);
        }
        if now < self.until_ns {
            self.start(index)
        } else {
            Ok(())
        }
    }
}
