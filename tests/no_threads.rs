//! Where the system grants no thread (`RLIMIT_NPROC`, the `pids.max` of a container), what needs one is an error that says so:
//! it never holds the loop up.

mod common;

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use camshaft::fs::File;
use camshaft::io::{stdin, stdout};
use camshaft::net::lookup_host;
use camshaft::runtime::{Backend, Builder};
use camshaft::task::spawn_blocking;
use common::filter::refuse;
use common::standard::{Instead, file, terminal};
use common::{alone, isolated, runtime};

/// In a process of its own, which has two threads already: the test's, and the one that ends it if it hangs.
fn without_threads(test: &str, body: impl FnOnce()) {
    let _alone = alone();
    isolated(test, || {
        refuse(libc::SYS_clone, libc::EAGAIN);
        refuse(libc::SYS_clone3, libc::EAGAIN);
        body();
    });
}

#[track_caller]
fn explains(error: &std::io::Error) {
    let text = error.to_string();
    assert!(text.contains("no thread"), "{text}");
    assert!(text.contains("ulimit -u"), "says what to do: {text}");
}

#[test]
fn a_terminal_that_nobody_reads_is_an_error() {
    without_threads("a_terminal_that_nobody_reads_is_an_error", || {
        let (_master, slave) = terminal();
        let instead = Instead::of(libc::STDOUT_FILENO, slave);
        let (result, bytes) = runtime().block_on(stdout().write_all(vec![b'x'; 1 << 20]));
        drop(instead);
        assert_eq!(bytes.len(), 1 << 20);
        explains(&result.expect_err("no thread"));
    });
}

#[test]
fn a_terminal_keeps_what_could_not_be_read() {
    without_threads("a_terminal_keeps_what_could_not_be_read", || {
        let (mut master, slave) = terminal();
        master.write_all(b"a line\n").expect("room");
        let mut copy = std::fs::File::from(slave.try_clone().expect("a descriptor"));
        let instead = Instead::of(libc::STDIN_FILENO, slave);
        let (result, bytes) = runtime().block_on(stdin().read(Vec::with_capacity(8)));
        drop(instead);
        explains(&result.expect_err("no thread"));
        assert!(bytes.is_empty());
        let mut line = [0; 7];
        copy.read_exact(&mut line).expect("the line");
        assert_eq!(&line, b"a line\n");
    });
}

#[test]
fn names_are_not_looked_up() {
    without_threads("names_are_not_looked_up", || {
        runtime().block_on(async {
            let found = lookup_host("localhost:80").await.map(|_| ());
            explains(&found.expect_err("no thread"));
            let local = lookup_host("127.0.0.1:80").await;
            assert_eq!(local.expect("an address").count(), 1);
        });
    });
}

#[test]
fn files_lose_nothing() {
    without_threads("files_lose_nothing", || {
        let runtime = Builder::new().backend(Backend::Epoll).build();
        let mut kept = file("/tmp");
        kept.write_all(b"before").expect("room");
        let file = File::from_std(kept.try_clone().expect("a descriptor"));
        let runtime = runtime.expect("an epoll");
        if runtime.backend() != Backend::Epoll {
            return; // by the environment
        }
        runtime.block_on(async {
            // Whoever can do without a thread does.
            let (written, _) = file.write_all_at("behind", 6).await;
            written.expect("the page cache has room");
            let opened = File::open("/dev/null").await;
            explains(&opened.expect_err("no thread"));
            explains(&file.sync_all().await.expect_err("no thread"));
            explains(&file.set_len(3).await.expect_err("no thread"));
            // More than is tried at once.
            let (result, bytes) = file.write_all_at(vec![b'x'; 1 << 20], 0).await;
            assert_eq!(bytes.len(), 1 << 20, "the buffer comes back");
            explains(&result.expect_err("no thread"));
            let (result, bytes) = file.read_at(Vec::with_capacity(1 << 20), 0).await;
            assert!(bytes.is_empty());
            explains(&result.expect_err("no thread"));
        });
        let mut bytes = [0; 12];
        kept.read_exact_at(&mut bytes, 0).expect("twelve bytes");
        assert_eq!(&bytes, b"beforebehind");
        assert_eq!(kept.seek(SeekFrom::End(0)).expect("a file"), 12);
    });
}

#[test]
fn closures_run_here() {
    without_threads("closures_run_here", || {
        let here = std::thread::current().id();
        let there =
            runtime().block_on(async { spawn_blocking(|| std::thread::current().id()).await });
        assert_eq!(there.expect("it ran"), here);
    });
}
