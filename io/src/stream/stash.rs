//! A connected stream socket, and what its cancelled receives brought.

use std::cell::Cell;
use std::io;
use std::mem;
use std::os::fd::OwnedFd;

use crate::driver::{BufGuard, Completion};
use crate::socket::{Kind, Socket, lasting_error};

/// The kind of a connected stream socket.
#[derive(Default)]
pub(crate) struct Stream {
    /// Whether the last receive left the socket empty: then the kernel need not try before it is readable.
    drained: Cell<bool>,
    /// Whether the kernel copied what it was to send without: then asking for it only costs.
    pub(crate) copies: Cell<bool>,
}

const _: () = assert!(size_of::<Socket<Stream>>() <= 64);

impl Kind for Stream {
    type Stashed = Stashed;
    const STASHED: &'static str = "received bytes are stashed; read them first";
}

/// What a cancelled receive brought.
pub(crate) enum Stashed {
    /// Bytes, of which the first `taken` have been read.
    Bytes { bytes: Vec<u8>, taken: usize },
    /// A lent buffer, untouched.
    Lent(BufGuard),
    /// Bytes, none of which have been read, and the descriptors that came with the first of them.
    Rights { bytes: Vec<u8>, fds: Vec<OwnedFd> },
    /// The error that it consumed from the socket.
    Failed(io::Error),
}

/// What the first thing in the stash gave.
pub(crate) struct Taken {
    pub(crate) len: usize,
    /// Descriptors that came with those bytes. A read that does not ask for them drops them, as the kernel does.
    pub(crate) fds: Vec<OwnedFd>,
}

impl Socket<Stream> {
    /// Whether the kernel should wait before its first try to receive.
    #[inline]
    pub(crate) fn wait_first(&self) -> bool {
        self.kind.drained.get()
    }

    /// Learns from a completed receive whether more is there.
    #[inline]
    pub(crate) fn note(&self, completion: Completion) {
        self.kind
            .drained
            .set(!io_uring::cqueue::sock_nonempty(completion.flags));
    }

    /// Adds what a receive into plain memory brought before or while it was cancelled: bytes, or an error other than that
    /// of the cancellation itself.
    pub(crate) fn stash_outcome(&self, bytes: Vec<u8>, outcome: io::Result<usize>) {
        if !bytes.is_empty() {
            self.stash(Stashed::Bytes { bytes, taken: 0 });
        }
        if let Some(error) = lasting_error(outcome) {
            self.stash(Stashed::Failed(error));
        }
    }

    /// Gives back what an operation has taken that is dropped between two submissions.
    pub(crate) fn give_back(&self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.restash(Stashed::Bytes { bytes, taken: 0 });
        }
    }

    /// Reads from the stash: `copy` gets the first bytes and says how many it took. `None`: the stash is empty.
    pub(crate) fn read_stash(
        &self,
        peek: bool,
        copy: impl FnOnce(&[u8]) -> usize,
    ) -> Option<io::Result<Taken>> {
        let mut first = self.unstash()?;
        let len = match &mut first {
            Stashed::Bytes { bytes, taken } => copy(&bytes[*taken..]),
            Stashed::Lent(guard) => copy(guard),
            Stashed::Rights { bytes, .. } => copy(bytes),
            Stashed::Failed(error) => {
                let error = mem::replace(error, same_error(error));
                if peek {
                    self.restash(first);
                }
                return Some(Err(error));
            }
        };
        if peek {
            self.restash(first);
            return Some(Ok(Taken::bytes(len)));
        }
        let (rest, fds) = first.split_off(len);
        rest.into_iter().for_each(|rest| self.restash(rest));
        Some(Ok(Taken { len, fds }))
    }
}

/// An error that says the same.
fn same_error(error: &io::Error) -> io::Error {
    match (error.raw_os_error(), error.get_ref()) {
        (Some(errno), _) => io::Error::from_raw_os_error(errno),
        (None, None) => error.kind().into(),
        (None, Some(text)) => io::Error::new(error.kind(), text.to_string()),
    }
}

impl Taken {
    fn bytes(len: usize) -> Self {
        Self {
            len,
            fds: Vec::new(),
        }
    }
}

impl Stashed {
    /// All of it, as a buffer. Descriptors are closed: nobody asked for them.
    pub(crate) fn into_guard(self) -> io::Result<BufGuard> {
        match self {
            Self::Lent(guard) => Ok(guard),
            Self::Bytes { mut bytes, taken } => {
                bytes.drain(..taken);
                Ok(BufGuard::private(bytes))
            }
            Self::Rights { bytes, .. } => Ok(BufGuard::private(bytes)),
            Self::Failed(error) => Err(error),
        }
    }

    /// What is left after `n` more bytes were read, and the descriptors that went with those.
    fn split_off(self, n: usize) -> (Option<Self>, Vec<OwnedFd>) {
        let rest =
            |bytes: Vec<u8>, taken| (taken < bytes.len()).then_some(Self::Bytes { bytes, taken });
        match self {
            nothing_taken if n == 0 => (Some(nothing_taken), Vec::new()),
            Self::Bytes { bytes, taken } => (rest(bytes, taken + n), Vec::new()),
            Self::Lent(guard) => (rest(guard[n..].to_vec(), 0), Vec::new()),
            Self::Rights { bytes, fds } => (rest(bytes, n), fds),
            failed @ Self::Failed(_) => (Some(failed), Vec::new()),
        }
    }
}
