//! Files: cached reads, buffered writes with a sync at the end, durable writes, and reads past the cache.
//!
//! | group | what one iteration is | lines |
//! |---|---|---|
//! | `cached_read/1` | 4 KiB at a random offset of 64 MiB that lie in the page cache | `camshaft`; floor `pread` |
//! | `cached_read/32` | the same, with 32 under way at any time | `camshaft`; floors `ring`, a raw ring that enters once for 32, and `pread` |
//! | `buffered_write/N` | N KiB appended to a file that is synced after 16 MiB | `camshaft`; floor `write` |
//! | `durable_write` | 4 KiB that are on the disk at the end | `dsync`, one write with `RWF_DSYNC`; `two_awaits`, a write and a `sync_data`; the same two in a raw ring, `ring_linked` and `ring_two_enters`; floor `pwritev2` |
//! | `direct_read/32` | 4 KiB at a random offset past the cache (`O_DIRECT`), 32 under way | `camshaft`; floor `ring`; the bench `direct` has fio |
//!
//! The buffers are used again and again. Left out: opening and making the file. The last two groups measure the disk more
//! than anything else. The files lie in the directory for temporary files; `TMPDIR` chooses another disk.

mod common;
#[path = "common/files.rs"]
mod files;

use std::fs;
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use camshaft::buf::AlignedBuf;
use camshaft::fs::File;
use camshaft::runtime::{Builder, Runtime};
use common::{Random, group};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use files::{BLOCK, DEPTH, RawRing, Temporary, check, read_one, read_together};
use io_uring::{opcode, squeue, types};

/// Blocks of the files that are read.
const BLOCKS: u64 = 16384;
/// Blocks of the file that is written durably.
const WRITTEN: u64 = 1024;
/// A file that is written is synced and emptied after so many bytes.
const SPAN: usize = 16 << 20;

fn runtime() -> Runtime {
    Builder::new().build().expect("a runtime can be built")
}

/// The time of so many reads, one after the other.
async fn time_alone(file: &File, iterations: u64) -> Duration {
    let (mut buf, mut random) = (AlignedBuf::zeroed(BLOCK), Random::new());
    let start = Instant::now();
    for _ in 0..iterations {
        buf = read_one(file, buf, &mut random, BLOCKS).await;
    }
    start.elapsed()
}

/// The time of so many reads by several tasks.
async fn time_together(file: &Rc<File>, iterations: u64) -> Duration {
    let bufs = (0..DEPTH).map(|_| AlignedBuf::zeroed(BLOCK)).collect();
    let start = Instant::now();
    read_together(file, bufs, iterations, BLOCKS).await;
    start.elapsed()
}

/// The time of so many reads by a raw ring.
fn time_ring(ring: &mut RawRing, file: &fs::File, iterations: u64) -> Duration {
    let start = Instant::now();
    ring.read(file, iterations, BLOCKS);
    start.elapsed()
}

/// The time of so many reads by plain calls.
fn time_calls(file: &fs::File, iterations: u64) -> Duration {
    let (mut buf, mut random) = (AlignedBuf::zeroed(BLOCK), Random::new());
    let start = Instant::now();
    for _ in 0..iterations {
        let offset = random.below(BLOCKS) * BLOCK as u64;
        let read = file.read_at(&mut buf, offset).expect("the file is there");
        assert_eq!(read, BLOCK);
        check(&buf, offset);
    }
    start.elapsed()
}

fn cached_read(c: &mut Criterion) {
    let temporary = Temporary::new("cached", BLOCKS);
    let (runtime, mut ring) = (runtime(), RawRing::new());
    let plain = temporary.open(0);
    let file = Rc::new(File::from_std(temporary.open(0)));
    let mut group = c.benchmark_group("cached_read");
    group.bench_function("1/camshaft", |b| {
        b.iter_custom(|n| runtime.block_on(time_alone(&file, n)));
    });
    group.bench_function("1/pread", |b| b.iter_custom(|n| time_calls(&plain, n)));
    group.bench_function("32/camshaft", |b| {
        b.iter_custom(|n| runtime.block_on(time_together(&file, n)));
    });
    group.bench_function("32/ring", |b| {
        b.iter_custom(|n| time_ring(&mut ring, &plain, n));
    });
    group.bench_function("32/pread", |b| b.iter_custom(|n| time_calls(&plain, n)));
    group.finish();
}

fn buffered_write(c: &mut Criterion) {
    let temporary = Temporary::new("written", 0);
    let runtime = runtime();
    let mut group = group(c, "buffered_write");
    for kib in [4, 64] {
        let len = kib << 10;
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("camshaft", kib), |b| {
            b.iter_custom(|n| runtime.block_on(time_writes(&temporary, len, n)));
        });
        group.bench_function(BenchmarkId::new("write", kib), |b| {
            b.iter_custom(|n| time_write_calls(&temporary, len, n));
        });
    }
    group.finish();
}

/// The time of so many writes, one after the other, and of the syncs between them.
async fn time_writes(temporary: &Temporary, len: usize, iterations: u64) -> Duration {
    let file = File::from_std(temporary.open(libc::O_TRUNC));
    let mut buf = vec![7; len];
    let start = Instant::now();
    let mut written = 0;
    for _ in 0..iterations {
        let (result, back) = file.write_all(buf).await;
        result.expect("room on the disk");
        buf = back;
        written += len;
        if written >= SPAN {
            file.sync_all().await.expect("a disk");
            file.set_len(0).await.expect("open for writing");
            file.rewind().await.expect("a file");
            written = 0;
        }
    }
    file.sync_all().await.expect("a disk");
    start.elapsed()
}

/// The same by plain calls.
fn time_write_calls(temporary: &Temporary, len: usize, iterations: u64) -> Duration {
    let mut file = temporary.open(libc::O_TRUNC);
    let buf = vec![7; len];
    let start = Instant::now();
    let mut written = 0;
    for _ in 0..iterations {
        file.write_all(&buf).expect("room on the disk");
        written += len;
        if written >= SPAN {
            file.sync_all().expect("a disk");
            file.set_len(0).expect("open for writing");
            file.rewind().expect("a file");
            written = 0;
        }
    }
    file.sync_all().expect("a disk");
    start.elapsed()
}

/// A durable write of a random block of a file, in one of several ways.
fn durable_write(c: &mut Criterion) {
    let temporary = Temporary::new("durable", WRITTEN);
    let (runtime, mut ring) = (runtime(), RawRing::new());
    let plain = temporary.open(0);
    let file = File::from_std(temporary.open(0));
    let mut group = group(c, "durable_write");
    for (name, two) in [("dsync", false), ("two_awaits", true)] {
        group.bench_function(name, |b| {
            b.iter_custom(|n| runtime.block_on(time_durable(&file, n, two)));
        });
    }
    for (name, linked) in [("ring_linked", true), ("ring_two_enters", false)] {
        group.bench_function(name, |b| {
            b.iter_custom(|n| time_pairs(&mut ring, &plain, n, linked));
        });
    }
    group.bench_function("pwritev2", |b| b.iter_custom(|n| time_dsync(&plain, n)));
    group.finish();
}

/// The runtime's durable writes: by one operation, or by a write and a sync.
async fn time_durable(file: &File, iterations: u64, two: bool) -> Duration {
    let (mut buf, mut random) = (AlignedBuf::zeroed(BLOCK), Random::new());
    let start = Instant::now();
    for _ in 0..iterations {
        let offset = random.below(WRITTEN) * BLOCK as u64;
        let (result, back) = if two {
            file.write_all_at(buf, offset).await
        } else {
            file.write_all_at_durable(buf, offset).await
        };
        result.expect("room on the disk");
        if two {
            file.sync_data().await.expect("a disk");
        }
        buf = back;
    }
    start.elapsed()
}

/// A write and a sync in a raw ring: linked and handed over at once, or one after the other.
fn time_pairs(ring: &mut RawRing, file: &fs::File, iterations: u64, linked: bool) -> Duration {
    let (buf, mut random) = (AlignedBuf::zeroed(BLOCK), Random::new());
    let fd = types::Fd(file.as_raw_fd());
    let start = Instant::now();
    for _ in 0..iterations {
        let offset = random.below(WRITTEN) * BLOCK as u64;
        let write = opcode::Write::new(fd, buf.as_ptr(), 4096).offset(offset);
        let sync = opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC);
        if linked {
            ring.push(&write.build().flags(squeue::Flags::IO_LINK));
        } else {
            ring.push(&write.build());
            ring.wait_for(1);
        }
        ring.push(&sync.build());
        ring.wait_for(if linked { 2 } else { 1 });
    }
    start.elapsed()
}

/// The plain call.
fn time_dsync(file: &fs::File, iterations: u64) -> Duration {
    let (buf, mut random) = (AlignedBuf::zeroed(BLOCK), Random::new());
    let vector = libc::iovec {
        iov_base: buf.as_ptr().cast_mut().cast(),
        iov_len: BLOCK,
    };
    let start = Instant::now();
    for _ in 0..iterations {
        let offset = (random.below(WRITTEN) * BLOCK as u64).cast_signed();
        // SAFETY: the vector and its memory outlive the call, which reads them only.
        let written = unsafe {
            libc::pwritev2(
                file.as_raw_fd(),
                &raw const vector,
                1,
                offset,
                libc::RWF_DSYNC,
            )
        };
        assert_eq!(written, 4096);
    }
    start.elapsed()
}

fn direct_read(c: &mut Criterion) {
    let temporary = Temporary::new("direct", BLOCKS);
    let (runtime, mut ring) = (runtime(), RawRing::new());
    let plain = temporary.open(libc::O_DIRECT);
    let file = Rc::new(File::from_std(temporary.open(libc::O_DIRECT)));
    let mut group = group(c, "direct_read");
    group.bench_function("32/camshaft", |b| {
        b.iter_custom(|n| runtime.block_on(time_together(&file, n)));
    });
    group.bench_function("32/ring", |b| {
        b.iter_custom(|n| time_ring(&mut ring, &plain, n));
    });
    group.finish();
}

criterion_group!(
    benches,
    cached_read,
    buffered_write,
    durable_write,
    direct_read
);
criterion_main!(benches);
