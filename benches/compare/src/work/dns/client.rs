//! The look-up, and all who do a thousand of them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::thread;

use anyhow::{Context, bail, ensure};
use camshaft::net::UdpSocket;
use camshaft::runtime::Backend;
use camshaft::task::JoinHandle;
use camshaft::time::timeout;

use super::LOOK_UPS;
use super::blocking::{Blocking, Datagrams, Waiting};
use super::message::{addresses, query};
use super::stub::ADDRESS;
use crate::models::native as fibers_without_futures;
use crate::models::stacks;
use crate::net::{block_on, native};
use crate::twice::twice;

/// How long an answer may take before it is asked for again.
pub(super) const PATIENCE: std::time::Duration = std::time::Duration::from_millis(500);
/// How often one asks.
pub(super) const TRIES: u32 = 4;
/// The most bytes of an answer.
pub(super) const ANSWER: usize = 512;

/// The name that is looked up under a number.
pub(super) fn name(number: u16) -> String {
    format!("host-{number}.camshaft.example")
}

/// The address in an answer; `None` in one to an earlier query.
pub(super) fn address(number: u16, answer: &[u8]) -> anyhow::Result<Option<Ipv4Addr>> {
    if !answer.starts_with(&number.to_be_bytes()) {
        return Ok(None);
    }
    addresses(answer)?
        .first()
        .copied()
        .map(Some)
        .context("a name without addresses")
}

twice! {
    /// Looks a name up.
    fn look_up(number: u16, server: SocketAddr) -> anyhow::Result<Ipv4Addr> {
        let socket = wait!(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)))?;
        wait!(socket.connect(server))?;
        for _ in 0..TRIES {
            wait!(socket.send(query(number, &name(number))?)).0?;
            while let Ok(received) = wait!(timeout(PATIENCE, socket.recv(Vec::with_capacity(ANSWER)))) {
                let (result, answer) = received;
                result?;
                if let Some(address) = address(number, &answer)? {
                    return Ok(address);
                }
            }
        }
        bail!("{server} does not answer")
    }
}

/// The same, over what blocks, or seems to.
fn look_up_std<S: Datagrams>(
    number: u16,
    server: SocketAddr,
    socket: &S,
) -> anyhow::Result<Ipv4Addr> {
    socket.connect(server)?;
    let mut answer = [0; ANSWER];
    for _ in 0..TRIES {
        socket.send(&query(number, &name(number))?)?;
        while let Some(count) = socket.recv(&mut answer, PATIENCE)? {
            if let Some(address) = address(number, &answer[..count])? {
                return Ok(address);
            }
        }
    }
    bail!("{server} does not answer")
}

fn check(found: anyhow::Result<Ipv4Addr>) -> anyhow::Result<()> {
    let found = found?;
    ensure!(found == ADDRESS, "{found} instead of {ADDRESS}");
    Ok(())
}

/// One thread, one look-up at a time.
pub(super) fn one_after_another(server: SocketAddr) -> anyhow::Result<()> {
    (0..LOOK_UPS).try_for_each(|number| check(look_up_std(number, server, &Blocking::new()?)))
}

/// A thread for each look-up.
pub(super) fn threads(server: SocketAddr) -> anyhow::Result<()> {
    let start = |number| {
        let thread = thread::Builder::new().stack_size(stacks::SIZE);
        thread.spawn(move || look_up_std(number, server, &Blocking::new()?))
    };
    let threads: Vec<_> = (0..LOOK_UPS).map(start).collect::<io::Result<_>>()?;
    threads.into_iter().try_for_each(|thread| {
        let found = thread.join();
        check(found.unwrap_or_else(|_| bail!("a thread panicked")))
    })
}

/// A task for each look-up.
pub(super) fn tasks(server: SocketAddr) -> anyhow::Result<()> {
    all(|number| camshaft::spawn(look_up::task(number, server)))
}

/// A fiber for each look-up.
pub(super) fn fibers(server: SocketAddr) -> anyhow::Result<()> {
    all(|number| camshaft::fiber::spawn(move || look_up::fiber(number, server)))
}

fn all(spawn: impl Fn(u16) -> JoinHandle<anyhow::Result<Ipv4Addr>>) -> anyhow::Result<()> {
    block_on(Backend::Auto, async {
        let handles: Vec<_> = (0..LOOK_UPS).map(spawn).collect();
        for handle in handles {
            check(handle.await?)?;
        }
        Ok(())
    })
}

/// A native fiber for each look-up.
pub(super) fn native_fibers(server: SocketAddr) -> anyhow::Result<()> {
    let found = native::run(move |epoll| {
        let found = Rc::new(std::cell::RefCell::new(Vec::new()));
        let start = |number| {
            let (epoll, found) = (epoll.clone(), found.clone());
            fibers_without_futures::spawn(move || {
                let socket = Waiting::new(&epoll);
                let address = socket
                    .map_err(Into::into)
                    .and_then(|socket| look_up_std(number, server, &socket));
                found.borrow_mut().push(address);
            })
        };
        let fibers: Vec<_> = (0..LOOK_UPS).map(start).collect();
        for fiber in fibers {
            // One that panics is missed below.
            let _ = fiber.join();
        }
        found.take()
    })?;
    ensure!(found.len() == usize::from(LOOK_UPS), "a fiber panicked");
    found.into_iter().try_for_each(check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::dns::{Client, multiplex, stub};

    #[test]
    fn every_client_finds_all_addresses() {
        let socket = stub::socket().unwrap();
        let server = socket.local_addr().unwrap();
        // It answers until the test is over.
        thread::spawn(move || stub::serve(&socket, std::time::Duration::from_millis(1)));
        let clients: [(&str, Client); 6] = [
            ("one after another", one_after_another),
            ("threads", threads),
            ("tasks", tasks),
            ("fibers", fibers),
            ("native fibers", native_fibers),
            ("multiplex", multiplex::look_up_all),
        ];
        for (name, client) in clients {
            client(server).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        }
    }
}
