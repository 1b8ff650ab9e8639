//! Standard output and standard error, whatever they are: a pipe, a terminal, a file, `/dev/null`, closed.

mod common;

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;
use std::thread;

use camshaft::io::{stderr, stdout};
use camshaft::task::yield_now;
use common::standard::{Instead, close, file, terminal};
use common::{alone, isolated, os_pipe, poll_and_drop, poll_once, runtime, turn};

/// What does not repeat where a pipe or a portion ends.
fn pattern(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

/// Reads in another thread until nobody writes any more.
fn collect(from: impl Into<OwnedFd>) -> thread::JoinHandle<Vec<u8>> {
    let mut from = File::from(from.into());
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut buf = vec![0; 1000];
        // A terminal whose other side is gone reports an error.
        while let Ok(n @ 1..) = from.read(&mut buf) {
            bytes.extend_from_slice(&buf[..n]);
        }
        bytes
    })
}

/// Whether nothing more fits in.
fn is_full(fd: impl AsFd) -> bool {
    let mut poll = libc::pollfd {
        fd: fd.as_fd().as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: the kernel reads and writes one `pollfd`.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
    ready == 0
}

#[test]
fn everything_arrives_whatever_takes_it() {
    let _alone = alone();
    isolated("everything_arrives_whatever_takes_it", || {
        let bytes = pattern(1 << 20);
        let (read, write) = os_pipe();
        let reader = collect(read);
        let pipe = Instead::of(1, write);
        runtime().block_on(async {
            stdout().write_all(bytes.clone()).await.0.expect("written");
        });
        assert_eq!(pipe.flags() & libc::O_NONBLOCK, 0);
        drop(pipe);
        assert!(reader.join().expect("the reader") == bytes, "a pipe");

        for directory in ["/tmp", "/dev/shm"] {
            let mut file = file(directory);
            let _stdout = Instead::of(1, file.try_clone().expect("a duplicate"));
            runtime().block_on(async {
                stdout().write_all(bytes.clone()).await.0.expect("written");
                let parts = vec![Vec::new(), b"en".to_vec(), b"d".to_vec()];
                assert_eq!(stdout().write_vectored(parts).await.0.expect("written"), 2);
            });
            let mut found = Vec::new();
            file.rewind().expect("a file");
            file.read_to_end(&mut found).expect("a file");
            assert!(found.strip_suffix(b"en") == Some(&bytes), "{directory}");
        }

        let (master, slave) = terminal();
        let reader = collect(master);
        let tty = Instead::of(1, slave);
        runtime().block_on(async {
            let text = b"x".repeat(200_000);
            stdout().write_all(text).await.0.expect("written");
        });
        assert_eq!(tty.flags() & libc::O_NONBLOCK, 0);
        drop(tty);
        assert_eq!(reader.join().expect("the reader").len(), 200_000);
    });
}

#[test]
fn a_full_disk_and_a_closed_stream_are_as_in_std() {
    let _alone = alone();
    isolated("a_full_disk_and_a_closed_stream_are_as_in_std", || {
        let _stdout = Instead::of(1, File::create("/dev/full").expect("a device"));
        let runtime = runtime();
        runtime.block_on(async {
            let error = stdout().write(b"x").await.0.expect_err("no room");
            assert_eq!(error.kind(), ErrorKind::StorageFull);
        });
        close(1);
        runtime.block_on(async {
            let written = stdout().write(b"to nobody").await.0;
            assert_eq!(written.expect("as if"), 9);
        });
    });
}

#[test]
fn nobody_who_reads_is_an_error_and_no_signal() {
    let _alone = alone();
    isolated("nobody_who_reads_is_an_error_and_no_signal", || {
        for disposition in [libc::SIG_DFL, libc::SIG_IGN] {
            // SAFETY: the handlers are constants of the system.
            unsafe { libc::signal(libc::SIGPIPE, disposition) };
            let (read, write) = os_pipe();
            drop(read);
            let _stdout = Instead::of(1, write);
            runtime().block_on(async {
                let error = stdout().write(b"x").await.0.expect_err("nobody reads");
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            });
            let (master, slave) = terminal();
            drop(master);
            let _stdout = Instead::of(1, slave);
            runtime().block_on(async {
                stdout()
                    .write(b"x")
                    .await
                    .0
                    .expect_err("the terminal is gone");
            });
        }
    });
}

#[test]
fn a_dropped_write_writes_a_prefix_and_nothing_behind_the_next() {
    let _alone = alone();
    isolated(
        "a_dropped_write_writes_a_prefix_and_nothing_behind_the_next",
        || {
            for (name, in_terminal) in [("pipe", false), ("terminal", true)] {
                let (reader, writer) = if in_terminal {
                    let (master, slave) = terminal();
                    (OwnedFd::from(master), slave)
                } else {
                    os_pipe()
                };
                let stdout_is = Instead::of(1, writer);
                let first = runtime();
                first.block_on(async {
                    let mut writing = Box::pin(stdout().write_all(b"a".repeat(1 << 20)));
                    while !is_full(stdout()) {
                        assert!(poll_once(writing.as_mut()).await.is_pending());
                        turn().await;
                    }
                    let mut second = Box::pin(stdout().write_all(b"b".repeat(1000)));
                    assert!(poll_once(second.as_mut()).await.is_pending());
                    drop(writing);
                    turn().await;
                    assert!(poll_once(second.as_mut()).await.is_pending(), "{name}");
                    drop(second);
                    drop(stdout().write(b"never polled"));
                    let mut third = Box::pin(stdout().write_all(b"c".repeat(1000)));
                    assert!(poll_once(third.as_mut()).await.is_pending(), "{name}");
                    turn().await;
                });
                // In flight, or in line, at the end of a runtime.
                drop(first);
                let reader = collect(reader);
                runtime().block_on(async {
                    stdout().flush().await.expect("it only waits");
                    stdout().write_all(b"d".repeat(1000)).await.0.expect("room");
                });
                drop(stdout_is);
                let bytes = reader.join().expect("the reader");
                assert!(bytes.is_sorted(), "{name}");
                let count = |byte| bytes.iter().filter(|it| **it == byte).count();
                assert!(count(b'a') < 1 << 20 && count(b'd') == 1000, "{name}");
            }
        },
    );
}

#[test]
fn writes_do_not_mix() {
    let _alone = alone();
    isolated("writes_do_not_mix", || {
        // Says now, if it has to, that there is no ring.
        drop(runtime());
        let (read, write) = os_pipe();
        let reader = collect(read);
        let pipe = Instead::of(2, write);
        let writers: Vec<_> = [b'a', b'b', b'c']
            .into_iter()
            .map(|byte| {
                thread::spawn(move || {
                    runtime().block_on(async {
                        for _ in 0..20 {
                            let line = vec![byte; 100_000];
                            stderr().write_all(line).await.0.expect("written");
                        }
                    });
                })
            })
            .collect();
        for writer in writers {
            writer.join().expect("a writer");
        }
        drop(pipe);
        let bytes = reader.join().expect("the reader");
        assert_eq!(bytes.len(), 3 * 20 * 100_000);
        for line in bytes.chunks(100_000) {
            assert!(line.iter().all(|byte| *byte == line[0]), "torn");
        }
    });
}

#[test]
fn who_is_never_kept_waiting_lets_others_run() {
    let _alone = alone();
    isolated("who_is_never_kept_waiting_lets_others_run", || {
        let null = fs::OpenOptions::new().write(true).open("/dev/null");
        let _stdout = Instead::of(1, null.expect("a device"));
        runtime().block_on(async {
            let turns = Rc::new(Cell::new(0));
            camshaft::spawn({
                let turns = turns.clone();
                async move {
                    loop {
                        turns.set(turns.get() + 1);
                        yield_now().await;
                    }
                }
            });
            for _ in 0..1000 {
                stdout().write_all(b"x").await.0.expect("written");
            }
            assert!(turns.get() > 10, "{}", turns.get());
            assert!(poll_and_drop(stdout().flush()).await.is_ready());
        });
    });
}
