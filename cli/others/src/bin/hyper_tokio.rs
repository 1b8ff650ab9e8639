//! An HTTP server and its client: hyper on tokio with several threads.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use camshaft_cli_others::{say, size_of_future};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = tokio::time::timeout(Duration::from_secs(10), request.collect()).await;
    let mut response = Response::new(Full::from(format!("{path} on tokio")));
    if !matches!(body, Ok(Ok(_))) {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}

async fn connection(stream: TcpStream) {
    let server = server::Builder::new();
    let connection = server.serve_connection(TokioIo::new(stream), service_fn(answer));
    if let Err(error) = connection.await {
        eprintln!("a connection has ended: {error}");
    }
}

async fn serve(listener: TcpListener) {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tokio::spawn(connection(stream))),
                Err(error) => eprintln!("a connection was not accepted: {error}"),
            },
            () = tokio::time::sleep(Duration::from_secs(10)) => return,
        }
    }
}

async fn fetch(address: SocketAddr) -> Result<String, Box<dyn Error>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/hello").body(Empty::<Bytes>::new())?;
    let body = sender.send_request(request).await?.collect().await?;
    Ok(String::from_utf8(body.to_bytes().into())?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    say("hyper_tokio::answer", size_of_future(answer));
    say("hyper_tokio::connection", size_of_future(connection));
    say("hyper_tokio::serve", size_of_future(serve));
    say("hyper_tokio::fetch", size_of_future(fetch));
    say(
        "hyper::client::conn::http1::handshake",
        size_of_future(client::handshake::<TokioIo<TcpStream>, Empty<Bytes>>),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener));
    eprintln!("{}", fetch(address).await?);
    Ok(())
}
