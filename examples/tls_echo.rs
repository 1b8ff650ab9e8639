//! An echo server over TLS, with rustls.
//!
//! ```console
//! $ cargo run --features futures-io --example tls_echo -- 127.0.0.1:8443 /tmp/localhost.pem
//! $ openssl s_client -connect 127.0.0.1:8443 -CAfile /tmp/localhost.pem -verify_return_error -quiet
//! ```
//!
//! The certificate is made anew at each start, for `localhost`, and written to the file that is named, for the client to trust.
//! What one types comes back.

use std::error::Error;
use std::sync::Arc;

use camshaft::compat::FuturesIo;
use camshaft::fs;
use camshaft::net::{TcpListener, TcpStream};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use futures_rustls::TlsAcceptor;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

/// Settings with a new certificate, and the certificate as text.
fn settings() -> Result<(ServerConfig, String), Box<dyn Error>> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names)?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let settings = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    Ok((settings, made.cert.pem()))
}

async fn echo(stream: TcpStream, acceptor: TlsAcceptor) -> std::io::Result<()> {
    let mut stream = acceptor.accept(FuturesIo::new(stream)).await?;
    let mut buf = vec![0; 16 * 1024];
    loop {
        match stream.read(&mut buf).await? {
            0 => return stream.close().await,
            n => stream.write_all(&buf[..n]).await?,
        }
        stream.flush().await?;
    }
}

#[camshaft::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let address = words.next().unwrap_or_else(|| "127.0.0.1:8443".to_owned());
    let (settings, certificate) = settings()?;
    if let Some(path) = words.next() {
        fs::write(&path, certificate).await?;
    }
    let acceptor = TlsAcceptor::from(Arc::new(settings));
    let listener = TcpListener::bind(&*address).await?;
    println!("echoing over TLS on {}", listener.local_addr()?);
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                eprintln!("a connection was not accepted: {error}");
                continue;
            }
        };
        let acceptor = acceptor.clone();
        camshaft::spawn(async move {
            if let Err(error) = echo(stream, acceptor).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}
