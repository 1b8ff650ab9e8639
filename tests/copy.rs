//! Copies between everything and everything: each byte arrives once, in order, whatever becomes of the copy.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::thread;

use camshaft::buf::{IoBuf, IoBufMut};
use camshaft::io::{
    AsyncRead, AsyncWrite, BufResult, PipeReader, PipeWriter, copy, copy_bidirectional, pipe, split,
};
use camshaft::net::{TcpStream, UnixStream};
use common::{
    Random, alone, fds, isolated, os_pipe, pair, poll_and_drop, poll_once, read_rest, runtime,
    std_pair, turn,
};

const LEN: usize = 10 << 20;

/// Bytes that repeat nowhere near a buffer's length.
fn pattern() -> Vec<u8> {
    let mut random = Random::new(1);
    let words = std::iter::repeat_with(|| random.next().to_le_bytes());
    words.flatten().take(LEN).collect()
}

/// Kinds of ends that this process gives to the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tcp,
    Unix,
    Pipe,
}

const KINDS: [Kind; 3] = [Kind::Tcp, Kind::Unix, Kind::Pipe];

/// An end of the library.
enum End {
    Tcp(TcpStream),
    Unix(UnixStream),
    Reader(PipeReader),
    Writer(PipeWriter),
}

/// What is written to the first, is read from the second. Either may be given to the library.
fn channel(kind: Kind) -> (OwnedFd, OwnedFd) {
    match kind {
        Kind::Tcp => {
            let (a, b) = std_pair();
            (a.into(), b.into())
        }
        Kind::Unix => {
            let (a, b) = std::os::unix::net::UnixStream::pair().expect("a pair");
            (a.into(), b.into())
        }
        Kind::Pipe => {
            let (read, write) = os_pipe();
            (write, read)
        }
    }
}

impl End {
    fn new(kind: Kind, fd: OwnedFd, reads: bool) -> Self {
        match kind {
            Kind::Tcp => Self::Tcp(TcpStream::from_std(fd.into()).expect("a socket")),
            Kind::Unix => Self::Unix(UnixStream::from_std(fd.into()).expect("a socket")),
            Kind::Pipe if reads => Self::Reader(PipeReader::from_fd(fd).expect("an end")),
            Kind::Pipe => Self::Writer(PipeWriter::from_fd(fd).expect("an end")),
        }
    }

    async fn to(&self, sink: &Self) -> std::io::Result<u64> {
        match self {
            Self::Tcp(from) => from_to(from, sink).await,
            Self::Unix(from) => from_to(from, sink).await,
            Self::Reader(from) => from_to(from, sink).await,
            Self::Writer(_) => unreachable!("nothing is read from it"),
        }
    }
}

async fn from_to(mut from: impl AsyncRead, sink: &End) -> std::io::Result<u64> {
    match sink {
        End::Tcp(to) => copy(&mut from, &mut &*to).await,
        End::Unix(to) => copy(&mut from, &mut &*to).await,
        End::Writer(to) => copy(&mut from, &mut &*to).await,
        End::Reader(_) => unreachable!("nothing is written to it"),
    }
}

/// A source and a sink of the library, with a thread that writes into the one and a thread that reads from the other.
struct Bench {
    source: End,
    sink: End,
    writer: thread::JoinHandle<()>,
    reader: thread::JoinHandle<Vec<u8>>,
}

impl Bench {
    fn new(from: Kind, to: Kind, bytes: Vec<u8>) -> Self {
        let (write, read) = channel(from);
        let source = End::new(from, read, true);
        let mut write = std::fs::File::from(write);
        let writer = thread::spawn(move || {
            for part in bytes.chunks(100_000) {
                write.write_all(part).expect("somebody reads");
            }
        });
        let (write, read) = channel(to);
        let sink = End::new(to, write, false);
        let mut read = std::fs::File::from(read);
        let reader = thread::spawn(move || {
            let mut bytes = Vec::with_capacity(LEN);
            read.read_to_end(&mut bytes).expect("bytes and the end");
            bytes
        });
        Self {
            source,
            sink,
            writer,
            reader,
        }
    }

    fn finish(self) -> Vec<u8> {
        self.writer.join().expect("all was written");
        drop((self.source, self.sink));
        self.reader.join().expect("all was read")
    }
}

#[test]
fn ten_megabytes_between_all_kinds() {
    let _alone = alone();
    let bytes = pattern();
    for from in KINDS {
        for to in KINDS {
            let bench = Bench::new(from, to, bytes.clone());
            let copied = runtime().block_on(bench.source.to(&bench.sink));
            assert_eq!(copied.expect("copied"), LEN as u64, "{from:?} to {to:?}");
            assert!(bench.finish() == bytes, "{from:?} to {to:?}");
        }
    }
}

#[test]
fn ten_megabytes_in_copies_that_are_dropped_again_and_again() {
    let _alone = alone();
    let bytes = pattern();
    for from in KINDS {
        for to in KINDS {
            let bench = Bench::new(from, to, bytes.clone());
            let mut random = Random::new(from as u64 * 3 + to as u64);
            let mut dropped = 0;
            let runtime = runtime();
            'copies: loop {
                let patience = random.below(4);
                let done = runtime.block_on(async {
                    let mut copying = pin!(bench.source.to(&bench.sink));
                    for _ in 0..patience {
                        if poll_once(copying.as_mut()).await.is_ready() {
                            return true;
                        }
                        turn().await;
                    }
                    false
                });
                if done {
                    break 'copies;
                }
                dropped += 1;
            }
            assert!(
                bench.finish() == bytes,
                "{from:?} to {to:?}, {dropped} copies dropped"
            );
            assert!(dropped > 3, "{from:?} to {to:?}");
        }
    }
}

#[test]
fn what_a_dropped_copy_had_in_hand_comes_first_in_the_next_read() {
    let _alone = alone();
    runtime().block_on(async {
        for to in KINDS {
            let (mut peer, source) = std_pair();
            let source = TcpStream::from_std(source).expect("a socket");
            let (write, read) = channel(to);
            let sink = End::new(to, write, false);
            // The sink takes no more at some point; then the copy has bytes in hand.
            peer.set_nonblocking(true).expect("a socket");
            let mut sent = 0;
            {
                let mut copying = pin!(from_to(&source, &sink));
                let mut idle = 0;
                while idle < 10 {
                    match peer.write(&[7; 50_000]) {
                        Ok(n) => (sent, idle) = (sent + n, 0),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::WouldBlock);
                            idle += 1;
                        }
                    }
                    assert!(poll_once(copying.as_mut()).await.is_pending());
                    turn().await;
                }
            }
            drop((peer, sink));
            let mut taken = Vec::new();
            std::fs::File::from(read)
                .read_to_end(&mut taken)
                .expect("bytes");
            let rest = read_rest(&source).await;
            assert_eq!(taken.len() + rest.len(), sent, "{to:?}");
            assert!(!rest.is_empty() && !taken.is_empty(), "{to:?}");
        }
    });
}

#[test]
fn stashed_bytes_go_first() {
    let _alone = alone();
    runtime().block_on(async {
        for (to, exact) in KINDS.into_iter().flat_map(|to| [(to, false), (to, true)]) {
            let (mut peer, source) = std_pair();
            let source = TcpStream::from_std(source).expect("a socket");
            let mut lending = Box::pin(source.recv());
            assert!(poll_once(lending.as_mut()).await.is_pending());
            peer.write_all(b"lent, ").expect("room");
            turn().await;
            drop(lending);
            if exact {
                let mut reading = Box::pin(source.read_exact(vec![0; 99].into_boxed_slice()));
                assert!(poll_once(reading.as_mut()).await.is_pending());
                peer.write_all(b"stashed, ").expect("room");
                turn().await;
            }
            peer.write_all(b"and in the socket").expect("room");
            drop(peer);
            let (write, read) = channel(to);
            let sink = End::new(to, write, false);
            let copied = from_to(&source, &sink).await.expect("copied");
            drop(sink);
            let mut text = String::new();
            std::fs::File::from(read)
                .read_to_string(&mut text)
                .expect("text");
            let stashed = if exact { "lent, stashed, " } else { "lent, " };
            assert_eq!(text, format!("{stashed}and in the socket"), "{to:?}");
            assert_eq!(copied, text.len() as u64, "{to:?}");
        }
    });
}

#[test]
fn stashed_bytes_of_a_pipe_go_first() {
    let _alone = alone();
    runtime().block_on(async {
        let (reader, writer) = pipe().expect("a pipe");
        let mut reading = Box::pin(reader.read_exact(vec![0; 99].into_boxed_slice()));
        assert!(poll_once(reading.as_mut()).await.is_pending());
        writer.write_all("stashed, ").await.0.expect("room");
        turn().await;
        drop(reading);
        turn().await;
        writer.write_all("and in the pipe").await.0.expect("room");
        drop(writer);
        let (client, server) = pair().await;
        let copied = copy(&mut &reader, &mut &client).await.expect("copied");
        drop(client);
        assert_eq!(copied, 24);
        assert_eq!(read_rest(&server).await, b"stashed, and in the pipe");
    });
}

#[test]
fn nobody_who_reads_is_an_error_that_loses_nothing() {
    let _alone = alone();
    isolated("nobody_who_reads_is_an_error_that_loses_nothing", || {
        // SAFETY: the handler is a constant of the system.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        runtime().block_on(async {
            for from in KINDS {
                let (write, read) = channel(from);
                let source = End::new(from, read, true);
                let mut peer = std::fs::File::from(write);
                let (reader, writer) = pipe().expect("a pipe");
                drop(reader);
                peer.write_all(b"to nobody").expect("room");
                let sink = End::Writer(writer);
                let error = source.to(&sink).await.expect_err("nobody reads");
                assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{from:?}");
                drop(peer);
                let (reader, writer) = pipe().expect("a pipe");
                let sink = End::Writer(writer);
                assert_eq!(source.to(&sink).await.expect("copied"), 9, "{from:?}");
                drop(sink);
                assert_eq!(reader.read_to_end(Vec::new()).await.1, b"to nobody");
            }
            // A socket whose peer has reset the connection.
            let (peer, sink) = pair().await;
            drop(peer);
            let (reader, writer) = pipe().expect("a pipe");
            writer.write_all(vec![1; 60_000]).await.0.expect("room");
            let error = loop {
                writer.write_all("more").await.0.expect("room");
                match poll_and_drop(copy(&mut &reader, &mut &sink)).await {
                    std::task::Poll::Ready(result) => break result.expect_err("it is reset"),
                    std::task::Poll::Pending => turn().await,
                }
            };
            assert!(matches!(
                error.kind(),
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
            ));
        });
    });
}

#[test]
fn an_idle_copy_holds_no_descriptor() {
    let _alone = alone();
    runtime().block_on(async {
        let (near, far) = (pair().await, pair().await);
        turn().await;
        let before = fds();
        let (mut from, mut to) = (&near.1, &far.0);
        let mut copying = Box::pin(copy(&mut from, &mut to));
        assert!(poll_once(copying.as_mut()).await.is_pending());
        near.0.write_all("ping").await.0.expect("room");
        let mut reading = pin!(far.1.read(Vec::with_capacity(9)));
        while poll_once(reading.as_mut()).await.is_pending() {
            assert!(poll_once(copying.as_mut()).await.is_pending());
            turn().await;
        }
        assert!(
            fds() <= before + 2,
            "one spare pipe for all copies of the thread"
        );
        drop(copying);
        assert_eq!(fds(), before);
    });
}

#[test]
fn half_closes_go_through_in_both_directions() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, near) = pair().await;
        let (far, server) = UnixStream::pair().expect("a pair");
        let proxy = camshaft::spawn(async move {
            let both = copy_bidirectional(&near, &far).await;
            (both, near, far)
        });
        client.write_all("request").await.0.expect("room");
        client.shutdown().await.expect("connected");
        let (result, request) = server.read_to_end(Vec::new()).await;
        assert_eq!(
            (result.expect("the end"), &request[..]),
            (7, &b"request"[..])
        );
        assert!(!proxy.is_finished(), "the other direction goes on");
        server.write_all("answer!").await.0.expect("room");
        drop(server);
        assert_eq!(read_rest(&client).await, b"answer!");
        let (both, ..) = proxy.await.expect("the task");
        assert_eq!(both.expect("copied"), (7, 7));
    });
}

#[test]
fn copies_of_one_stream_do_not_mix_with_other_writes() {
    let _alone = alone();
    runtime().block_on(async {
        let (near, far) = pair().await;
        let (near, far) = (Rc::new(near), Rc::new(far));
        let (reader, writer) = pipe().expect("a pipe");
        let copying = camshaft::spawn({
            let near = near.clone();
            async move { copy(&mut &reader, &mut &*near).await }
        });
        let others = camshaft::spawn({
            let near = near.clone();
            async move {
                for _ in 0..100 {
                    near.write_all(vec![b'b'; 1000]).await.0.expect("written");
                }
            }
        });
        let writes = camshaft::spawn(async move {
            for _ in 0..100 {
                writer.write_all(vec![b'a'; 4096]).await.0.expect("written");
            }
        });
        let bytes = camshaft::spawn({
            let far = far.clone();
            async move { read_rest(&far).await }
        });
        writes.await.expect("the task");
        others.await.expect("the task");
        copying.await.expect("the task").expect("copied");
        near.shutdown().await.expect("connected");
        let bytes = bytes.await.expect("the task");
        let runs = bytes.chunk_by(|a, b| a == b).filter(|run| run[0] == b'b');
        assert!(
            runs.clone().all(|run| run.len().is_multiple_of(1000)),
            "whole writes"
        );
        assert_eq!(bytes.len(), 100 * 1000 + 100 * 4096);
    });
}

/// A reader and a writer that the kernel knows nothing of.
struct Plain(Vec<u8>);

impl AsyncRead for Plain {
    async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
        camshaft::task::yield_now().await;
        let n = buf.fill_from(&self.0[..self.0.len().min(70_000)]);
        self.0.drain(..n);
        (Ok(n), buf)
    }
}

impl AsyncWrite for Plain {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        let n = buf.as_slice().len().min(10_000);
        self.0.extend_from_slice(&buf.as_slice()[..n]);
        (Ok(n), buf)
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        self.0.extend_from_slice(b"flushed");
        Ok(())
    }

    async fn shutdown(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_the_kernel_does_not_know_is_copied_by_a_buffer() {
    let _alone = alone();
    runtime().block_on(async {
        let bytes: Vec<u8> = pattern()[..1 << 20].to_vec();
        let (mut from, mut to) = (Plain(bytes.clone()), Plain(Vec::new()));
        assert_eq!(copy(&mut from, &mut to).await.expect("copied"), 1 << 20);
        assert!(to.0.strip_suffix(b"flushed") == Some(&bytes));
        let (client, server) = pair().await;
        let task = camshaft::spawn(async move {
            copy(&mut Plain(bytes), &mut &client).await.expect("copied");
            drop(client);
        });
        let mut to = Plain(Vec::new());
        assert_eq!(copy(&mut &server, &mut to).await.expect("copied"), 1 << 20);
        task.await.expect("the task");
    });
}

#[test]
fn a_stream_is_split_and_made_whole_again() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = pair().await;
        let (mut reader, mut writer) = split(server);
        let echo = camshaft::spawn(async move {
            let copied = copy(&mut reader, &mut writer).await.expect("copied");
            writer.shutdown().await.expect("connected");
            assert!(reader.is_pair_of(&writer) && writer.is_pair_of(&reader));
            (copied, reader.unsplit(writer))
        });
        client.write_all("echo").await.0.expect("room");
        client.shutdown().await.expect("connected");
        assert_eq!(read_rest(&client).await, b"echo");
        let (copied, server) = echo.await.expect("the task");
        assert_eq!(copied, 4);
        server.local_addr().expect("a socket");
    });
}
