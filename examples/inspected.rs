//! A server that can be looked at while it runs: from another terminal, and in a browser.
//!
//! ```console
//! $ cargo run --features inspect --example inspected
//! the page is on http://127.0.0.1:7000/
//! $ cargo run -p camshaft-cli -- top --pid $(pgrep -x inspected)
//! $ cargo run -p camshaft-cli -- dump --pid $(pgrep -x inspected)
//! ```
//!
//! Clients greet it and hang up, over and over; some of its tasks are named, some wait for each other, and one sleeps for an
//! hour. The first word is another address for the page.

use anyhow::{Context, Result};
use camshaft::net::{SocketAddr, TcpListener, TcpStream};
use camshaft::runtime::Builder;
use camshaft::task;
use camshaft::time::{Duration, interval, sleep, timeout};

/// How long clients think before they answer.
const THOUGHT: Duration = Duration::from_millis(700);

fn main() -> Result<()> {
    let page = std::env::args().nth(1);
    let page = page.as_deref().unwrap_or("127.0.0.1:7000");
    let page: SocketAddr = page
        .parse()
        .with_context(|| format!("{page:?} is no address for the page, such as 127.0.0.1:7000"))?;
    let runtime = Builder::new()
        .name("inspected")
        .attach(true)
        .page(page)
        .record(10_000)
        .build()?;
    if let Some(address) = runtime.page() {
        println!("the page is on http://{address}/");
    }
    runtime.block_on(serve())
}

async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let named = |name: &str| task::Builder::new().name(name);
    let _clock = named("clock").spawn(tick());
    let report = named("report").spawn(report());
    let _archive = named("archive").spawn(async move { report.await.is_ok() });
    for client in 0..20 {
        task::spawn(visit(address, client));
    }
    loop {
        let (stream, _) = listener.accept().await?;
        task::spawn(greet(stream));
    }
}

/// Says hello, and waits for an answer.
async fn greet(stream: TcpStream) -> std::io::Result<()> {
    stream.write_all("hello\n").await.0?;
    let answer = timeout(Duration::from_secs(5), stream.read(Vec::with_capacity(64))).await;
    if let Ok((result, _)) = answer {
        result?;
    }
    Ok(())
}

/// Comes again and again; each client thinks for a time of its own.
async fn visit(server: SocketAddr, client: u32) -> std::io::Result<()> {
    loop {
        let stream = TcpStream::connect(server).await?;
        let (result, _) = stream.read_exact(Vec::with_capacity(6)).await;
        result?;
        sleep(THOUGHT + Duration::from_millis(100) * client).await;
        stream.write_all("thanks\n").await.0?;
    }
}

async fn tick() {
    let mut ticks = interval(Duration::from_millis(10));
    loop {
        ticks.tick().await;
    }
}

/// Takes its time.
async fn report() {
    sleep(Duration::from_secs(3600)).await;
}
