//! What is no socket: one future after the other, in the same box.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::buf::BufResult;
use crate::driver::BufGuard;

/// [`PolledRead`](super::PolledRead) of what is no socket.
pub(super) trait Receives {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<BufGuard>>;
    fn unread(self: Box<Self>, bytes: &[u8]);
}

/// [`PolledWrite`](super::PolledWrite) to what is no socket.
pub(super) trait Sends {
    fn is_idle(&self) -> bool;
    fn begin(&mut self, buf: Vec<u8>);
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<BufResult<(), Vec<u8>>>;
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Where one future after the other lies.
struct Place<F>(Pin<Box<Option<F>>>);

impl<F: Future> Place<F> {
    fn new() -> Self {
        Self(Box::pin(None))
    }

    fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn put(&mut self, future: F) {
        self.0.set(Some(future));
    }

    /// Polls the future that is there; a ready one goes. `None`: there is none.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let Some(future) = self.0.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let output = ready!(future.poll(cx));
        self.0.set(None);
        Poll::Ready(Some(output))
    }
}

/// Begins a future where none is, and polls it.
fn poll_repeated<F: Future>(
    begin: &mut impl FnMut() -> F,
    place: &mut Place<F>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    if place.is_empty() {
        place.put(begin());
    }
    place
        .poll(cx)
        .map(|output| output.expect("it was just begun"))
}

pub(super) struct OtherRead<B, F, U> {
    begin: B,
    receive: Place<F>,
    unread: U,
}

impl<B, F, U> OtherRead<B, F, U>
where
    F: Future<Output = io::Result<BufGuard>>,
{
    pub(super) fn new(begin: B, unread: U) -> Self {
        Self {
            begin,
            receive: Place::new(),
            unread,
        }
    }
}

impl<B, F, U> Receives for OtherRead<B, F, U>
where
    B: FnMut() -> F,
    F: Future<Output = io::Result<BufGuard>>,
    U: FnOnce(&[u8]),
{
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<BufGuard>> {
        poll_repeated(&mut self.begin, &mut self.receive, cx)
    }

    fn unread(self: Box<Self>, bytes: &[u8]) {
        drop(self.receive);
        (self.unread)(bytes);
    }
}

pub(super) struct OtherWrite<B, F, C, G> {
    begin: B,
    write: Place<F>,
    close: C,
    shutdown: Place<G>,
}

impl<B, F, C, G> OtherWrite<B, F, C, G>
where
    F: Future<Output = BufResult<(), Vec<u8>>>,
    G: Future<Output = io::Result<()>>,
{
    pub(super) fn new(begin: B, close: C) -> Self {
        Self {
            begin,
            write: Place::new(),
            close,
            shutdown: Place::new(),
        }
    }
}

impl<B, F, C, G> Sends for OtherWrite<B, F, C, G>
where
    B: FnMut(Vec<u8>) -> F,
    F: Future<Output = BufResult<(), Vec<u8>>>,
    C: FnMut() -> G,
    G: Future<Output = io::Result<()>>,
{
    fn is_idle(&self) -> bool {
        self.write.is_empty()
    }

    fn begin(&mut self, buf: Vec<u8>) {
        self.write.put((self.begin)(buf));
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<BufResult<(), Vec<u8>>> {
        let written = self.write.poll(cx);
        written.map(|written| written.unwrap_or((Ok(()), Vec::new())))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_repeated(&mut self.close, &mut self.shutdown, cx)
    }
}
