//! What is transferred on the thread of the loop, what is not, and that it leaves the other tasks their turn.

mod common;
#[path = "common/scratch.rs"]
mod scratch;

use std::cell::Cell;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use camshaft::buf::AlignedBuf;
use camshaft::fs::{File, OpenOptions};
use camshaft::runtime::{Builder, Runtime};
use camshaft::task::yield_now;
use camshaft::time::timeout;
use common::{Counting, allocations, alone, is_epoll, poll_once, runtime};
use scratch::{Scratch, pattern};

#[global_allocator]
static COUNTING: Counting = Counting;

/// A file system whose pages are always in memory, so that every transfer could be made inline.
fn memory() -> Scratch {
    Scratch::within(Path::new("/dev/shm"))
}

async fn open(path: PathBuf, flags: i32) -> File {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .custom_flags(flags);
    options.open(path).await.unwrap()
}

fn submitted(runtime: &Runtime) -> u64 {
    runtime.metrics().ops_submitted
}

/// Whether the file can be read without waiting, and the byte is in memory.
fn is_cached(file: &File, offset: i64) -> bool {
    let mut byte = 0_u8;
    let vector = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    // SAFETY: one byte is valid for writes.
    let read = unsafe { libc::preadv2(file.as_raw_fd(), &vector, 1, offset, libc::RWF_NOWAIT) };
    read == 1
}

#[test]
fn what_lies_in_memory_is_read_without_queue_and_allocation() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.file("cached", pattern(1 << 16));
    let runtime = runtime();
    runtime.block_on(async {
        let file = File::open(path).await.unwrap();
        if !is_cached(&file, 0) {
            eprintln!("files can't be read without waiting here");
            return;
        }
        let mut buf = file.read_at(vec![0; 4096].into_boxed_slice(), 0).await.1;
        let before = (submitted(&runtime), allocations());
        for n in 0..1000_u64 {
            let (result, back) = file.read_at(buf, n % 16 * 4096).await;
            assert_eq!(result.unwrap(), 4096);
            buf = back;
        }
        for _ in 0..100 {
            file.rewind().await.unwrap();
            let (result, back) = file.read_exact(buf).await;
            assert_eq!(result.unwrap(), 4096);
            buf = back;
        }
        assert_eq!((submitted(&runtime), allocations()), before);
    });
}

#[test]
fn what_goes_to_memory_is_written_without_queue_and_allocation() {
    let _alone = alone();
    let runtime = runtime();
    // One of these rounds is not disturbed by other processes; a call that is looks like one that waited.
    let undisturbed = (0..200).any(|_| {
        let scratch = memory();
        runtime.block_on(async {
            let file = open(scratch.at("file"), 0).await;
            let mut buf = file.write_at(pattern(4096), 0).await.1;
            let before = (submitted(&runtime), allocations());
            for n in 0..50_u64 {
                let (result, back) = file.write_at(buf, n % 16 * 4096).await;
                assert_eq!(result.unwrap(), 4096);
                let (result, back) = file.write_all(back).await;
                result.unwrap();
                buf = back;
            }
            (submitted(&runtime), allocations()) == before
        })
    });
    assert!(undisturbed);
}

#[test]
fn what_may_take_long_goes_to_the_queue() {
    let _alone = alone();
    let (scratch, disk) = (memory(), Scratch::new());
    let runtime = runtime();
    runtime.block_on(async {
        let file = open(scratch.at("file"), 0).await;
        let synced = open(scratch.at("synced"), libc::O_DSYNC).await;
        let direct = open(disk.at("direct"), libc::O_DIRECT).await;
        direct.set_len(1 << 16).await.unwrap();
        for round in 0..3 {
            let before = submitted(&runtime);
            // Longer than 256 KiB; whose caller waits for the disk; past the cache.
            file.write_all_at(vec![1; (256 << 10) + 1], 0)
                .await
                .0
                .unwrap();
            let (result, _) = file.read_at(Vec::with_capacity((256 << 10) + 1), 0).await;
            assert!(result.unwrap() > 256 << 10);
            synced.write_all_at("x", 0).await.0.unwrap();
            file.write_all_at_durable("x", 0).await.0.unwrap();
            direct.read_at(AlignedBuf::zeroed(4096), 0).await.0.unwrap();
            direct
                .write_at(AlignedBuf::zeroed(4096), 0)
                .await
                .0
                .unwrap();
            assert_eq!(submitted(&runtime) - before, 6, "round {round}");
        }
    });
}

#[test]
fn a_write_does_not_wait_inline_for_one_that_is_under_way() {
    let _alone = alone();
    let scratch = memory();
    let runtime = runtime();
    runtime.block_on(async {
        let file = open(scratch.at("file"), 0).await;
        file.write_all_at("x", 0).await.0.unwrap();
        let mut long = Box::pin(file.write_all_at(vec![1; 1 << 20], 0));
        assert!(poll_once(long.as_mut()).await.is_pending());
        let before = submitted(&runtime);
        let mut short = Box::pin(file.write_all_at("x", 0));
        assert!(poll_once(short.as_mut()).await.is_pending());
        assert_eq!(submitted(&runtime) - before, 1);
        long.await.0.unwrap();
        short.await.0.unwrap();
        let before = submitted(&runtime);
        file.write_all_at("x", 0).await.0.unwrap();
        assert_eq!(submitted(&runtime), before);
    });
}

/// Counts the turns of another task during some work.
async fn turns_during(work: impl Future<Output = ()>) -> u32 {
    let (count, stop) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    let other = camshaft::spawn({
        let (count, stop) = (count.clone(), stop.clone());
        async move {
            while !stop.get() {
                count.set(count.get() + 1);
                yield_now().await;
            }
        }
    });
    work.await;
    stop.set(true);
    other.await.unwrap();
    count.get()
}

#[test]
fn a_task_to_which_everything_is_ready_leaves_the_others_their_turn() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.file("file", vec![1; 256 << 10]);
    let runtime = runtime();
    runtime.block_on(async {
        let file = open(path, 0).await;
        // At most 64 calls a turn.
        let turns = turns_during(async {
            for _ in 0..6400 {
                file.read_at(Vec::with_capacity(16), 0).await.0.unwrap();
            }
        });
        let turns = turns.await;
        assert!(turns >= 95, "{turns} turns of the other in 6400 reads");
        let turns = turns_during(async {
            for _ in 0..6400 {
                file.write_at("x", 0).await.0.unwrap();
            }
        });
        let turns = turns.await;
        assert!(turns >= 95, "{turns} turns of the other in 6400 writes");
        // At most about 1 MiB a turn.
        let turns = turns_during(async {
            for _ in 0..200 {
                let (result, _) = file.read_at(Vec::with_capacity(256 << 10), 0).await;
                assert_eq!(result.unwrap(), 256 << 10);
            }
        });
        let turns = turns.await;
        assert!(turns >= 45, "{turns} turns of the other in 50 MiB");
        // Within one operation, too.
        let turns = turns_during(async {
            for _ in 0..10 {
                file.rewind().await.unwrap();
                let rest = Vec::with_capacity(10);
                assert_eq!(file.read_to_end(rest).await.0.unwrap(), 256 << 10);
            }
        });
        assert!(turns.await >= 2);
    });
}

#[test]
fn timers_fire_beside_endless_reads() {
    let _alone = alone();
    let scratch = memory();
    runtime().block_on(async {
        let file = open(scratch.at("file"), 0).await;
        file.write_all_at(vec![1; 4096], 0).await.0.unwrap();
        let endless = async {
            loop {
                file.read_at(Vec::with_capacity(4096), 0).await.0.unwrap();
            }
        };
        assert!(timeout(Duration::from_millis(20), endless).await.is_err());
    });
}

#[test]
fn what_is_not_in_memory_is_read_elsewhere() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.file("cold", pattern(1 << 20));
    let runtime = runtime();
    runtime.block_on(async {
        let file = open(path, 0).await;
        file.sync_all().await.unwrap();
        let evict = || {
            // SAFETY: no memory is passed.
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) }
        };
        let (mut cold, mut queued) = (0, 0);
        for n in 0..16 {
            assert_eq!(evict(), 0);
            let offset = n * 65536 + 1000;
            // To ask may have the system read it, so that it is there a moment later.
            cold += u32::from(!is_cached(&file, offset));
            let before = submitted(&runtime);
            let (result, buf) = file
                .read_at(Vec::with_capacity(100), offset.cast_unsigned())
                .await;
            assert_eq!(result.unwrap(), 100);
            let at = usize::try_from(offset).unwrap();
            assert!(buf == pattern(1 << 20)[at..at + 100]);
            queued += submitted(&runtime) - before;
        }
        eprintln!("{cold} of 16 were cold, {queued} were queued");
        assert!(cold == 0 || queued > 0);
        // Read anew, they are found in memory, though not at once: after tries in vain it tries more rarely.
        let before = submitted(&runtime);
        for _ in 0..200 {
            file.read_at(Vec::with_capacity(100), 0).await.0.unwrap();
        }
        assert!(cold == 0 || submitted(&runtime) - before <= 65);
    });
}

#[test]
fn half_of_a_read_in_memory_is_no_short_read() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.file("half", pattern(1 << 17));
    runtime().block_on(async {
        let file = open(path, 0).await;
        file.sync_all().await.unwrap();
        // SAFETY: no memory is passed.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 1 << 16, 0, libc::POSIX_FADV_DONTNEED) };
        let (result, buf) = file.read_at(Vec::with_capacity(1 << 17), 0).await;
        assert_eq!(result.unwrap(), 1 << 17);
        assert!(buf == pattern(1 << 17));
    });
}

#[test]
fn a_paused_clock_does_not_overtake_files() {
    let _alone = alone();
    let scratch = Scratch::new();
    let runtime = Builder::new().paused_clock(true).build().unwrap();
    runtime.block_on(async {
        let limit = Duration::from_secs(3600);
        let path = scratch.at("file");
        for _ in 0..5 {
            let work = async {
                let file = open(path.clone(), libc::O_DSYNC).await;
                file.write_all(vec![1; 1 << 20]).await.0?;
                file.sync_all().await?;
                file.lock().await?;
                file.metadata().await?;
                camshaft::fs::copy(&path, scratch.at("copy")).await?;
                camshaft::fs::remove_file(&path).await
            };
            timeout(limit, work)
                .await
                .expect("no hour has passed")
                .unwrap();
        }
    });
}

/// A disk does not idle until every task that is ready has been polled.
#[test]
fn what_needs_the_disk_is_handed_over_in_batches() {
    let _alone = alone();
    if is_epoll() {
        return; // worker threads begin at once
    }
    let scratch = Scratch::new();
    let path = scratch.file("batches", Vec::new());
    let runtime = runtime();
    runtime.block_on(async {
        let file = open(path.clone(), 0).await;
        let before = runtime.metrics().enters;
        let mut entered = Vec::new();
        let mut writes = Vec::new();
        for (byte, offset) in (0..20_u8).zip((0..).step_by(512)) {
            let mut write = Box::pin(file.write_all_at_durable(vec![byte; 512], offset));
            assert!(poll_once(write.as_mut()).await.is_pending());
            entered.push(runtime.metrics().enters - before);
            writes.push(write);
        }
        let each_fourth: Vec<u64> = (1..=20).map(|queued| queued / 4).collect();
        assert_eq!(entered, each_fourth);
        for write in writes {
            write.await.0.unwrap();
        }
    });
    let expected: Vec<u8> = (0..20).flat_map(|byte| [byte; 512]).collect();
    assert_eq!(std::fs::read(path).unwrap(), expected);
}
