//! A handler that listens to `SIGPIPE` hears of nothing that the library writes to where nobody reads.

mod common;

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use camshaft::fs::File;
use camshaft::io::{AsyncRead, PipeWriter, copy, pipe};
use camshaft::net::UnixStream;
use common::filter::refuse;
use common::standard::file;
use common::{alone, isolated, runtime};

static HEARD: AtomicUsize = AtomicUsize::new(0);

extern "C" fn hear(_: libc::c_int) {
    HEARD.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn a_handler_hears_of_no_write() {
    let _alone = alone();
    isolated("a_handler_hears_of_no_write", hears_of_nothing);
}

#[test]
fn a_handler_hears_of_no_write_where_the_kernel_knows_no_flag() {
    let _alone = alone();
    isolated(
        "a_handler_hears_of_no_write_where_the_kernel_knows_no_flag",
        || {
            refuse(libc::SYS_pwritev2, libc::EOPNOTSUPP);
            hears_of_nothing();
        },
    );
}

fn to_nobody() -> PipeWriter {
    pipe().expect("a pipe").1
}

async fn is_in_vain(what: &str, mut source: impl AsyncRead) {
    let copied = copy(&mut source, &mut to_nobody()).await;
    let error = copied.expect_err(what);
    assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{what}");
    assert_eq!(HEARD.load(Ordering::Relaxed), 0, "{what}");
}

fn hears_of_nothing() {
    // SAFETY: the handler only adds to an atomic.
    unsafe { libc::signal(libc::SIGPIPE, hear as *const () as libc::sighandler_t) };
    runtime().block_on(async {
        let error = to_nobody().write_all("x").await.0.expect_err("nobody");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!(HEARD.load(Ordering::Relaxed), 0, "a write");

        let (reader, writer) = pipe().expect("a pipe");
        writer.write_all("x").await.0.expect("room");
        is_in_vain("from a pipe", reader).await;

        let (near, far) = UnixStream::pair().expect("a pair");
        near.write_all("x").await.0.expect("room");
        is_in_vain("little from a socket", far).await;

        let (near, far) = UnixStream::pair().expect("a pair");
        near.write_all(vec![1; 64 << 10]).await.0.expect("room");
        is_in_vain("much from a socket", far).await;

        let mut std_file = file("/tmp");
        std_file.write_all(b"from a file").expect("room");
        let file = File::from_std(std_file);
        file.rewind().await.expect("a file");
        is_in_vain("from a file", &file).await;

        file.rewind().await.expect("a file");
        let (peer, mut sink) = UnixStream::pair().expect("a pair");
        drop(peer);
        let error = copy(&mut &file, &mut sink).await.expect_err("nobody");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!(HEARD.load(Ordering::Relaxed), 0, "a file to a socket");
    });
}
