//! Everything that files offer, dropped at every stage: no descriptor stays open, no memory is written after it was freed,
//! no position moves, and the lane of the position is free again.

mod common;
#[path = "common/scratch.rs"]
mod scratch;

use std::cell::RefCell;
use std::future::Future;
use std::io::{SeekFrom, Write};
use std::mem::MaybeUninit;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;

use camshaft::buf::{AlignedBuf, IoBuf, IoBufMut};
use camshaft::fs::{self, DirBuilder, File, OpenOptions};
use camshaft::task::yield_now;
use common::{alone, fds, os_pipe, poll_once, runtime, small_runtime, turn, until};
use scratch::{Scratch, pattern};

/// A buffer that is never freed, but filled with a mark when it is dropped; nobody may write to it then.
struct Marked(Option<AlignedBuf>);

const MARK: u8 = 0xa5;

thread_local! {
    static DROPPED: RefCell<Vec<AlignedBuf>> = const { RefCell::new(Vec::new()) };
}

impl Marked {
    fn new(len: usize) -> Self {
        Self(Some(AlignedBuf::zeroed(len)))
    }

    fn inner(&mut self) -> &mut AlignedBuf {
        self.0.as_mut().expect("not dropped yet")
    }

    /// Checks that none was written after it was dropped.
    fn check(what: &str) {
        DROPPED.with_borrow(|dropped| {
            let whole = |buf: &AlignedBuf| buf.iter().all(|byte| *byte == MARK);
            assert!(dropped.iter().all(whole), "{what}: written after the drop");
        });
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        if let Some(mut buf) = self.0.take() {
            buf.fill(MARK);
            DROPPED.with_borrow_mut(|dropped| dropped.push(buf));
        }
    }
}

// SAFETY: as `AlignedBuf`, which it is until it is dropped.
unsafe impl IoBuf for Marked {
    fn as_slice(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |buf| buf.as_slice())
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for Marked {
    fn storage(&mut self) -> NonNull<[MaybeUninit<u8>]> {
        self.inner().storage()
    }

    fn fill_start(&self) -> usize {
        0
    }

    unsafe fn mark_init(&mut self, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.inner().mark_init(len) }
    }
}

/// What the operations work on.
struct Stage {
    scratch: Scratch,
    /// Never transferred inline.
    direct: File,
    /// Whose writes wait for the disk.
    durable: File,
    /// The reading end of a pipe in which nothing is.
    pipe: File,
    _write: std::fs::File,
}

const LEN: usize = 64 << 10;

/// In memory, where syncs cost nothing, if direct transfers are possible there (Linux 6.6). It is removed at the end of the
/// test, when no worker is about to make anything in it.
fn root() -> Scratch {
    let memory = Scratch::within(Path::new("/dev/shm"));
    let mut options = std::fs::OpenOptions::new();
    let direct = options
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(memory.file("direct", ""));
    if direct.is_ok() {
        memory
    } else {
        Scratch::new()
    }
}

impl Stage {
    async fn new(root: &Scratch) -> Rc<Self> {
        let scratch = Scratch::within(root.path());
        scratch.file("file", pattern(LEN));
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_DIRECT);
        let direct = options.open(scratch.at("file")).await.unwrap();
        std::fs::create_dir(scratch.at("directory")).unwrap();
        options.custom_flags(libc::O_DSYNC);
        let durable = options.open(scratch.at("file")).await.unwrap();
        let (read, write) = os_pipe();
        Rc::new(Self {
            scratch,
            direct,
            durable,
            pipe: File::from_std(read.into()),
            _write: write.into(),
        })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.scratch.at(name)
    }
}

type Doing = Pin<Box<dyn Future<Output = ()>>>;
type Begin = fn(Rc<Stage>) -> Doing;

/// Makes an entry of the table.
macro_rules! kinds {
    ($($name:literal: |$stage:ident| $body:expr;)+) => {
        [$(($name, |$stage| Box::pin(async move { drop($body.await) }))),+]
    };
}

const TRANSFERS: [(&str, Begin); 12] = kinds! {
    "read_at": |s| s.direct.read_at(Marked::new(4096), 4096);
    "read_exact_at": |s| s.direct.read_exact_at(Marked::new(LEN), 0);
    "read_vectored_at": |s| s.direct.read_vectored_at(vec![Marked::new(4096), Marked::new(512)], 0);
    "read": |s| s.direct.read(Marked::new(4096));
    "read_exact": |s| s.direct.read_exact(Marked::new(8192));
    "read of a stream": |s| s.pipe.read(Marked::new(100));
    "read_to_end of a stream": |s| s.pipe.read_to_end(Vec::new());
    "write_at": |s| s.durable.write_at(Marked::new(100), 7);
    "write": |s| s.durable.write(Marked::new(100));
    "write_all": |s| s.durable.write_all(Marked::new(LEN));
    "write_vectored": |s| s.durable.write_vectored(vec![Marked::new(10), Marked::new(20)]);
    "write_all_at_durable": |s| s.direct.write_all_at_durable(Marked::new(4096), 0);
};

const OTHERS: [(&str, Begin); 30] = kinds! {
    "seek": |s| s.direct.seek(SeekFrom::End(-1));
    "sync_all": |s| s.durable.sync_all();
    "sync_data": |s| s.durable.sync_data();
    "set_len": |s| s.durable.set_len(LEN as u64);
    "allocate": |s| s.durable.allocate(0, 4096);
    "metadata of a file": |s| s.durable.metadata();
    "set_modified": |s| s.durable.set_modified(std::time::SystemTime::now());
    "lock": |s| s.durable.lock();
    "try_lock_shared": |s| s.direct.try_lock_shared();
    "unlock": |s| s.direct.unlock();
    "try_clone": |s| s.direct.try_clone();
    "open": |s| File::open(s.at("file"));
    "create": |s| File::create(s.at("created"));
    "create_new": |s| File::create_new(s.at("new"));
    "open to append": |s| OpenOptions::new().append(true).create(true).open(s.at("log"));
    "tempfile": |s| fs::tempfile_in(s.at("directory"));
    "fs::read": |s| fs::read(s.at("file"));
    "fs::write": |s| fs::write(s.at("written"), Marked::new(5000));
    "copy": |s| fs::copy(s.at("file"), s.at("copy"));
    "metadata": |s| fs::metadata(s.at("file"));
    "rename": |s| fs::rename(s.at("copy"), s.at("renamed"));
    "hard_link": |s| fs::hard_link(s.at("file"), s.at("hard"));
    "symlink": |s| fs::symlink("file", s.at("symbolic"));
    "remove_file": |s| fs::remove_file(s.at("hard"));
    "remove_dir_all": |s| fs::remove_dir_all(s.at("directory"));
    "create_dir": |s| fs::create_dir(s.at("made"));
    "create_dir_all": |s| fs::create_dir_all(s.at("made/deep"));
    "DirBuilder": |s| async move { DirBuilder::new().create(s.at("built")).await };
    "read_dir": |s| async move {
        let mut entries = fs::read_dir(s.scratch.path()).await.unwrap();
        while entries.next_entry().await.unwrap().is_some() {}
        entries
    };
    "canonicalize": |s| fs::canonicalize(s.at("file"));
};

fn kinds() -> impl Iterator<Item = (&'static str, Begin)> {
    TRANSFERS.into_iter().chain(OTHERS)
}

/// The positions have not moved, and their lanes are free.
async fn check(stage: &Stage, what: &str) {
    assert_eq!(stage.direct.stream_position().await.unwrap(), 0, "{what}");
    assert_eq!(stage.durable.stream_position().await.unwrap(), 0, "{what}");
    Marked::check(what);
}

#[test]
fn what_was_never_polled_does_nothing() {
    let _alone = alone();
    let root = root();
    let runtime = runtime();
    runtime.block_on(async {
        let stage = Stage::new(&root).await;
        let before = (fds(), runtime.metrics().ops_submitted);
        for (kind, begin) in kinds() {
            drop(begin(stage.clone()));
            assert_eq!((fds(), runtime.metrics().ops_submitted), before, "{kind}");
        }
        assert!(!stage.at("created").exists() && stage.at("directory").exists());
        check(&stage, "never polled").await;
    });
}

#[test]
fn what_is_dropped_at_any_stage_leaves_nothing_behind() {
    let _alone = alone();
    let root = root();
    for runtime in [runtime(), small_runtime()] {
        runtime.block_on(async {
            for (kind, begin) in kinds() {
                // Dropped before it was submitted, in flight, and with its completion there but not seen.
                for turns in [0, 1, 5] {
                    let before = fds();
                    let stage = Stage::new(&root).await;
                    let mut doing = begin(stage.clone());
                    if poll_once(doing.as_mut()).await.is_pending() {
                        for _ in 0..turns {
                            turn().await;
                        }
                    }
                    drop(doing);
                    check(&stage, kind).await;
                    until(|| {
                        let metrics = runtime.metrics();
                        metrics.ops_submitted == metrics.ops_completed
                    })
                    .await;
                    check(&stage, kind).await;
                    // A worker may still be at it, and keeps the file open until then.
                    drop(stage);
                    until(|| fds() == before).await;
                }
            }
        });
    }
}

#[test]
fn what_is_dropped_one_step_later_each_time_leaves_nothing_behind() {
    let _alone = alone();
    let root = root();
    let runtime = runtime();
    runtime.block_on(async {
        for (kind, begin) in OTHERS {
            let before = fds();
            let stage = Stage::new(&root).await;
            // Those of several steps are dropped in each of them.
            for polls in 1..50 {
                let mut doing = begin(stage.clone());
                let mut done = false;
                for _ in 0..polls {
                    done = poll_once(doing.as_mut()).await.is_ready();
                    if done {
                        break;
                    }
                    turn().await;
                }
                drop(doing);
                if done {
                    stage.direct.rewind().await.unwrap();
                    break;
                }
            }
            check(&stage, kind).await;
            drop(stage);
            until(|| fds() == before).await;
        }
    });
}

#[test]
fn what_is_in_flight_at_teardown_leaves_nothing_behind() {
    let _alone = alone();
    let root = root();
    let before = fds();
    for (kind, begin) in kinds() {
        for turns in 0..3 {
            let runtime = runtime();
            let stage = runtime.block_on(Stage::new(&root));
            runtime.spawn(begin(stage.clone()));
            runtime.block_on(async {
                for _ in 0..turns {
                    yield_now().await;
                }
            });
            drop(runtime);
            Marked::check(kind);
            drop(stage);
            // A worker thread may still be about to close what it was given.
            while fds() != before {
                std::thread::yield_now();
            }
        }
    }
}

#[test]
fn what_outlives_its_runtime_leaves_nothing_behind() {
    let _alone = alone();
    let root = root();
    let before = fds();
    for (kind, begin) in kinds() {
        let first = runtime();
        let stage = first.block_on(Stage::new(&root));
        let mut doing = begin(stage.clone());
        first.block_on(async {
            let _ = poll_once(doing.as_mut()).await;
            turn().await;
        });
        drop(first);
        drop(doing);
        Marked::check(kind);
        drop(stage);
        while fds() != before {
            std::thread::yield_now();
        }
    }
}

#[test]
fn bytes_of_a_stream_that_a_dropped_read_took_come_first_in_the_next() {
    let _alone = alone();
    runtime().block_on(async {
        for exact in [false, true] {
            let (read, write) = os_pipe();
            let (file, mut write) = (File::from_std(read.into()), std::fs::File::from(write));
            let mut sent = Vec::new();
            for round in 0..20_u8 {
                let mut reading: Pin<Box<dyn Future<Output = ()> + '_>> = if exact {
                    Box::pin(async { drop(file.read_exact(Box::new([0; 9])).await) })
                } else {
                    Box::pin(async { drop(file.read(Vec::with_capacity(3)).await) })
                };
                // Those of the second kind may have been ready at once, and are not wanted then.
                if poll_once(reading.as_mut()).await.is_ready() {
                    panic!("nothing is there");
                }
                for _ in 0..round % 3 {
                    turn().await;
                }
                let bytes = [round; 4];
                write.write_all(&bytes).unwrap();
                sent.extend_from_slice(&bytes);
                for _ in 0..round % 4 {
                    turn().await;
                }
                drop(reading);
                let mut received = Vec::with_capacity(2);
                while received.len() < sent.len() {
                    let (result, more) = file.read(received).await;
                    received = more;
                    result.unwrap();
                    received.reserve(2);
                }
                assert_eq!(received, sent, "round {round}");
                sent.clear();
            }
        }
    });
}

#[test]
fn a_stream_with_stashed_bytes_does_not_go_back_to_std() {
    let _alone = alone();
    runtime().block_on(async {
        let (read, write) = os_pipe();
        let (file, mut write) = (File::from_std(read.into()), std::fs::File::from(write));
        let mut reading = Box::pin(file.read(Vec::with_capacity(8)));
        assert!(poll_once(reading.as_mut()).await.is_pending());
        write.write_all(b"abc").unwrap();
        turn().await;
        drop(reading);
        turn().await;
        let error = file.into_std().unwrap_err();
        assert!(error.to_string().contains("read them first"), "{error}");
        let file = error.inner;
        assert_eq!(file.read(Vec::with_capacity(8)).await.1, b"abc");
        assert!(file.into_std().is_ok());
    });
}

#[test]
fn a_dropped_write_is_over_before_the_next_begins() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.at("file");
    runtime().block_on(async {
        let mut options = OpenOptions::new();
        options.write(true).create(true).custom_flags(libc::O_DSYNC);
        let file = options.open(&path).await.unwrap();
        for round in 0..20_u8 {
            let mut writing = Box::pin(file.write_all(vec![b'x'; 10_000]));
            assert!(poll_once(writing.as_mut()).await.is_pending());
            for _ in 0..round % 3 {
                turn().await;
            }
            drop(writing);
            // At the same place, for the dropped one moved nothing; and it stays.
            file.write_all(vec![round; 10_000]).await.0.unwrap();
            let written = std::fs::read(&path).unwrap();
            let start = usize::from(round) * 10_000;
            assert!(
                written[start..].iter().all(|byte| *byte == round),
                "{round}"
            );
        }
    });
}

#[test]
fn a_lock_that_nobody_waits_for_is_released() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    runtime().block_on(async {
        let (one, two) = (
            File::open(&path).await.unwrap(),
            File::open(&path).await.unwrap(),
        );
        for turns in 0..30 {
            let mut locking = Box::pin(one.lock());
            // A worker is so quick sometimes that it is there at once.
            if poll_once(locking.as_mut()).await.is_ready() {
                one.unlock().await.unwrap();
            }
            for _ in 0..turns % 5 {
                turn().await;
            }
            drop(locking);
            // Hangs if it is not.
            two.lock().await.unwrap();
            two.unlock().await.unwrap();
        }
    });
}
