//! I/O in fibers, with buffers on their own stacks, and their end in the middle of it.

#![cfg(feature = "stackful")]

mod common;
use common::*;

use std::future::Future;
use std::hint::black_box;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use camshaft::fiber::{self, StdIo};
use camshaft::net::{TcpListener, TcpStream, UdpSocket};
use camshaft::process::Command;
use camshaft::task::{self, yield_now};
use camshaft::time::sleep;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| i.to_le_bytes()[0] % 251).collect()
}

#[test]
fn code_written_for_std_runs_unchanged_in_fibers() {
    /// Knows nothing of fibers.
    fn serve(stream: impl Read + Write) -> std::io::Result<usize> {
        let mut stream = BufReader::new(stream);
        let mut lines = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(lines);
            }
            lines += 1;
            write!(stream.get_mut(), "{lines}: {line}")?;
        }
    }
    let _alone = alone();
    runtime().block_on(async {
        let (listener, address) = listener().await;
        let server = fiber::spawn(move || {
            let mut served = Vec::new();
            for _ in 0..3 {
                let (stream, _) = fiber::wait(listener.accept()).expect("a connection");
                served.push(fiber::spawn(|| serve(StdIo::new(stream))));
            }
            served
                .into_iter()
                .map(|it| fiber::wait(it).expect("no panic").expect("no error"))
                .sum::<usize>()
        });
        let clients = task::spawn_blocking(move || {
            for lines in [1, 10, 100] {
                let mut client = std::net::TcpStream::connect(address).expect("a listener");
                for n in 0..lines {
                    writeln!(client, "line {n}").expect("a server");
                }
                client
                    .shutdown(std::net::Shutdown::Write)
                    .expect("a server");
                let mut heard = String::new();
                client.read_to_string(&mut heard).expect("answers");
                assert_eq!(heard.lines().count(), lines);
                assert!(heard.starts_with("1: line 0\n"));
            }
        });
        clients.await.expect("the clients got their answers");
        assert_eq!(server.await.expect("no panic"), 111);
    });
}

#[test]
fn bytes_of_any_number_go_there_and_back() {
    let _alone = alone();
    runtime().block_on(async {
        for len in [1, 7, 8192, 65_537, 1 << 20] {
            let (client, server) = pair().await;
            let echo = fiber::spawn(move || {
                let mut stream = StdIo::new(server);
                let mut buf = [0; 5000];
                loop {
                    match stream.read(&mut buf).expect("bytes") {
                        0 => return stream.shutdown().expect("a peer"),
                        n => stream.write_all(&buf[..n]).expect("a peer"),
                    }
                }
            });
            let client = Rc::new(client);
            let writer = client.clone();
            let sent = fiber::spawn(move || {
                let mut stream = StdIo::new(&*writer);
                stream.write_all(&pattern(len)).expect("a peer");
                stream.shutdown().expect("a peer");
            });
            assert!(read_rest(&client).await == pattern(len));
            sent.await.expect("no panic");
            echo.await.expect("no panic");
        }
    });
}

/// Fills most of a stack with a pattern, waits, and looks whether it is still there.
fn watch_a_stack(until: impl Future<Output = ()>) {
    // Not passed by value: without optimisation each move of it takes as much of the stack again.
    let mut watched = [0xa5_u8; 24 << 10];
    black_box(&mut watched);
    fiber::wait(until);
    assert!(black_box(&watched).iter().all(|byte| *byte == 0xa5));
}

#[test]
fn a_read_that_was_aborted_writes_to_no_stack_and_loses_no_byte() {
    let _alone = alone();
    runtime().block_on(async {
        for round in 0..20 {
            let (mut peer, stream) = half_std();
            let stream = Rc::new(stream);
            let reading = stream.clone();
            let fiber = fiber::spawn(move || {
                // The buffer ends with the stack.
                let mut buf = [0; 16 << 10];
                let _ = StdIo::new(&*reading).read(&mut buf);
            });
            turn().await;
            fiber.abort();
            if round % 2 == 0 {
                // Before the cancellation is submitted.
                peer.write_all(&pattern(10_000)).expect("a peer");
            }
            assert!(fiber.await.expect_err("aborted").is_cancelled());
            // The same stack, and the bytes arrive while it is in use.
            let watcher = fiber::spawn(|| {
                watch_a_stack(async {
                    turn().await;
                    sleep(Duration::from_millis(1)).await;
                });
            });
            yield_now().await;
            if round % 2 == 1 {
                peer.write_all(&pattern(10_000)).expect("a peer");
            }
            watcher.await.expect("nobody wrote to its stack");
            assert!(read_exactly(&stream, 10_000).await == pattern(10_000));
        }
    });
}

#[test]
fn a_write_that_was_aborted_sends_from_no_stack() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut peer, stream) = half_std();
        shrink(&stream);
        let fiber = fiber::spawn(move || {
            let text = [b'x'; 24 << 10];
            let mut stream = StdIo::new(stream);
            loop {
                stream.write_all(&text).expect("a peer");
            }
        });
        turn().await;
        fiber.abort();
        assert!(fiber.await.expect_err("aborted").is_cancelled());
        let watcher = fiber::spawn(|| watch_a_stack(async { turn().await }));
        let heard = task::spawn_blocking(move || {
            let mut heard = Vec::new();
            peer.read_to_end(&mut heard).expect("an end");
            heard
        });
        watcher.await.expect("no panic");
        let heard = heard.await.expect("no panic");
        assert!(!heard.is_empty() && heard.iter().all(|byte| *byte == b'x'));
    });
}

type Waiting = fn() -> Pin<Box<dyn Future<Output = ()>>>;

/// Operations that wait for ever, each on something of its own.
const KINDS: [(&str, Waiting); 8] = [
    ("accept", || {
        Box::pin(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            drop(listener.accept().await);
        })
    }),
    ("recv", || {
        Box::pin(async {
            let (_client, server) = pair().await;
            drop(server.recv().await);
        })
    }),
    ("read_exact", || {
        Box::pin(async {
            let (_client, server) = pair().await;
            drop(server.read_exact(vec![0; 99].into_boxed_slice()).await);
        })
    }),
    ("recv_from", || {
        Box::pin(async {
            let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
            drop(socket.recv_from(vec![0; 99].into_boxed_slice()).await);
        })
    }),
    ("write_all", || {
        Box::pin(async {
            let (_client, server) = pair().await;
            drop(server.write_all(vec![0; 64 << 20]).await);
        })
    }),
    ("pipe", || {
        Box::pin(async {
            let (reader, _writer) = camshaft::io::pipe().expect("a pipe");
            drop(reader.read(vec![0; 99].into_boxed_slice()).await);
        })
    }),
    ("child", || {
        Box::pin(async {
            let mut sleeper = Command::new("sleep");
            let child = sleeper.arg("3600").kill_on_drop(true).spawn();
            drop(child.expect("sleep is on PATH").wait().await);
        })
    }),
    ("sleep", || Box::pin(sleep(Duration::from_secs(3600)))),
];

#[test]
fn aborted_or_left_to_the_runtime_in_the_middle_of_every_kind() {
    let _alone = alone();
    drop(runtime());
    for (kind, begin) in KINDS {
        let before = fds();
        let runtime = small_runtime();
        runtime.block_on(async {
            let fibers: Vec<_> = (0..10)
                .map(|_| fiber::spawn(move || fiber::wait(begin())))
                .collect();
            for _ in 0..5 {
                turn().await;
            }
            assert_eq!(fiber::census().live, 10, "{kind}");
            for fiber in fibers.into_iter().skip(5) {
                fiber.abort();
                assert!(fiber.await.expect_err("aborted").is_cancelled(), "{kind}");
            }
            assert_eq!(fiber::census().live, 5, "{kind}");
        });
        drop(runtime);
        assert_eq!(fiber::census().live, 0, "{kind}");
        // What reaps children stays with the process.
        let stays = usize::from(kind == "child");
        // The kernel closes what was in a ring a little later.
        while fds() > before + stays {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn errors_are_those_of_the_stream() {
    let _alone = alone();
    runtime().block_on(async {
        let fiber = fiber::spawn(|| {
            let refused = fiber::wait(TcpStream::connect("127.0.0.1:1"));
            assert_eq!(
                refused.expect_err("nobody listens").kind(),
                ErrorKind::ConnectionRefused
            );
            let (client, server) = fiber::wait(pair());
            let mut stream = StdIo::new(server);
            assert_eq!(stream.read(&mut []).expect("no room is no error"), 0);
            drop(client);
            assert_eq!(stream.fill_buf().expect("an end"), b"");
            let failed = (0..100).find_map(|_| stream.write_all(&[0; 4096]).err());
            let kind = failed.expect("the peer is gone").kind();
            assert!(matches!(
                kind,
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
            ));
        });
        fiber.await.expect("no panic");
    });
    let (_, stream) = half_std();
    let outside = panic_of(|| StdIo::new(stream).read(&mut [0]));
    assert!(outside.contains("outside of a fiber"), "{outside}");
}
