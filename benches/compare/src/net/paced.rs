//! Servers under load, in an open loop: messages are sent when they are due, whether earlier ones were answered or not.
//!
//! A closed loop asks less when the server is slow, and so hides how long others would have waited. Here a latency counts
//! from the moment when the message was due, also if the client was late itself. The client spins, on a core of its own.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

use camshaft_probe::poller::{EDGES, Poller, recv, send};
use camshaft_probe::sys;

use super::driven::Window;
use super::process::Process;
use crate::experiment::{Outcome, Scale, Setting};

/// Connections, which take turns.
const CONNECTIONS: usize = 64;
/// Bytes of a message.
pub(crate) const MESSAGE: usize = 64;
/// Messages behind a percentile, but for a smoke run.
const LEAST: u64 = 2000;
/// With more messages under way than these the server is taken to be too slow.
const MOST: usize = 20_000;
/// A reply that takes longer than this has been lost.
const LOST_NS: u64 = 5_000_000_000;

struct Connection {
    stream: TcpStream,
    /// When the messages were due that are under way.
    due: VecDeque<u64>,
    received: usize,
    unsent: usize,
}

struct Client {
    poller: Poller,
    connections: Vec<Connection>,
    message: Vec<u8>,
    scratch: Vec<u8>,
    under_way: usize,
    latencies_ns: Vec<u64>,
}

/// Sends so many messages a second to a server, from the other core.
pub(crate) fn open_loop(
    server: Process,
    address: SocketAddr,
    rate: u64,
    setting: Setting,
) -> anyhow::Result<Outcome> {
    sys::pin(sys::LOAD_CORE);
    let mut servers = [server];
    drive(&servers, address, rate, setting).map_err(|error| servers[0].explain(error))
}

fn drive(
    servers: &[Process],
    address: SocketAddr,
    rate: u64,
    setting: Setting,
) -> anyhow::Result<Outcome> {
    let time = window_ns(rate, setting.scale);
    let mut client = Client::connect(address)?;
    let slow = || Ok(Outcome::Skipped("it falls behind at this rate".to_owned()));
    if !client.run(rate, time / 4)? {
        return slow();
    }
    let window = Window::open(servers);
    client.latencies_ns.clear();
    if !client.run(rate, time)? {
        return slow();
    }
    let sample = window.close(client.latencies_ns.len() as u64)?;
    Ok(sample.with_latencies(client.latencies_ns).into())
}

/// How long messages are sent: the window of the scale, and long enough for percentiles of so many messages.
fn window_ns(rate: u64, scale: Scale) -> u64 {
    let least = match scale {
        Scale::Smoke => 0,
        Scale::Quick | Scale::Full => LEAST * 1_000_000_000 / rate,
    };
    let window = u64::try_from(scale.window().as_nanos()).unwrap_or(u64::MAX);
    window.max(least)
}

impl Client {
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let poller = Poller::new()?;
        let mut connections = Vec::new();
        for index in 0..CONNECTIONS {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            poller.add(stream.as_raw_fd(), EDGES, index)?;
            connections.push(Connection {
                stream,
                due: VecDeque::new(),
                received: 0,
                unsent: 0,
            });
        }
        Ok(Self {
            poller,
            connections,
            message: vec![b'x'; MESSAGE * 64],
            scratch: vec![0; 64 << 10],
            under_way: 0,
            latencies_ns: Vec::with_capacity(1 << 20),
        })
    }

    /// Sends for so long, and waits for the last replies. False if the server is too slow.
    fn run(&mut self, rate: u64, time_ns: u64) -> io::Result<bool> {
        let start = sys::now_ns();
        let count = (rate * time_ns / 1_000_000_000).max(1);
        let due = |number: u64| start + number * 1_000_000_000 / rate;
        let (mut sent, mut last_reply) = (0, start);
        while sent < count || self.under_way > 0 {
            let now = sys::now_ns();
            while sent < count && due(sent) <= now {
                let index = usize::try_from(sent).unwrap_or(0) % CONNECTIONS;
                self.start(index, due(sent))?;
                sent += 1;
            }
            if self.under_way > MOST {
                return Ok(false);
            }
            let events = self.poller.wait(0)?;
            for event in 0..events {
                self.turn(self.poller.token(event))?;
            }
            match events {
                0 if self.under_way > 0 && now - last_reply > LOST_NS => {
                    return Err(io::Error::other("replies were lost"));
                }
                0 => {}
                _ => last_reply = now,
            }
        }
        Ok(true)
    }

    fn start(&mut self, index: usize, due: u64) -> io::Result<()> {
        let connection = &mut self.connections[index];
        connection.due.push_back(due);
        connection.unsent += MESSAGE;
        self.under_way += 1;
        self.send(index)
    }

    fn send(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        while connection.unsent > 0 {
            let bytes = &self.message[..connection.unsent.min(self.message.len())];
            match send(connection.stream.as_raw_fd(), bytes)? {
                Some(count) => connection.unsent -= count,
                None => break,
            }
        }
        Ok(())
    }

    fn turn(&mut self, index: usize) -> io::Result<()> {
        self.send(index)?;
        let connection = &mut self.connections[index];
        while let Some(count) = recv(connection.stream.as_raw_fd(), &mut self.scratch)? {
            if count == 0 {
                return Err(io::Error::other("the server closed a connection"));
            }
            connection.received += count;
            let now = sys::now_ns();
            while connection.received >= MESSAGE {
                let Some(due) = connection.due.pop_front() else {
                    return Err(io::Error::other("the server sent too much"));
                };
                connection.received -= MESSAGE;
                self.under_way -= 1;
                self.latencies_ns.push(now - due);
            }
            if count < self.scratch.len() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_messages_enough_for_percentiles() {
        for scale in [Scale::Quick, Scale::Full] {
            for rate in [1000, 10_000, 200_000] {
                let window = window_ns(rate, scale);
                assert!(
                    rate * window / 1_000_000_000 >= LEAST,
                    "{scale:?} at {rate}"
                );
                assert!(u128::from(window) >= scale.window().as_nanos());
            }
        }
    }
}
