//! Files of known content, and reads of them by the runtime and by a raw ring.
#![allow(dead_code, reason = "not every bench needs everything")]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::rc::Rc;

use camshaft::buf::{AlignedBuf, IoBufMut};
use camshaft::fs::File;
use camshaft::task::JoinSet;
use io_uring::{IoUring, opcode, squeue, types};

use crate::common::Random;

/// Bytes of one read.
pub(crate) const BLOCK: usize = 4096;
const BLOCK_U32: u32 = 4096;
/// How many reads are under way at any time.
pub(crate) const DEPTH: usize = 32;

/// A file that is removed at the end. Each block consists of its own offset, again and again.
pub(crate) struct Temporary(pub(crate) PathBuf);

impl Temporary {
    pub(crate) fn new(name: &str, blocks: u64) -> Self {
        let path =
            std::env::temp_dir().join(format!("camshaft-bench-{}-{name}", std::process::id()));
        let file = fs::File::create(&path).expect("a directory for temporary files");
        let this = Self(path);
        let mut file = std::io::BufWriter::with_capacity(1 << 20, file);
        for n in 0..blocks {
            let word = (n * BLOCK as u64).to_le_bytes();
            file.write_all(&word.repeat(BLOCK / word.len()))
                .expect("room on the disk");
        }
        let file = file.into_inner().expect("room on the disk");
        file.sync_all().expect("a disk");
        this
    }

    pub(crate) fn open(&self, flags: i32) -> fs::File {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(&self.0);
        file.expect("it was just made, on a file system that knows O_DIRECT")
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Panics if a block is not the one at `offset`.
pub(crate) fn check(block: &[u8], offset: u64) {
    let word = offset.to_le_bytes();
    assert!(
        block.starts_with(&word) && block.ends_with(&word),
        "the block at {offset} has the bytes of another"
    );
}

/// Reads a random one of the first `blocks`.
pub(crate) async fn read_one<B>(file: &File, buf: B, random: &mut Random, blocks: u64) -> B
where
    B: IoBufMut,
{
    let offset = random.below(blocks) * BLOCK as u64;
    let (read, buf) = file.read_at(buf, offset).await;
    assert_eq!(read.expect("the file is there"), BLOCK);
    check(buf.as_slice(), offset);
    buf
}

/// Reads `count` times by as many tasks as there are buffers, and returns those.
pub(crate) async fn read_together<B: IoBufMut>(
    file: &Rc<File>,
    bufs: Vec<B>,
    count: u64,
    blocks: u64,
) -> Vec<B> {
    let (tasks, mut set) = (bufs.len() as u64, JoinSet::new());
    for (task, mut buf) in (0..).zip(bufs) {
        let file = file.clone();
        let share = count / tasks + u64::from(task < count % tasks);
        set.spawn(async move {
            let mut random = Random::from_seed(task + 1);
            for _ in 0..share {
                buf = read_one(&file, buf, &mut random, blocks).await;
            }
            buf
        });
    }
    let mut bufs = Vec::new();
    while let Some(task) = set.join_next().await {
        bufs.push(task.expect("no read fails"));
    }
    bufs
}

/// A ring without a runtime, set up as the runtime's.
pub(crate) struct RawRing {
    ring: IoUring,
    bufs: Vec<AlignedBuf>,
    offsets: [u64; DEPTH],
    random: Random,
}

impl RawRing {
    pub(crate) fn new() -> Self {
        let mut builder = IoUring::builder();
        builder
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all();
        Self {
            ring: builder.build(64).expect("io_uring is available"),
            bufs: (0..DEPTH).map(|_| AlignedBuf::zeroed(BLOCK)).collect(),
            offsets: [0; DEPTH],
            random: Random::new(),
        }
    }

    pub(crate) fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the memory belongs to `self` or to the caller, who waits for the completion.
        unsafe { self.ring.submission().push(entry) }.expect("no more than DEPTH are queued");
    }

    /// Hands over what is queued, and waits for so many completions.
    pub(crate) fn wait_for(&mut self, count: usize) {
        self.ring.submit_and_wait(count).expect("the ring works");
        let mut completions = self.ring.completion();
        assert!(completions.all(|completion| completion.result() >= 0));
    }

    fn queue_read(&mut self, file: &fs::File, place: usize, blocks: u64) {
        let fd = types::Fd(file.as_raw_fd());
        let offset = self.random.below(blocks) * BLOCK as u64;
        self.offsets[place] = offset;
        let memory = self.bufs[place].as_mut_ptr();
        let read = opcode::Read::new(fd, memory, BLOCK_U32).offset(offset);
        self.push(&read.build().user_data(place as u64));
    }

    /// Reads `count` times, with `DEPTH` under way.
    pub(crate) fn read(&mut self, file: &fs::File, count: u64, blocks: u64) {
        let (mut queued, mut done) = (0, 0);
        while queued < count.min(DEPTH as u64) {
            self.queue_read(file, usize::try_from(queued).expect("small"), blocks);
            queued += 1;
        }
        while done < queued {
            self.ring.submit_and_wait(1).expect("the ring works");
            let mut places = [0; DEPTH];
            let mut n = 0;
            for completion in self.ring.completion() {
                assert_eq!(completion.result().cast_unsigned(), BLOCK_U32);
                places[n] = usize::try_from(completion.user_data()).expect("a place");
                n += 1;
            }
            done += n as u64;
            for place in &places[..n] {
                check(&self.bufs[*place], self.offsets[*place]);
                if queued < count {
                    self.queue_read(file, *place, blocks);
                    queued += 1;
                }
            }
        }
    }
}
