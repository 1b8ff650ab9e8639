//! A name server that knows one address, and takes its time.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use camshaft_probe::poller::{Poller, or_later};
use camshaft_probe::sys;

use super::message::answer;

/// What it says to whatever is asked.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
/// Room for a thousand queries that come at once.
const ROOM: libc::c_int = 4 << 20;

/// A socket on the loopback with much room for what comes.
pub(super) fn socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    sys::set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, ROOM)?;
    Ok(socket)
}

/// Answers each query after a delay, for ever.
pub(super) fn serve(socket: &UdpSocket, delay: Duration) -> anyhow::Result<()> {
    socket.set_nonblocking(true)?;
    let mut poller = Poller::new()?;
    poller.add(socket.as_raw_fd(), libc::EPOLLIN, 0)?;
    let mut waiting: VecDeque<(Instant, SocketAddr, Vec<u8>)> = VecDeque::new();
    let mut buffer = [0; 512];
    loop {
        let first = waiting.front().map(|waiting| waiting.0);
        poller.wait_for(first.map(|due| due.saturating_duration_since(Instant::now())))?;
        while let Some((count, client)) = or_later(socket.recv_from(&mut buffer))? {
            if let Some(answer) = answer(buffer[..count].to_vec()) {
                waiting.push_back((Instant::now() + delay, client, answer));
            }
        }
        let now = Instant::now();
        while let Some((_, client, answer)) = waiting.pop_front_if(|waiting| waiting.0 <= now) {
            // A client that is gone needs no answer, and one whose answer is lost asks again.
            let _ = socket.send_to(&answer, client);
        }
    }
}
