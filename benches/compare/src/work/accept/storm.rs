//! The clients: a thousand connections, opened as fast as one thread can, each with one request and one answer.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use camshaft_probe::poller::{Poller, recv, send};
use camshaft_probe::sys;

use super::servers::REQUEST;
use crate::measure::{Metric, Sample};
use crate::net::process::Process;

const CONNECTIONS: usize = 1000;
/// No handler takes longer, nor a thousand of them.
const LOST_MS: i32 = 20_000;

/// The time from the first connection to the last answer.
pub(super) fn measure(mut server: Process, address: SocketAddr) -> anyhow::Result<Sample> {
    storm(&server, address).map_err(|error| server.explain(error))
}

fn storm(server: &Process, address: SocketAddr) -> anyhow::Result<Sample> {
    // The server starts, and what it does for the first time it does for this one.
    burst(address, 1)?;
    thread::sleep(Duration::from_millis(10));
    let (cpu, own_cpu, start) = (server.cpu_ns(), sys::own_cpu_ns(), sys::now_ns());
    let connections = burst(address, CONNECTIONS)?;
    let (total, load) = (sys::now_ns() - start, sys::own_cpu_ns() - own_cpu);
    thread::sleep(Duration::from_millis(5));
    let cpu = server.cpu_ns().saturating_sub(cpu);
    drop(connections);
    Ok(Sample::of(CONNECTIONS as u64)
        .with(Metric::Total, total as f64)
        .with(Metric::Cpu, cpu as f64 / CONNECTIONS as f64)
        .with(Metric::Load, load as f64 / total as f64))
}

/// Opens connections, asks on each, and waits for all answers.
fn burst(address: SocketAddr, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let mut poller = Poller::new()?;
    let request = [b'x'; REQUEST];
    let mut streams = Vec::with_capacity(count);
    for index in 0..count {
        let stream = TcpStream::connect(address)?;
        reset_on_close(&stream)?;
        let sent = send(stream.as_raw_fd(), &request)?;
        ensure!(sent == Some(REQUEST), "a new connection has no room");
        poller.add(stream.as_raw_fd(), libc::EPOLLIN, index)?;
        streams.push(stream);
    }
    let mut open = count;
    let mut received = vec![0; count];
    while open > 0 {
        let events = poller.wait(LOST_MS)?;
        ensure!(events > 0, "{open} connections got no answer");
        for event in 0..events {
            let index = poller.token(event);
            let fd = streams[index].as_raw_fd();
            let mut buffer = [0; REQUEST + 1];
            let Some(count) = recv(fd, &mut buffer)? else {
                continue;
            };
            received[index] += count;
            ensure!(
                count > 0 && received[index] <= REQUEST,
                "an answer of another length"
            );
            if received[index] == REQUEST {
                open -= 1;
                poller.remove(fd)?;
            }
        }
    }
    Ok(streams)
}

/// Leaves no TIME_WAIT behind.
fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    let fd = stream.as_raw_fd();
    sys::set_option(fd, libc::SOL_SOCKET, libc::SO_LINGER, linger)
}
