//! One server on many ports: one thread, one handler, and one count that all connections share.
//!
//! Run it with `cargo run --example multi_port -- [PORTS] [FIRST]`, such as `4 7001`; without a first port it takes any that
//! are free. Talk to each with `nc 127.0.0.1 PORT`. A machine can have about 28,000 connections to one port of another, so
//! a server that is to be tried with more needs more ports than one; a port costs a task that waits. Ctrl-C ends it.
//!
//! ```text
//! listening on 127.0.0.1:7001
//! listening on 127.0.0.1:7002
//! port 7002: guest 1 said 12 bytes, all guests 12
//! port 7001: guest 2 said 5 bytes, all guests 17
//! ```

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use camshaft::net::{TcpListener, TcpStream};
use camshaft::signal::ctrl_c;

/// What all ports share. On one thread it needs neither lock nor atomics.
#[derive(Default)]
struct Counts {
    guests: Cell<u64>,
    bytes: Cell<u64>,
}

#[camshaft::main]
async fn main() -> Result<()> {
    let argument = |at, otherwise: u16| {
        std::env::args()
            .nth(at)
            .map_or(Ok(otherwise), |it| it.parse())
    };
    let ports = argument(1, 4).context("the first argument is how many ports to serve")?;
    ensure!(ports > 0, "there must be one port at least");
    let first = argument(2, 0).context("the second argument is the first port, or 0 for any")?;
    let mut listeners = Vec::new();
    for n in 0..ports {
        let port = match first {
            0 => 0,
            _ => first
                .checked_add(n)
                .context("there are no ports above 65535")?,
        };
        let listener = TcpListener::bind(("127.0.0.1", port)).await;
        listeners.push(
            listener.with_context(|| format!("cannot listen on port {port}: it may be in use"))?,
        );
    }
    let counts = Rc::new(Counts::default());
    let mut text = String::new();
    for listener in listeners {
        text += &format!("listening on {}\n", listener.local_addr()?);
        camshaft::spawn(serve(listener, counts.clone()));
    }
    print!("{text}");
    Ok(ctrl_c().await?)
}

/// Accepts on one port.
async fn serve(listener: TcpListener, counts: Rc<Counts>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let counts = counts.clone();
                camshaft::spawn(async move {
                    if let Err(error) = handle(stream, &counts).await {
                        eprintln!("a connection ended: {error}");
                    }
                });
            }
            // No descriptor left, say: the next accept waits a little, so this does not spin.
            Err(error) => eprintln!("a connection was not accepted: {error}"),
        }
    }
}

/// Echoes, whichever port the guest came to.
async fn handle(stream: TcpStream, counts: &Counts) -> io::Result<()> {
    let guest = counts.guests.get() + 1;
    counts.guests.set(guest);
    let mut said = 0;
    loop {
        let received = stream.recv().await?;
        if received.is_empty() {
            break;
        }
        said += received.len() as u64;
        counts.bytes.set(counts.bytes.get() + received.len() as u64);
        stream.write_all(received).await.0?;
    }
    let (port, all) = (stream.local_addr()?.port(), counts.bytes.get());
    println!("port {port}: guest {guest} said {said} bytes, all guests {all}");
    Ok(())
}
