//! A TCP proxy: what comes in on one address goes out to another, and back.
//!
//! Run it with `cargo run --example proxy -- LISTEN TARGET`, such as `127.0.0.1:8000 example.com:80`, and connect to the first
//! address. When much comes, the kernel moves it from socket to socket by `splice`. Ctrl-C ends it.

use std::io;

use anyhow::{Context, Result};
use camshaft::io::copy_bidirectional;
use camshaft::net::{TcpListener, TcpStream};
use camshaft::signal::ctrl_c;

#[camshaft::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(target)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: proxy LISTEN TARGET, such as: proxy 127.0.0.1:8000 example.com:80");
    };
    let listener = TcpListener::bind(&listen).await.with_context(|| {
        format!(
            "cannot listen on {listen:?}; it must be HOST:PORT of this machine, not in use, and ports below 1024 need \
             privileges"
        )
    })?;
    println!("for {target}, listening on {}", listener.local_addr()?);
    camshaft::spawn(async move { serve(listener, target).await });
    ctrl_c().await?;
    println!("going down");
    Ok(())
}

async fn serve(listener: TcpListener, target: String) {
    loop {
        match listener.accept().await {
            Ok((client, peer)) => {
                let target = target.clone();
                camshaft::spawn(async move {
                    match relay(client, &target).await {
                        Ok((sent, received)) => {
                            println!("{peer}: {sent} bytes there, {received} bytes back");
                        }
                        Err(error) => eprintln!("{peer}: {error}"),
                    }
                });
            }
            // No descriptor left, say: the next accept waits a little, so this does not spin.
            Err(error) => eprintln!("a connection was not accepted: {error}"),
        }
    }
}

/// Copies both ways until both sides have said all they had to say.
async fn relay(client: TcpStream, target: &str) -> io::Result<(u64, u64)> {
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    copy_bidirectional(&client, &server).await
}
