//! Files: open, read at offsets, end of file, errors.

mod common;

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use camshaft::buf::{AlignedBuf, IoBuf};
use camshaft::fs::File;
use camshaft::task::JoinSet;
use common::{alone, fds, os_pipe, poll_and_drop, runtime, small_runtime, turn, until};

struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let mut path = std::env::temp_dir();
        path.push(format!("camshaft-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).expect("a writable directory for temporary files");
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn reads_at_offsets_and_knows_the_end() {
    let _alone = alone();
    let temporary = Temporary::new("offsets", b"0123456789");
    runtime().block_on(async {
        let file = File::open(&temporary.0).await.unwrap();
        for (offset, room, expected) in [
            (0, 4, "0123"),
            (8, 4, "89"),
            (3, 1, "3"),
            (10, 4, ""),
            (1 << 40, 4, ""),
            (0, 100, "0123456789"),
        ] {
            let (result, buf) = file.read_at(Vec::with_capacity(room), offset).await;
            assert_eq!(result.unwrap(), expected.len());
            assert_eq!(buf, expected.as_bytes());
        }
        let (result, buf) = file.read_at(Box::new(*b"......"), 7).await;
        assert_eq!((result.unwrap(), &*buf), (3, b"789..."));
        let (result, buf) = file.read_at(AlignedBuf::zeroed(10), 0).await;
        assert_eq!((result.unwrap(), &*buf), (10, &b"0123456789"[..]));
        let slice = vec![b'.'; 6].slice(2..4);
        let (result, slice) = file.read_at(slice, 4).await;
        assert_eq!((result.unwrap(), &*slice.into_inner()), (2, &b"..45.."[..]));
        let (result, buf) = file.read_at(b"kept".to_vec().slice(..0), 0).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(buf.into_inner(), b"kept");
    });
}

#[test]
fn many_reads_at_once() {
    let _alone = alone();
    let bytes: Vec<u8> = (0..=255).cycle().take(1 << 16).collect();
    let temporary = Temporary::new("many", &bytes);
    for runtime in [runtime(), small_runtime()] {
        runtime.block_on(async {
            let file = std::rc::Rc::new(File::open(&temporary.0).await.unwrap());
            let mut reads = JoinSet::new();
            for n in 0..1000_usize {
                let file = file.clone();
                reads.spawn(async move {
                    let offset = n * 61;
                    let (result, buf) = file.read_at(Vec::with_capacity(64), offset as u64).await;
                    (offset, result.unwrap(), buf)
                });
            }
            let mut done = 0;
            while let Some(read) = reads.join_next().await {
                let (offset, n, buf) = read.unwrap();
                assert_eq!(n, 64);
                assert_eq!(buf, bytes[offset..offset + 64]);
                done += 1;
            }
            assert_eq!(done, 1000);
        });
    }
}

#[test]
fn a_missing_file_is_not_found() {
    let _alone = alone();
    runtime().block_on(async {
        let error = File::open("/nonexistent/file").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let error = File::open("a\0b").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = File::open("").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_directory_opens_but_does_not_read() {
    let _alone = alone();
    runtime().block_on(async {
        let directory = File::open("/").await.unwrap();
        let (result, buf) = directory.read_at(Vec::with_capacity(1), 0).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::IsADirectory);
        assert!(buf.is_empty());
    });
}

#[test]
fn a_file_of_std_is_taken_over() {
    let _alone = alone();
    let temporary = Temporary::new("std", b"from std");
    runtime().block_on(async {
        turn().await;
        let before = fds();
        let file = File::from_std(std::fs::File::open(&temporary.0).unwrap());
        let (result, buf) = file.read_at(Vec::with_capacity(64), 5).await;
        assert_eq!((result.unwrap(), &*buf), (3, &b"std"[..]));
        drop(file);
        assert_eq!(fds(), before);
    });
}

#[test]
fn a_dropped_read_of_a_file_keeps_it_open_until_it_is_done() {
    let _alone = alone();
    runtime().block_on(async {
        turn().await;
        let before = fds();
        let (read, write) = os_pipe();
        let file = File::from_std(read.into());
        {
            let mut reading = Box::pin(file.read_at(Vec::with_capacity(8), 0));
            assert!(common::poll_once(reading.as_mut()).await.is_pending());
            turn().await;
        }
        assert!(
            poll_and_drop(file.read_at(Vec::with_capacity(8), 0))
                .await
                .is_pending()
        );
        drop(file);
        until(|| fds() == before + 1).await;
        let mut write = std::fs::File::from(write);
        // SAFETY: no handler is installed.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        assert_eq!(write.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}
