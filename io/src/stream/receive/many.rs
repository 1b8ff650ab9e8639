//! The bytes of a stream as lent buffers, one after the other.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::ReceiveLent;
use crate::driver::{BufGuard, BufRing, Completion, Inner, Request};
use crate::flow::{Flow, Flowed, Source, ended_with_driver};
use crate::op::Op;
use crate::socket::{Socket, lasting_error};
use crate::stream::{Stashed, Stream};

/// What comes, as a stream of lent buffers that ends with the connection. Made by the `recv_stream` of a socket.
#[must_use = "streams do nothing unless they are polled"]
pub struct RecvStream<'a> {
    socket: Rc<Socket<Stream>>,
    flow: Flow<ReceiveMany>,
    /// The receive in flight where there is no flow.
    receiving: Option<Op<ReceiveLent>>,
    over: bool,
    handle: PhantomData<&'a ()>,
}

impl RecvStream<'_> {
    pub(crate) fn new(socket: &Rc<Socket<Stream>>) -> Self {
        Self {
            socket: socket.clone(),
            flow: Flow::new(socket),
            receiving: None,
            over: false,
            handle: PhantomData,
        }
    }

    fn poll_guard(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<BufGuard>>> {
        loop {
            if let Some(receiving) = &mut self.receiving {
                let received = ready!(Pin::new(receiving).poll(cx));
                self.receiving = None;
                if ended_with_driver(&received) {
                    continue;
                }
                let is_end = received.as_ref().is_ok_and(|guard| guard.is_empty());
                return Poll::Ready((!is_end).then_some(received));
            }
            match ready!(self.flow.poll(cx)) {
                Flowed::Item(item) => return Poll::Ready(Some(item.into_guard())),
                Flowed::Over => return Poll::Ready(None),
                Flowed::Alone => self.receiving = Some(Op::new(ReceiveLent::new(&self.socket))),
            }
        }
    }
}

impl futures_core::Stream for RecvStream<'_> {
    type Item = io::Result<BufGuard>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<BufGuard>>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        let next = ready!(this.poll_guard(cx));
        this.over = next.is_none();
        Poll::Ready(next)
    }
}

impl fmt::Debug for RecvStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvStream")
            .field("socket", &self.socket)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

/// Receives that the kernel repeats.
#[derive(Default)]
pub(crate) struct ReceiveMany {
    /// The ring that the request names, kept so that what the kernel lends can be taken even after the driver's end.
    ring: RefCell<Option<Rc<BufRing>>>,
    /// The ring was empty: the next receive has to make do without.
    exhausted: Cell<bool>,
    /// The kernel does not know of it.
    unsupported: Cell<bool>,
}

// SAFETY: the request names the ring's group, whose memory the driver keeps.
unsafe impl Source for ReceiveMany {
    type Kind = Stream;
    const MOST: usize = 16;

    fn request(&self, driver: &Inner, socket: &Socket<Stream>) -> Option<Request> {
        let request = Request::RecvLentMany {
            fd: socket.raw(),
            group: BufRing::GROUP,
        };
        if self.exhausted.take() || self.unsupported.get() || !driver.supports(&request) {
            return None;
        }
        let ring = driver.lent()?;
        self.ring.replace(Some(ring));
        Some(request)
    }

    fn keep(&self, socket: &Socket<Stream>, completion: Completion) -> bool {
        socket.note(completion);
        if completion.len().is_ok_and(|n| n == 0) && !completion.has_more() {
            return true;
        }
        match completion.value().err().and_then(|it| it.raw_os_error()) {
            None => {
                let ring = self.ring.borrow().clone();
                // SAFETY: the request named this ring, so the driver booked its completion there, and it is delivered once.
                match ring.and_then(|ring| unsafe { ring.lend(completion) }) {
                    Some(guard) => socket.stash(Stashed::Lent(guard)),
                    None => socket.stash(Stashed::Failed(super::lent::lost())),
                }
            }
            Some(libc::ENOBUFS) => self.exhausted.set(true),
            Some(libc::EINVAL | libc::EOPNOTSUPP) => self.unsupported.set(true),
            Some(_) => {
                let error = lasting_error(completion.len());
                error
                    .into_iter()
                    .for_each(|it| socket.stash(Stashed::Failed(it)));
            }
        }
        false
    }
}
