//! The operations of a history: those of stream sockets, each telling the truth what came of it.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;

use futures_core::Stream as _;

use super::truth::{Truth, Written};
use super::{Handle, History};
use crate::buf::IoBuf;
use crate::driver::fake::sent_at;
use crate::driver::{BufRing, Completion, Request, Sink, transfer_len};
use crate::fuzzing::tracked::Tracked;
use crate::lane::{Direction, Turn};
use crate::op::{Op, Operation, Prepare, Step};
use crate::socket::Socket;
use crate::stream::{
    Goal, Part, Receive, ReceiveLent, ReceiveToEnd, ReceiveVectored, RecvStream, SendBuf,
    SendVectored, Stream, Whole,
};

/// An operation under way.
pub(super) type Act = Pin<Box<dyn Future<Output = ()>>>;

impl History {
    pub(super) fn read(
        &self,
        socket: Handle,
        room: usize,
        goal: Goal,
    ) -> impl Future<Output = ()> + use<> {
        let truth = self.truth.clone();
        let prefix = b"prefix";
        let buf = Tracked::new(&self.watch, prefix, room);
        async move {
            let (result, buf) = Op::new(Receive::new(&socket, buf, goal)).await;
            let new = &buf.as_slice()[prefix.len()..];
            truth.received(socket.raw(), new, goal == Goal::Peek);
            truth.ended(socket.raw(), &result, new.len());
            if goal == Goal::Full && result.is_ok() {
                assert_eq!(buf.as_slice().len(), buf.total_len());
            }
        }
    }

    pub(super) fn read_vectored(
        &self,
        socket: Handle,
        room: usize,
    ) -> impl Future<Output = ()> + use<> {
        let truth = self.truth.clone();
        let rooms = [room, 0, self.choices.below(30)];
        let bufs = rooms.map(|room| Tracked::new(&self.watch, b"", room));
        async move {
            let (result, bufs) = Op::new(ReceiveVectored::new(&socket, bufs.into())).await;
            let mut n = 0;
            for buf in &bufs {
                truth.received(socket.raw(), buf.as_slice(), false);
                n += buf.as_slice().len();
            }
            truth.ended(socket.raw(), &result, n);
        }
    }

    pub(super) fn read_to_end(&self, socket: Handle) -> impl Future<Output = ()> + use<> {
        let truth = self.truth.clone();
        async move {
            let (result, buf) = Op::new(ReceiveToEnd::new(&socket, b"prefix".to_vec())).await;
            let new = &buf[b"prefix".len()..];
            truth.received(socket.raw(), new, false);
            truth.ended(socket.raw(), &result, new.len());
        }
    }

    pub(super) fn receive(&self, socket: Handle) -> impl Future<Output = ()> + use<> {
        let truth = self.truth.clone();
        let keep = self.choices.one_in(3);
        async move {
            match Op::new(ReceiveLent::new(&socket)).await {
                Ok(guard) => truth.lent(guard, socket.raw(), keep),
                Err(error) => truth.ended(socket.raw(), &Err(error), 0),
            }
        }
    }

    /// Receives a few times, from a flow that is dropped then.
    pub(super) fn receive_many(&self, socket: Handle) -> impl Future<Output = ()> + use<> {
        let truth = self.truth.clone();
        let keep = self.choices.one_in(3);
        let count = 1 + self.choices.below(30);
        async move {
            let mut stream = RecvStream::new(&socket);
            for _ in 0..count {
                match poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
                    Some(Ok(guard)) => truth.lent(guard, socket.raw(), keep),
                    Some(Err(error)) => truth.ended(socket.raw(), &Err(error), 0),
                    None => return,
                }
            }
        }
    }

    pub(super) fn write(&self, socket: Handle, len: usize, kind: usize) -> Act {
        let truth = self.truth.clone();
        let mut writes = truth.writes.borrow_mut();
        let (at, fd) = (writes.len(), socket.raw());
        let sent = None;
        writes.push(Written { fd, len, sent });
        drop(writes);
        let byte = u8::try_from(at + 1).expect("at most WRITES");
        let buf = |len| Tracked::new(&self.watch, &vec![byte; len], 0);
        let buf_of_all = buf(len);
        let halves = vec![buf(len / 2), buf(len - len / 2)];
        let tell = move |result: io::Result<usize>| match result {
            Ok(n) => truth.writes.borrow_mut()[at].sent = Some(n),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::BrokenPipe),
        };
        match kind {
            7 => Box::pin(async move {
                tell(
                    Op::new(SendBuf::<_, Part>::new(&socket, buf_of_all))
                        .await
                        .0,
                );
            }),
            8 => Box::pin(async move {
                let (result, _) = Op::new(SendBuf::<_, Whole>::new(&socket, buf_of_all)).await;
                tell(result.map(|()| len));
            }),
            9 => Box::pin(async move {
                tell(Op::new(SendVectored::new(&socket, halves)).await.0);
            }),
            _ => Box::pin(async move {
                tell(Op::new(SendInPlace::new(&socket, buf_of_all)).await);
            }),
        }
    }
}

/// A send without a copy.
struct SendInPlace {
    turn: Turn<Socket<Stream>>,
    buf: Tracked,
}

impl SendInPlace {
    fn new(socket: &Handle, buf: Tracked) -> Self {
        let turn = Turn::new(socket, Direction::Write);
        Self { turn, buf }
    }
}

// SAFETY: OWNED: the request points into the box of `buf`.
unsafe impl Operation for SendInPlace {
    type Output = io::Result<usize>;

    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.turn.poll(cx).is_pending() {
            return Prepare::Wait(self);
        }
        Prepare::Submit(self)
    }

    fn request(&mut self) -> Request {
        Request::SendZeroCopy {
            fd: self.turn.socket().raw(),
            memory: self.buf.as_slice().as_ptr(),
            len: transfer_len(self.buf.as_slice().len()),
            flags: 0,
        }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        match completion.len() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            result => Step::Done(result),
        }
    }

    fn inherit(self, _: Completion) {}
}

/// Receives of a socket, one after the other, as long as it goes on.
pub(super) struct Flow {
    pub(super) socket: Handle,
    pub(super) ring: Rc<BufRing>,
    pub(super) truth: Rc<Truth>,
    pub(super) keep: bool,
    pub(super) over: Cell<bool>,
}

impl Sink for Flow {
    fn take(&self, completion: Completion) {
        let wrong = |what| self.truth.wrong.set(Some(what));
        if self.over.replace(!completion.has_more()) {
            return wrong("a completion after the last");
        }
        if completion.is_error(libc::ECONNRESET) {
            self.truth.resets.set(self.truth.resets.get() + 1);
        }
        let n = completion.value().unwrap_or(0);
        // SAFETY: the completion was booked by the driver, and is delivered once.
        match unsafe { self.ring.clone().lend(completion) } {
            Some(guard) => {
                let fd = self.socket.raw();
                let position = self.truth.read.borrow().get(&fd).copied().unwrap_or(0);
                let right = (position..).zip(&*guard);
                if !right.clone().all(|(at, byte)| *byte == sent_at(fd, at)) {
                    return wrong("a flow brings other bytes than were sent");
                }
                self.truth.lent(guard, fd, self.keep);
            }
            None if n == 0 => {}
            None => wrong("bytes of a flow are in no buffer"),
        }
    }
}
