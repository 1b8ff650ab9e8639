//! Futures of other crates: their lines are known too, as they were built with the same profile.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use hyper::{Request, Response};

use crate::common::{is_described, poll, show};

async fn locks(mutex: &tokio::sync::Mutex<u64>) -> u64 {
    *mutex.lock().await // @locks
}

#[test]
fn a_mutex_of_tokio() {
    if !is_described() {
        return;
    }
    let mutex = tokio::sync::Mutex::new(1);
    let guard = mutex.try_lock().expect("nobody has it");
    let text = show(1, locks(&mutex));
    drop(guard);
    assert!(text.starts_with("locks@locks(lock@mutex.rs:"), "{text}");
    assert!(
        text.contains("acquire@mutex.rs:") && text.contains("Acquire"),
        "{text}"
    );
}

#[test]
fn channels_of_tokio() {
    if !is_described() {
        return;
    }
    let (_sender, receiver) = tokio::sync::oneshot::channel::<u64>();
    assert_eq!(show(1, receiver), "Receiver");
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<u64>(1);
    let text = show(1, async { receiver.recv().await }); // @recv
    assert!(
        text.starts_with("{async block}@recv(recv@bounded.rs:"),
        "{text}"
    );
    assert!(text.contains("(PollFn)"), "{text}");
    sender.try_send(1).expect("there is room for one");
    let text = show(1, async { sender.send(2).await }); // @send
    assert!(
        text.starts_with("{async block 1}@send(send@bounded.rs:"),
        "{text}"
    );
    assert!(text.contains("Acquire"), "{text}");
}

#[test]
fn what_else_tokio_has() {
    if !is_described() {
        return;
    }
    let notify = tokio::sync::Notify::new();
    assert_eq!(show(1, notify.notified()), "Notified");
    let semaphore = tokio::sync::Semaphore::new(0);
    let text = show(1, async { semaphore.acquire().await.is_ok() }); // @acquire
    assert!(
        text.starts_with("{async block}@acquire(acquire@semaphore.rs:"),
        "{text}"
    );
    let (sender, mut receiver) = tokio::sync::watch::channel(1);
    let text = show(1, async { receiver.changed().await.is_ok() }); // @changed
    assert!(
        text.starts_with("{async block 1}@changed(changed@watch.rs:"),
        "{text}"
    );
    assert!(text.contains("Notified"), "{text}");
    drop(sender);
    let barrier = tokio::sync::Barrier::new(2);
    let text = show(1, async { barrier.wait().await.is_leader() }); // @barrier
    assert!(
        text.starts_with("{async block 2}@barrier(wait@barrier.rs:"),
        "{text}"
    );
    assert!(text.contains("wait_internal@barrier.rs:"), "{text}");
}

/// A connection on which nothing happens.
struct Silence;

impl Read for Silence {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl Write for Silence {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A connection on which one request came.
struct OneRequest(&'static [u8]);

impl Read for OneRequest {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = std::mem::take(&mut self.0);
        if bytes.is_empty() {
            return Poll::Pending;
        }
        into.put_slice(bytes);
        Poll::Ready(Ok(()))
    }
}

impl Write for OneRequest {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn answer(_: Request<Incoming>) -> io::Result<Response<Empty<Bytes>>> {
    std::future::pending::<()>().await; // @answer
    Ok(Response::new(Empty::new()))
}

#[test]
fn a_server_of_hyper_that_is_idle() {
    if !is_described() {
        return;
    }
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(Silence, service_fn(answer));
    assert_eq!(show(1, connection), "Connection(Dispatcher)");
}

#[test]
fn a_server_of_hyper_that_answers() {
    if !is_described() {
        return;
    }
    let io = OneRequest(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(io, service_fn(answer));
    assert_eq!(
        show(1, connection),
        "Connection(Dispatcher(~answer@answer(Pending)))"
    );
}

async fn connects() {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(Silence)
            .await
            .expect("nothing is sent for a handshake");
    let request = Request::new(Empty::new());
    tokio::select! { // @connects
        answer = sender.send_request(request) => drop(answer),
        end = connection => drop(end),
    }
}

#[test]
fn a_client_of_hyper() {
    if !is_described() {
        return;
    }
    let text = show(1, connects());
    assert!(text.starts_with("connects@connects(PollFn("), "{text}");
    assert!(
        text.contains("{async block}@http1.rs:") && text.contains("Connection"),
        "{text}"
    );
}

#[test]
fn looking_changes_nothing() {
    if !is_described() {
        return;
    }
    let mut future = Box::pin(connects());
    assert!(poll(future.as_mut()).is_none());
    let first = camshaft_inspect::tree_of(&*future).to_string();
    assert_eq!(camshaft_inspect::tree_of(&*future).to_string(), first);
    assert!(poll(future.as_mut()).is_none());
    assert_eq!(camshaft_inspect::tree_of(&*future).to_string(), first);
}
