//! Reads and writes of streams: TCP, Unix sockets, pipes.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use camshaft::buf::IoBuf;
use camshaft::io::{PipeReader, PipeWriter, copy, copy_bidirectional, split};
use camshaft::net::{TcpStream, UnixStream};

use crate::common::sockets::next;
use crate::common::tracked::Tracked;
use crate::common::{half_std, os_pipe};
use crate::{Case, Doing, Receiving, Row, rows};

const BYTES: &[u8] = b"0123456789";

/// Reading: the peer sends ten bytes at a time, and all that it has sent arrives.
fn reading<S: 'static>(
    stream: S,
    peer: impl Write + 'static,
    begin: fn(Rc<S>) -> Doing,
    rest: fn(Rc<S>) -> Receiving,
) -> Case {
    let stream = Rc::new(stream);
    let peer = Rc::new(RefCell::new((peer, 0)));
    let send = {
        let peer = peer.clone();
        move || {
            let (peer, count) = &mut *peer.borrow_mut();
            peer.write_all(BYTES).expect("the other end lives");
            *count += 1;
        }
    };
    let last = send.clone();
    let begun = stream.clone();
    Case {
        begin: Box::new(move || begin(begun.clone())),
        provoke: Box::new(send),
        check: Box::new(move || {
            last();
            drop(last);
            let count = peer.borrow().1;
            Box::pin(async move {
                let mut received = Vec::new();
                while received.len() < BYTES.len() * count {
                    received.extend(rest(stream.clone()).await);
                }
                assert_eq!(received, BYTES.repeat(count));
                drop(peer);
            })
        }),
    }
}

/// Writing: what arrives is a prefix of each write, and then all of the last one.
fn writing<S: 'static>(
    stream: S,
    mut peer: impl Read + 'static,
    begin: fn(Rc<S>) -> Doing,
    end: fn(Rc<S>) -> Doing,
) -> Case {
    let stream = Rc::new(stream);
    let begun = stream.clone();
    Case {
        begin: Box::new(move || begin(begun.clone())),
        provoke: Box::new(|| {}),
        check: Box::new(move || {
            Box::pin(async move {
                end(stream).await;
                let mut received = Vec::new();
                while !received.ends_with(b"END") {
                    let mut some = [0; 4096];
                    let n = peer.read(&mut some).expect("bytes");
                    assert!(n > 0, "the end comes last");
                    received.extend_from_slice(&some[..n]);
                }
                let before = &received[..received.len() - 3];
                assert!(
                    before.iter().all(|byte| *byte == b'x'),
                    "only what was written"
                );
            })
        }),
    }
}

macro_rules! ends {
    ($reading:ident, $writing:ident, $read:ty, $write:ty, $pair:expr) => {
        fn $reading(begin: fn(Rc<$read>) -> Doing) -> Case {
            let (_, _, stream, peer) = $pair;
            reading(stream, peer, begin, |stream| {
                Box::pin(async move {
                    let (result, buf) = stream.read(Tracked::room(7)).await;
                    assert_ne!(result.expect("bytes"), 0);
                    buf.as_slice().to_vec()
                })
            })
        }

        fn $writing(begin: fn(Rc<$write>) -> Doing) -> Case {
            let (stream, peer, _, _) = $pair;
            writing(stream, peer, begin, |stream| {
                Box::pin(async move {
                    stream
                        .write_all(Tracked::full(*b"END"))
                        .await
                        .0
                        .expect("room");
                })
            })
        }
    };
}

ends!(tcp_in, tcp_out, TcpStream, TcpStream, {
    let ((a, b), (c, d)) = (half_std(), half_std());
    (b, a, d, c)
});

ends!(unix_in, unix_out, UnixStream, UnixStream, {
    let pair = || {
        let (a, b) = std::os::unix::net::UnixStream::pair().expect("a pair");
        (UnixStream::from_std(a).expect("a socket"), b)
    };
    let ((a, b), (c, d)) = (pair(), pair());
    (a, b, c, d)
});

ends!(pipe_in, pipe_out, PipeReader, PipeWriter, {
    let file = |fd: OwnedFd| std::fs::File::from(fd);
    let ((a, b), (c, d)) = (os_pipe(), os_pipe());
    let writer = PipeWriter::from_fd(b).expect("a pipe");
    let reader = PipeReader::from_fd(c).expect("a pipe");
    (writer, file(a), reader, file(d))
});

fn full() -> Tracked {
    Tracked::full(vec![b'x'; 3000])
}

fn room() -> Tracked {
    Tracked::room(100)
}

fn null() -> std::fs::File {
    std::fs::File::open("/dev/null").expect("it is always there")
}

fn sockets() -> Vec<Row> {
    let tcp = rows! { tcp_in:
        "stream/surface::read" => |it| it.read(room());
        "stream/surface::peek" => |it| it.peek(room());
        "stream/surface::read_exact" => |it| it.read_exact(Tracked::room(999));
        "stream/surface::read_to_end" => |it| it.read_to_end(Vec::new());
        "stream/surface::read_vectored" => |it| it.read_vectored(vec![Tracked::room(1), room()]);
        "stream/surface::recv" => |it| it.recv();
        "stream/surface::recv_stream" => |it| async move { drop(next(&mut it.recv_stream()).await) };
        "net/ready::readable" => |it| it.readable();
    };
    let tcp_out = rows! { tcp_out:
        "stream/surface::write" => |it| it.write(full());
        "stream/surface::write_all" => |it| it.write_all(full());
        "stream/surface::write_vectored" => |it| it.write_vectored(vec![full(), full()]);
        "stream/surface::send_zero_copy" => |it| it.send_zero_copy(full());
        "stream/surface::write_all_zero_copy" => |it| it.write_all_zero_copy(full());
        "stream/surface::flush" => |it| it.flush();
        "net/ready::writable" => |it| it.writable();
    };
    let unix = rows! { unix_in:
        "stream/surface::read" => |it| it.read(room());
        "stream/surface::peek" => |it| it.peek(room());
        "stream/surface::read_exact" => |it| it.read_exact(Tracked::room(999));
        "stream/surface::read_to_end" => |it| it.read_to_end(Vec::new());
        "stream/surface::read_vectored" => |it| it.read_vectored(vec![Tracked::room(1), room()]);
        "stream/surface::recv" => |it| it.recv();
        "stream/surface::recv_stream" => |it| async move { drop(next(&mut it.recv_stream()).await) };
        "net/unix/stream::recv_with_fds" => |it| it.recv_with_fds(room());
        "net/ready::readable" => |it| it.readable();
    };
    let unix_out = rows! { unix_out:
        "stream/surface::write" => |it| it.write(full());
        "stream/surface::write_all" => |it| it.write_all(full());
        "stream/surface::write_vectored" => |it| it.write_vectored(vec![full(), full()]);
        "net/unix/stream::send_with_fds" => |it| it.send_with_fds(full(), [null()]);
        "net/ready::writable" => |it| it.writable();
    };
    [tcp, tcp_out, unix, unix_out].concat()
}

fn pipes() -> Vec<Row> {
    let from = rows! { pipe_in:
        "pipe/mod::read" => |it| it.read(room());
        "pipe/mod::read_exact" => |it| it.read_exact(Tracked::room(999));
        "pipe/mod::read_to_end" => |it| it.read_to_end(Vec::new());
        "pipe/mod::read_vectored" => |it| it.read_vectored(vec![Tracked::room(1), room()]);
    };
    let to = rows! { pipe_out:
        "pipe/mod::write" => |it| it.write(full());
        "pipe/mod::write_all" => |it| it.write_all(full());
        "pipe/mod::write_vectored" => |it| it.write_vectored(vec![full(), full()]);
        "pipe/mod::flush" => |it| it.flush();
    };
    [from, to].concat()
}

/// What takes the stream with it: a shutdown, and copies.
fn once(begin: fn((TcpStream, TcpStream)) -> Doing) -> Case {
    Case {
        begin: Box::new(move || {
            let ((peer, a), (other, b)) = (half_std(), half_std());
            (&peer).write_all(BYTES).expect("it lives");
            let doing = begin((a, b));
            Box::pin(async move {
                doing.await;
                drop((peer, other));
            })
        }),
        provoke: Box::new(|| {}),
        check: Box::new(|| Box::pin(async {})),
    }
}

pub(crate) fn rows() -> Vec<Row> {
    let others = rows! { once:
        "stream/surface::shutdown" => |pair| async move { pair.0.shutdown().await };
        "copy/mod::copy" => |pair| async move { copy(&mut &pair.0, &mut &pair.1).await };
        "copy/mod::copy_bidirectional" => |pair| async move { copy_bidirectional(&pair.0, &pair.1).await };
        "copy/mod::copy" => |pair| async move {
            let (mut from, _to) = split(pair.0);
            let (_from, mut to) = split(pair.1);
            copy(&mut from, &mut to).await
        };
        "pipe/mod::shutdown" => |_pair| async move {
            let (_read, write) = os_pipe();
            PipeWriter::from_fd(write).expect("a pipe").shutdown().await
        };
    };
    [sockets(), pipes(), others].concat()
}
