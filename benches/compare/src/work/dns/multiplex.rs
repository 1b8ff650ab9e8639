//! All look-ups over one socket, by a bare epoll loop: what can be had by who writes for this case alone.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use anyhow::{bail, ensure};
use camshaft_probe::poller::{Poller, or_later};
use camshaft_probe::sys;

use super::LOOK_UPS;
use super::client::{ANSWER, PATIENCE, TRIES, address, name};
use super::message::query;
use super::stub::ADDRESS;

/// Room for the answers to a thousand queries.
const ROOM: libc::c_int = 4 << 20;

/// Looks all names up.
pub(super) fn look_up_all(server: SocketAddr) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    sys::set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, ROOM)?;
    socket.connect(server)?;
    socket.set_nonblocking(true)?;
    let mut poller = Poller::new()?;
    poller.add(socket.as_raw_fd(), libc::EPOLLIN, 0)?;
    let mut found = vec![false; LOOK_UPS.into()];
    for _ in 0..TRIES {
        for number in (0..LOOK_UPS).filter(|number| !found[usize::from(*number)]) {
            let query = query(number, &name(number))?;
            // What there is no room for is asked for again.
            or_later(socket.send(&query))?;
        }
        while poller.wait_for(Some(PATIENCE))? > 0 {
            receive(&socket, &mut found)?;
            if found.iter().all(|found| *found) {
                return Ok(());
            }
        }
    }
    bail!("{server} does not answer")
}

fn receive(socket: &UdpSocket, found: &mut [bool]) -> anyhow::Result<()> {
    let mut answer = [0; ANSWER];
    while let Some(count) = or_later(socket.recv(&mut answer))? {
        let answer = &answer[..count];
        let number = answer.first_chunk().copied().map(u16::from_be_bytes);
        if let Some(number @ ..LOOK_UPS) = number {
            let address = address(number, answer)?;
            ensure!(address == Some(ADDRESS), "{address:?} instead of {ADDRESS}");
            found[usize::from(number)] = true;
        }
    }
    Ok(())
}
