//! A file that is read and written, at offsets and at its position.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, SeekFrom};
use std::path::PathBuf;
use std::rc::Rc;

use camshaft::buf::IoBuf;
use camshaft::fs::{self, File, OpenOptions};

use crate::Doing;
use crate::common::tracked::Tracked;
use crate::common::{Random, poll_once};
use crate::scratch::{Scratch, pattern};
use crate::work::limited;

const LEN: usize = 64 << 10;

/// What the file may hold.
struct Oracle {
    bytes: Vec<u8>,
    /// What dropped writes may have written, or may write yet.
    others: HashMap<usize, Vec<u8>>,
    position: usize,
}

type Shared = Rc<RefCell<Oracle>>;

impl Oracle {
    fn check(&self, at: usize, bytes: &[u8]) {
        for (at, byte) in (at..).zip(bytes) {
            let is_right = self.bytes[at] == *byte
                || self
                    .others
                    .get(&at)
                    .is_some_and(|others| others.contains(byte));
            assert!(
                is_right,
                "byte {at} of the file is {byte}, not {}",
                self.bytes[at]
            );
        }
    }

    fn maybe(&mut self, at: usize, bytes: &[u8]) {
        for (at, byte) in (at..).zip(bytes) {
            self.others.entry(at).or_default().push(*byte);
        }
    }
}

/// A write that may have happened, until it is known that it has.
struct Maybe {
    oracle: Shared,
    at: usize,
    bytes: Vec<u8>,
}

impl Maybe {
    fn happened(mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut oracle = self.oracle.borrow_mut();
        oracle.bytes[self.at..][..bytes.len()].copy_from_slice(&bytes);
    }
}

impl Drop for Maybe {
    fn drop(&mut self) {
        self.oracle.borrow_mut().maybe(self.at, &self.bytes);
    }
}

pub(crate) struct Disk {
    scratch: Scratch,
    path: PathBuf,
    file: Rc<File>,
    oracle: Shared,
    doing: Option<Doing>,
}

impl Disk {
    pub(crate) async fn new() -> Self {
        let scratch = Scratch::new();
        let bytes = pattern(LEN);
        let path = scratch.file("file", &bytes);
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .open(&path)
            .await
            .expect("a file");
        let oracle = Oracle {
            bytes,
            others: HashMap::new(),
            position: 0,
        };
        Self {
            scratch,
            path,
            file: Rc::new(file),
            oracle: Rc::new(RefCell::new(oracle)),
            doing: None,
        }
    }

    fn begin(&self, random: &mut Random) -> Doing {
        let n = 1 + if random.one_in(4) {
            random.below(9000)
        } else {
            random.below(100)
        };
        let at = random.below(LEN - n);
        match random.below(10) {
            0..3 => self.read_at(at, n, random.one_in(2)),
            3..5 => self.write_at(at, n, random),
            5 => self.seek(at),
            6 => self.read_on(n),
            7 => self.write_on(n, random),
            8 => self.sync(random),
            _ => self.paths(random),
        }
    }

    fn read_at(&self, at: usize, n: usize, exact: bool) -> Doing {
        let (file, oracle) = (self.file.clone(), self.oracle.clone());
        Box::pin(async move {
            let buf = Tracked::room(n);
            let (result, buf) = match exact {
                true => file.read_exact_at(buf, at as u64).await,
                false => file.read_at(buf, at as u64).await,
            };
            assert_eq!(result.expect("a file"), buf.as_slice().len());
            oracle.borrow().check(at, buf.as_slice());
        })
    }

    fn write_at(&self, at: usize, n: usize, random: &mut Random) -> Doing {
        let (file, oracle) = (self.file.clone(), self.oracle.clone());
        let bytes = vec![random.next().to_le_bytes()[0]; n];
        let durable = random.one_in(30);
        Box::pin(async move {
            let maybe = Maybe {
                oracle,
                at,
                bytes: bytes.clone(),
            };
            let buf = Tracked::full(bytes);
            let (result, _) = match durable {
                true => file.write_all_at_durable(buf, at as u64).await,
                false => file.write_all_at(buf, at as u64).await,
            };
            result.expect("room");
            maybe.happened();
        })
    }

    fn seek(&self, at: usize) -> Doing {
        let (file, oracle) = (self.file.clone(), self.oracle.clone());
        Box::pin(async move {
            let to = file.seek(SeekFrom::Start(at as u64)).await.expect("a file");
            assert_eq!(to, at as u64);
            oracle.borrow_mut().position = at;
        })
    }

    fn read_on(&self, n: usize) -> Doing {
        let (file, oracle) = (self.file.clone(), self.oracle.clone());
        Box::pin(async move {
            let (result, buf) = file.read(Tracked::room(n)).await;
            let read = result.expect("a file");
            assert_eq!(read, buf.as_slice().len());
            let mut oracle = oracle.borrow_mut();
            oracle.check(oracle.position, buf.as_slice());
            oracle.position += read;
        })
    }

    fn write_on(&self, n: usize, random: &mut Random) -> Doing {
        let (file, oracle) = (self.file.clone(), self.oracle.clone());
        let bytes = vec![random.next().to_le_bytes()[0]; n];
        Box::pin(async move {
            let at = oracle.borrow().position;
            let bytes = bytes[..n.min(LEN - at)].to_vec();
            let maybe = Maybe {
                oracle: oracle.clone(),
                at,
                bytes: bytes.clone(),
            };
            file.write_all(Tracked::full(bytes)).await.0.expect("room");
            oracle.borrow_mut().position += maybe.bytes.len();
            maybe.happened();
        })
    }

    fn sync(&self, random: &mut Random) -> Doing {
        let file = self.file.clone();
        let all = random.one_in(2);
        Box::pin(async move {
            match all {
                true => assert_eq!(file.metadata().await.expect("a file").len(), LEN as u64),
                false => file.sync_data().await.expect("a file"),
            }
        })
    }

    fn paths(&self, random: &mut Random) -> Doing {
        let path = self.path.clone();
        let other = self.scratch.at("other");
        let kind = random.below(5);
        let may_be_missing = |result: io::Result<()>| {
            if let Err(error) = result {
                let starved = matches!(error.raw_os_error(), Some(libc::EMFILE));
                assert!(
                    starved || error.kind() == io::ErrorKind::NotFound,
                    "{error}"
                );
            }
        };
        Box::pin(async move {
            match kind {
                0 => may_be_missing(File::open(&path).await.map(drop)),
                1 => may_be_missing(fs::write(&other, Tracked::full(vec![1; 5000])).await),
                2 => may_be_missing(fs::read(&path).await.map(drop)),
                3 => may_be_missing(fs::remove_file(&other).await),
                _ => may_be_missing(fs::metadata(&other).await.map(drop)),
            }
        })
    }

    /// One at a time: what is written where something else is being written is not defined.
    pub(crate) async fn step(&mut self, random: &mut Random) {
        let mut doing = match self.doing.take() {
            Some(doing) => doing,
            None => limited(self.begin(random), random),
        };
        let unpolled = random.one_in(12);
        if unpolled || poll_once(doing.as_mut()).await.is_ready() || random.one_in(5) {
            return;
        }
        self.doing = Some(doing);
    }

    pub(crate) fn drop_operations(&mut self) {
        self.doing = None;
    }

    /// When nothing is in flight any more.
    pub(crate) fn end(self) {
        let bytes = std::fs::read(&self.path).expect("a file");
        assert_eq!(bytes.len(), LEN);
        let oracle = self.oracle.borrow();
        oracle.check(0, &bytes);
    }
}
