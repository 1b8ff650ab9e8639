//! Ends that the kernel can move bytes between by itself.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::driver::{BufGuard, CURSOR, Request, transfer_len};
use crate::fs::RawFile;
use crate::lane::{Direction, Turn};
use crate::pipe::{Pipe, nonblocking};
use crate::sigpipe::{Guard, guard, without_sigpipe};
use crate::socket::Socket;
use crate::stream::{Stashed, Stream};

/// A reader that the kernel can take bytes from by itself.
#[derive(Debug)]
pub struct Source(pub(super) Raw);

/// A writer that the kernel can give bytes to by itself.
#[derive(Debug)]
pub struct Sink(pub(super) Raw);

/// Whatever the kernel knows.
#[derive(Debug)]
pub(super) enum Raw {
    File(RawFile),
    Stream(End),
}

impl Source {
    pub(crate) fn of_file(file: RawFile) -> Self {
        Self(Raw::File(file))
    }
}

impl Sink {
    pub(crate) fn of_file(file: RawFile) -> Self {
        Self(Raw::File(file))
    }
}

/// What may be such a reader.
pub(crate) trait AsSource {
    fn as_source(&self) -> Option<Source>;
}

/// What may be such a writer.
pub(crate) trait AsSink {
    fn as_sink(&self) -> Option<Sink>;
}

impl<T> From<&Rc<T>> for Source
where
    End: From<Rc<T>>,
{
    fn from(end: &Rc<T>) -> Self {
        Self(Raw::Stream(end.clone().into()))
    }
}

impl<T> From<&Rc<T>> for Sink
where
    End: From<Rc<T>>,
{
    fn from(end: &Rc<T>) -> Self {
        Self(Raw::Stream(end.clone().into()))
    }
}

/// A socket or pipe.
#[derive(Clone, Debug)]
pub(super) enum End {
    Stream(Rc<Socket<Stream>>),
    Pipe(Rc<Socket<Pipe>>),
}

impl From<Rc<Socket<Stream>>> for End {
    fn from(socket: Rc<Socket<Stream>>) -> Self {
        Self::Stream(socket)
    }
}

impl From<Rc<Socket<Pipe>>> for End {
    fn from(pipe: Rc<Socket<Pipe>>) -> Self {
        Self::Pipe(pipe)
    }
}

impl AsRawFd for End {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Stream(socket) => socket.raw(),
            Self::Pipe(pipe) => pipe.raw(),
        }
    }
}

impl End {
    pub(super) fn is_pipe(&self) -> bool {
        matches!(self, Self::Pipe(_))
    }

    /// Sets a socket to the mode without which the kernel would wait in `splice`. It stays in it: the other operations do not
    /// care.
    pub(super) fn prepare(&self) -> io::Result<()> {
        nonblocking(self)
    }

    /// A place on a lane.
    pub(super) fn turn(&self, direction: Direction) -> Hold {
        match self {
            Self::Stream(socket) => Hold::Stream(Turn::new(socket, direction)),
            Self::Pipe(pipe) => Hold::Pipe(Turn::new(pipe, direction)),
        }
    }

    /// Takes bytes from the stash. For who holds the reading lane.
    pub(super) fn take_stashed(&self) -> io::Result<Option<BufGuard>> {
        let bytes = match self {
            Self::Pipe(pipe) => pipe.unstash().map(Into::into),
            Self::Stream(socket) => match socket.unstash() {
                None => None,
                Some(Stashed::Bytes { mut bytes, taken }) => {
                    bytes.drain(..taken);
                    Some(bytes)
                }
                Some(Stashed::Lent(guard)) => return Ok(Some(guard)),
                // Descriptors that nobody asked for are closed, as the kernel does.
                Some(Stashed::Rights { bytes, fds: _ }) => Some(bytes),
                Some(Stashed::Failed(error)) => return Err(error),
            },
        };
        Ok(bytes.map(BufGuard::private))
    }

    /// Puts bytes back to the front of the stash. For who holds the reading lane.
    pub(super) fn give_back(&self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Stream(socket) => socket.give_back(bytes),
            Self::Pipe(pipe) => pipe.restash(bytes.into()),
        }
    }

    /// Writes without waiting. For who holds the writing lane.
    pub(super) fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let fd = self.as_raw_fd();
        let (memory, len) = (bytes.as_ptr(), transfer_len(bytes.len()));
        let write = |flags| Request::Write {
            fd,
            memory,
            len,
            offset: CURSOR,
            flags,
        };
        let (request, masked) = match self {
            Self::Stream(_) => {
                let flags = 0; // every send is one without a signal
                let send = Request::Send {
                    fd,
                    memory,
                    len,
                    flags,
                };
                (send, false)
            }
            Self::Pipe(_) => match guard() {
                Guard::Flags(flags) => (write(flags), false),
                Guard::Mask => (write(0), true),
            },
        };
        // SAFETY: REQUEST-MEMORY: the slice outlives the call.
        let attempt = || unsafe { request.attempt() };
        let result = if masked {
            without_sigpipe(attempt)
        } else {
            attempt()
        };
        usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
    }
}

/// A lane that is waited for, or held.
pub(super) enum Hold {
    Stream(Turn<Socket<Stream>>),
    Pipe(Turn<Socket<Pipe>>),
}

impl AsRawFd for Hold {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Stream(turn) => turn.socket().raw(),
            Self::Pipe(turn) => turn.socket().raw(),
        }
    }
}

impl Hold {
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        match self {
            Self::Stream(turn) => turn.poll(cx),
            Self::Pipe(turn) => turn.poll(cx),
        }
    }
}
