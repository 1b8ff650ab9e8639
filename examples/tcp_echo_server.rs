//! A server that sends back what it receives.
//!
//! Run it with `cargo run --example tcp_echo_server -- [HOST] [PORT]`; it listens on 127.0.0.1:7777 if nothing is said, and
//! on any free port for port 0. Then connect with the example `tcp_echo_client`, or with `nc`. Ctrl-C ends it.

use std::io;

use anyhow::{Context, Result};
use camshaft::net::{TcpListener, TcpStream};

#[camshaft::main]
async fn main() -> Result<()> {
    let (host, port) = address()?;
    let listener = TcpListener::bind((&*host, port))
        .await
        .with_context(|| what_to_do(&host, port))?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                camshaft::spawn(async move {
                    match echo(stream).await {
                        Ok(bytes) => println!("{peer} is gone after {bytes} bytes"),
                        Err(error) => eprintln!("{peer}: {error}"),
                    }
                });
            }
            // No descriptor left, say: the next accept waits a little, so this does not spin.
            Err(error) => eprintln!("a connection was not accepted: {error}"),
        }
    }
}

/// Echoes until the peer has said all it had to say, and returns how many bytes that were.
async fn echo(stream: TcpStream) -> io::Result<u64> {
    let mut buf = Vec::with_capacity(4096);
    let mut total = 0;
    loop {
        let (read, filled) = stream.read(buf).await;
        match read? {
            0 => return Ok(total),
            n => total += n as u64,
        }
        let (written, mut sent) = stream.write_all(filled).await;
        written?;
        sent.clear();
        buf = sent;
    }
}

fn address() -> Result<(String, u16)> {
    const USAGE: &str =
        "usage: tcp_echo_server [HOST] [PORT], such as: tcp_echo_server 0.0.0.0 7777";
    let mut arguments = std::env::args().skip(1);
    let host = arguments.next().unwrap_or_else(|| "127.0.0.1".to_owned());
    let port = arguments.next().unwrap_or_else(|| "7777".to_owned());
    anyhow::ensure!(arguments.next().is_none() && !host.starts_with('-'), USAGE);
    let number = port.parse().with_context(|| {
        format!("{port:?} is no port, which is a number from 0 to 65535\n{USAGE}")
    })?;
    Ok((host, number))
}

fn what_to_do(host: &str, port: u16) -> String {
    format!(
        "cannot listen on {host}, port {port}: if it is in use, end the other program or take another port (0 means any \
         free one); ports below 1024 need privileges; the host must be an address of this machine"
    )
}
