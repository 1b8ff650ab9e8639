//! Two runtimes of one thread, in turn: what is cancelled on one keeps nothing from the other, and nothing open.

mod common;

use std::future::pending;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;
use std::time::Duration;

use camshaft::net::{TcpListener, UnixStream};
use camshaft::runtime::Runtime;
use common::sockets::{next, soon};
use common::{alone, panic_of, poll_and_drop, poll_once, poll_outside, runtime, turn};
use socket2::SockRef;

fn half() -> (StdStream, UnixStream) {
    let (peer, ours) = StdStream::pair().expect("a pair");
    (peer, UnixStream::from_std(ours).expect("a socket"))
}

/// Has a runtime submit a read that then is dropped, so late that only the end of `block_on` can cancel it.
fn read_in_vain(runtime: &Runtime, stream: &UnixStream) {
    runtime.block_on(async {
        let mut reading = Box::pin(stream.read(Vec::with_capacity(16)));
        assert!(poll_once(reading.as_mut()).await.is_pending());
        turn().await;
        drop(reading);
    });
}

async fn read(stream: &UnixStream) -> Vec<u8> {
    let (read, bytes) = stream.read(Vec::with_capacity(16)).await;
    read.expect("read");
    bytes
}

#[test]
fn a_read_that_was_dropped_on_one_leaves_the_stream_to_the_other() {
    let _alone = alone();
    let (first, second) = (runtime(), runtime());
    let (mut peer, stream) = half();
    for text in ["one", "two"] {
        read_in_vain(&first, &stream);
        peer.write_all(text.as_bytes()).unwrap();
        assert_eq!(second.block_on(read(&stream)), text.as_bytes());
    }
}

#[test]
fn a_read_that_is_dropped_between_two_runs_leaves_the_stream_to_the_other() {
    let _alone = alone();
    let (first, second) = (runtime(), runtime());
    let (mut peer, stream) = half();
    let mut reading = Box::pin(stream.read(Vec::with_capacity(16)));
    first.block_on(async {
        assert!(poll_once(reading.as_mut()).await.is_pending());
        turn().await;
    });
    drop(reading);
    peer.write_all(b"bytes").unwrap();
    assert_eq!(second.block_on(read(&stream)), b"bytes");
}

#[test]
fn an_accept_that_was_dropped_on_one_leaves_the_listener_to_the_other() {
    let _alone = alone();
    let (first, second) = (runtime(), runtime());
    let listener = first.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert!(poll_and_drop(listener.accept()).await.is_pending());
        turn().await;
        let mut incoming = listener.incoming();
        assert!(soon(&mut incoming).await.is_pending());
        drop(incoming);
        listener
    });
    let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    second.block_on(listener.accept()).unwrap();
}

#[test]
fn a_stream_that_is_dropped_between_two_runs_is_closed() {
    let _alone = alone();
    let first = runtime();
    let (mut peer, stream) = half();
    read_in_vain(&first, &stream);
    drop(stream);
    assert_eq!(peer.read(&mut [0; 4]).unwrap(), 0);
}

#[test]
fn a_stream_that_leaves_between_two_runs_takes_its_bytes_along() {
    let _alone = alone();
    let first = runtime();
    let (mut peer, stream) = half();
    read_in_vain(&first, &stream);
    let mut stream = stream.into_std().unwrap();
    peer.write_all(b"hello").unwrap();
    let mut bytes = [0; 5];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
}

#[test]
fn an_adapter_that_holds_the_stream_keeps_it_from_leaving() {
    use camshaft::compat::{PollRead, PollWrite};
    let _alone = alone();
    let (_peer, stream) = half();
    let (reader, writer) = (stream.polled_read(), stream.polled_write());
    let error = stream.into_std().unwrap_err();
    assert_eq!(error.error.kind(), ErrorKind::Other);
    drop((reader, writer));
    error.inner.into_std().unwrap();
}

#[test]
fn a_future_that_is_in_flight_on_one_is_refused_by_the_other() {
    let _alone = alone();
    let (first, second) = (runtime(), runtime());
    let (mut peer, stream) = half();
    let mut reading = Box::pin(stream.read(Vec::with_capacity(16)));
    first.block_on(async { assert!(poll_once(reading.as_mut()).await.is_pending()) });
    for text in [
        panic_of(|| second.block_on(async { poll_once(reading.as_mut()).await.is_ready() })),
        panic_of(|| poll_outside(reading.as_mut()).is_ready()),
    ] {
        assert!(text.contains("on one runtime"), "{text}");
    }
    peer.write_all(b"bytes").unwrap();
    let (read, bytes) = first.block_on(reading);
    assert_eq!((read.unwrap(), bytes.as_slice()), (5, &b"bytes"[..]));
}

#[test]
fn so_is_a_stream_of_receives_or_connections() {
    let _alone = alone();
    let (first, second) = (runtime(), runtime());
    let (mut peer, stream) = half();
    let mut receives = stream.recv_stream();
    let listener = first.block_on(async {
        assert!(soon(&mut receives).await.is_pending());
        TcpListener::bind("127.0.0.1:0").await.unwrap()
    });
    let mut incoming = listener.incoming();
    first.block_on(async { assert!(soon(&mut incoming).await.is_pending()) });
    for text in [
        panic_of(|| second.block_on(soon(&mut receives)).is_ready()),
        panic_of(|| second.block_on(soon(&mut incoming)).is_ready()),
    ] {
        assert!(text.contains("on one runtime"), "{text}");
    }
    peer.write_all(b"bytes").unwrap();
    let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    first.block_on(async {
        assert_eq!(&*next(&mut receives).await.unwrap().unwrap(), b"bytes");
        next(&mut incoming).await.unwrap().unwrap();
    });
}

#[test]
fn a_connection_waits_when_it_is_used_without_the_runtime() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = common::pair().await;
        for stream in [&client, &server] {
            let is_nonblocking = SockRef::from(&stream.as_fd()).nonblocking();
            assert!(!is_nonblocking.unwrap());
        }
    });
}

#[test]
fn what_goes_on_elsewhere_is_not_settled() {
    let _alone = alone();
    let (first, second) = (runtime(), runtime());
    let (mut peer, stream) = half();
    let task = first.spawn(async move {
        let bytes = read(&stream).await;
        drop(stream);
        bytes
    });
    first.block_on(turn());
    second.block_on(async {
        let slept = camshaft::time::timeout(Duration::from_millis(1), pending::<()>()).await;
        assert!(slept.is_err());
    });
    peer.write_all(b"later").unwrap();
    assert_eq!(first.block_on(task).unwrap(), b"later");
}
