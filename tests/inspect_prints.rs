//! A dump that is printed: it comes in one piece, and who does not read it harms nobody.

#![cfg(feature = "inspect")]

mod common;
use common::*;

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use camshaft::runtime::Builder;
use camshaft::task::{self, yield_now};
use camshaft::time::sleep;

async fn patient() {
    sleep(Duration::from_secs(3600)).await;
}

/// Makes this standard error. What the harness has to say is lost.
fn redirect(stderr: &OwnedFd) {
    // SAFETY: a system call on descriptors that are open; this process runs nothing but this test.
    let done = unsafe { libc::dup2(stderr.as_raw_fd(), libc::STDERR_FILENO) };
    assert_eq!(done, libc::STDERR_FILENO);
}

/// Ends a run with a panic, for which a dump is printed.
fn panics() {
    let runtime = Builder::new().dump_on_panic(true).build();
    let runtime = runtime.expect("a runtime can be built");
    for name in 0..20 {
        let spawn = async {
            drop(
                task::Builder::new()
                    .name(format!("task {name}"))
                    .spawn(patient()),
            );
        };
        runtime.block_on(spawn);
    }
    let run = || {
        runtime.block_on(async {
            yield_now().await;
            panic!("as it should")
        })
    };
    catch_unwind(AssertUnwindSafe(run)).expect_err("it panicked");
}

#[test]
fn a_dump_is_written_in_one_piece() {
    isolated("a_dump_is_written_in_one_piece", || {
        let _alone = alone();
        // Each write to such a socket is a message of its own. Few fit in, so somebody else reads.
        let (ours, theirs) = UnixDatagram::pair().expect("a pair of sockets");
        let reader = thread::spawn(move || {
            let mut message = vec![0; 1 << 20];
            loop {
                let length = ours.recv(&mut message).expect("it is open");
                let text = String::from_utf8_lossy(&message[..length]);
                if text.starts_with("camshaft: ") {
                    return text.into_owned();
                }
            }
        });
        redirect(&theirs.into());
        panics();
        let said = reader.join().expect("it reads");
        for name in 0..20 {
            assert!(said.contains(&format!("\"task {name}\"")), "{said}");
        }
    });
}

#[test]
fn nobody_needs_to_read_it() {
    isolated("nobody_needs_to_read_it", || {
        let _alone = alone();
        std::panic::set_hook(Box::new(|_| {})); // the usual one prints as well
        // SAFETY: no memory is passed, and no other thread depends on it.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let (reader, writer) = os_pipe();
        redirect(&writer);
        drop((reader, writer));
        panics();
        // SAFETY: it closes what nothing but the panics write to.
        unsafe { libc::close(libc::STDERR_FILENO) };
        panics();
    });
}
