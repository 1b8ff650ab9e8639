//! What a stream may bring, given what was written to it.
//!
//! A write that was dropped, or failed, has sent a prefix of unknown length. So the oracle keeps every place at which the
//! reader may be, as pairs of a write and an offset in it; each byte that comes moves those places on that it fits.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use crate::streams::is_starved;

/// What is known of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It goes on.
    Open,
    /// So much of it was sent.
    Sent(usize),
    /// A prefix was sent.
    Prefix,
}

#[derive(Debug)]
struct Write {
    bytes: Vec<u8>,
    fate: Fate,
}

/// One direction of a stream.
#[derive(Debug)]
pub(crate) struct Oracle {
    writes: Vec<Write>,
    places: Vec<(usize, usize)>,
    received: usize,
    /// The reader has seen the end.
    pub(crate) ended: bool,
    /// The connection was broken off on purpose.
    pub(crate) may_break: bool,
}

pub(crate) type Shared = Rc<RefCell<Oracle>>;

impl Oracle {
    pub(crate) fn new() -> Shared {
        Rc::new(RefCell::new(Self {
            writes: Vec::new(),
            places: vec![(0, 0)],
            received: 0,
            ended: false,
            may_break: false,
        }))
    }

    fn may_end(&self, (write, offset): (usize, usize)) -> bool {
        match self.writes.get(write).map(|write| write.fate) {
            Some(Fate::Sent(n)) => offset == n,
            Some(Fate::Prefix) => true,
            Some(Fate::Open) | None => false,
        }
    }

    /// Adds the places behind writes that may have ended, and takes out those that are not possible any more.
    fn widen(&self, mut places: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
        places.retain(|&(write, offset)| {
            !matches!(self.writes.get(write), Some(Write { fate: Fate::Sent(n), .. }) if offset > *n)
        });
        let mut at = 0;
        while let Some(&place) = places.get(at) {
            let next = (place.0 + 1, 0);
            if self.may_end(place) && !places.contains(&next) {
                places.push(next);
            }
            at += 1;
        }
        places
    }

    fn after(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        let mut places = self.places.clone();
        for (n, byte) in bytes.iter().enumerate() {
            places = self.widen(places);
            places.retain_mut(|(write, offset)| {
                let fits =
                    self.writes.get(*write).and_then(|it| it.bytes.get(*offset)) == Some(byte);
                *offset += 1;
                fits
            });
            assert!(
                !places.is_empty(),
                "byte {} of the stream, {n} of {}, was not sent, was lost or comes twice",
                self.received + n,
                bytes.len()
            );
        }
        places
    }

    /// Bytes were received.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        assert!(bytes.is_empty() || !self.ended, "bytes after the end");
        self.places = self.after(bytes);
        self.received += bytes.len();
    }

    /// Bytes were looked at.
    pub(crate) fn peek(&self, bytes: &[u8]) {
        drop(self.after(bytes));
    }

    /// The reader has seen the end.
    pub(crate) fn end(&mut self) {
        if !self.may_break {
            self.check_end();
        }
        self.ended = true;
    }

    /// A read or a write has failed.
    pub(crate) fn fail(&mut self, error: &io::Error) {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::UnexpectedEof => self.end(),
            Kind::ConnectionReset | Kind::BrokenPipe | Kind::NotConnected if self.may_break => {
                self.ended = true;
            }
            // Of descriptors that came with the bytes; these follow.
            Kind::Other if is_starved(error) => {}
            _ => panic!("an operation failed: {error:?}"),
        }
    }

    /// Nothing was lost.
    fn check_end(&self) {
        let places = self.widen(self.places.clone());
        assert!(
            places.contains(&(self.writes.len(), 0)),
            "the stream ended after {} bytes, at {places:?} of {} writes",
            self.received,
            self.writes.len()
        );
    }
}

/// A write that goes on. Dropped before its end, it has sent a prefix, and nothing if it was never begun.
pub(crate) struct Writing {
    oracle: Shared,
    index: usize,
    is_begun: bool,
}

impl Writing {
    pub(crate) fn new(oracle: &Shared, bytes: &[u8]) -> Self {
        let mut it = oracle.borrow_mut();
        it.writes.push(Write {
            bytes: bytes.to_vec(),
            fate: Fate::Open,
        });
        Self {
            oracle: oracle.clone(),
            index: it.writes.len() - 1,
            is_begun: false,
        }
    }

    pub(crate) fn begin(&mut self) {
        self.is_begun = true;
    }

    pub(crate) fn sent(self, n: usize) {
        self.set(Fate::Sent(n));
    }

    /// It was begun and failed: nobody will read on.
    pub(crate) fn failed(self, error: &io::Error) {
        use io::ErrorKind as Kind;
        let expected = matches!(
            error.kind(),
            Kind::ConnectionReset | Kind::BrokenPipe | Kind::NotConnected
        );
        let may_break = self.oracle.borrow().may_break;
        assert!(expected && may_break, "a write failed: {error:?}");
    }

    fn set(&self, fate: Fate) {
        self.oracle.borrow_mut().writes[self.index].fate = fate;
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let fate = self.oracle.borrow().writes[self.index].fate;
        if fate == Fate::Open {
            self.set(if self.is_begun {
                Fate::Prefix
            } else {
                Fate::Sent(0)
            });
        }
    }
}

#[test]
fn prefixes_are_all_that_a_dropped_write_may_send() {
    // To print where it was, a panic opens the program, which must not happen while others count descriptors.
    let _alone = crate::common::alone();
    for (bytes, fits) in [
        ("", true),
        ("ab", true),
        ("abcX", true),
        ("aX", true),
        ("X", true),
        ("acX", false),
        ("Xa", false),
        ("abcabc", false),
    ] {
        let oracle = Oracle::new();
        let mut first = Writing::new(&oracle, b"abc");
        first.begin();
        drop(first);
        let mut second = Writing::new(&oracle, b"XY");
        second.begin();
        second.sent(1);
        let received = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            oracle.borrow_mut().take(bytes.as_bytes());
        }));
        assert_eq!(received.is_ok(), fits, "{bytes}");
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            oracle.borrow().check_end();
        }));
        assert_eq!(ended.is_ok(), fits && bytes.ends_with('X'), "{bytes}");
    }
}
