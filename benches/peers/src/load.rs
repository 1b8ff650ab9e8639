//! The load client: one raw epoll loop in a process of its own, the same for every system.
//!
//! It starts the server in another process, pinned to the other core, and drives it in a closed loop: each connection
//! has one message under way. The server's CPU clock is read while nothing is under way, because the kernel brings the
//! clock of a running process up to date only at its ticks. A window is opened by sending on all connections, and
//! closed by letting the last replies arrive, so every operation in it is whole. With one connection the client spins.

use std::env;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::churn;
#[cfg(feature = "hyper")]
use crate::hyper;
use crate::measure::Sample;
use crate::poller::{EDGES, Poller, recv, send};
use crate::systems::System;
use crate::workload::{Load, Scale, Workload};
use camshaft_probe::sys::{self, Page, check};

/// The hidden subcommand of the server process.
pub(crate) const SERVE: &str = "__serve";
/// No server lives longer than this.
const SERVER_SECONDS: u32 = 120;
/// A reply that takes longer than this has been lost.
const LOST_MS: i32 = 5000;
const LOST_NS: u64 = 1_000_000 * LOST_MS as u64;

/// Runs a workload over sockets against `system`.
pub(crate) fn measure(
    system: &System,
    workload: Workload,
    load: Load,
    scale: Scale,
) -> io::Result<Sample> {
    sys::pin(sys::LOAD_CORE);
    let server = Server::start(system.name, workload)?;
    if load.once {
        return churn::measure(&server, load, scale);
    }
    if load.idle {
        return idle(&server, load);
    }
    let mut client = Client::connect(&server, load, load.connections)?;
    client.run(scale.window / 4)?;
    let window = server.open_window()?;
    client.run(scale.window)?;
    let unit = if load.message > 1024 {
        load.message / 1024
    } else {
        1
    };
    let sample = window.close(client.replies * unit as u64)?;
    Ok(sample.with_latencies(client.latencies_ns))
}

/// Resident bytes per connection whose read is pending.
fn idle(server: &Server, load: Load) -> io::Result<Sample> {
    let settle = Duration::from_millis(50);
    let mut few = Client::connect(server, load, 16)?;
    few.round()?;
    thread::sleep(settle);
    let before = sys::resident_bytes(server.pid())?;
    let mut many = Client::connect(server, load, load.connections)?;
    many.round()?;
    thread::sleep(settle);
    let after = sys::resident_bytes(server.pid())?;
    Ok(Sample::resident(
        load.connections as u64,
        after.saturating_sub(before),
    ))
}

/// The server's side of [`measure`]: listens, tells the port, and serves until it is ended.
pub(crate) fn serve(system: &System, load: Load, page: RawFd) -> io::Result<()> {
    sys::bound_life(SERVER_SECONDS)?;
    sys::pin(sys::SERVER_CORE);
    sys::raise_file_limit()?;
    let page = sys::map_page(page)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    // SAFETY: listening again only changes the backlog.
    check(unsafe { libc::listen(listener.as_raw_fd(), 4096) })?;
    let on: libc::c_int = 1;
    sys::set_option(
        listener.as_raw_fd(),
        libc::IPPROTO_TCP,
        libc::TCP_NODELAY,
        on,
    )?;
    let port = listener.local_addr()?.port();
    camshaft_probe::alloc::publish(&page.allocations);
    page.port.store(port.into(), Ordering::Release);
    system.serve(listener, load)
}

/// A server process; it is ended when this is dropped.
pub(crate) struct Server {
    child: Child,
    page: &'static Page,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    cpu: libc::clockid_t,
    _descriptor: OwnedFd,
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that has ended already needs no ending.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(system: &str, workload: Workload) -> io::Result<Self> {
        let descriptor = sys::new_page()?;
        let page = sys::map_page(descriptor.as_raw_fd())?;
        let fd = descriptor.as_raw_fd().to_string();
        let mut command = Command::new(env::current_exe()?);
        command
            .args([SERVE, workload.name(), system, &fd])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut child = command.spawn()?;
        for _ in 0..5000 {
            let port = page.port.load(Ordering::Acquire);
            if let Ok(port @ 1..) = u16::try_from(port) {
                let (address, cpu) = (
                    (Ipv4Addr::LOCALHOST, port).into(),
                    sys::cpu_clock_of(child.id())?,
                );
                return Ok(Self {
                    child,
                    page,
                    address,
                    cpu,
                    _descriptor: descriptor,
                });
            }
            if child.try_wait()?.is_some() {
                return Err(io::Error::other("the server did not start"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        child.kill()?;
        Err(io::Error::other("the server does not listen"))
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Opens a window over the server; nothing must be under way.
    pub(crate) fn open_window(&self) -> io::Result<Window<'_>> {
        thread::sleep(Duration::from_millis(5));
        let allocations = self.page.allocations.load(Ordering::Relaxed);
        Ok(Window {
            server: self,
            allocations,
            cpu: sys::clock_ns(self.cpu),
            wall: sys::now_ns(),
        })
    }
}

/// A window over a server process.
pub(crate) struct Window<'server> {
    server: &'server Server,
    wall: u64,
    cpu: u64,
    allocations: u64,
}

impl Window<'_> {
    /// Closes the window, in which `ops` operations were done; nothing must be under way.
    pub(crate) fn close(self, ops: u64) -> io::Result<Sample> {
        let wall = sys::now_ns() - self.wall;
        thread::sleep(Duration::from_millis(5));
        let cpu = sys::clock_ns(self.server.cpu) - self.cpu;
        let allocations = self.server.page.allocations.load(Ordering::Relaxed) - self.allocations;
        if ops == 0 {
            return Err(io::Error::other("no operation was finished in the window"));
        }
        Ok(Sample {
            ops: ops as f64,
            cpu_ns: Some(cpu as f64 / ops as f64),
            wall_ns: Some(wall as f64 / ops as f64),
            allocs: Some(allocations as f64 / ops as f64),
            ..Sample::default()
        })
    }
}

/// What is sent, and how long the reply is.
fn exchange(server: &Server, load: Load) -> io::Result<(Vec<u8>, usize)> {
    #[cfg(feature = "hyper")]
    if load.http {
        return Ok((hyper::REQUEST.to_vec(), hyper::probe(server.address)?));
    }
    let _ = server;
    Ok((vec![b'x'; load.message], load.message))
}

/// One message there and back.
struct Connection {
    stream: TcpStream,
    sent: usize,
    received: usize,
    started_ns: u64,
}

struct Client {
    poller: Poller,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
    message: Vec<u8>,
    /// The length of a whole reply.
    reply: usize,
    /// New messages are started only before this.
    until_ns: u64,
    under_way: usize,
    /// Whole replies in the last window.
    replies: u64,
    latencies_ns: Vec<u64>,
}

impl Client {
    fn connect(server: &Server, load: Load, count: usize) -> io::Result<Self> {
        let (message, reply) = exchange(server, load)?;
        let poller = Poller::new()?;
        let mut connections = Vec::with_capacity(count);
        for index in 0..count {
            let stream = TcpStream::connect(server.address)?;
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
    fn round(&mut self) -> io::Result<()> {
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
    fn run(&mut self, window: Duration) -> io::Result<()> {
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
