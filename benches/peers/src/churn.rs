//! The load client of `connect_close`.
//!
//! A connection is opened, sends 64 B, reads the reply and the end of file that follows it, and is reset: the server has
//! closed its side by then, and a reset leaves no TIME_WAIT behind on either, which would exhaust the ports of a
//! loopback address within a second. What a client that lingers would cost the server is left out.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use crate::load::{Server, Window};
use crate::measure::Sample;
use crate::workload::{Load, Scale};
use camshaft_probe::poller::{Poller, recv, send};
use camshaft_probe::sys;

/// Connects and closes over and over, several connections at a time.
pub(crate) fn measure(server: &Server, load: Load, scale: Scale) -> io::Result<Sample> {
    let window_ns = u64::try_from(scale.window.as_nanos()).map_err(io::Error::other)?;
    let mut client = Client {
        server,
        poller: Poller::new()?,
        slots: Vec::new(),
        message: vec![b'x'; load.message],
    };
    client.slots.resize_with(load.connections, || None);
    client.run(window_ns / 4)?;
    let window: Window<'_> = server.open_window()?;
    let count = client.run(window_ns)?;
    window.close(count)
}

/// A connection, and how much of the reply has come.
struct Slot {
    stream: TcpStream,
    received: usize,
}

struct Client<'server> {
    server: &'server Server,
    poller: Poller,
    slots: Vec<Option<Slot>>,
    message: Vec<u8>,
}

impl Client<'_> {
    /// Returns how many connections were opened, used and closed within the window.
    fn run(&mut self, window_ns: u64) -> io::Result<u64> {
        let until = sys::now_ns() + window_ns;
        let (mut done, mut open) = (0, self.slots.len());
        for index in 0..open {
            self.open(index)?;
        }
        while open > 0 {
            let count = self.poller.wait(5000)?;
            if count == 0 {
                return Err(io::Error::other(format!(
                    "{open} connections got no reply or were not closed"
                )));
            }
            for event in 0..count {
                let index = self.poller.token(event);
                if !self.finished(index)? {
                    continue;
                }
                done += 1;
                if sys::now_ns() < until {
                    self.open(index)?;
                } else {
                    open -= 1;
                }
            }
        }
        Ok(done)
    }

    fn open(&mut self, index: usize) -> io::Result<()> {
        let stream = TcpStream::connect(self.server.address)?;
        stream.set_nodelay(true)?;
        reset_on_close(&stream)?;
        if send(stream.as_raw_fd(), &self.message)? != Some(self.message.len()) {
            return Err(io::Error::other("a new connection has no room"));
        }
        self.poller.add(stream.as_raw_fd(), libc::EPOLLIN, index)?;
        self.slots[index] = Some(Slot {
            stream,
            received: 0,
        });
        Ok(())
    }

    /// Reads what is there; whether that was all of the reply and the end of file.
    fn finished(&mut self, index: usize) -> io::Result<bool> {
        let Some(slot) = &mut self.slots[index] else {
            return Ok(false);
        };
        let mut buffer = [0; 256];
        while let Some(count) = recv(slot.stream.as_raw_fd(), &mut buffer)? {
            slot.received += count;
            if count > 0 {
                continue;
            }
            if slot.received != self.message.len() {
                return Err(io::Error::other(
                    "the reply has another length than the request",
                ));
            }
            self.slots[index] = None;
            return Ok(true);
        }
        Ok(false)
    }
}

fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    sys::set_option(
        stream.as_raw_fd(),
        libc::SOL_SOCKET,
        libc::SO_LINGER,
        linger,
    )
}
