//! A server that goes down on Ctrl-C without leaving a request unanswered, under the load of its own clients.
//!
//! Run it with `cargo run --example graceful_shutdown`, and press Ctrl-C. It then takes no new connection, answers what it was
//! asked, says goodbye on each connection, and ends when the last is closed. With a number as its argument it sends itself
//! the signal after so many seconds.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use camshaft::net::{TcpListener, TcpStream};
use camshaft::signal::{SignalKind, signal};
use camshaft::time::{Duration, sleep, timeout};

const CLIENTS: usize = 100;
/// How long an idle connection takes to notice that the server goes down.
const LOOK_UP: Duration = Duration::from_millis(50);

#[camshaft::main]
async fn main() -> Result<()> {
    // Listened to from here on: no Ctrl-C is lost, however early it comes.
    let mut interrupts = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let going_down = Rc::new(Cell::new(false));
    let accepting = camshaft::spawn(serve(listener, going_down.clone()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| camshaft::spawn(ask(address)))
        .collect();
    if let Some(seconds) = std::env::args().nth(1) {
        let seconds = seconds
            .parse()
            .context("the argument is a number of seconds")?;
        camshaft::spawn(async move {
            sleep(Duration::from_secs(seconds)).await;
            // SAFETY: no memory is passed.
            unsafe { libc::raise(libc::SIGINT) };
        });
    }
    println!("{CLIENTS} clients ask; Ctrl-C ends it");

    interrupts.recv().await;
    going_down.set(true);
    println!("going down");
    // No new connection; those that there are finish, but not for ever.
    accepting.abort();
    let served = timeout(Duration::from_secs(5), async {
        let mut asked = 0;
        for client in clients {
            asked += client.await.context("a client")??;
        }
        anyhow::Ok(asked)
    });
    let asked = served.await.context("some connections would not end")??;
    println!("all of {asked} requests were answered");
    ensure!(asked > 0, "nobody asked");
    Ok(())
}

async fn serve(listener: TcpListener, going_down: Rc<Cell<bool>>) {
    loop {
        match listener.accept().await {
            // Tasks of their own, which go on when this one is aborted.
            Ok((stream, _)) => drop(camshaft::spawn(answer(stream, going_down.clone()))),
            Err(error) => eprintln!("a connection was not accepted: {error}"),
        }
    }
}

/// Answers every word with `ok`, and the last one with `by`.
async fn answer(stream: TcpStream, going_down: Rc<Cell<bool>>) -> io::Result<()> {
    let mut word = Box::new([0; 4]);
    loop {
        // A read that is given up loses no byte: what it had taken is there for the next.
        match timeout(LOOK_UP, stream.read_exact(word)).await {
            Ok((result, back)) => {
                result?;
                word = back;
            }
            Err(_) if going_down.get() => return Ok(()),
            Err(_) => {
                word = Box::new([0; 4]);
                continue;
            }
        }
        sleep(Duration::from_millis(1)).await; // the work
        let last = going_down.get();
        let reply = if last { "by" } else { "ok" };
        stream.write_all(reply).await.0?;
        if last {
            return Ok(());
        }
    }
}

/// Asks until the server says goodbye; returns how often.
async fn ask(address: SocketAddr) -> Result<u64> {
    let stream = TcpStream::connect(address).await?;
    let mut asked = 0;
    loop {
        stream.write_all("word").await.0?;
        let (result, reply) = stream.read_exact(Box::new([0; 2])).await;
        result.with_context(|| format!("no answer to request {asked}"))?;
        asked += 1;
        if &*reply == b"by" {
            return Ok(asked);
        }
    }
}
