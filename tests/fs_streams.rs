//! Writing to what has no position and is opened as a file all the same: pipes and sockets that nobody reads, terminals that
//! nobody looks at.

mod common;
#[path = "common/scratch.rs"]
mod scratch;

use std::ffi::CString;
use std::fs;
use std::io::{ErrorKind, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::pin::pin;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use camshaft::fs::File;
use common::standard::terminal;
use common::{alone, isolated, os_pipe, poll_once, runtime, turn};
use scratch::Scratch;

/// More than any terminal keeps for its reader.
const LARGE: usize = 100_003;

/// Makes a named pipe and opens both of its ends; the reader keeps nobody waiting.
fn named_pipe(path: &Path) -> (fs::File, fs::File) {
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is a string.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let mut options = fs::OpenOptions::new();
    let read = options.read(true).write(true).open(path).unwrap();
    let write = fs::OpenOptions::new().write(true).open(path).unwrap();
    (read, write)
}

#[test]
fn nobody_who_reads_is_an_error_and_no_signal() {
    isolated("nobody_who_reads_is_an_error_and_no_signal", || {
        let _alone = alone();
        let scratch = Scratch::new();
        // SAFETY: no handler is set.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let (read, pipe) = os_pipe();
        drop(read);
        let (named_read, named) = named_pipe(&scratch.at("pipe"));
        drop(named_read);
        let (peer, socket) = UnixStream::pair().unwrap();
        drop(peer);
        runtime().block_on(async {
            for fd in [pipe, named.into(), socket.into()] {
                let file = File::from(fd);
                let (result, _) = file.write_all(b"into the void").await;
                assert_eq!(result.unwrap_err().kind(), ErrorKind::BrokenPipe);
                let (result, _) = file.write_vectored(vec!["into", "it"]).await;
                assert_eq!(result.unwrap_err().kind(), ErrorKind::BrokenPipe);
                let (result, _) = file.write_all_at("place", 7).await;
                assert_eq!(result.unwrap_err().kind(), ErrorKind::BrokenPipe);
            }
        });
    });
}

/// A terminal that hands on what is written as it is.
fn raw_terminal() -> (fs::File, OwnedFd) {
    let (master, slave) = terminal();
    let mut modes = MaybeUninit::<libc::termios>::uninit();
    // SAFETY: one structure is written.
    let known = unsafe { libc::tcgetattr(slave.as_raw_fd(), modes.as_mut_ptr()) };
    assert_eq!(known, 0);
    // SAFETY: it was written.
    let mut modes = unsafe { modes.assume_init() };
    // SAFETY: one structure is changed.
    unsafe { libc::cfmakeraw(&raw mut modes) };
    // SAFETY: one structure is read.
    let set = unsafe { libc::tcsetattr(slave.as_raw_fd(), libc::TCSANOW, &raw const modes) };
    assert_eq!(set, 0);
    (master, slave)
}

/// Reads a terminal once it is told to, or after a time that is long enough to say that nobody will; and until its other
/// side is closed. Whether it was told, and what it read.
fn read_when_told(mut master: fs::File) -> (mpsc::Sender<()>, thread::JoinHandle<(bool, Vec<u8>)>) {
    let (tell, told) = mpsc::channel();
    let reader = thread::spawn(move || {
        let told = told.recv_timeout(Duration::from_secs(20)).is_ok();
        let (mut all, mut buf) = (Vec::new(), [0; 4096]);
        // The end of a terminal is an error.
        while let Ok(n @ 1..) = master.read(&mut buf) {
            all.extend_from_slice(&buf[..n]);
        }
        (told, all)
    });
    (tell, reader)
}

#[test]
fn a_terminal_that_nobody_reads_does_not_hold_the_loop_up() {
    let _alone = alone();
    let (master, slave) = raw_terminal();
    let (tell, reader) = read_when_told(master);
    runtime().block_on(async {
        let file = File::from(slave);
        let write = camshaft::spawn(async move {
            file.write_all(vec![b'x'; LARGE]).await.0?;
            let (result, _) = file.write_vectored(vec!["", "and ", "more"]).await;
            result
        });
        for _ in 0..100 {
            turn().await;
        }
        assert!(!write.is_finished());
        tell.send(()).unwrap();
        let written = write.await.unwrap().unwrap();
        assert!((1..=8).contains(&written), "a part");
    });
    let (told, all) = reader.join().unwrap();
    assert!(told, "the loop was held up");
    assert!(all.starts_with(&[b'x'; LARGE]));
    assert!(b"and more".starts_with(&all[LARGE..]));
}

#[test]
fn a_named_pipe_that_nobody_reads_does_not_hold_the_loop_up() {
    let _alone = alone();
    let scratch = Scratch::new();
    let (read, write) = named_pipe(&scratch.at("pipe"));
    let (tell, told) = mpsc::channel();
    let reader = thread::spawn(move || {
        let told = told.recv_timeout(Duration::from_secs(20)).is_ok();
        let mut all = vec![0; LARGE];
        (&read).read_exact(&mut all).unwrap();
        (told, all)
    });
    runtime().block_on(async {
        let file = File::from(write);
        let write = camshaft::spawn(async move { file.write_all(vec![b'x'; LARGE]).await.0 });
        for _ in 0..100 {
            turn().await;
        }
        assert!(!write.is_finished());
        tell.send(()).unwrap();
        write.await.unwrap().unwrap();
    });
    let (told, all) = reader.join().unwrap();
    assert!(told, "the loop was held up");
    assert_eq!(all, [b'x'; LARGE]);
}

#[test]
fn nothing_of_a_dropped_write_to_a_terminal_comes_behind_the_next() {
    let _alone = alone();
    let (master, slave) = raw_terminal();
    let (tell, reader) = read_when_told(master);
    runtime().block_on(async {
        let file = File::from(slave);
        let clone = file.try_clone().await.unwrap();
        {
            let mut write = pin!(file.write_all(vec![b'a'; LARGE]));
            for _ in 0..100 {
                assert!(poll_once(write.as_mut()).await.is_pending());
                turn().await;
            }
        }
        let next = camshaft::spawn(async move { clone.write_all(vec![b'b'; LARGE]).await.0 });
        turn().await;
        tell.send(()).unwrap();
        next.await.unwrap().unwrap();
    });
    let (told, all) = reader.join().unwrap();
    assert!(told, "the loop was held up");
    let prefix = all.iter().take_while(|byte| **byte == b'a').count();
    assert!(0 < prefix && prefix <= LARGE);
    assert!(all[prefix..] == [b'b'; LARGE]);
}

#[test]
fn a_terminal_that_does_not_wait_by_itself_is_waited_for() {
    let _alone = alone();
    let (master, slave) = raw_terminal();
    // SAFETY: no memory is passed.
    let set = unsafe { libc::fcntl(slave.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    assert_eq!(set, 0);
    let (tell, reader) = read_when_told(master);
    runtime().block_on(async {
        let file = File::from(slave);
        let write = camshaft::spawn(async move { file.write_all(vec![b'x'; LARGE]).await.0 });
        for _ in 0..100 {
            turn().await;
        }
        assert!(!write.is_finished());
        tell.send(()).unwrap();
        write.await.unwrap().unwrap();
    });
    let (told, all) = reader.join().unwrap();
    assert!(told, "the loop was held up");
    assert_eq!(all.len(), LARGE);
}
