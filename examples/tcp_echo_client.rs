//! A client that sends a text to an echo server and checks that the same comes back.
//!
//! Run it with `cargo run --example tcp_echo_client -- [HOST] [PORT] [TEXT]`, with the example `tcp_echo_server` running.
//! It prints what came back and how long that took, and fails if the bytes differ.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use camshaft::net::TcpStream;
use camshaft::time::{Duration, timeout};

const PATIENCE: Duration = Duration::from_secs(5);

#[camshaft::main]
async fn main() -> Result<()> {
    let (host, port, text) = arguments()?;
    let stream = timeout(PATIENCE, TcpStream::connect((&*host, port)))
        .await
        .with_context(|| format!("{host} did not answer within {PATIENCE:?}"))?
        .with_context(|| {
            format!(
                "cannot connect to {host}, port {port}: is the server running, and on this port? Start it with \
                 `cargo run --example tcp_echo_server -- {host} {port}`"
            )
        })?;
    let start = Instant::now();
    let echo = timeout(PATIENCE, round_trip(&stream, &text))
        .await
        .with_context(|| format!("no echo within {PATIENCE:?}; is this an echo server?"))??;
    println!("{echo:?} came back after {:?}", start.elapsed());
    ensure!(echo == text, "the echo differs from {text:?}");
    Ok(())
}

async fn round_trip(stream: &TcpStream, text: &str) -> Result<String> {
    let (written, _) = stream.write_all(text.to_owned()).await;
    written.context("the server hung up while it was written to")?;
    stream.shutdown().await?;
    let (read, bytes) = stream.read_to_end(Vec::new()).await;
    read.context("the server hung up before all had come back")?;
    String::from_utf8(bytes).context("the echo is no text")
}

fn arguments() -> Result<(String, u16, String)> {
    const USAGE: &str = "usage: tcp_echo_client [HOST] [PORT] [TEXT], such as: tcp_echo_client 127.0.0.1 7777 hello";
    let mut arguments = std::env::args().skip(1);
    let mut next = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
    let (host, port, text) = (next("127.0.0.1"), next("7777"), next("hello, camshaft"));
    ensure!(arguments.next().is_none() && !host.starts_with('-'), USAGE);
    let number = port.parse().with_context(|| {
        format!("{port:?} is no port, which is a number from 0 to 65535\n{USAGE}")
    })?;
    Ok((host, number, text))
}
