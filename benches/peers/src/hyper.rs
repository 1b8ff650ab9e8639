//! HTTP/1.1 with hyper: one service for every system, each under the adapter that was made for it.
//!
//! The request is the shortest that a browserless client sends, the response thirteen bytes of text with hyper's own headers. No
//! timer is set, so no header timeout is armed for any system.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::rt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

/// What the load client sends over and over.
pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

const BODY: &[u8] = b"Hello, World!";

/// Serves one connection until it is closed. What is wrong with it is the load client's to notice.
pub(crate) async fn serve(io: impl rt::Read + rt::Write + Unpin) {
    let connection = http1::Builder::new().serve_connection(io, service_fn(hello));
    let _ = connection.await;
}

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(BODY)));
    let text = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(CONTENT_TYPE, text);
    Ok(response)
}

/// Asks once, and returns how long a whole response is: all of them are alike.
pub(crate) fn probe(address: SocketAddr) -> io::Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(REQUEST)?;
    let mut response = Vec::new();
    let mut chunk = [0; 1024];
    while !response.ends_with(BODY) {
        match stream.read(&mut chunk)? {
            0 => return Err(io::Error::other("the server closed a connection early")),
            count => response.extend_from_slice(&chunk[..count]),
        }
    }
    if !response.starts_with(b"HTTP/1.1 200 OK\r\n") {
        return Err(io::Error::other("the server's response is no success"));
    }
    Ok(response.len())
}
