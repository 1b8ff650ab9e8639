//! An echo over a Unix socket, where each side knows who the other is, and a file that goes over with its contents unread.
//!
//! Run it with `cargo run --example unix_echo`. It plays both sides: the server, reached by an abstract name, sends back what
//! it reads; then it hands over an open file, and the client reads it by the descriptor that it was given.
//!
//! With a path it serves one client there, such as `nc -NU PATH`.

use std::fs::File;
use std::io::Read;
use std::os::linux::net::SocketAddrExt;

use anyhow::{Context, Result};
use camshaft::net::unix::SocketAddr;
use camshaft::net::{UnixListener, UnixStream};

#[camshaft::main]
async fn main() -> Result<()> {
    if let Some(path) = std::env::args_os().nth(1) {
        let listener = UnixListener::bind(&path)
            .with_context(|| format!("cannot listen at {path:?}; nothing may be there yet"))?;
        let (stream, _) = listener.accept().await?;
        camshaft::fs::remove_file(&path).await?;
        return serve(stream).await;
    }
    let name = format!("camshaft-example-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name)?;
    let listener = UnixListener::bind_addr(&address)?;
    let server = camshaft::spawn(async move {
        let (stream, _) = listener.accept().await?;
        serve(stream).await
    });

    let stream = UnixStream::connect_addr(&address).await?;
    println!("the server is {:?}", stream.peer_cred()?);
    for line in ["one", "two", "three"] {
        stream.write_all(line).await.0?;
        let guard = stream.recv().await?;
        println!("{line} comes back as {}", String::from_utf8_lossy(&guard));
    }
    stream.shutdown().await?;
    let (received, note) = stream.recv_with_fds(Vec::with_capacity(64)).await;
    let (_, mut files) = received?;
    let mut text = String::new();
    File::from(files.pop().context("no file came")?).read_to_string(&mut text)?;
    println!("{}: {}", String::from_utf8_lossy(&note), text.trim_end());
    server.await?
}

/// Echoes until the client has said all that it had to say, and then hands over a file.
async fn serve(stream: UnixStream) -> Result<()> {
    println!("the client is {:?}", stream.peer_cred()?);
    loop {
        let guard = stream.recv().await?;
        if guard.is_empty() {
            break;
        }
        stream.write_all(guard).await.0?;
    }
    let file = File::open("/proc/sys/kernel/ostype")?;
    stream.send_with_fds("the system", [&file]).await.0?;
    Ok(())
}
