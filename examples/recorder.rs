//! Records what a small server does: where its tasks dwell, which polls took long, and a trace to look at.
//!
//! ```console
//! $ cargo run --example recorder --features inspect
//! $ cargo run --example recorder --features inspect -- 5     # requests of each client; 50 if not given
//! ```
//!
//! It prints a table of the places where tasks dwell, and the longest polls, of which one is longer than it should be: a
//! line on standard error says so at once. It writes `trace.json` here, which <https://ui.perfetto.dev> opens.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use camshaft::net::{TcpListener, TcpStream};
use camshaft::runtime::Builder;
use camshaft::task::JoinSet;
use camshaft::time::sleep;

/// Answers each request of 64 bytes, after a look into something slow.
async fn serve(stream: TcpStream) -> io::Result<()> {
    loop {
        let (read, request) = stream.read_exact(vec![0; 64].into_boxed_slice()).await;
        if read.is_err() {
            return Ok(()); // the client is gone
        }
        look_up(request[0]).await;
        stream.write_all(request).await.0?;
    }
}

async fn look_up(key: u8) {
    sleep(Duration::from_micros(300)).await;
    if key == 7 {
        std::thread::sleep(Duration::from_millis(20)); // what one should not do
    }
}

async fn ask(address: SocketAddr, requests: u8) -> io::Result<()> {
    let stream = TcpStream::connect(address).await?;
    for number in 0..requests {
        stream.write_all(vec![number; 64]).await.0?;
        stream.read_exact(vec![0; 64].into_boxed_slice()).await.0?;
    }
    Ok(())
}

async fn run(requests: u8) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn(ask(address, requests));
        let (stream, _) = listener.accept().await?;
        camshaft::spawn(serve(stream));
    }
    while let Some(ended) = clients.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    Ok(())
}

fn main() -> Result<()> {
    let requests = std::env::args().nth(1);
    let requests = requests.as_deref().unwrap_or("50");
    let requests = requests
        .parse()
        .with_context(|| format!("{requests:?} is no number of requests from 0 to 255"))?;
    let runtime = Builder::new()
        .name("recorder")
        .record(10_000)
        .report_long_polls(Duration::from_millis(10))
        .build()?;
    runtime.block_on(run(requests))?;
    let recording = runtime.recording().context("it was asked for")?;
    println!("{recording}");
    std::fs::write("trace.json", recording.to_chrome_trace()).context("trace.json")?;
    println!("trace.json is for https://ui.perfetto.dev");
    Ok(())
}
