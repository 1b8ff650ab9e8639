//! Reads and writes at the position of a file: order, seeks, appending, clones, what comes from and goes to std; streams.

mod common;
#[path = "common/scratch.rs"]
mod scratch;

use std::fs;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::rc::Rc;

use camshaft::fs::{File, OpenOptions};
use camshaft::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use camshaft::task::JoinSet;
use common::{alone, os_pipe, poll_once, runtime, turn, until};
use scratch::{Scratch, pattern};

fn update() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    options
}

#[test]
fn reads_and_writes_go_on_where_the_last_one_ended() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.at("cursor");
    runtime().block_on(async {
        let file = update().open(&path).await.unwrap();
        file.write_all("0123456789").await.0.unwrap();
        assert_eq!(file.stream_position().await.unwrap(), 10);
        assert_eq!(file.seek(SeekFrom::Start(2)).await.unwrap(), 2);
        let (result, buf) = file.read(Vec::with_capacity(3)).await;
        assert_eq!((result.unwrap(), &*buf), (3, &b"234"[..]));
        assert_eq!(file.write("XY").await.0.unwrap(), 2);
        assert_eq!(file.seek(SeekFrom::Current(-1)).await.unwrap(), 6);
        let (result, buf) = file.read_exact(Box::new([0; 2])).await;
        assert_eq!((result.unwrap(), &*buf), (2, b"Y7"));
        assert_eq!(file.seek(SeekFrom::End(-2)).await.unwrap(), 8);
        let (result, buf) = file.read_to_end(b"> ".to_vec()).await;
        assert_eq!((result.unwrap(), &*buf), (2, &b"> 89"[..]));
        assert_eq!(file.read(Vec::with_capacity(1)).await.0.unwrap(), 0);
        // Behind the end: a read finds nothing, a write leaves a gap.
        assert_eq!(file.seek(SeekFrom::End(2)).await.unwrap(), 12);
        assert_eq!(file.read(Vec::with_capacity(1)).await.0.unwrap(), 0);
        let bufs = vec!["a", "b"];
        assert_eq!(file.write_vectored(bufs).await.0.unwrap(), 2);
        file.rewind().await.unwrap();
        let rooms = vec![Vec::with_capacity(4), Vec::with_capacity(100)];
        let (result, rooms) = file.read_vectored(rooms).await;
        assert_eq!(result.unwrap(), 14);
        assert_eq!(rooms.concat(), b"01234XY789\0\0ab");
        // Offsets move nothing.
        file.write_all_at("z", 0).await.0.unwrap();
        file.read_at(Vec::with_capacity(5), 0).await.0.unwrap();
        assert_eq!(file.stream_position().await.unwrap(), 14);
    });
}

#[test]
fn a_seek_before_the_start_or_beyond_all_files_moves_nothing() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.file("seek", "0123456789");
    runtime().block_on(async {
        let file = File::open(&path).await.unwrap();
        file.seek(SeekFrom::Start(4)).await.unwrap();
        for to in [
            SeekFrom::Current(-5),
            SeekFrom::End(-11),
            SeekFrom::End(i64::MIN),
            SeekFrom::Current(i64::MAX),
            SeekFrom::Start(1 << 63),
        ] {
            let error = file.seek(to).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{to:?}");
        }
        assert_eq!(file.stream_position().await.unwrap(), 4);
        let (result, buf) = file.read_exact(Box::new([0; 9])).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(&buf[..6], b"456789");
        let device = File::open("/dev/zero").await.unwrap();
        device.seek(SeekFrom::Start(100)).await.unwrap();
        assert_eq!(device.read(Vec::with_capacity(8)).await.0.unwrap(), 8);
        assert_eq!(
            device
                .read_at(Vec::with_capacity(8), 1 << 40)
                .await
                .0
                .unwrap(),
            8
        );
    });
}

#[test]
fn the_traits_do_the_same() {
    async fn check(mut file: impl AsyncRead + AsyncWrite, position: &File) {
        file.write_all_vectored(vec!["one ", "two ", "three"])
            .await
            .0
            .unwrap();
        file.flush().await.unwrap();
        file.shutdown().await.unwrap();
        position.rewind().await.unwrap();
        let (result, text) = file.read_to_string(String::new()).await;
        assert_eq!((result.unwrap(), &*text), (13, "one two three"));
    }
    let _alone = alone();
    let scratch = Scratch::new();
    runtime().block_on(async {
        let file = update().open(scratch.at("by value")).await.unwrap();
        let clone = file.try_clone().await.unwrap();
        check(file, &clone).await;
        let file = update().open(scratch.at("by reference")).await.unwrap();
        check(&file, &file).await;
    });
}

#[test]
fn operations_at_the_position_happen_one_after_the_other() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.at("order");
    let runtime = runtime();
    runtime.block_on(async {
        // The second waits for the disk at each write, so nothing is done at once.
        for flags in [0, libc::O_DSYNC] {
            let file = update()
                .truncate(true)
                .custom_flags(flags)
                .open(&path)
                .await;
            let file = Rc::new(file.unwrap());
            let mut tasks = JoinSet::new();
            for n in 0..50_u8 {
                let file = file.clone();
                tasks.spawn(async move { file.write_all(vec![n; 100]).await.0.unwrap() });
            }
            while let Some(done) = tasks.join_next().await {
                done.unwrap();
            }
            let written = fs::read(&path).unwrap();
            assert_eq!(written.len(), 5000);
            let order: Vec<u8> = written.chunks(100).map(|chunk| chunk[0]).collect();
            assert!(
                written
                    .chunks(100)
                    .all(|chunk| chunk.iter().all(|byte| *byte == chunk[0]))
            );
            assert!(order.is_sorted(), "first come, first served: {order:?}");
        }
    });
}

#[test]
fn what_is_appended_goes_to_the_end_wherever_that_is() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.file("log", "begin\n");
    runtime().block_on(async {
        for flags in [0, libc::O_DSYNC] {
            fs::write(&path, "begin\n").unwrap();
            let mut options = OpenOptions::new();
            options.read(true).append(true).custom_flags(flags);
            let log = options.open(&path).await.unwrap();
            assert_eq!(log.stream_position().await.unwrap(), 0);
            log.write_all("one\n").await.0.unwrap();
            assert_eq!(log.stream_position().await.unwrap(), 10);
            let mut other = fs::OpenOptions::new().append(true).open(&path).unwrap();
            other.write_all(b"other\n").unwrap();
            log.rewind().await.unwrap();
            let (result, buf) = log.read(Vec::with_capacity(6)).await;
            assert_eq!((result.unwrap(), &*buf), (6, &b"begin\n"[..]));
            log.write_all("two\n").await.0.unwrap();
            assert_eq!(log.read(Vec::with_capacity(6)).await.0.unwrap(), 0);
            assert_eq!(fs::read(&path).unwrap(), b"begin\none\nother\ntwo\n");
        }
    });
}

#[test]
fn clones_share_the_position_and_its_order() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.at("clones");
    runtime().block_on(async {
        let one = update().open(&path).await.unwrap();
        let two = one.try_clone().await.unwrap();
        one.write_all("one ").await.0.unwrap();
        two.write_all("two ").await.0.unwrap();
        drop(one);
        two.write_all("three").await.0.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one two three");
        assert_eq!(two.stream_position().await.unwrap(), 13);
    });
}

#[test]
fn the_position_comes_from_std_and_goes_there() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.file("std", "0123456789");
    runtime().block_on(async {
        let mut plain = fs::File::open(&path).unwrap();
        plain.seek(SeekFrom::Start(3)).unwrap();
        let file = File::from_std(plain);
        let (result, buf) = file.read(Vec::with_capacity(2)).await;
        assert_eq!((result.unwrap(), &*buf), (2, &b"34"[..]));
        let mut plain = file.into_std().unwrap();
        let mut rest = String::new();
        plain.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "56789");
        // One that was never used is as it was.
        plain.seek(SeekFrom::Start(7)).unwrap();
        let mut plain = File::from_std(plain).into_std().unwrap();
        assert_eq!(plain.stream_position().unwrap(), 7);
    });
}

#[test]
fn a_pipe_is_a_stream() {
    let _alone = alone();
    runtime().block_on(async {
        let (read, write) = os_pipe();
        let (read, write) = (File::from_std(read.into()), File::from_std(write.into()));
        write.write_all("abcdef").await.0.unwrap();
        let (result, buf) = read.read(Vec::with_capacity(4)).await;
        assert_eq!((result.unwrap(), &*buf), (4, &b"abcd"[..]));
        let error = read.seek(SeekFrom::Start(0)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSeekable);
        // More than a pipe holds: the writer has to wait for the reader.
        let bytes = pattern(1 << 20);
        let writer = camshaft::spawn({
            let bytes = bytes.clone();
            async move { write.write_all(bytes).await.0 }
        });
        let (result, received) = read.read_to_end(Vec::new()).await;
        assert_eq!(result.unwrap(), 2 + bytes.len());
        assert!(received[2..] == bytes && received.starts_with(b"ef"));
        writer.await.unwrap().unwrap();
        assert_eq!(read.read(Vec::with_capacity(1)).await.0.unwrap(), 0);
    });
}

#[test]
fn a_descriptor_of_events_waits_for_one() {
    let _alone = alone();
    runtime().block_on(async {
        // The kernel lets it seek, but it has no place to go to.
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        assert!(fd >= 0);
        // SAFETY: a new descriptor that nobody else owns.
        let file: File = unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) };
        for n in 1..3_u64 {
            let mut reading = Box::pin(file.read_exact(Box::new([0; 8])));
            assert!(poll_once(reading.as_mut()).await.is_pending());
            turn().await;
            file.write_all(Box::new(n.to_ne_bytes())).await.0.unwrap();
            let (result, buf) = reading.await;
            assert_eq!((result.unwrap(), u64::from_ne_bytes(*buf)), (8, n));
        }
        // One that is waited for in vain keeps nothing from ending.
        let mut reading = Box::pin(file.read(Vec::with_capacity(8)));
        assert!(poll_once(reading.as_mut()).await.is_pending());
        turn().await;
    });
}

#[test]
fn a_pipe_that_does_not_wait_by_itself_is_waited_for() {
    let _alone = alone();
    runtime().block_on(async {
        let (read, write) = os_pipe();
        // SAFETY: no memory is passed.
        let set = unsafe {
            libc::fcntl(
                std::os::fd::AsRawFd::as_raw_fd(&read),
                libc::F_SETFL,
                libc::O_NONBLOCK,
            )
        };
        assert_eq!(set, 0);
        let file = File::from_std(read.into());
        let mut reading = Box::pin(file.read(Vec::with_capacity(8)));
        assert!(poll_once(reading.as_mut()).await.is_pending());
        turn().await;
        fs::File::from(write).write_all(b"late").unwrap();
        let (result, buf) = reading.await;
        assert_eq!((result.unwrap(), &*buf), (4, &b"late"[..]));
    });
}

#[test]
fn reading_and_writing_a_stream_do_not_wait_for_each_other() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        let file = File::from_std(fs::File::from(std::os::fd::OwnedFd::from(far)));
        let mut reading = Box::pin(file.read(Vec::with_capacity(8)));
        assert!(poll_once(reading.as_mut()).await.is_pending());
        turn().await;
        file.write_all("question").await.0.unwrap();
        let mut question = [0; 8];
        near.read_exact(&mut question).unwrap();
        near.write_all(b"answer").unwrap();
        let (result, buf) = reading.await;
        assert_eq!((result.unwrap(), &*buf), (6, &b"answer"[..]));
    });
}

#[test]
fn opening_a_named_pipe_waits_for_its_other_end_and_for_nothing_else() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.at("fifo");
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a string that ends in zero.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let runtime = runtime();
    for writer_first in [false, true] {
        runtime.block_on(async {
            let reader = {
                let path = path.clone();
                async move {
                    let file = File::open(path).await.unwrap();
                    file.read_to_end(Vec::new()).await.1
                }
            };
            let writer = {
                let path = path.clone();
                async move {
                    let mut options = OpenOptions::new();
                    let file = options.write(true).open(path).await.unwrap();
                    file.write_all("through the pipe").await.0.unwrap();
                }
            };
            let (first, second) = if writer_first {
                let writer = camshaft::spawn(writer);
                for _ in 0..20 {
                    turn().await;
                }
                assert!(!writer.is_finished(), "it waits for the reader");
                (writer, camshaft::spawn(reader))
            } else {
                let reader = camshaft::spawn(reader);
                for _ in 0..20 {
                    turn().await;
                }
                assert!(!reader.is_finished(), "it waits for the writer");
                let writer = camshaft::spawn(writer);
                (writer, reader)
            };
            first.await.unwrap();
            assert_eq!(second.await.unwrap(), b"through the pipe");
        });
    }
}

#[test]
fn a_named_pipe_that_nobody_else_opens_can_be_given_up() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.at("fifo");
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a string that ends in zero.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let first = runtime();
    first.block_on(async {
        let mut opening = Box::pin(File::open(&path));
        assert!(poll_once(opening.as_mut()).await.is_pending());
        turn().await;
        drop(opening);
        turn().await;
    });
    // Under way when the runtime ends.
    first.spawn(async move {
        let _ = OpenOptions::new().write(true).open(path).await;
    });
    first.block_on(async {
        for _ in 0..5 {
            turn().await;
        }
    });
    drop(first);
}

#[test]
fn a_device_is_opened_and_read() {
    let _alone = alone();
    runtime().block_on(async {
        let zero = File::open("/dev/zero").await.unwrap();
        let (result, buf) = zero.read_exact(vec![1; 10_000].into_boxed_slice()).await;
        assert_eq!(result.unwrap(), 10_000);
        assert!(buf.iter().all(|&byte| byte == 0));
        let null = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")
            .await
            .unwrap();
        null.write_all(pattern(10_000)).await.0.unwrap();
        assert_eq!(null.read(Vec::with_capacity(1)).await.0.unwrap(), 0);
        until(|| true).await;
    });
}
