//! A DNS client over UDP: asks for the IPv4 addresses of a name, and asks again if no answer comes.
//!
//! Run it with `cargo run --example udp_dns -- [NAME] [SERVER]`. Without a server it starts a stub on the loopback that drops
//! the first query and then says 192.0.2.7 to whatever is asked: one sees a retry, and the answer. With `9.9.9.9:53`, say,
//! it asks the real world.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, bail, ensure};
use camshaft::net::UdpSocket;
use camshaft::time::{Duration, timeout};

const PATIENCE: Duration = Duration::from_millis(500);
const TRIES: u16 = 4;

#[camshaft::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments
        .next()
        .unwrap_or_else(|| "camshaft.example".to_owned());
    let server = match arguments.next() {
        Some(server) => server
            .parse()
            .context("the server is an address and a port, such as 9.9.9.9:53")?,
        None => stub().await?,
    };
    for address in resolve(&name, server).await? {
        println!("{name} has address {address}");
    }
    Ok(())
}

async fn resolve(name: &str, server: SocketAddr) -> Result<Vec<Ipv4Addr>> {
    let any: SocketAddr = if server.is_ipv4() {
        ([0; 4], 0).into()
    } else {
        ([0; 16], 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    // From now on only the server's datagrams are received, and that nobody is there is an error.
    socket.connect(server).await?;
    for id in 1..=TRIES {
        socket.send(query(id, name)?).await.0?;
        // A late answer to an earlier query has another number.
        let answer = timeout(PATIENCE, async {
            loop {
                let (received, answer) = socket.recv(Vec::with_capacity(1232)).await;
                received?;
                if answer.starts_with(&id.to_be_bytes()) {
                    return addresses(&answer);
                }
            }
        });
        match answer.await {
            Ok(found) => return found,
            Err(_) => println!("no answer to query {id} within {PATIENCE:?}"),
        }
    }
    bail!("{server} does not answer")
}

/// A query for the addresses of a name (RFC 1035, section 4): a header, and one question.
fn query(id: u16, name: &str) -> Result<Vec<u8>> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]); // recursion desired, one question
    for label in name.trim_end_matches('.').split('.') {
        ensure!((1..64).contains(&label.len()), "{name:?} is no name");
        message.push(u8::try_from(label.len())?);
        message.extend(label.bytes());
    }
    message.extend([0, 0, 1, 0, 1]); // the root; type A, class IN
    Ok(message)
}

/// The addresses in an answer.
fn addresses(answer: &[u8]) -> Result<Vec<Ipv4Addr>> {
    let count = |at: usize| {
        answer
            .get(at..at + 2)
            .map(|it| u16::from_be_bytes([it[0], it[1]]))
    };
    let code = answer.get(3).context("the answer is cut off")? & 15;
    ensure!(code == 0, "the server answers with error {code}");
    let mut at = after_name(answer, 12)? + 4;
    let mut found = Vec::new();
    for _ in 0..count(6).context("the answer is cut off")? {
        let record = after_name(answer, at)?;
        let (kind, len) = count(record).zip(count(record + 8)).context("cut off")?;
        let data = answer.get(record + 10..record + 10 + usize::from(len));
        if let (1, Some(&[a, b, c, d])) = (kind, data) {
            found.push(Ipv4Addr::new(a, b, c, d));
        }
        at = record + 10 + usize::from(len);
    }
    Ok(found)
}

/// Where a name ends: after the root label, or after a pointer to a name elsewhere.
fn after_name(answer: &[u8], mut at: usize) -> Result<usize> {
    loop {
        match *answer.get(at).context("the answer is cut off")? {
            0 => return Ok(at + 1),
            label @ 1..64 => at += 1 + usize::from(label),
            _ => return Ok(at + 2),
        }
    }
}

/// A server that drops the first query and answers the others with one address.
async fn stub() -> Result<SocketAddr> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    camshaft::spawn(async move {
        for number in 0.. {
            let (received, mut message) = socket.recv_from(Vec::with_capacity(512)).await;
            let (_, client) = received?;
            if number == 0 || message.len() < 12 {
                continue;
            }
            message[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]); // an answer to one question, with one record
            message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]); // the name asked for; A, IN, 60 s, 4 bytes
            message.extend([192, 0, 2, 7]);
            socket.send_to(message, client).await.0?;
        }
        std::io::Result::Ok(())
    });
    Ok(address)
}
