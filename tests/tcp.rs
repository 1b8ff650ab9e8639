//! TCP: what every program does with it.

use std::io;
use std::time::Duration;

use camshaft::net::{TcpListener, TcpStream};
use camshaft::time::timeout;

/// A listener and a connection to it, both ends.
async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, _) = listener.accept().await?;
    Ok((client, server))
}

#[camshaft::test]
async fn bytes_go_both_ways() -> io::Result<()> {
    let (client, server) = pair().await?;
    client.write_all(b"ping").await.0?;
    let (read, buf) = server.read(Vec::with_capacity(16)).await;
    assert_eq!((read?, &*buf), (4, &b"ping"[..]));
    server.write_all(b"pong".to_vec()).await.0?;
    let (read, buf) = client.read_exact(vec![0; 4].into_boxed_slice()).await;
    assert_eq!((read?, &*buf), (4, &b"pong"[..]));
    drop(server);
    let (read, _) = client.read(Vec::with_capacity(1)).await;
    assert_eq!(read?, 0);
    Ok(())
}

#[camshaft::test]
async fn a_dropped_read_loses_nothing() -> io::Result<()> {
    let (client, server) = pair().await?;
    let waited = timeout(
        Duration::from_millis(5),
        server.read(Vec::with_capacity(16)),
    )
    .await;
    assert!(waited.is_err());
    client.write_all(b"late").await.0?;
    let (read, buf) = server.read(Vec::with_capacity(16)).await;
    assert_eq!((read?, &*buf), (4, &b"late"[..]));
    Ok(())
}

#[camshaft::test]
async fn recv_lends_a_buffer() -> io::Result<()> {
    let (client, server) = pair().await?;
    client.write_all(b"lent").await.0?;
    let guard = server.recv().await?;
    assert_eq!(&*guard, b"lent");
    server.write_all(guard).await.0?;
    assert_eq!(&*client.recv().await?, b"lent");
    drop(client);
    assert!(server.recv().await?.is_empty());
    Ok(())
}
