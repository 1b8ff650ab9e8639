//! A small server of the Redis protocol (RESP): `PING`, `ECHO`, `GET`, `SET`, `DEL`, `INCR` and `QUIT`.
//!
//! ```console
//! $ cargo run --release --example resp_server -- 127.0.0.1:6380
//! $ redis-benchmark -p 6380 -t ping,set,get,incr -n 100000 -c 50 -P 16 -q
//! $ printf 'SET greeting hello\nGET greeting\n' | nc -q1 127.0.0.1 6380
//! ```
//!
//! All connections share the store: there is one thread, so it needs no lock. Ctrl-C ends it, and what was stored is gone.
//!
//! Many commands that arrive at once are answered by one write. What a client can make the server hold is bounded: a command
//! of at most a megabyte, and answers of about 64 KiB, after which nothing more is read until the client has taken them.

mod protocol;
mod store;

use std::io;
use std::rc::Rc;

use anyhow::{Context, Result};
use camshaft::net::{TcpListener, TcpStream};
use protocol::Parsed;
use store::{Next, Store};

/// Answers are sent when they are about so long, even if there are more commands.
const OUTBOX: usize = 64 * 1024;

#[camshaft::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:6380");
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address:?}; is it in use?"))?;
    println!("serving RESP on {}", listener.local_addr()?);
    let store = Rc::<Store>::default();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let store = store.clone();
                camshaft::spawn(async move {
                    if let Err(error) = serve(&stream, &store).await {
                        eprintln!("{peer}: {error}");
                    }
                });
            }
            // No descriptor left, say: the next accept waits a little, so this does not spin.
            Err(error) => eprintln!("a connection was not accepted: {error}"),
        }
    }
}

/// Answers commands until the client goes.
async fn serve(stream: &TcpStream, store: &Store) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut inbox, mut outbox) = (Vec::new(), Vec::new());
    loop {
        // The buffer is lent by the runtime: a client who says nothing holds none.
        let received = stream.recv().await?;
        if received.is_empty() {
            return Ok(());
        }
        inbox.extend_from_slice(&received);
        drop(received);
        let mut used = 0;
        loop {
            let next = match protocol::parse(&inbox[used..]) {
                Parsed::Partial => break,
                Parsed::Command(words, len) => {
                    used += len;
                    store.run(&words, &mut outbox)
                }
                Parsed::Wrong(why) => {
                    protocol::error(&mut outbox, &format!("Protocol error: {why}"));
                    Next::Close
                }
            };
            if next == Next::Close || outbox.len() >= OUTBOX {
                outbox = send(stream, outbox).await?;
            }
            if next == Next::Close {
                return Ok(());
            }
        }
        inbox.drain(..used);
        outbox = send(stream, outbox).await?;
        if inbox.is_empty() {
            // What one large command or answer needed is not kept for ever.
            inbox.shrink_to(OUTBOX);
            outbox.shrink_to(OUTBOX);
        }
    }
}

/// Sends the answers, and returns the buffer.
async fn send(stream: &TcpStream, outbox: Vec<u8>) -> io::Result<Vec<u8>> {
    let (result, mut outbox) = stream.write_all(outbox).await;
    outbox.clear();
    result.map(|()| outbox)
}
