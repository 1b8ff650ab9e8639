//! HTTP/1.1 with hyper on both sides: connections kept alive, pipelines, bodies of all kinds, an orderly end, an abrupt one.

#![cfg(feature = "hyper")]

mod common;
use common::*;

use std::cell::Cell;
use std::convert::Infallible;
use std::io::{Read, Write};
use std::pin::pin;
use std::rc::Rc;
use std::thread;

use camshaft::compat::HyperIo;
use camshaft::net::TcpStream;
use camshaft::task::JoinHandle;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};

type Body = BoxBody<Bytes, Infallible>;

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}

/// `GET /N` answers with N bytes, `GET /chunks` with ten frames of unknown total, anything else with what came.
async fn service(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    if request.method() != Method::GET {
        let body = request.into_body().collect().await?.to_bytes();
        return Ok(Response::new(full(body)));
    }
    let path = request.uri().path().trim_start_matches('/');
    if path == "chunks" {
        let frames = (0..10).map(|i| Ok(Frame::data(Bytes::from(format!("chunk {i}, ")))));
        let body = StreamBody::new(futures_lite::stream::iter(frames));
        return Ok(Response::new(BodyExt::boxed(body)));
    }
    let mut response = Response::new(full(vec![b'x'; path.parse().unwrap_or(0)]));
    if path.parse::<usize>().is_err() {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

/// A server of one connection.
fn serve(stream: TcpStream) -> JoinHandle<hyper::Result<()>> {
    let connection = Builder::new().serve_connection(HyperIo::new(stream), service_fn(service));
    camshaft::spawn(connection)
}

/// A client, whose connection a task drives, and the server.
async fn connected() -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let (client, server) = pair().await;
    let server = serve(server);
    let (sender, connection) = handshake(HyperIo::new(client)).await.unwrap();
    camshaft::spawn(connection);
    (sender, server)
}

fn get(path: &str) -> Request<Body> {
    let request = Request::get(path).header("host", "localhost");
    request.body(Empty::new().boxed()).unwrap()
}

fn post(body: Body) -> Request<Body> {
    let request = Request::post("/").header("host", "localhost");
    request.body(body).unwrap()
}

async fn ask(sender: &mut SendRequest<Body>, request: Request<Body>) -> Bytes {
    sender.ready().await.unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.into_body().collect().await.unwrap().to_bytes()
}

#[test]
fn a_thousand_requests_share_a_connection() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut sender, server) = connected().await;
        for n in 0..1000 {
            assert_eq!(ask(&mut sender, get(&format!("/{n}"))).await.len(), n);
        }
        drop(sender);
        server.await.unwrap().unwrap();
    });
}

#[test]
fn sixty_four_connections_at_once() {
    let _alone = alone();
    let fds_before = fds();
    runtime().block_on(async {
        let (listener, address) = listener().await;
        let acceptor = camshaft::spawn(async move {
            for _ in 0..64 {
                serve(listener.accept().await.unwrap().0);
            }
        });
        let clients: Vec<_> = (0..64)
            .map(|n| {
                camshaft::spawn(async move {
                    let stream = TcpStream::connect(address).await.unwrap();
                    let (mut sender, connection) = handshake(HyperIo::new(stream)).await.unwrap();
                    camshaft::spawn(connection);
                    for i in 0..20 {
                        let len = n * 100 + i;
                        assert_eq!(ask(&mut sender, get(&format!("/{len}"))).await.len(), len);
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        acceptor.await.unwrap();
    });
    assert_eq!(fds(), fds_before);
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = half_std();
        let server = serve(server);
        let peer = thread::spawn(move || {
            let mut requests: String = (1..100)
                .map(|n| format!("GET /{n} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
                .collect();
            requests.push_str("GET /100 HTTP/1.1\r\nconnection: close\r\n\r\n");
            client.write_all(requests.as_bytes()).unwrap();
            let mut answers = String::new();
            client.read_to_string(&mut answers).unwrap();
            answers
        });
        server.await.unwrap().unwrap();
        let answers = peer.join().unwrap();
        let lens: Vec<usize> = answers
            .lines()
            .filter_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .collect();
        assert_eq!(lens, (1..=100).collect::<Vec<_>>());
    });
}

#[test]
fn bodies_are_chunked_both_ways() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut sender, _server) = connected().await;
        let answer = ask(&mut sender, get("/chunks")).await;
        let expected: String = (0..10).map(|i| format!("chunk {i}, ")).collect();
        assert_eq!(answer, expected);
        let frames = (0..100).map(|i| Ok(Frame::data(Bytes::from(vec![i; 1000]))));
        let body = StreamBody::new(futures_lite::stream::iter(frames));
        let answer = ask(&mut sender, post(BodyExt::boxed(body))).await;
        let expected: Vec<u8> = (0..100).flat_map(|i| vec![i; 1000]).collect();
        assert!(answer == expected);
    });
}

#[test]
fn large_bodies_both_ways() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut sender, _server) = connected().await;
        let body: Vec<u8> = (0..5_000_000).map(|i: u32| i.to_le_bytes()[1]).collect();
        for _ in 0..2 {
            let answer = ask(&mut sender, post(full(body.clone()))).await;
            assert!(answer == body);
        }
        assert_eq!(ask(&mut sender, get("/5000000")).await.len(), 5_000_000);
    });
}

#[test]
fn an_orderly_end_answers_what_was_asked() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = pair().await;
        let asked = Rc::new(Cell::new(false));
        let slow = service_fn({
            let asked = asked.clone();
            move |request| {
                asked.set(true);
                async {
                    camshaft::task::yield_now().await;
                    service(request).await
                }
            }
        });
        let mut connection = pin!(Builder::new().serve_connection(HyperIo::new(server), slow));
        let client = camshaft::spawn(async move {
            let (mut sender, connection) = handshake(HyperIo::new(client)).await.unwrap();
            let connection = camshaft::spawn(connection);
            let answer = ask(&mut sender, get("/7")).await;
            connection.await.unwrap().unwrap();
            assert!(sender.ready().await.is_err(), "the server has closed");
            answer
        });
        while !asked.get() {
            assert!(poll_once(connection.as_mut()).await.is_pending());
            turn().await;
        }
        connection.as_mut().graceful_shutdown();
        connection.await.unwrap();
        assert_eq!(client.await.unwrap().len(), 7);
    });
}

#[test]
fn a_client_that_resets_ends_its_connection_alone() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = half_std();
        let server = serve(server);
        client
            .write_all(b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nhalf")
            .unwrap();
        turn().await;
        socket2::SockRef::from(&client)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
        drop(client);
        assert!(server.await.unwrap().is_err());
    });
}

#[test]
fn what_is_no_http_is_refused() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = half_std();
        let server = serve(server);
        client
            .write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
            .unwrap();
        assert!(server.await.unwrap().unwrap_err().is_parse());
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request"), "{answer}");
    });
}

#[test]
fn a_response_arrives_although_its_connection_is_dropped() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = half_std();
        let asked = Cell::new(false);
        let noting = service_fn(|request| {
            asked.set(true);
            service(request)
        });
        let connection = Builder::new().serve_connection(HyperIo::new(server), noting);
        let mut connection = Box::pin(connection);
        client
            .write_all(b"GET /5 HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .unwrap();
        while !asked.get() {
            turn().await;
            assert!(poll_once(connection.as_mut()).await.is_pending());
        }
        // The poll that asked has begun to write, too.
        drop(connection);
        let answer = camshaft::task::spawn_blocking(move || {
            let mut answer = String::new();
            client.read_to_string(&mut answer).map(|_| answer)
        });
        let answer = answer.await.unwrap().unwrap();
        assert!(answer.ends_with("\r\n\r\nxxxxx"), "{answer}");
    });
}
