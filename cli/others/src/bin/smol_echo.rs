//! An echo server and its client on smol.

use std::io;
use std::time::Duration;

use camshaft_cli_others::{say, size_of_future};
use smol::future::FutureExt as _;
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::net::{SocketAddr, TcpListener, TcpStream};
use smol::{LocalExecutor, Timer};

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1500];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..read]).await?;
    }
}

async fn patient(stream: TcpStream) -> io::Result<()> {
    let late = async {
        Timer::after(Duration::from_secs(10)).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    echo(stream).or(late).await
}

async fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"hello on smol").await?;
    let mut answer = vec![0; 13];
    stream.read_exact(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn main() -> io::Result<()> {
    say("smol_echo::echo", size_of_future(echo));
    say("smol_echo::patient", size_of_future(patient));
    say("smol_echo::ask", size_of_future(ask));
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = executor.spawn(async move { patient(listener.accept().await?.0).await });
        eprintln!("{}", ask(address).await?);
        server.await
    }))
}
