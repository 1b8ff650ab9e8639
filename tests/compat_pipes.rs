//! Pipes, children and Unix streams behind an adapter, and streams that are made of closures.

#![cfg(feature = "futures-io")]

mod common;
use common::*;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::process::{self, Stdio};
use std::rc::Rc;

use camshaft::compat::{FuturesIo, PollRead, PollWrite, PolledRead, PolledWrite};
use camshaft::io::pipe;
use camshaft::net::UnixStream;
use camshaft::process::Command;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

fn pattern(len: usize) -> Vec<u8> {
    (0..251).cycle().take(len).collect()
}

#[test]
fn a_pipe_carries_more_than_it_holds() {
    let _alone = alone();
    runtime().block_on(async {
        let (reader, writer) = pipe().unwrap();
        let sender = camshaft::spawn(async move {
            let mut writer = FuturesIo::new(writer);
            writer.write_all(&pattern(500_000)).await?;
            writer.close().await
        });
        let mut received = Vec::new();
        FuturesIo::new(reader)
            .read_to_end(&mut received)
            .await
            .unwrap();
        assert!(received == pattern(500_000));
        sender.await.unwrap().unwrap();
    });
}

#[test]
fn a_pipe_comes_back_with_what_was_not_read() {
    let _alone = alone();
    runtime().block_on(async {
        let (reader, writer) = pipe().unwrap();
        let mut writer = FuturesIo::new(writer);
        writer.write_all(b"one, two, ").await.unwrap();
        writer.flush().await.unwrap();
        let mut reader = FuturesIo::new(reader);
        reader.read_exact(&mut [0; 5]).await.unwrap();
        let reader = reader.into_inner();
        writer.write_all(b"three").await.unwrap();
        drop(writer);
        let (result, rest) = reader.read_to_end(Vec::new()).await;
        assert_eq!(result.unwrap(), rest.len());
        assert_eq!(rest, b"two, three");
    });
}

#[test]
fn what_a_full_pipe_has_no_room_for_is_written_when_it_has() {
    let _alone = alone();
    runtime().block_on(async {
        let (reader, writer) = pipe().unwrap();
        let mut writer = FuturesIo::new(writer);
        // The second is accepted when the first is through, and no more fits.
        writer.write_all(&pattern(60_000)).await.unwrap();
        writer.write_all(&pattern(60_000)).await.unwrap();
        assert!(poll_and_drop(writer.flush()).await.is_pending());
        assert!(poll_and_drop(writer.write(b"third")).await.is_pending());
        // Its end comes after what was accepted, although nobody polls it any more.
        drop(writer);
        let mut reader = io::PipeReader::from(reader.into_fd().unwrap());
        let read = camshaft::task::spawn_blocking(move || {
            let mut received = Vec::new();
            reader.read_to_end(&mut received).map(|_| received)
        });
        let received = read.await.unwrap().unwrap();
        assert!(received == [pattern(60_000), pattern(60_000)].concat());
    });
}

#[test]
fn a_pipe_that_nobody_reads_is_an_error() {
    let _alone = alone();
    runtime().block_on(async {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut writer = FuturesIo::new(writer);
        writer.write_all(b"nobody").await.unwrap();
        let error = writer.flush().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_child_is_talked_to() {
    let _alone = alone();
    runtime().block_on(async {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = FuturesIo::new(child.stdin.take().unwrap());
        let mut output = FuturesIo::new(child.stdout.take().unwrap());
        input.write_all(b"meow").await.unwrap();
        let mut answer = [0; 4];
        output.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"meow");
        input.close().await.unwrap();
        assert_eq!(output.read(&mut answer).await.unwrap(), 0);
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn a_unix_stream_is_like_any_other() {
    let _alone = alone();
    runtime().block_on(async {
        let (near, far) = UnixStream::pair().unwrap();
        let echo = camshaft::spawn(async move {
            let mut far = FuturesIo::new(far);
            let mut received = Vec::new();
            far.read_to_end(&mut received).await?;
            far.write_all(&received).await?;
            far.close().await
        });
        let mut near = FuturesIo::new(near);
        near.write_all(&pattern(200_000)).await.unwrap();
        near.close().await.unwrap();
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.unwrap();
        assert!(answer == pattern(200_000));
        echo.await.unwrap().unwrap();
    });
}

/// A stream of one's own: what is written is what is read.
#[derive(Clone, Default)]
struct Loop {
    bytes: Rc<RefCell<VecDeque<u8>>>,
}

impl PollRead for Loop {
    fn polled_read(&self) -> PolledRead {
        let (bytes, rest) = (self.bytes.clone(), self.bytes.clone());
        let read = move || {
            let all: Vec<u8> = bytes.borrow_mut().drain(..).collect();
            async move {
                camshaft::task::yield_now().await;
                Ok(all.into())
            }
        };
        let unread = move |bytes: &[u8]| {
            let mut rest = rest.borrow_mut();
            bytes.iter().rev().for_each(|byte| rest.push_front(*byte));
        };
        PolledRead::new(read, unread)
    }
}

impl PollWrite for Loop {
    fn polled_write(&self) -> PolledWrite {
        let bytes = self.bytes.clone();
        let write = move |written: Vec<u8>| {
            let bytes = bytes.clone();
            async move {
                camshaft::task::yield_now().await;
                bytes.borrow_mut().extend(&written);
                (Ok(()), written)
            }
        };
        PolledWrite::new(write, || async { Err(io::Error::other("it never ends")) })
    }
}

#[test]
fn a_stream_of_closures_is_like_any_other() {
    let _alone = alone();
    runtime().block_on(async {
        let ends = Loop::default();
        let mut stream = FuturesIo::new(ends.clone());
        stream.write_all(b"one, two").await.unwrap();
        stream.flush().await.unwrap();
        stream.read_exact(&mut [0; 5]).await.unwrap();
        assert_eq!(
            stream.close().await.unwrap_err().to_string(),
            "it never ends"
        );
        // Nobody waits for this one, and it is written all the same.
        stream.write_all(b", three").await.unwrap();
        drop(stream);
        until(|| ends.bytes.borrow().len() == 10).await;
        let bytes: Vec<u8> = ends.bytes.borrow().iter().copied().collect();
        assert_eq!(bytes, b"two, three");
    });
}

#[test]
fn standard_streams_are_adapted() {
    let test = "standard_streams_are_adapted";
    if is_child() {
        let _alone = alone();
        return runtime().block_on(async {
            let mut input = FuturesIo::new(camshaft::io::stdin());
            let mut word = [0; 4];
            input.read_exact(&mut word).await.unwrap();
            // The rest of what was read comes back to whoever reads next.
            drop(input);
            let mut rest = String::new();
            let mut input = FuturesIo::new(camshaft::io::stdin());
            input.read_to_string(&mut rest).await.unwrap();
            let mut output = FuturesIo::new(camshaft::io::stdout());
            output.write_all(&word).await.unwrap();
            output.write_all(rest.as_bytes()).await.unwrap();
            output.flush().await.unwrap();
        });
    }
    let program = std::env::current_exe().unwrap();
    let mut child = process::Command::new(program)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env("CAMSHAFT_TEST_CHILD", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"what goes in comes out").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(output.contains("what goes in comes out"), "{output}");
}
