//! A forked child: an inherited runtime refuses with a clear panic, goes quietly, and leaves the parent's alone; a new one
//! works.

mod common;

use std::io::{Read, Write, pipe as io_pipe};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use camshaft::io::{stdin, stdout};
use camshaft::time::sleep;
use common::standard::{Instead, terminal};
use common::{
    alone, fork, isolated, os_pipe, pair, panic_of, poll_once, read_exactly, runtime, turn, until,
};

#[test]
fn an_inherited_runtime_refuses() {
    let _alone = alone();
    isolated("an_inherited_runtime_refuses", || {
        let runtime = runtime();
        runtime.block_on(turn());
        let code = fork(|| {
            let run = panic_of(|| runtime.block_on(async {}));
            let clear = run.contains("camshaft") && run.contains("fork");
            let spawn = panic_of(|| runtime.spawn(async {}));
            i32::from(!clear) + 2 * i32::from(!spawn.contains("fork"))
        });
        assert_eq!(code, 0);
        runtime.block_on(async {
            sleep(Duration::from_micros(1)).await;
            turn().await;
        });
    });
}

#[test]
fn an_inherited_runtime_goes_quietly() {
    let _alone = alone();
    isolated("an_inherited_runtime_goes_quietly", || {
        let runtime = runtime();
        let (client, server) = runtime.block_on(async {
            let (client, server) = pair().await;
            let _ = common::poll_and_drop(server.recv()).await; // makes the ring of lent buffers
            turn().await;
            (client, server)
        });
        let mut reading = Box::pin(server.read(Vec::with_capacity(8)));
        runtime.block_on(async {
            assert!(poll_once(reading.as_mut()).await.is_pending());
            turn().await;
        });
        runtime.spawn(async { std::future::pending::<()>().await });
        let mut runtime = Some(runtime);
        let mut reading = Some(reading);
        let code = fork(|| {
            let begin = Instant::now();
            drop(reading.take());
            drop(runtime.take());
            i32::from(begin.elapsed() > Duration::from_secs(5))
        });
        assert_eq!(code, 0);
        // The parent's read is still in flight.
        let (runtime, reading) = (runtime.expect("here"), reading.expect("here"));
        runtime.block_on(async {
            client.write_all(b"alive").await.0.unwrap();
            let (result, buf) = reading.await;
            assert_eq!((result.unwrap(), &*buf), (5, &b"alive"[..]));
        });
    });
}

#[test]
fn a_fork_inside_of_a_runtime() {
    let _alone = alone();
    isolated("a_fork_inside_of_a_runtime", || {
        let runtime = runtime();
        let code = runtime.block_on(async {
            let (client, server) = pair().await;
            turn().await;
            // The child leaves the loop behind, so a runtime of its own is not nested.
            let code = fork(|| {
                camshaft::block_on(async {
                    let (client, server) = pair().await;
                    client.write_all(b"child").await.0.unwrap();
                    assert_eq!(read_exactly(&server, 5).await, b"child");
                    5
                })
            });
            client.write_all(b"x").await.0.unwrap();
            assert_eq!(read_exactly(&server, 1).await, b"x");
            code
        });
        assert_eq!(code, 5);
    });
}

#[test]
fn a_child_that_goes_on_in_the_loop_panics() {
    let _alone = alone();
    isolated("a_child_that_goes_on_in_the_loop_panics", || {
        let runtime = runtime();
        let mut child = false;
        let text = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                turn().await;
                // SAFETY: as in `fork`.
                let pid = unsafe { libc::fork() };
                child = pid == 0;
                if child {
                    // SAFETY: no memory is passed.
                    unsafe { libc::alarm(20) };
                }
                turn().await;
                sleep(Duration::from_micros(1)).await;
                pid
            })
        }));
        if child {
            let refused = text.is_err();
            drop(runtime);
            // SAFETY: the child ends here.
            unsafe { libc::_exit(if refused { 7 } else { 1 }) };
        }
        let pid = text.expect("the parent goes on");
        let mut status = 0;
        // SAFETY: the kernel writes one integer.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert!(libc::WIFEXITED(status), "{status}");
        assert_eq!(libc::WEXITSTATUS(status), 7, "the child's loop refused");
        runtime.block_on(turn());
    });
}

#[test]
fn standard_input_is_not_taken_by_a_read_of_the_parent() {
    let _alone = alone();
    isolated(
        "standard_input_is_not_taken_by_a_read_of_the_parent",
        || {
            let (read, write) = os_pipe();
            let instead = Instead::of(libc::STDIN_FILENO, read);
            let parent = runtime();
            let mut dropped = Box::pin(stdin().read_exact(vec![0; 9].into_boxed_slice()));
            let mut reading = Box::pin(stdin().read(Vec::with_capacity(9)));
            let mut write = std::fs::File::from(write);
            write.write_all(b"left, ").expect("room");
            parent.block_on(async {
                assert!(poll_once(dropped.as_mut()).await.is_pending());
                drop(dropped);
            });
            let code = fork(|| {
                let read = stdin().read(Vec::with_capacity(9));
                i32::from(&*runtime().block_on(read).1 != b"left, ")
            });
            assert_eq!(code, 0, "what a dropped read left is copied as memory is");
            parent.block_on(async {
                let left = reading.as_mut().await.1;
                assert_eq!(left, b"left, ");
                reading.set(stdin().read(Vec::with_capacity(9)));
                assert!(poll_once(reading.as_mut()).await.is_pending());
                turn().await;
            });
            write.write_all(b"new").expect("room");
            let code = fork(|| {
                let read = stdin().read(Vec::with_capacity(9));
                i32::from(&*runtime().block_on(read).1 != b"new")
            });
            drop(instead);
            assert_eq!(code, 0, "the child reads");
        },
    );
}

fn is_readable(fd: &impl AsRawFd) -> bool {
    let mut asked = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: the kernel reads and writes one entry.
    unsafe { libc::poll(&raw mut asked, 1, 0) == 1 }
}

#[test]
fn standard_output_is_not_taken_by_a_thread_of_the_parent() {
    let _alone = alone();
    isolated(
        "standard_output_is_not_taken_by_a_thread_of_the_parent",
        || {
            let (master, slave) = terminal();
            let instead = Instead::of(libc::STDOUT_FILENO, slave);
            let parent = runtime();
            parent.block_on(async {
                camshaft::spawn(async { stdout().write_all(vec![b'x'; 1 << 20]).await });
                // Then a thread writes.
                until(|| is_readable(&master)).await;
            });
            let code = fork(|| {
                let (mut read, write) = io_pipe().expect("a pipe");
                let _instead = Instead::of(libc::STDOUT_FILENO, write);
                let write = stdout().write_all("child");
                runtime().block_on(write).0.expect("room");
                let mut bytes = [0; 5];
                read.read_exact(&mut bytes).expect("five bytes");
                i32::from(&bytes != b"child")
            });
            // Ends the write of the thread.
            drop(master);
            drop(instead);
            assert_eq!(code, 0);
        },
    );
}

#[test]
fn a_new_runtime_in_the_child_works() {
    let _alone = alone();
    isolated("a_new_runtime_in_the_child_works", || {
        let old = runtime();
        old.block_on(turn());
        let code = fork(|| {
            camshaft::block_on(async {
                let (client, server) = pair().await;
                client.write_all(b"child").await.0.unwrap();
                assert_eq!(read_exactly(&server, 5).await, b"child");
                assert_eq!(
                    &*{
                        client.write_all(b"lent").await.0.unwrap();
                        server.recv().await.unwrap()
                    },
                    b"lent"
                );
                sleep(Duration::from_millis(1)).await;
                camshaft::task::spawn_blocking(|| 5).await.unwrap()
            })
        });
        assert_eq!(code, 5);
        old.block_on(turn());
    });
}
