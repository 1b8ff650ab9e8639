//! An echo server and its client on camshaft.

use std::io;
use std::net::SocketAddr;

use camshaft::net::{TcpListener, TcpStream};
use camshaft::time::{Duration, timeout};
use camshaft_cli_others::{say, size_of_future};

async fn echo(stream: TcpStream) -> io::Result<()> {
    loop {
        let received = stream.recv().await?;
        if received.is_empty() {
            return Ok(());
        }
        stream.write_all(received).await.0?;
    }
}

async fn patient(stream: TcpStream) -> io::Result<()> {
    timeout(Duration::from_secs(10), echo(stream)).await?
}

async fn ask(address: SocketAddr) -> io::Result<String> {
    let stream = TcpStream::connect(address).await?;
    stream.write_all("hello on camshaft").await.0?;
    Ok(String::from_utf8_lossy(&stream.recv().await?).into_owned())
}

#[camshaft::main]
async fn main() -> io::Result<()> {
    say("camshaft_echo::echo", size_of_future(echo));
    say("camshaft_echo::patient", size_of_future(patient));
    say("camshaft_echo::ask", size_of_future(ask));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = camshaft::spawn(async move { patient(listener.accept().await?.0).await });
    eprintln!("{}", ask(address).await?);
    server.await?
}
