//! The readiness floor: a bare epoll loop with edge-triggered registrations.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use crate::measure::{Meter, Sample};
use crate::remote::{self, Bell};
use crate::workload::{Load, Scale};
use camshaft_probe::bare::epoll::Registration;
use camshaft_probe::bare::{self, Service};
use camshaft_probe::poller::Poller;
use camshaft_probe::sys::{check, check_len};

/// Accepts and echoes for ever.
pub(super) fn serve(listener: TcpListener, load: Load) -> io::Result<()> {
    let service = Service {
        buffer: load.buffer,
        once: load.once,
    };
    bare::epoll::serve(&listener, service, Registration::Edge, |_| {})
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
