//! Receives: into memory, into several buffers, until the end, and into a buffer that the kernel picks.
//!
//! Each looks into the stash of its socket first, and if its future is dropped, what it received goes there.

use std::io;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::{Message, no_room};
use crate::buf::{BufResult, IoBufMut, vectored};
use crate::driver::{self, BufGuard, BufRing, Completion, PRIVATE_LEN, Request, transfer_len};
use crate::op::{Operation, Prepare, Step};
use crate::socket::{Direction, Socket, Stashed};

/// When a receive into memory is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// With the first bytes.
    Some,
    /// When the buffer is full.
    Full,
    /// With the first bytes, which stay in the socket.
    Peek,
}

/// A receive into memory.
pub(crate) struct Receive<B> {
    socket: Rc<Socket>,
    buf: B,
    goal: Goal,
    /// Where the room of the buffer began when it came.
    start: usize,
    /// How many bytes were put there since.
    filled: usize,
}

impl<B: IoBufMut> Receive<B> {
    pub(crate) fn new(socket: &Rc<Socket>, buf: B, goal: Goal) -> Self {
        Self {
            socket: socket.clone(),
            start: buf.fill_start(),
            buf,
            goal,
            filled: 0,
        }
    }

    /// The memory that is not filled yet.
    #[inline]
    fn room(&mut self) -> NonNull<[MaybeUninit<u8>]> {
        self.buf.room_at(self.start + self.filled)
    }

    /// The kernel wrote `n` bytes into the room.
    #[inline]
    fn commit(&mut self, n: usize) {
        self.filled += n;
        // SAFETY: everything before the room is initialised, and so are the `n` bytes that the kernel wrote; it never
        // reports more than the length that it was given.
        unsafe { self.buf.mark_init(self.start + self.filled) };
    }

    /// What was received so far.
    fn received(&self) -> Vec<u8> {
        self.buf.as_slice()[self.start..self.start + self.filled].to_vec()
    }

    /// Takes from the stash; tells whether the goal is reached.
    fn take_stashed(&mut self) -> io::Result<bool> {
        loop {
            let at = self.start + self.filled;
            let buf = &mut self.buf;
            let copied = self
                .socket
                .read_stash(self.goal == Goal::Peek, |bytes| buf.fill_at(at, bytes));
            match copied {
                None => return Ok(false),
                Some(Err(error)) if self.filled == 0 => return Err(error),
                // Bytes come first: the error is for the next read.
                Some(Err(error)) => {
                    self.socket.restash(Stashed::Failed(error));
                    return Ok(self.goal != Goal::Full);
                }
                Some(Ok(n)) => self.filled += n,
            }
            if self.goal != Goal::Full || self.room().is_empty() {
                return Ok(true);
            }
        }
    }

    fn finish(self, result: io::Result<()>) -> BufResult<usize, B> {
        (result.map(|()| self.filled), self.buf)
    }
}

// SAFETY: OWNED: the request points into the storage of `buf`, which does not move with it (STABLE).
unsafe impl<B: IoBufMut> Operation for Receive<B> {
    type Output = BufResult<usize, B>;

    #[inline]
    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.filled == 0 && self.room().is_empty() {
            return Prepare::Served((Err(no_room()), self.buf));
        }
        if !self.socket.is_stash_empty() {
            match self.take_stashed() {
                Ok(true) => return Prepare::Served(self.finish(Ok(()))),
                Ok(false) => {}
                Err(error) => return Prepare::Served(self.finish(Err(error))),
            }
        }
        match self.socket.poll_settled(Direction::Read, cx) {
            Poll::Ready(()) => Prepare::Submit(self),
            Poll::Pending => Prepare::Wait(self),
        }
    }

    #[inline]
    fn request(&mut self) -> Request {
        let room = self.room();
        Request::Recv {
            fd: self.socket.raw(),
            memory: room.cast::<u8>().as_ptr(),
            len: transfer_len(room.len()),
            flags: if self.goal == Goal::Peek {
                libc::MSG_PEEK
            } else {
                0
            },
            wait_first: self.socket.wait_first(),
        }
    }

    #[inline]
    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.socket.note(completion);
        let n = match completion.len() {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Step::Again(self),
            Err(error) => return Step::Done(self.finish(Err(error))),
        };
        self.commit(n);
        if self.goal != Goal::Full || self.room().is_empty() {
            return Step::Done(self.finish(Ok(())));
        }
        if n == 0 {
            return Step::Done(self.finish(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        Step::Again(self)
    }

    fn disown(&mut self) {
        self.socket.unsettle(Direction::Read);
    }

    fn inherit(mut self, completion: Completion) {
        self.socket.note(completion);
        if self.goal != Goal::Peek {
            let outcome = completion.len();
            self.commit(outcome.as_ref().copied().unwrap_or(0));
            self.socket.stash_outcome(self.received(), outcome);
        }
        self.socket.settle(Direction::Read);
    }

    fn abandon(self) {
        if self.filled > 0 && self.goal == Goal::Full {
            let bytes = self.received();
            self.socket.restash(Stashed::Bytes { bytes, taken: 0 });
        }
    }
}

/// A receive until the end of the stream, into a vector that grows.
pub(crate) struct ReceiveToEnd {
    socket: Rc<Socket>,
    buf: Vec<u8>,
    /// The length of the vector when it came; what is behind is given back if the future is dropped.
    mark: usize,
    full: bool,
}

impl ReceiveToEnd {
    /// The least room that each receive has.
    const ROOM: usize = 8 * 1024;

    pub(crate) fn new(socket: &Rc<Socket>, buf: Vec<u8>) -> Self {
        Self {
            socket: socket.clone(),
            mark: buf.len(),
            buf,
            full: false,
        }
    }

    fn finish(self, result: io::Result<()>) -> BufResult<usize, Vec<u8>> {
        (result.map(|()| self.buf.len() - self.mark), self.buf)
    }

    fn taken(&self) -> Vec<u8> {
        self.buf[self.mark..].to_vec()
    }
}

// SAFETY: OWNED: the request points into the heap memory of `buf`, which grows only in `prepare`, before a submission.
unsafe impl Operation for ReceiveToEnd {
    type Output = BufResult<usize, Vec<u8>>;

    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        loop {
            let taken = self.socket.read_stash(false, |bytes| {
                self.buf.extend_from_slice(bytes);
                bytes.len()
            });
            match taken {
                None => break,
                Some(Ok(_)) => {}
                Some(Err(error)) => return Prepare::Served(self.finish(Err(error))),
            }
        }
        if self.socket.poll_settled(Direction::Read, cx).is_pending() {
            return Prepare::Wait(self);
        }
        // Doubling, as the vector does, once a receive has filled what there was.
        if self.full || self.buf.spare_capacity_mut().is_empty() {
            self.buf.reserve(Self::ROOM);
        }
        Prepare::Submit(self)
    }

    fn request(&mut self) -> Request {
        let room = self.buf.room();
        Request::Recv {
            fd: self.socket.raw(),
            memory: room.cast::<u8>().as_ptr(),
            len: transfer_len(room.len()),
            flags: 0,
            wait_first: self.socket.wait_first(),
        }
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.socket.note(completion);
        match completion.len() {
            Ok(0) => Step::Done(self.finish(Ok(()))),
            Ok(n) => {
                self.full = n == self.buf.room().len();
                // SAFETY: the kernel wrote `n` bytes to the start of the room.
                unsafe { self.buf.commit(n) };
                Step::Again(self)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            Err(error) => Step::Done(self.finish(Err(error))),
        }
    }

    fn disown(&mut self) {
        self.socket.unsettle(Direction::Read);
    }

    fn inherit(mut self, completion: Completion) {
        self.socket.note(completion);
        let outcome = completion.len();
        // SAFETY: the kernel wrote that many bytes to the start of the room.
        unsafe { self.buf.commit(outcome.as_ref().copied().unwrap_or(0)) };
        self.socket.stash_outcome(self.taken(), outcome);
        self.socket.settle(Direction::Read);
    }

    fn abandon(self) {
        let bytes = self.taken();
        if !bytes.is_empty() {
            self.socket.restash(Stashed::Bytes { bytes, taken: 0 });
        }
    }
}

/// A receive into several buffers.
pub(crate) struct ReceiveVectored<B> {
    socket: Rc<Socket>,
    bufs: Vec<B>,
    message: Box<Message>,
}

impl<B: IoBufMut> ReceiveVectored<B> {
    pub(crate) fn new(socket: &Rc<Socket>, bufs: Vec<B>) -> Self {
        Self {
            socket: socket.clone(),
            bufs,
            message: Message::new(),
        }
    }
}

// SAFETY: OWNED: the header lies in a box, its list on the heap, and the list points into the storage of the buffers.
unsafe impl<B: IoBufMut> Operation for ReceiveVectored<B> {
    type Output = BufResult<usize, Vec<B>>;

    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if vectored::total_room(&mut self.bufs) == 0 {
            return Prepare::Served((Err(no_room()), self.bufs));
        }
        let bufs = &mut self.bufs;
        let served = self
            .socket
            .read_stash(false, |bytes| vectored::fill_from(bufs, bytes));
        if let Some(result) = served {
            return Prepare::Served((result, self.bufs));
        }
        match self.socket.poll_settled(Direction::Read, cx) {
            Poll::Ready(()) => Prepare::Submit(self),
            Poll::Pending => Prepare::Wait(self),
        }
    }

    fn request(&mut self) -> Request {
        Request::RecvMsg {
            fd: self.socket.raw(),
            message: self.message.point_to(vectored::rooms(&mut self.bufs)),
            wait_first: self.socket.wait_first(),
        }
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.socket.note(completion);
        match completion.len() {
            Ok(n) => {
                // SAFETY: the kernel fills the rooms in order, and wrote `n` bytes.
                unsafe { vectored::commit(&mut self.bufs, n) };
                Step::Done((Ok(n), self.bufs))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            Err(error) => Step::Done((Err(error), self.bufs)),
        }
    }

    fn disown(&mut self) {
        self.socket.unsettle(Direction::Read);
    }

    fn inherit(mut self, completion: Completion) {
        self.socket.note(completion);
        let outcome = completion.len();
        let n = outcome.as_ref().copied().unwrap_or(0);
        let starts: Vec<usize> = self.bufs.iter().map(IoBufMut::fill_start).collect();
        // SAFETY: as in `complete`.
        unsafe { vectored::commit(&mut self.bufs, n) };
        let mut bytes = Vec::with_capacity(n);
        for (buf, start) in self.bufs.iter().zip(starts) {
            let new = &buf.as_slice()[start..];
            bytes.extend_from_slice(&new[..new.len().min(n - bytes.len())]);
        }
        self.socket.stash_outcome(bytes, outcome);
        self.socket.settle(Direction::Read);
    }
}

/// A receive into a buffer that the kernel picks from the driver's ring when data is there.
pub(crate) struct ReceiveLent {
    socket: Rc<Socket>,
    /// The ring that the request names, kept so that what the kernel lends can be taken even after the driver's end.
    ring: Option<Rc<BufRing>>,
    /// Stands in when the ring is exhausted, or where there is none.
    private: Option<Vec<u8>>,
}

impl ReceiveLent {
    pub(crate) fn new(socket: &Rc<Socket>) -> Self {
        Self {
            socket: socket.clone(),
            ring: None,
            private: None,
        }
    }

    /// What a completion brought. A lent buffer that came with an error goes straight back.
    fn take(&mut self, completion: Completion) -> io::Result<BufGuard> {
        let outcome = completion.len();
        let n = outcome.as_ref().copied().unwrap_or(0);
        let guard = match (self.private.take(), self.ring.take()) {
            (Some(mut bytes), _) => {
                // SAFETY: the kernel wrote `n` bytes to the start of the room.
                unsafe { bytes.commit(n) };
                Some(BufGuard::private(bytes))
            }
            (None, ring) => ring.and_then(|ring| ring.lend(completion.flags, n)),
        };
        outcome.map(|_| guard.unwrap_or_else(|| BufGuard::private(Vec::new())))
    }
}

// SAFETY: OWNED: the request names the ring's group, whose memory the driver keeps, or points into the heap memory of
// `private`.
unsafe impl Operation for ReceiveLent {
    type Output = io::Result<BufGuard>;

    #[inline]
    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        match self.socket.unstash() {
            Some(Stashed::Lent(guard)) => return Prepare::Served(Ok(guard)),
            Some(Stashed::Bytes { mut bytes, taken }) => {
                bytes.drain(..taken);
                return Prepare::Served(Ok(BufGuard::private(bytes)));
            }
            Some(Stashed::Failed(error)) => return Prepare::Served(Err(error)),
            None => {}
        }
        if self.socket.poll_settled(Direction::Read, cx).is_pending() {
            return Prepare::Wait(self);
        }
        if self.private.is_none() {
            self.ring = driver::expect_current().lent();
            if self.ring.is_none() {
                self.private = Some(Vec::with_capacity(PRIVATE_LEN));
            }
        }
        Prepare::Submit(self)
    }

    #[inline]
    fn request(&mut self) -> Request {
        let fd = self.socket.raw();
        let wait_first = self.socket.wait_first();
        match &mut self.private {
            None => Request::RecvLent {
                fd,
                group: BufRing::GROUP,
                wait_first,
            },
            Some(bytes) => {
                let room = bytes.room();
                Request::Recv {
                    fd,
                    memory: room.cast::<u8>().as_ptr(),
                    len: transfer_len(room.len()),
                    flags: 0,
                    wait_first,
                }
            }
        }
    }

    #[inline]
    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.socket.note(completion);
        let exhausted = self.private.is_none();
        match self.take(completion) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            // All buffers are out: guards are being kept. A private one does not wait for them.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) && exhausted => {
                self.private = Some(Vec::with_capacity(PRIVATE_LEN));
                Step::Again(self)
            }
            result => Step::Done(result),
        }
    }

    fn disown(&mut self) {
        self.socket.unsettle(Direction::Read);
    }

    fn inherit(mut self, completion: Completion) {
        self.socket.note(completion);
        let outcome = self.take(completion);
        let outcome = outcome.map(|guard| {
            if !guard.is_empty() {
                self.socket.stash(Stashed::Lent(guard));
            }
            0
        });
        self.socket.stash_outcome(Vec::new(), outcome);
        self.socket.settle(Direction::Read);
    }
}
