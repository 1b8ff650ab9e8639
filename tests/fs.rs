//! Files at offsets: reads and writes in part, whole and vectored, the end of the file, lengths, what is refused.

mod common;
#[path = "common/scratch.rs"]
mod scratch;

use std::fs;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use camshaft::buf::{AlignedBuf, IoBuf};
use camshaft::fs::{File, OpenOptions};
use camshaft::task::JoinSet;
use common::{alone, fds, runtime, small_runtime, turn};
use scratch::{Scratch, pattern};

async fn open_rw(path: impl AsRef<std::path::Path>) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    options.open(path).await.expect("opens")
}

#[test]
fn reads_at_offsets_and_knows_the_end() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.file("offsets", "0123456789");
    runtime().block_on(async {
        let file = File::open(&path).await.unwrap();
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
    let scratch = Scratch::new();
    let path = scratch.file("many", &bytes);
    for runtime in [runtime(), small_runtime()] {
        runtime.block_on(async {
            let file = Rc::new(File::open(&path).await.unwrap());
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
fn what_is_written_at_offsets_is_there() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.at("written");
    runtime().block_on(async {
        let file = open_rw(&path).await;
        let (result, buf) = file.write_at(b"hello".to_vec(), 3).await;
        assert_eq!((result.unwrap(), &*buf), (5, &b"hello"[..]));
        let (result, buf) = file.write_all_at("WORLD", 8).await;
        result.unwrap();
        assert_eq!(buf, "WORLD");
        let bufs = vec!["", "a", "bc", ""];
        let (result, bufs) = file.write_vectored_at(bufs, 0).await;
        assert_eq!((result.unwrap(), bufs[2]), (3, "bc"));
        let (result, _) = file.write_all_at_durable("!", 13).await;
        result.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"abchelloWORLD!");
        let bufs = vec![Vec::with_capacity(4), Vec::new(), Vec::with_capacity(30)];
        let (result, bufs) = file.read_vectored_at(bufs, 1).await;
        assert_eq!(result.unwrap(), 13);
        assert_eq!(bufs, [&b"bche"[..], b"", b"lloWORLD!"]);
    });
}

#[test]
fn read_exact_at_is_all_or_an_error() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.file("exact", "0123456789");
    runtime().block_on(async {
        let file = File::open(&path).await.unwrap();
        let (result, buf) = file.read_exact_at(Box::new([0; 4]), 6).await;
        assert_eq!((result.unwrap(), &*buf), (4, b"6789"));
        let (result, buf) = file.read_exact_at(Box::new([b'.'; 4]), 8).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(&*buf, b"89..");
    });
}

#[test]
fn nothing_is_written_by_an_empty_write() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.at("empty");
    let runtime = runtime();
    runtime.block_on(async {
        let file = open_rw(&path).await;
        let before = runtime.metrics().ops_submitted;
        assert_eq!(file.write_at(Vec::new(), 100).await.0.unwrap(), 0);
        assert_eq!(file.write(Vec::new()).await.0.unwrap(), 0);
        file.write_all_at("", u64::MAX).await.0.unwrap();
        let none: Vec<&str> = vec!["", ""];
        assert_eq!(file.write_vectored_at(none, 0).await.0.unwrap(), 0);
        assert_eq!(
            file.write_vectored(Vec::<String>::new()).await.0.unwrap(),
            0
        );
        assert_eq!(runtime.metrics().ops_submitted, before);
        assert_eq!(file.metadata().await.unwrap().len(), 0);
    });
}

#[test]
fn an_offset_or_a_length_that_no_file_has_is_refused() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.file("bounds", "bytes");
    runtime().block_on(async {
        let file = open_rw(&path).await;
        for offset in [u64::MAX, 1 << 63] {
            let (result, buf) = file.read_at(Vec::with_capacity(4), offset).await;
            assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(buf.capacity(), 4);
            let (result, buf) = file.write_at("kept", offset).await;
            assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(buf, "kept");
            let error = file.set_len(offset).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let error = file.allocate(offset, 1).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
        let rooms = vec![Vec::new(), Vec::new()];
        let (result, rooms) = file.read_vectored_at(rooms, 0).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(rooms.len(), 2);
        assert_eq!(fs::read(&path).unwrap(), b"bytes");
    });
}

#[test]
fn offsets_beyond_four_gibibytes() {
    let _alone = alone();
    let scratch = Scratch::new();
    runtime().block_on(async {
        let file = open_rw(scratch.at("sparse")).await;
        for offset in [(1 << 32) - 2, (1 << 32) + 5, 5 << 30] {
            file.write_all_at("mark", offset).await.0.unwrap();
            let (result, buf) = file.read_at(Vec::with_capacity(9), offset - 1).await;
            assert!(result.unwrap() >= 5);
            assert_eq!(&buf[..5], b"\0mark");
        }
        assert_eq!(file.metadata().await.unwrap().len(), (5 << 30) + 4);
        file.seek(std::io::SeekFrom::Start((5 << 30) + 2))
            .await
            .unwrap();
        let (result, buf) = file.read_to_end(Vec::new()).await;
        assert_eq!((result.unwrap(), &*buf), (2, &b"rk"[..]));
    });
}

#[test]
fn a_read_of_more_than_four_gibibytes_is_cut() {
    let _alone = alone();
    let scratch = Scratch::new();
    runtime().block_on(async {
        let file = open_rw(scratch.at("huge")).await;
        file.set_len(100).await.unwrap();
        // Memory that is reserved and never touched, but for the first page.
        let (result, buf) = file.read_at(Vec::with_capacity((1 << 32) + 10), 1).await;
        assert_eq!(result.unwrap(), 99);
        assert!(buf.iter().all(|&byte| byte == 0));
    });
}

#[test]
fn long_transfers_arrive_whole() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.at("long");
    // More than is moved inline at once, and more than a turn of the loop may move.
    let bytes = pattern((3 << 20) + 17);
    runtime().block_on(async {
        let file = open_rw(&path).await;
        let (result, written) = file.write_all_at(bytes.clone(), 5).await;
        result.unwrap();
        assert!(written == bytes);
        assert!(fs::read(&path).unwrap()[5..] == bytes);
        let (result, buf) = file
            .read_exact_at(vec![0; bytes.len()].into_boxed_slice(), 5)
            .await;
        assert_eq!(result.unwrap(), bytes.len());
        assert!(*buf == *bytes);
        let pieces: Vec<Vec<u8>> = bytes.chunks(4000).map(<[u8]>::to_vec).collect();
        let (result, _) = file.write_vectored_at(pieces, 0).await;
        assert_eq!(result.unwrap(), bytes.len());
        let rooms: Vec<Vec<u8>> = (0..2000).map(|_| Vec::with_capacity(3000)).collect();
        let (result, rooms) = file.read_vectored_at(rooms, 0).await;
        let n = result.unwrap();
        assert_eq!(n, rooms.iter().map(Vec::len).sum::<usize>());
        assert_eq!(n, 1024 * 3000, "the first 1024 of the buffers");
        assert!(rooms.concat() == bytes[..n]);
    });
}

#[test]
fn the_length_can_be_set_and_space_reserved() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.file("length", "0123456789");
    runtime().block_on(async {
        let file = open_rw(&path).await;
        file.set_len(4).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"0123");
        file.set_len(6).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"0123\0\0");
        file.allocate(0, 1 << 20).await.unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.len(), 1 << 20);
        assert!(std::os::unix::fs::MetadataExt::blocks(&metadata) >= 2048);
        file.fallocate(libc::FALLOC_FL_KEEP_SIZE, 1 << 20, 4096)
            .await
            .unwrap();
        let hole = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        file.fallocate(hole, 0, 2).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 1 << 20);
        assert_eq!(fs::read(&path).unwrap()[..5], [0, 0, b'2', b'3', 0]);
        let error = file.allocate(0, 0).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        file.sync_data().await.unwrap();
        file.sync_all().await.unwrap();
    });
}

#[test]
fn direct_transfers_want_aligned_buffers() {
    let _alone = alone();
    let scratch = Scratch::new();
    runtime().block_on(async {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .custom_flags(libc::O_DIRECT);
        let file = options.open(scratch.at("direct")).await.unwrap();
        let mut block = AlignedBuf::zeroed(8192);
        block[4095] = b'x';
        file.write_all_at(block, 4096).await.0.unwrap();
        let (result, block) = file.read_at(AlignedBuf::zeroed(4096), 4096).await;
        assert_eq!((result.unwrap(), block[4095]), (4096, b'x'));
        // What has to be aligned is the file system's to say; that of std is the same file.
        let plain = fs::File::from(file.as_fd().try_clone_to_owned().unwrap());
        let mut refused = 0;
        for (skip, len, offset) in [(0, 4096, 1), (0, 100, 4096), (1, 4096, 4096), (0, 4096, 0)] {
            let mut block = AlignedBuf::zeroed(8192);
            let expected = plain.read_at(&mut block[skip..skip + len], offset);
            let (result, block) = file.read_at(block.slice(skip..skip + len), offset).await;
            assert_eq!(block.len(), len);
            match (result, expected) {
                (Ok(n), Ok(expected)) => assert_eq!(n, expected),
                (Err(error), Err(expected)) => {
                    assert_eq!(error.kind(), expected.kind());
                    assert!(error.to_string().contains("AlignedBuf"), "{error}");
                    refused += 1;
                }
                (result, expected) => panic!("{result:?} instead of {expected:?}"),
            }
            let (result, _) = file.write_at(block, offset).await;
            assert!(result.is_ok() || result.unwrap_err().to_string().contains("O_DIRECT"));
        }
        eprintln!("{refused} of 3 unaligned reads are refused here");
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
    let scratch = Scratch::new();
    let path = scratch.file("std", "from std");
    runtime().block_on(async {
        turn().await;
        let before = fds();
        let file = File::from_std(fs::File::open(&path).unwrap());
        let (result, buf) = file.read_at(Vec::with_capacity(64), 5).await;
        assert_eq!((result.unwrap(), &*buf), (3, &b"std"[..]));
        drop(file);
        assert_eq!(fds(), before);
    });
}

#[test]
fn what_is_written_without_waiting_for_a_disk_is_read_back_by_others() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.at("flags");
    runtime().block_on(async {
        // Each of these is carried out in its own way.
        for flags in [
            0,
            libc::O_DSYNC,
            libc::O_SYNC,
            libc::O_NONBLOCK,
            libc::O_NOATIME,
        ] {
            let mut options = OpenOptions::new();
            options
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .custom_flags(flags);
            let file = options.open(&path).await.unwrap();
            file.write_all_at(pattern(10_000), 0).await.0.unwrap();
            assert!(fs::read(&path).unwrap() == pattern(10_000), "{flags:o}");
            let (result, buf) = file.read_at(Vec::with_capacity(20_000), 0).await;
            assert_eq!(result.unwrap(), 10_000);
            assert!(buf == pattern(10_000), "{flags:o}");
        }
    });
}
