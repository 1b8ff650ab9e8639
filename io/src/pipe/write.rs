//! Writes to a pipe.
//!
//! A write whose future is dropped may have written a prefix. It is cancelled, and holds its lane until it has settled, so
//! nothing of it is written once the next write has begun.

use std::ffi::c_int;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Pipe;
use crate::buf::{BufResult, IoBuf, vectored};
use crate::driver::{CURSOR, Completion, Request, transfer_len};
use crate::lane::{Direction, Turn};
use crate::op::{Operation, Prepare, Step};
use crate::sigpipe::{Guard, guard, without_sigpipe};
use crate::socket::Socket;

/// What is written.
pub(crate) trait Data: 'static {
    fn len(&self) -> usize;

    /// A request for what comes after the first `written` bytes. What it points to belongs to the data, which keeps it, or
    /// to `vectors`.
    fn request(
        &self,
        written: usize,
        vectors: &mut Vec<libc::iovec>,
        fd: RawFd,
        flags: c_int,
    ) -> Request;
}

/// One buffer.
pub(crate) struct One<B>(pub(crate) B);

/// Several buffers, of which a write takes what fits.
pub(crate) struct Many<B>(pub(crate) Vec<B>);

impl<B: IoBuf> Data for One<B> {
    fn len(&self) -> usize {
        self.0.as_slice().len()
    }

    fn request(
        &self,
        written: usize,
        _: &mut Vec<libc::iovec>,
        fd: RawFd,
        flags: c_int,
    ) -> Request {
        let rest = &self.0.as_slice()[written..];
        Request::Write {
            fd,
            memory: rest.as_ptr(),
            len: transfer_len(rest.len()),
            offset: CURSOR,
            flags,
        }
    }
}

impl<B: IoBuf> Data for Many<B> {
    fn len(&self) -> usize {
        self.0.iter().map(|buf| buf.as_slice().len()).sum()
    }

    fn request(
        &self,
        _: usize,
        vectors: &mut Vec<libc::iovec>,
        fd: RawFd,
        flags: c_int,
    ) -> Request {
        *vectors = vectored::sources(&self.0);
        Request::WriteVectored {
            fd,
            vectors: vectors.as_ptr(),
            count: transfer_len(vectors.len()),
            offset: CURSOR,
            flags,
        }
    }
}

/// How the kernel is asked.
#[derive(Clone, Copy)]
enum Way {
    /// To write, with these flags.
    Write(c_int),
    /// To say when there is room; then this thread writes without waiting. Where there is no flag against `SIGPIPE`.
    Poll,
}

/// A write to a pipe.
pub(crate) struct Write<D> {
    turn: Turn<Socket<Pipe>>,
    data: D,
    vectors: Vec<libc::iovec>,
    written: usize,
    way: Way,
    /// Whether it is done only when all is written.
    all: bool,
}

impl<D: Data> Write<D> {
    fn new(pipe: &Rc<Socket<Pipe>>, data: D, all: bool) -> Self {
        Self {
            turn: Turn::new(pipe, Direction::Write),
            data,
            vectors: Vec::new(),
            written: 0,
            way: Way::Write(0),
            all,
        }
    }

    /// Done when something is written.
    pub(crate) fn some(pipe: &Rc<Socket<Pipe>>, data: D) -> Self {
        Self::new(pipe, data, false)
    }

    /// Done when all is written.
    pub(crate) fn all(pipe: &Rc<Socket<Pipe>>, data: D) -> Self {
        Self::new(pipe, data, true)
    }

    fn data_request(&mut self, flags: c_int) -> Request {
        let fd = self.turn.socket().raw();
        self.data
            .request(self.written, &mut self.vectors, fd, flags)
    }

    /// Writes what there is room for.
    fn write_now(&mut self) -> io::Result<usize> {
        let request = self.data_request(0);
        let result = without_sigpipe(|| {
            // SAFETY: REQUEST-MEMORY: what the request points to belongs to this operation.
            unsafe { request.attempt() }
        });
        usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
    }
}

// SAFETY: OWNED: the request points into the storage of the buffers, which does not move with them (STABLE), and to the list
// in `vectors`, which lies on the heap.
unsafe impl<D: Data> Operation for Write<D> {
    type Output = BufResult<usize, D>;

    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.data.len() == 0 {
            return Prepare::Served((Ok(0), self.data));
        }
        if self.turn.poll(cx) == Poll::Pending {
            return Prepare::Wait(self);
        }
        self.way = match guard() {
            // After a try in vain: from kernels before 5.12, which do not wait by themselves.
            Guard::Flags(_) if matches!(self.way, Way::Poll) => Way::Poll,
            Guard::Flags(flags) => Way::Write(flags),
            Guard::Mask => Way::Poll,
        };
        Prepare::Submit(self)
    }

    fn request(&mut self) -> Request {
        match self.way {
            Way::Write(flags) => self.data_request(flags),
            Way::Poll => Request::Poll {
                fd: self.turn.socket().raw(),
                events: libc::POLLOUT,
            },
        }
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let result = match (self.way, completion.len()) {
            (Way::Poll, Ok(_)) => self.write_now(),
            (_, result) => result,
        };
        match result {
            Ok(0) if self.all => Step::Done((Err(io::ErrorKind::WriteZero.into()), self.data)),
            Ok(n) => {
                self.written += n;
                if self.all && self.written < self.data.len() {
                    return Step::Again(self);
                }
                Step::Done((Ok(self.written), self.data))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.way = Way::Poll;
                Step::Again(self)
            }
            Err(error) => Step::Done((Err(error), self.data)),
        }
    }

    fn inherit(self, _: Completion) {}
}
