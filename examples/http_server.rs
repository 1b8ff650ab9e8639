//! A web server with hyper, for HTTP/1.1 or HTTP/2.
//!
//! ```console
//! $ cargo run --features hyper --example http_server -- 127.0.0.1:8080
//! $ curl http://127.0.0.1:8080/
//! hello over HTTP/1.1
//! $ curl --data-binary @README.md http://127.0.0.1:8080/ | cmp - README.md
//! ```
//!
//! A `GET` is greeted, anything else gets its body back as it comes. With `http2` as a second word it speaks that, to clients
//! that know (`curl --http2-prior-knowledge`).

use std::convert::Infallible;
use std::error::Error;

use camshaft::compat::{HyperExecutor, HyperIo, HyperTimer};
use camshaft::net::{TcpListener, TcpStream};
use camshaft::time::Duration;
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<Either<Full<Bytes>, Incoming>>, Infallible> {
    Ok(Response::new(match *request.method() {
        Method::GET => {
            let text = format!("hello over {:?}\n", request.version());
            Either::Left(Full::new(Bytes::from(text)))
        }
        _ => Either::Right(request.into_body()),
    }))
}

async fn serve(stream: TcpStream, http2: bool) -> hyper::Result<()> {
    let io = HyperIo::new(stream);
    if http2 {
        http2::Builder::new(HyperExecutor::new())
            .timer(HyperTimer::new())
            .keep_alive_interval(Duration::from_secs(30))
            .serve_connection(io, service_fn(answer))
            .await
    } else {
        http1::Builder::new()
            .timer(HyperTimer::new())
            .header_read_timeout(Duration::from_secs(30))
            .serve_connection(io, service_fn(answer))
            .await
    }
}

#[camshaft::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let address = words.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let http2 = match words.next().as_deref() {
        None => false,
        Some("http2") => true,
        Some(word) => return Err(format!("{word:?} is no protocol; http2 is").into()),
    };
    let listener = TcpListener::bind(&*address).await?;
    println!("serving on {}", listener.local_addr()?);
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                eprintln!("a connection was not accepted: {error}");
                continue;
            }
        };
        stream.set_nodelay(true)?;
        camshaft::spawn(async move {
            if let Err(error) = serve(stream, http2).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}
