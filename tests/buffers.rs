//! Buffers that a ring knows: registered ones for files, and how many lent ones are left.

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use camshaft::buf::{AlignedBuf, FixedBuf, IoBuf};
use camshaft::fs::File;
use common::{alone, half_std, is_epoll, is_held_back, runtime, small_runtime};

/// A file of so many pages, each full of its own number, that goes with this value.
struct Pages(PathBuf);

impl Pages {
    fn new(name: &str, pages: u8) -> Self {
        let path = std::env::temp_dir().join(format!("camshaft-{name}-{}", std::process::id()));
        let mut file = fs::File::create(&path).expect("a temporary file");
        for n in 0..pages {
            file.write_all(&[n; 4096]).expect("written");
        }
        Self(path)
    }

    fn open(&self) -> File {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true);
        // A file system without direct I/O will do, too.
        let direct = options.clone().custom_flags(libc::O_DIRECT).open(&self.0);
        File::from_std(direct.or_else(|_| options.open(&self.0)).expect("opens"))
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        fs::remove_file(&self.0).expect("removed");
    }
}

#[test]
fn registered_memory_is_read_and_written_like_any_other() {
    let _alone = alone();
    let pages = Pages::new("fixed", 16);
    runtime().block_on(async {
        let file = pages.open();
        let mut buf = FixedBuf::zeroed(4 * 4096);
        assert!(buf.is_registered() || is_held_back());
        assert!(!buf.is_registered() || !is_epoll());
        for n in 0..4_u8 {
            let (read, same) = file.read_at(buf, u64::from(n) * 4 * 4096).await;
            assert_eq!(read.expect("read"), 4 * 4096);
            for (page, bytes) in same.chunks(4096).enumerate() {
                let number = n * 4 + u8::try_from(page).expect("four");
                assert!(bytes.iter().all(|byte| *byte == number), "page {number}");
            }
            buf = same;
        }
        buf.fill(200);
        // The second page of the buffer becomes the sixth of the file.
        let (written, part) = file.write_at(buf.slice(4096..8192), 5 * 4096).await;
        assert_eq!(written.expect("written"), 4096);
        let (read, back) = file.read_at(AlignedBuf::zeroed(3 * 4096), 4 * 4096).await;
        assert_eq!(read.expect("read"), 3 * 4096);
        assert_eq!(
            (back[0], back[4096], back[8191], back[8192]),
            (4, 200, 200, 6)
        );
        drop(part);
    });
}

#[test]
fn memory_that_was_registered_is_not_taken_for_it_later() {
    let _alone = alone();
    let pages = Pages::new("reused", 2);
    small_runtime().block_on(async {
        let file = pages.open();
        for round in 0..2000 {
            // The allocator gives the same addresses out again, to buffers of both kinds and other lengths.
            let fixed = FixedBuf::zeroed(4096 << (round % 2));
            let (read, fixed) = file.read_at(fixed, 0).await;
            read.expect("read");
            assert_eq!(fixed[4095], 0);
            drop(fixed);
            let (read, plain) = file.read_at(AlignedBuf::zeroed(8192), 0).await;
            assert_eq!(read.expect("read"), 8192);
            assert_eq!((plain[0], plain[8191]), (0, 1));
        }
    });
}

#[test]
fn more_buffers_than_can_be_registered_are_ordinary_ones() {
    let _alone = alone();
    let pages = Pages::new("many", 1);
    runtime().block_on(async {
        let file = pages.open();
        let mut bufs: Vec<FixedBuf> = (0..1100).map(|_| FixedBuf::zeroed(4096)).collect();
        let registered = bufs.iter().filter(|buf| buf.is_registered()).count();
        assert!(registered <= 1024);
        assert!(registered > 0 || is_held_back(), "{registered}");
        let (read, last) = file.read_at(bufs.pop().expect("the last"), 0).await;
        assert_eq!((read.expect("read"), last.len()), (4096, 4096));
        assert!(!last.is_registered());
        bufs.truncate(10);
        assert_eq!(FixedBuf::zeroed(4096).is_registered(), registered > 0);
    });
}

#[test]
fn a_registered_buffer_outlives_its_runtime_and_serves_another() {
    let _alone = alone();
    let outside = FixedBuf::zeroed(4096);
    assert!(!outside.is_registered());
    let pages = Pages::new("outlives", 3);
    let first = runtime();
    let buf = first.block_on(async {
        let file = pages.open();
        let reading = file.read_at(FixedBuf::zeroed(4096), 0);
        drop(reading);
        FixedBuf::zeroed(4096)
    });
    let second = runtime();
    let read_by = |runtime: &camshaft::runtime::Runtime, buf: FixedBuf, page: u8| {
        runtime.block_on(async {
            let (read, buf) = pages.open().read_at(buf, u64::from(page) * 4096).await;
            assert_eq!((read.expect("read"), buf[4095]), (4096, page));
            buf
        })
    };
    let buf = read_by(&second, buf, 1);
    drop(first);
    assert!(!buf.is_registered());
    let buf = read_by(&second, buf, 2);
    drop(second);
    drop(buf);
}

#[test]
fn a_guard_tells_how_many_buffers_are_left() {
    let _alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (mut client, server) = half_std();
        client.write_all(b"one").expect("sent");
        let guard = server.recv().await.expect("received");
        let Some(ring) = guard.ring() else {
            let report = runtime.backend_report().to_string();
            return assert!(report.contains("provided-buffer rings: no"), "{report}");
        };
        assert_eq!(ring.free() + 1, ring.buffers());
        assert!(ring.buffer_len() >= 4096);
        client.write_all(b"two").expect("sent");
        let second = server.recv().await.expect("received");
        let ring = second.ring().expect("as the first");
        assert!(ring.free() + 2 >= ring.buffers());
        drop(guard);
        assert_eq!(ring.free() + 1, ring.buffers());
    });
}
