//! A thousand DNS look-ups by a function that is not async: a thread waits in it, or a fiber; and, beside it, async.
//!
//! Run it with `cargo run --release --features stackful --example dns_client -- [LOOK-UPS] [DELAY]`. A stub on another thread
//! answers each query after that many milliseconds. The thread has one query under way, fibers and tasks have a hundred:
//!
//! ```text
//! a thread     1000 look-ups in 2.24 s
//! 100 fibers   1000 look-ups in 0.03 s
//! 100 tasks    1000 look-ups in 0.03 s
//! ```

#[path = "../udp_dns/message.rs"]
mod message;

mod exchange;
mod stub;

use std::net::{Ipv4Addr, UdpSocket as StdSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use camshaft::fiber::Fiber;
use camshaft::net::UdpSocket;
use camshaft::task::JoinSet;

use exchange::{Exchange, PATIENCE, connected, exchange};
use message::{addresses, query};

const AT_ONCE: u16 = 100;

/// The look-up as one would write it for a thread; the next is the same, async.
fn look_up(number: u16, socket: &impl Exchange) -> Result<()> {
    let answer = socket.exchange(query(number, &format!("host-{number}.example"))?)?;
    check(number, &answer)
}

async fn look_up_async(number: u16, socket: &UdpSocket) -> Result<()> {
    let answer = exchange(socket, query(number, &format!("host-{number}.example"))?).await?;
    check(number, &answer)
}

fn check(number: u16, answer: &[u8]) -> Result<()> {
    ensure!(
        answer.starts_with(&number.to_be_bytes()),
        "the answer to another query"
    );
    let found = addresses(answer)?;
    ensure!(found == [Ipv4Addr::new(192, 0, 2, 7)], "{found:?}");
    Ok(())
}

async fn join(mut workers: JoinSet<Result<()>>) -> Result<()> {
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(())
}

fn say(who: &str, count: u16, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{who:<12} {count} look-ups in {seconds:.2} s");
}

fn main() -> Result<()> {
    let mut numbers = std::env::args().skip(1).map(|it| it.parse());
    let mut number = |otherwise| numbers.next().unwrap_or(Ok(otherwise));
    let (count, delay) = number(1000)
        .and_then(|count| Ok((count, number(2)?)))
        .context("usage: dns_client [LOOK-UPS] [DELAY], two numbers up to 65535")?;
    let socket = StdSocket::bind("127.0.0.1:0")?;
    let server = socket.local_addr()?;
    thread::spawn(move || {
        camshaft::block_on(stub::stub(socket, Duration::from_millis(delay.into())))
    });

    let start = Instant::now();
    let socket = StdSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    (0..count).try_for_each(|number| look_up(number, &socket))?;
    say("a thread", count, start);

    camshaft::block_on(async {
        let numbers = move |first: u16| (first..count).step_by(AT_ONCE.into());
        let (start, mut workers) = (Instant::now(), JoinSet::new());
        for first in 0..AT_ONCE {
            let socket = connected(server).await?;
            workers.spawn(Fiber::new(move || {
                numbers(first).try_for_each(|number| look_up(number, &socket))
            }));
        }
        join(workers).await?;
        say("100 fibers", count, start);
        let (start, mut workers) = (Instant::now(), JoinSet::new());
        for first in 0..AT_ONCE {
            let socket = connected(server).await?;
            workers.spawn(async move {
                for number in numbers(first) {
                    look_up_async(number, &socket).await?;
                }
                Ok(())
            });
        }
        join(workers).await?;
        say("100 tasks", count, start);
        Ok(())
    })
}
