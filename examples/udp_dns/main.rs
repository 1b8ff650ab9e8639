//! A DNS client over UDP: asks for the IPv4 addresses of a name, and asks again if no answer comes.
//!
//! Run it with `cargo run --example udp_dns -- [NAME] [SERVER]`. Without a server it starts a stub on the loopback that drops
//! the first query and then says 192.0.2.7 to whatever is asked: one sees a retry, and the answer. With `9.9.9.9:53`, say,
//! it asks the real world.

mod message;

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, bail};
use camshaft::net::UdpSocket;
use camshaft::time::{Duration, timeout};

use message::{addresses, answer, query};

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

/// A server that drops the first query and answers the others with one address.
async fn stub() -> Result<SocketAddr> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    camshaft::spawn(async move {
        for number in 0.. {
            let (received, query) = socket.recv_from(Vec::with_capacity(512)).await;
            let (_, client) = received?;
            if number == 0 {
                continue;
            }
            let Some(message) = answer(query) else {
                continue;
            };
            socket.send_to(message, client).await.0?;
        }
        std::io::Result::Ok(())
    });
    Ok(address)
}
