//! Processes, signals, and the readiness of other descriptors.

use std::io::{Read, Write};
use std::process::Stdio;
use std::rc::Rc;

use camshaft::io::{AsyncFd, Interest};
use camshaft::process::{Child, Command};
use camshaft::signal::{SignalKind, ctrl_c, signal};

use crate::common::os_pipe;
use crate::{Case, Doing, Row, rows};

/// The reading end of a pipe that never blocks: all bytes stay in it until they are read here.
fn watching(begin: fn(Rc<AsyncFd<std::fs::File>>) -> Doing) -> Case {
    let (read, write) = os_pipe();
    let write = std::fs::File::from(write);
    // SAFETY: no memory is passed.
    let set = unsafe {
        libc::fcntl(
            std::os::fd::AsRawFd::as_raw_fd(&read),
            libc::F_SETFL,
            libc::O_NONBLOCK,
        )
    };
    assert_eq!(set, 0);
    let fd = Rc::new(AsyncFd::with_interest(read.into(), Interest::READABLE).expect("pollable"));
    let begun = fd.clone();
    let last = write.try_clone().expect("a number");
    Case {
        begin: Box::new(move || begin(begun.clone())),
        provoke: Box::new(move || (&write).write_all(b"x").expect("room")),
        check: Box::new(move || {
            Box::pin(async move {
                (&last).write_all(b"END").expect("room");
                let mut received = Vec::new();
                while !received.ends_with(b"END") {
                    let mut byte = [0];
                    let read = fd
                        .async_io(Interest::READABLE, |mut file| file.read(&mut byte))
                        .await;
                    assert_eq!(read.expect("bytes"), 1);
                    received.push(byte[0]);
                }
                assert!(received.len() <= 4, "only what was written");
            })
        }),
    }
}

/// An operation that stands for itself.
fn alone(begin: fn(()) -> Doing) -> Case {
    Case {
        begin: Box::new(move || begin(())),
        provoke: Box::new(|| {}),
        check: Box::new(move || begin(())),
    }
}

/// The same for those that wait for what never comes: a listener more is no use to them.
fn waiting(begin: fn(()) -> Doing) -> Case {
    Case {
        check: Box::new(|| Box::pin(async {})),
        ..alone(begin)
    }
}

fn child() -> Child {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("a child")
}

pub(crate) fn rows() -> Vec<Row> {
    let fds = rows! { watching:
        "async_fd/mod::ready" => |it| async move { drop(it.ready(Interest::READABLE).await) };
        "async_fd/mod::readable" => |it| async move { drop(it.readable().await) };
        "async_fd/mod::async_io" => |it| async move {
            it.async_io(Interest::READABLE, |mut file| file.read(&mut [0])).await
        };
    };
    let others = rows! { alone:
        "async_fd/mod::writable" => |_it| async {
            let (_read, write) = os_pipe();
            drop(AsyncFd::new(write).expect("pollable").writable().await);
        };
        "process/command::status" => |_it| async { Command::new("true").status().await };
        "process/command::output" => |_it| async { Command::new("true").output().await };
        "process/child::wait" => |_it| async { child().wait().await };
        "process/child::kill" => |_it| async { child().kill().await };
        "process/child::wait_with_output" => |_it| async { child().wait_with_output().await };
    };
    let waits = rows! { waiting:
        "async_fd/mod::async_io_mut" => |_it| async {
            let (read, _write) = os_pipe();
            let mut fd = AsyncFd::new(read).expect("pollable");
            let never = |_: &mut _| Err::<(), _>(std::io::ErrorKind::WouldBlock.into());
            fd.async_io_mut(Interest::READABLE, never).await
        };
        "signal/mod::recv" => |_it| async {
            signal(SignalKind::user_defined2()).expect("a listener").recv().await
        };
        "signal/mod::ctrl_c" => |_it| ctrl_c();
    };
    [fds, others, waits].concat()
}
