//! Sends: of one buffer, in part or whole, and of several.
//!
//! A send whose future is dropped may have sent a prefix. It is cancelled, and holds its lane until it has settled, so
//! nothing of it goes out once the next send has begun.

use std::io;
use std::marker::PhantomData;
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Stream;
use crate::buf::{BufResult, IoBuf, vectored};
use crate::driver::{self, Completion, Request, transfer_len};
use crate::lane::{Direction, Turn};
use crate::message::Message;
use crate::op::{Operation, Prepare, Step};
use crate::socket::Socket;

/// How much of a buffer is to be sent.
pub(crate) trait Extent: 'static {
    type Output;
    const ALL: bool;
    /// Whether the kernel is to send the memory itself instead of a copy.
    const ZERO_COPY: bool = false;
    fn output(sent: usize) -> Self::Output;
}

/// Whatever the kernel takes at once; the output is how much that was.
pub(crate) struct Part;

/// All of it.
pub(crate) struct Whole;

impl Extent for Part {
    type Output = usize;
    const ALL: bool = false;
    fn output(sent: usize) -> usize {
        sent
    }
}

impl Extent for Whole {
    type Output = ();
    const ALL: bool = true;
    fn output(_: usize) {}
}

/// That much of it, without a copy where that is possible.
pub(crate) struct ZeroCopy<E>(PhantomData<E>);

impl<E: Extent> Extent for ZeroCopy<E> {
    type Output = E::Output;
    const ALL: bool = E::ALL;
    const ZERO_COPY: bool = true;
    fn output(sent: usize) -> E::Output {
        E::output(sent)
    }
}

/// A send of one buffer.
pub(crate) struct SendBuf<B, E> {
    turn: Turn<Socket<Stream>>,
    buf: B,
    sent: usize,
    /// There was no memory to send without a copy.
    copies: bool,
    extent: PhantomData<E>,
}

impl<B: IoBuf, E: Extent> SendBuf<B, E> {
    pub(crate) fn new(socket: &Rc<Socket<Stream>>, buf: B) -> Self {
        Self::in_turn(Turn::new(socket, Direction::Write), buf)
    }

    /// A send whose place in line is there already.
    pub(crate) fn in_turn(turn: Turn<Socket<Stream>>, buf: B) -> Self {
        Self {
            turn,
            buf,
            sent: 0,
            copies: false,
            extent: PhantomData,
        }
    }

    /// Learns how a send without a copy went. Returns whether it is to be done again with one.
    #[cold]
    fn learn(&mut self, completion: Completion) -> bool {
        let copies = &self.turn.socket().kind.copies;
        if completion.was_copied() {
            // The route leads to a device that can't do it, or to this machine: asking for it only costs.
            copies.set(true);
            return false;
        }
        match completion.value().err().and_then(|it| it.raw_os_error()) {
            Some(libc::EOPNOTSUPP) if !copies.get() => copies.set(true),
            Some(libc::ENOBUFS | libc::ENOMEM) if !self.copies => self.copies = true,
            _ => return false,
        }
        true
    }

    /// What it was made of.
    pub(crate) fn into_parts(self) -> (Turn<Socket<Stream>>, B) {
        (self.turn, self.buf)
    }
}

// SAFETY: OWNED: the request points into the storage of `buf`, which does not move with it (STABLE).
unsafe impl<B: IoBuf, E: Extent> Operation for SendBuf<B, E> {
    type Output = BufResult<E::Output, B>;

    #[inline]
    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.buf.as_slice().is_empty() {
            return Prepare::Served((Ok(E::output(0)), self.buf));
        }
        match self.turn.poll(cx) {
            Poll::Ready(()) => Prepare::Submit(self),
            Poll::Pending => Prepare::Wait(self),
        }
    }

    #[inline]
    fn request(&mut self) -> Request {
        let rest = &self.buf.as_slice()[self.sent..];
        let fd = self.turn.socket().raw();
        let memory = rest.as_ptr();
        let len = transfer_len(rest.len());
        // One submission for all: the kernel retries short sends by itself (as of 5.19; else they come back short).
        let flags = if E::ALL { libc::MSG_WAITALL } else { 0 };
        if E::ZERO_COPY && !self.copies && !self.turn.socket().kind.copies.get() {
            let request = Request::SendZeroCopy {
                fd,
                memory,
                len,
                flags,
            };
            if driver::current().is_some_and(|it| it.supports(&request)) {
                return request;
            }
        }
        Request::Send {
            fd,
            memory,
            len,
            flags,
        }
    }

    #[inline]
    fn complete(mut self, completion: Completion) -> Step<Self> {
        if E::ZERO_COPY && self.learn(completion) {
            return Step::Again(self);
        }
        match completion.len() {
            Ok(0) if E::ALL => Step::Done((Err(io::ErrorKind::WriteZero.into()), self.buf)),
            Ok(n) => {
                self.sent += n;
                if E::ALL && self.sent < self.buf.as_slice().len() {
                    return Step::Again(self);
                }
                Step::Done((Ok(E::output(self.sent)), self.buf))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            Err(error) => Step::Done((Err(error), self.buf)),
        }
    }

    fn inherit(self, completion: Completion) {
        if completion.keeps_memory() {
            mem::forget(self.buf);
        }
    }
}

/// A send of several buffers, as far as the kernel takes them at once.
pub(crate) struct SendVectored<B> {
    turn: Turn<Socket<Stream>>,
    bufs: Vec<B>,
    message: Box<Message>,
}

impl<B: IoBuf> SendVectored<B> {
    pub(crate) fn new(socket: &Rc<Socket<Stream>>, bufs: Vec<B>) -> Self {
        Self {
            turn: Turn::new(socket, Direction::Write),
            bufs,
            message: Message::new(),
        }
    }
}

// SAFETY: OWNED: the header lies in a box, its list on the heap, and the list points into the storage of the buffers.
unsafe impl<B: IoBuf> Operation for SendVectored<B> {
    type Output = BufResult<usize, Vec<B>>;

    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.bufs.iter().all(|buf| buf.as_slice().is_empty()) {
            return Prepare::Served((Ok(0), self.bufs));
        }
        match self.turn.poll(cx) {
            Poll::Ready(()) => Prepare::Submit(self),
            Poll::Pending => Prepare::Wait(self),
        }
    }

    fn request(&mut self) -> Request {
        self.message.set_buffers(vectored::sources(&self.bufs));
        Request::SendMsg {
            fd: self.turn.socket().raw(),
            message: self.message.header(),
            flags: 0,
        }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        match completion.len() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            result => Step::Done((result, self.bufs)),
        }
    }

    fn inherit(self, _: Completion) {}
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::pin::pin;

    use super::*;
    use crate::driver::{Config, Driver};
    use crate::op::Op;

    fn block_on<F: Future>(driver: &Driver, future: F) -> F::Output {
        let _entered = driver.enter();
        let mut future = pin!(future);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
            driver.park(None).expect("the driver works");
            driver.deliver();
        }
    }

    /// On the loopback the kernel copies, and says so.
    #[test]
    fn a_socket_whose_sends_are_copied_asks_no_more() {
        let driver = Driver::new(&Config::default()).expect("a driver");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let client = TcpStream::connect(address).expect("a listener");
        let (mut peer, _) = listener.accept().expect("a connection");
        let socket = Socket::<Stream>::new(client.into());
        let reader = std::thread::spawn(move || io::copy(&mut peer, &mut io::sink()));
        let send = || {
            Op::new(SendBuf::<_, ZeroCopy<Whole>>::new(
                &socket,
                vec![7; 100_000],
            ))
        };
        let mut first = send();
        let asked = {
            let _entered = driver.enter();
            let mut operation = SendBuf::<_, ZeroCopy<Whole>>::new(&socket, "once");
            matches!(operation.request(), Request::SendZeroCopy { .. })
        };
        let (sent, buf) = block_on(&driver, &mut first);
        sent.expect("sent");
        assert_eq!(buf.len(), 100_000);
        assert_eq!(
            socket.kind.copies.get(),
            asked,
            "copied, if it was asked for"
        );
        block_on(&driver, send()).0.expect("sent");
        drop(first);
        driver.shutdown();
        drop(socket);
        assert_eq!(reader.join().expect("no panic").expect("read"), 200_000);
    }
}
