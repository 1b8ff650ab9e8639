//! Echoes its standard input and sockets at the same time, with a task for each.
//!
//! Run it with `cargo run --example stdin_echo -- [PORT]`, type lines, and talk to it with `nc 127.0.0.1 PORT`. It ends with
//! the standard input. The same as a bare loop on epoll, to compare:
//! `cargo run -p camshaft-compare --example epoll_echo -- [PORT]`.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use camshaft::io;
use camshaft::net::{TcpListener, TcpStream};

#[camshaft::main]
async fn main() -> Result<()> {
    let port = std::env::args().nth(1);
    let port: u16 = port
        .map_or(Ok(0), |port| port.parse())
        .context("a port is a number from 0 to 65535; without one, any free port is taken")?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on {}", listener.local_addr()?);
    camshaft::spawn(welcome(listener));

    let mut line = Vec::with_capacity(4096);
    loop {
        let (read, said) = io::stdin().read(line).await;
        if read? == 0 {
            return Ok(());
        }
        let answer = format!("you said: {}", String::from_utf8_lossy(&said));
        io::stdout().write_all(answer).await.0?;
        line = said;
        line.clear();
    }
}

async fn welcome(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, guest)) => drop(camshaft::spawn(serve(stream, guest))),
            // No descriptor left, say: the next accept waits a little, so this does not spin.
            Err(error) => eprintln!("a guest was not let in: {error}"),
        }
    }
}

async fn serve(stream: TcpStream, guest: SocketAddr) {
    println!("guest {guest} came");
    match io::copy(&mut &stream, &mut &stream).await {
        Ok(bytes) => println!("guest {guest} left after {bytes} bytes"),
        Err(error) => println!("guest {guest} left: {error}"),
    }
}
