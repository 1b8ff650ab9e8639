//! TLS by rustls over the adapters: both libraries that wrap a stream, each in both roles.

#![cfg(all(feature = "futures-io", feature = "tokio-io"))]

mod common;
use common::*;

use std::io;
use std::sync::Arc;

use camshaft::compat::{FuturesIo, TokioIo};
use camshaft::net::TcpStream;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The settings of a server with a new certificate for `localhost`, and of a client that trusts it.
fn settings() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server.unwrap()), Arc::new(client))
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

fn bytes() -> Vec<u8> {
    (0..1_500_000_u32).map(|i| i.to_le_bytes()[1]).collect()
}

async fn futures_server(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    let acceptor = futures_rustls::TlsAcceptor::from(config);
    let mut stream = acceptor.accept(FuturesIo::new(stream)).await?;
    let mut buf = vec![0; 20_000];
    loop {
        match stream.read(&mut buf).await? {
            0 => return stream.close().await,
            n => stream.write_all(&buf[..n]).await?,
        }
        stream.flush().await?;
    }
}

async fn tokio_server(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    let mut stream = acceptor.accept(TokioIo::new(stream)).await?;
    let mut buf = vec![0; 20_000];
    loop {
        match stream.read(&mut buf).await? {
            0 => return stream.shutdown().await,
            n => stream.write_all(&buf[..n]).await?,
        }
        stream.flush().await?;
    }
}

async fn futures_client(stream: TcpStream, config: Arc<ClientConfig>) -> io::Result<()> {
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    let connector = futures_rustls::TlsConnector::from(config);
    let stream = FuturesIo::new(stream);
    let stream = connector.connect(localhost(), stream).await?;
    let (mut read, mut write) = futures_lite::io::split(stream);
    let writer = camshaft::spawn(async move {
        write.write_all(&bytes()).await?;
        write.flush().await?;
        io::Result::Ok(write)
    });
    let mut received = vec![0; bytes().len()];
    read.read_exact(&mut received).await?;
    assert!(received == bytes());
    writer.await.unwrap()?.close().await?;
    assert_eq!(read.read(&mut received).await?, 0, "an end that is signed");
    Ok(())
}

async fn tokio_client(stream: TcpStream, config: Arc<ClientConfig>) -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let connector = tokio_rustls::TlsConnector::from(config);
    let stream = connector.connect(localhost(), TokioIo::new(stream)).await?;
    let (mut read, mut write) = tokio::io::split(stream);
    let writer = camshaft::spawn(async move {
        write.write_all(&bytes()).await?;
        write.flush().await?;
        io::Result::Ok(write)
    });
    let mut received = vec![0; bytes().len()];
    read.read_exact(&mut received).await?;
    assert!(received == bytes());
    writer.await.unwrap()?.shutdown().await?;
    assert_eq!(read.read(&mut received).await?, 0, "an end that is signed");
    Ok(())
}

#[test]
fn futures_rustls_serves_tokio_rustls() {
    let _alone = alone();
    let (server, client) = settings();
    runtime().block_on(async {
        let (near, far) = pair().await;
        let server = camshaft::spawn(futures_server(far, server));
        tokio_client(near, client).await.unwrap();
        server.await.unwrap().unwrap();
    });
}

#[test]
fn tokio_rustls_serves_futures_rustls() {
    let _alone = alone();
    let (server, client) = settings();
    runtime().block_on(async {
        let (near, far) = pair().await;
        let server = camshaft::spawn(tokio_server(far, server));
        futures_client(near, client).await.unwrap();
        server.await.unwrap().unwrap();
    });
}

#[test]
fn a_certificate_that_nobody_trusts_is_refused_on_both_sides() {
    let _alone = alone();
    let ((server, _), (_, stranger)) = (settings(), settings());
    runtime().block_on(async {
        let (near, far) = pair().await;
        let server = camshaft::spawn(futures_server(far, server));
        let refused = futures_client(near, stranger).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        assert!(server.await.unwrap().is_err());
    });
}
