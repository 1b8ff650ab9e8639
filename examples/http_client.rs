//! Asks a web server many times over one connection, with hyper.
//!
//! ```console
//! $ cargo run --features hyper --example http_server -- 127.0.0.1:8080
//! $ cargo run --features hyper --example http_client -- 127.0.0.1:8080
//! hello over HTTP/1.1
//! 1000 answers from 127.0.0.1:8080, 20000 bytes, one connection
//! ```
//!
//! With `http2` as a second word the requests are in flight at the same time, and the answers come in any order.

use std::error::Error;

use camshaft::compat::{HyperExecutor, HyperIo};
use camshaft::net::TcpStream;
use camshaft::task::JoinSet;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, body};

const REQUESTS: usize = 1000;

fn request(address: &str) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
    Request::get(format!("http://{address}/"))
        .header("host", address)
        .body(Empty::new())
}

async fn text(response: Response<body::Incoming>) -> Result<String, Box<dyn Error>> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec())?)
}

async fn one_by_one(stream: TcpStream, address: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let (mut sender, connection) = http1::handshake(HyperIo::new(stream)).await?;
    camshaft::spawn(connection);
    let mut answers = Vec::new();
    for _ in 0..REQUESTS {
        answers.push(text(sender.send_request(request(address)?).await?).await?);
    }
    Ok(answers)
}

async fn all_at_once(stream: TcpStream, address: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let io = HyperIo::new(stream);
    let (sender, connection) = http2::handshake(HyperExecutor::new(), io).await?;
    camshaft::spawn(connection);
    let mut asking = JoinSet::new();
    for _ in 0..REQUESTS {
        let mut sender = sender.clone();
        let request = request(address)?;
        asking.spawn(async move {
            sender.ready().await?;
            text(sender.send_request(request).await?).await
        });
    }
    let mut answers = Vec::new();
    while let Some(answer) = asking.join_next().await {
        answers.push(answer??);
    }
    Ok(answers)
}

#[camshaft::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let address = words.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let stream = TcpStream::connect(&*address)
        .await
        .map_err(|error| format!("{address}: {error}; is the server running?"))?;
    stream.set_nodelay(true)?;
    let answers = match words.next().as_deref() {
        None => one_by_one(stream, &address).await?,
        Some("http2") => all_at_once(stream, &address).await?,
        Some(word) => return Err(format!("{word:?} is no protocol; http2 is").into()),
    };
    print!("{}", answers[0]);
    let bytes: usize = answers.iter().map(String::len).sum();
    let count = answers.len();
    println!("{count} answers from {address}, {bytes} bytes, one connection");
    Ok(())
}
