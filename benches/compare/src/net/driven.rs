//! Servers under load, in a closed loop: each connection has one message under way.
//!
//! CPU clocks are read while nothing is under way, because the kernel brings the clock of a running process up to date
//! only at its ticks. What the load client itself used is reported as well: where it is near a whole core, it is as much
//! the bottleneck as the server, and only the CPU time says what the server costs.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use camshaft_probe::client::Client;
use camshaft_probe::sys;

use super::process::Process;
use crate::experiment::Setting;
use crate::measure::{Metric, Sample};

/// After which everything that was under way is over, the accounts of it too.
const QUIET: Duration = Duration::from_millis(5);

/// What a server is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Connections held open.
    pub(crate) connections: usize,
    /// Bytes of a message.
    pub(crate) message: usize,
}

/// A window over processes and over the load client, which is this process.
#[derive(Debug)]
pub(crate) struct Window<'server> {
    servers: &'server [Process],
    cpu: u64,
    own_cpu: u64,
    start: u64,
}

impl<'server> Window<'server> {
    /// Opens it; nothing must be under way.
    pub(crate) fn open(servers: &'server [Process]) -> Self {
        thread::sleep(QUIET);
        Self {
            servers,
            cpu: cpu_ns(servers),
            own_cpu: sys::own_cpu_ns(),
            start: sys::now_ns(),
        }
    }

    /// Closes it, with so many operations done in it; nothing must be under way.
    pub(crate) fn close(self, ops: u64) -> anyhow::Result<Sample> {
        ensure!(ops > 0, "no operation was finished in the window");
        let wall = sys::now_ns() - self.start;
        let load = sys::own_cpu_ns() - self.own_cpu;
        thread::sleep(QUIET);
        // Less than before only if one was killed.
        let cpu = cpu_ns(self.servers).saturating_sub(self.cpu);
        Ok(Sample::of(ops)
            .with(Metric::Wall, wall as f64 / ops as f64)
            .with(Metric::Cpu, cpu as f64 / ops as f64)
            .with(Metric::Load, load as f64 / wall as f64))
    }
}

fn cpu_ns(servers: &[Process]) -> u64 {
    servers.iter().map(Process::cpu_ns).sum()
}

/// Drives a server, from the other core.
pub(crate) fn closed_loop(
    server: Process,
    address: SocketAddr,
    load: Load,
    setting: Setting,
) -> anyhow::Result<Sample> {
    sys::pin(sys::LOAD_CORE);
    let mut servers = [server];
    drive(&servers, address, load, setting).map_err(|error| servers[0].explain(error))
}

fn drive(
    servers: &[Process],
    address: SocketAddr,
    load: Load,
    setting: Setting,
) -> anyhow::Result<Sample> {
    let message = vec![b'x'; load.message];
    let mut client = Client::connect(address, load.connections, message, load.message)?;
    let time = setting.scale.window();
    client.run(time / 4)?;
    let window = Window::open(servers);
    client.run(time)?;
    let sample = window.close(client.replies)?;
    Ok(sample.with_latencies(client.latencies_ns))
}
