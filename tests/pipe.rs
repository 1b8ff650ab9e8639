//! Pipes: what goes in comes out, whatever the pipe has room for; their ends close; nobody is killed.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use camshaft::io::{AsyncRead, AsyncReadExt, AsyncWrite, PipeReader, PipeWriter, pipe};
use common::filter::refuse;
use common::{alone, fds, isolated, os_pipe, poll_and_drop, poll_once, runtime, turn};

fn new() -> (PipeReader, PipeWriter) {
    pipe().expect("a pipe")
}

async fn rest(reader: &PipeReader) -> Vec<u8> {
    let (result, bytes) = reader.read_to_end(Vec::new()).await;
    assert_eq!(result.expect("bytes and the end"), bytes.len());
    bytes
}

fn flags(fd: &impl AsRawFd, get: i32) -> i32 {
    // SAFETY: no memory is passed.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), get) };
    assert!(flags >= 0);
    flags
}

#[test]
fn bytes_come_out_in_order_and_then_the_end() {
    let _alone = alone();
    runtime().block_on(async {
        let (reader, writer) = new();
        assert_eq!(writer.write("hello, ").await.0.expect("room"), 7);
        writer.write_all("wor").await.0.expect("room");
        let parts = vec![Vec::new(), b"l".to_vec(), b"d".to_vec()];
        assert_eq!(writer.write_vectored(parts).await.0.expect("room"), 2);
        let (result, buf) = reader.read(vec![0; 5].into_boxed_slice()).await;
        assert_eq!((result.expect("bytes"), &*buf), (5, &b"hello"[..]));
        let (result, buf) = reader.read_exact(b"<".to_vec().with_room(7)).await;
        assert_eq!((result.expect("bytes"), &buf[..]), (7, &b"<, world"[..]));
        drop(writer);
        assert!(rest(&reader).await.is_empty());
        assert_eq!(
            reader
                .read(vec![0; 5].into_boxed_slice())
                .await
                .0
                .expect("the end"),
            0
        );
        let error = reader.read_exact(vec![0; 5].into_boxed_slice()).await.0;
        assert_eq!(error.expect_err("the end").kind(), ErrorKind::UnexpectedEof);
    });
}

/// A vector with exactly so much room.
trait Room {
    fn with_room(self, room: usize) -> Self;
}

impl Room for Vec<u8> {
    fn with_room(mut self, room: usize) -> Self {
        self.reserve_exact(room);
        self
    }
}

#[test]
fn it_reads_and_writes_by_reference_and_through_the_traits() {
    async fn send(mut to: impl AsyncWrite) {
        to.write_all("through the traits").await.0.expect("room");
        to.flush().await.expect("nothing to do");
        to.shutdown().await.expect("closed");
    }
    async fn receive(mut from: impl AsyncRead) -> String {
        from.read_to_string(String::new()).await.1
    }
    let _alone = alone();
    runtime().block_on(async {
        let (reader, writer) = new();
        send(&writer).await;
        assert_eq!(receive(&reader).await, "through the traits");
        let error = writer.write("x").await.0.expect_err("it is closed");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!(receive(reader).await, "");
    });
}

#[test]
fn a_closed_writer_ends_a_read_that_waits() {
    let _alone = alone();
    runtime().block_on(async {
        for shut in [false, true] {
            let (reader, writer) = new();
            let task = camshaft::spawn(async move { rest(&reader).await });
            writer.write_all("last words").await.0.expect("room");
            turn().await;
            if shut {
                writer.shutdown().await.expect("closed");
                assert_eq!(task.await.expect("the task"), b"last words");
            } else {
                drop(writer);
                assert_eq!(task.await.expect("the task"), b"last words");
            }
        }
    });
}

#[test]
fn a_closed_reader_ends_a_write_that_waits() {
    let _alone = alone();
    runtime().block_on(async {
        let (reader, writer) = new();
        let task = camshaft::spawn(async move { writer.write_all(vec![7; 1 << 20]).await.0 });
        turn().await;
        assert!(!task.is_finished());
        drop(reader);
        let error = task.await.expect("the task").expect_err("nobody reads");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn nobody_is_killed_by_a_pipe_without_a_reader() {
    let _alone = alone();
    isolated("nobody_is_killed_by_a_pipe_without_a_reader", || {
        nobody_is_killed();
    });
}

#[test]
fn nobody_is_killed_where_the_kernel_knows_no_flag_against_it() {
    let _alone = alone();
    isolated(
        "nobody_is_killed_where_the_kernel_knows_no_flag_against_it",
        || {
            refuse(libc::SYS_pwritev2, libc::EOPNOTSUPP);
            nobody_is_killed();
            goes_through_bit_by_bit();
        },
    );
}

fn nobody_is_killed() {
    // SAFETY: the handler is a constant of the system.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    runtime().block_on(async {
        for big in [false, true] {
            let (reader, writer) = new();
            let bytes = vec![1; if big { 1 << 20 } else { 1 }];
            let mut writing = Box::pin(writer.write_all(bytes));
            if big {
                assert!(poll_once(writing.as_mut()).await.is_pending());
                turn().await;
            }
            drop(reader);
            let error = writing.await.0.expect_err("nobody reads");
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            let several = vec![vec![1], vec![2]];
            let error = writer.write_vectored(several).await.0.expect_err("nobody");
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
    });
}

#[test]
fn more_than_fits_goes_through_bit_by_bit() {
    let _alone = alone();
    goes_through_bit_by_bit();
}

fn goes_through_bit_by_bit() {
    runtime().block_on(async {
        let bytes: Vec<u8> = (0..=250).cycle().take(4 << 20).collect();
        let (reader, writer) = new();
        let writes = camshaft::spawn({
            let bytes = bytes.clone();
            async move {
                let (head, tail) = bytes.split_at(1 << 20);
                writer.write_all(head.to_vec()).await.0.expect("written");
                let mut rest = tail;
                while !rest.is_empty() {
                    let parts = rest.chunks(30_000).take(5).map(<[u8]>::to_vec).collect();
                    let written = writer.write_vectored(parts).await.0.expect("written");
                    rest = &rest[written..];
                }
            }
        });
        let mut found = Vec::new();
        for room in (1..).step_by(977) {
            let (result, buf) = reader.read(Vec::with_capacity(room)).await;
            if result.expect("bytes") == 0 {
                break;
            }
            found.extend_from_slice(&buf);
            let bufs = vec![Vec::new(), Vec::with_capacity(100)];
            let (result, bufs) = reader.read_vectored(bufs).await;
            result.expect("bytes or the end");
            found.extend_from_slice(&bufs[1]);
        }
        writes.await.expect("the task");
        assert!(found == bytes);
    });
}

#[test]
fn whole_writes_do_not_mix() {
    let _alone = alone();
    runtime().block_on(async {
        let (reader, writer) = new();
        let writer = Rc::new(writer);
        for byte in 1..=3 {
            let writer = writer.clone();
            camshaft::spawn(async move {
                for _ in 0..5 {
                    writer
                        .write_all(vec![byte; 100_000])
                        .await
                        .0
                        .expect("written");
                }
            });
        }
        drop(writer);
        let bytes = rest(&reader).await;
        assert_eq!(bytes.len(), 15 * 100_000);
        for line in bytes.chunks(100_000) {
            assert!(line.iter().all(|byte| *byte == line[0]), "torn");
        }
    });
}

#[test]
fn a_buffer_without_room_is_refused_and_an_empty_write_does_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        let (reader, writer) = new();
        for error in [
            reader.read(Vec::new()).await.0,
            reader.read_exact(Vec::new()).await.0,
            reader.read_vectored(vec![Vec::new(), Vec::new()]).await.0,
        ] {
            assert_eq!(error.expect_err("no room").kind(), ErrorKind::InvalidInput);
        }
        assert_eq!(writer.write(Vec::new()).await.0.expect("nothing"), 0);
        assert_eq!(
            writer.write_vectored(vec![""; 2]).await.0.expect("nothing"),
            0
        );
        writer.write_all(Vec::new()).await.0.expect("nothing");
        assert!(
            poll_and_drop(reader.read(vec![0; 1].into_boxed_slice()))
                .await
                .is_pending()
        );
    });
}

#[test]
fn ends_are_taken_over_and_given_away() {
    let _alone = alone();
    let before = fds();
    runtime().block_on(async {
        let (reader, writer) = new();
        for fd in [reader.as_raw_fd(), writer.as_raw_fd()] {
            assert_ne!(flags(&fd, libc::F_GETFD) & libc::FD_CLOEXEC, 0);
            assert_ne!(flags(&fd, libc::F_GETFL) & libc::O_NONBLOCK, 0);
        }
        let (mut reader, mut writer) = (
            reader.into_std().expect("nothing is stashed"),
            writer.into_std().expect("an end"),
        );
        for fd in [reader.as_raw_fd(), writer.as_raw_fd()] {
            assert_ne!(flags(&fd, libc::F_GETFD) & libc::FD_CLOEXEC, 0);
            assert_eq!(flags(&fd, libc::F_GETFL) & libc::O_NONBLOCK, 0);
        }
        writer.write_all(b"as in std").expect("room");
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("text");
        assert_eq!(text, "as in std");

        let (read, write) = os_pipe();
        assert_eq!(
            PipeReader::from_fd(write)
                .expect_err("the other end")
                .kind(),
            ErrorKind::InvalidInput
        );
        assert_eq!(
            PipeWriter::from_fd(read).expect_err("the other end").kind(),
            ErrorKind::InvalidInput
        );
        let file = std::fs::File::open("/proc/self/exe").expect("a file");
        assert!(PipeReader::from_fd(file.into()).is_err());
        let (read, write) = os_pipe();
        let reader = PipeReader::from_fd(read).expect("the end of a pipe");
        std::fs::File::from(write).write_all(b"x").expect("room");
        assert_eq!(rest(&reader).await, b"x");
    });
    assert_eq!(fds(), before);
}

#[test]
fn an_end_with_bytes_in_its_stash_is_not_given_away() {
    let _alone = alone();
    runtime().block_on(async {
        let (reader, writer) = new();
        writer.write_all("kept").await.0.expect("room");
        let mut reading = Box::pin(reader.read_exact(vec![0; 9].into_boxed_slice()));
        assert!(poll_once(reading.as_mut()).await.is_pending());
        turn().await;
        assert!(poll_once(reading.as_mut()).await.is_pending());
        drop(reading);
        let refused = reader.into_fd().expect_err("bytes are stashed");
        assert!(refused.to_string().contains("read them first"), "{refused}");
        let reader = refused.inner;
        drop(writer);
        assert_eq!(rest(&reader).await, b"kept");
        let _: OwnedFd = reader.into_fd().expect("nothing is stashed any more");
    });
}
