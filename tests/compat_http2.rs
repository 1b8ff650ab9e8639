//! HTTP/2 with hyper: many streams on one connection, whose tasks run on the runtime of the thread.

#![cfg(feature = "hyper")]

mod common;
use common::*;

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;

use camshaft::compat::{HyperExecutor, HyperIo, HyperTimer};
use camshaft::runtime::Builder;
use camshaft::time::{Duration, Instant, sleep};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{Builder as Client, SendRequest};
use hyper::server::conn::http2::Builder as Server;
use hyper::service::service_fn;
use hyper::{Request, Response};

async fn client(stream: camshaft::net::TcpStream) -> SendRequest<Full<Bytes>> {
    let (sender, connection) = Client::new(HyperExecutor)
        .handshake(HyperIo::new(stream))
        .await
        .unwrap();
    camshaft::spawn(async move {
        let _ = connection.await;
    });
    sender
}

async fn ask(mut sender: SendRequest<Full<Bytes>>, body: Vec<u8>) -> Bytes {
    let request = Request::post("http://localhost/").body(Full::from(body));
    let response = sender.send_request(request.unwrap()).await.unwrap();
    response.into_body().collect().await.unwrap().to_bytes()
}

#[test]
fn a_hundred_streams_share_a_connection() {
    let _alone = alone();
    runtime().block_on(async {
        let (near, far) = pair().await;
        // Not `Send`: the streams run on this thread.
        let (now, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let service = service_fn({
            let (now, most) = (now.clone(), most.clone());
            move |request: Request<Incoming>| {
                let (now, most) = (now.clone(), most.clone());
                async move {
                    now.set(now.get() + 1);
                    most.set(most.get().max(now.get()));
                    // All are there before the first answers.
                    while most.get() < 100 {
                        turn().await;
                    }
                    let body = request.into_body().collect().await?.to_bytes();
                    now.set(now.get() - 1);
                    Ok::<_, hyper::Error>(Response::new(Full::new(body)))
                }
            }
        });
        let server = Server::new(HyperExecutor)
            .max_concurrent_streams(200)
            .serve_connection(HyperIo::new(far), service);
        let server = camshaft::spawn(server);
        let sender = client(near).await;
        let streams: Vec<_> = (0..100)
            .map(|n| {
                let sender = sender.clone();
                let body = vec![u8::try_from(n).unwrap(); n * 100];
                camshaft::spawn(async move { ask(sender, body.clone()).await == body })
            })
            .collect();
        for stream in streams {
            assert!(stream.await.unwrap());
        }
        assert_eq!(most.get(), 100);
        drop(sender);
        server.await.unwrap().unwrap();
    });
}

#[test]
fn large_bodies_go_both_ways_at_once() {
    let _alone = alone();
    runtime().block_on(async {
        let (near, far) = pair().await;
        let echo = service_fn(async |request: Request<Incoming>| {
            Ok::<_, Infallible>(Response::new(request.into_body()))
        });
        let server = Server::new(HyperExecutor).serve_connection(HyperIo::new(far), echo);
        let server = camshaft::spawn(server);
        let sender = client(near).await;
        let bodies = (0..4).map(|n| vec![n; 1_000_000]);
        let streams: Vec<_> = bodies
            .map(|body| {
                let sender = sender.clone();
                camshaft::spawn(async move { ask(sender, body.clone()).await == body })
            })
            .collect();
        for stream in streams {
            assert!(stream.await.unwrap());
        }
        drop(sender);
        server.await.unwrap().unwrap();
    });
}

#[test]
fn a_silent_peer_is_given_up_after_its_pings() {
    let _alone = alone();
    let runtime = Builder::new().paused_clock(true).build().unwrap();
    runtime.block_on(async {
        let (silent, far) = half_std();
        let service =
            service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("never"))));
        let begin = Instant::now();
        let mut server = Server::new(HyperExecutor);
        server
            .timer(HyperTimer)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(5));
        std::io::Write::write_all(
            &mut &silent,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        )
        .unwrap();
        let connection = server.serve_connection(HyperIo::new(far), service);
        let server = camshaft::spawn(connection);
        sleep(Duration::from_secs(29)).await;
        assert!(!server.is_finished());
        assert!(server.await.unwrap().is_err());
        assert!(begin.elapsed() >= Duration::from_secs(35));
        assert!(begin.elapsed() < Duration::from_secs(60));
    });
}
