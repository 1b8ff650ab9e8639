//! The load client: one raw epoll loop in a process of its own, the same for every system.
//!
//! It starts the server in another process, pinned to the other core, and drives it in a closed loop: each connection
//! has one message under way. The server's CPU clock is read while nothing is under way, because the kernel brings the
//! clock of a running process up to date only at its ticks. A window is opened by sending on all connections, and
//! closed by letting the last replies arrive, so every operation in it is whole. With one connection the client spins.

use std::env;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::churn;
#[cfg(feature = "hyper")]
use crate::hyper;
use crate::measure::Sample;
use crate::systems::System;
use crate::workload::{Load, Scale, Workload};
use camshaft_probe::client::Client;
use camshaft_probe::sys::{self, Page, check};

/// The hidden subcommand of the server process.
pub(crate) const SERVE: &str = "__serve";
/// No server lives longer than this.
const SERVER_SECONDS: u32 = 120;

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
    let mut client = connect(&server, load, load.connections)?;
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
    let mut few = connect(server, load, 16)?;
    few.round()?;
    thread::sleep(settle);
    let before = sys::resident_bytes(server.pid())?;
    let mut many = connect(server, load, load.connections)?;
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

/// Opens connections for the messages of this load.
fn connect(server: &Server, load: Load, count: usize) -> io::Result<Client> {
    let (message, reply) = exchange(server, load)?;
    Client::connect(server.address, count, message, reply)
}
