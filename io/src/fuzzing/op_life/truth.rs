//! What the operations told, and whether it agrees with what the peers know.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::RawFd;

use crate::driver::BufGuard;
use crate::driver::fake::{Peers, sent_at};
use crate::fuzzing::Choices;

/// What one write said of itself.
pub(super) struct Written {
    pub(super) fd: RawFd,
    pub(super) len: usize,
    /// How much it said that it sent; `None` if it was dropped, or failed.
    pub(super) sent: Option<usize>,
}

/// What the operations have told.
#[derive(Default)]
pub(super) struct Truth {
    pub(super) peers: Peers,
    /// How many bytes were read from each socket.
    pub(super) read: RefCell<HashMap<RawFd, u64>>,
    /// How many resets its reads have reported.
    pub(super) resets: Cell<usize>,
    /// The writes; the number of one, counted from 1, is what it sends.
    pub(super) writes: RefCell<Vec<Written>>,
    /// Lent buffers that are kept, with their socket and position.
    pub(super) kept: RefCell<Vec<(BufGuard, RawFd, u64)>>,
    /// What went wrong where a panic goes unseen.
    pub(super) wrong: Cell<Option<&'static str>>,
}

impl Truth {
    /// A read has brought these bytes.
    pub(super) fn received(&self, fd: RawFd, bytes: &[u8], peek: bool) {
        let mut read = self.read.borrow_mut();
        let position = read.entry(fd).or_default();
        assert_sent(fd, *position, bytes);
        if !peek {
            *position += bytes.len() as u64;
        }
    }

    /// A read ended, of which these many bytes have been received: checks that it says so, or that it failed where the
    /// connection did.
    pub(super) fn ended(&self, fd: RawFd, result: &io::Result<usize>, n: usize) {
        match result {
            Ok(said) => assert_eq!(*said, n),
            Err(error) => match error.kind() {
                io::ErrorKind::ConnectionReset => {
                    let position = self.read.borrow().get(&fd).copied().unwrap_or_default();
                    let resets = &self.peers.borrow()[&fd].resets;
                    assert!(resets.contains(&position), "an error comes before bytes");
                    self.resets.set(self.resets.get() + 1);
                }
                io::ErrorKind::UnexpectedEof => {}
                _ => panic!("a read failed: {error}"),
            },
        }
    }

    pub(super) fn lent(&self, guard: BufGuard, fd: RawFd, keep: bool) {
        let position = self.read.borrow().get(&fd).copied().unwrap_or_default();
        self.received(fd, &guard, false);
        if keep && !guard.is_empty() {
            self.kept.borrow_mut().push((guard, fd, position));
        }
    }

    /// Gives one of the kept buffers back.
    pub(super) fn let_go(&self, choices: &Choices) {
        let mut kept = self.kept.borrow_mut();
        if !kept.is_empty() {
            let at = choices.below(kept.len());
            let (guard, fd, position) = kept.swap_remove(at);
            assert_sent(fd, position, &guard);
        }
    }

    /// Gives all of them back.
    pub(super) fn let_all_go(&self) {
        for (guard, fd, position) in self.kept.take() {
            assert_sent(fd, position, &guard);
        }
    }

    /// What the peers know must agree.
    pub(super) fn check(&self) {
        let read = self.read.borrow();
        let writes = self.writes.borrow();
        for (fd, peer) in &*self.peers.borrow() {
            let read = read.get(fd).copied().unwrap_or_default();
            assert_eq!(read, peer.given, "bytes are lost");
            let mut over = Vec::new();
            for run in peer.got.chunk_by(|a, b| a == b) {
                let number = run[0];
                assert!(!over.contains(&number), "a write goes on after another");
                over.push(number);
                let write = &writes[usize::from(number) - 1];
                assert_eq!(write.fd, *fd);
                assert!(run.len() <= write.len);
                assert!(write.sent.is_none_or(|sent| sent == run.len()));
            }
            for (write, number) in writes.iter().zip(1..) {
                let sent = write.fd == *fd && write.sent.is_some_and(|sent| sent > 0);
                assert!(!sent || over.contains(&number), "a write is lost");
            }
        }
        let peers = self.peers.borrow();
        let met: usize = peers.values().map(|peer| peer.resets.len()).sum();
        assert!(self.resets.get() >= met, "an error is lost");
    }
}

fn assert_sent(fd: RawFd, position: u64, bytes: &[u8]) {
    let right = (position..).zip(bytes);
    for (position, byte) in right {
        assert_eq!(*byte, sent_at(fd, position), "at {position} of {fd}");
    }
}
