//! Readiness of descriptors that the runtime has no type for.

mod common;

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::rc::Rc;

use camshaft::io::{AsyncFd, Interest};
use camshaft::task::yield_now;
use common::{alone, fds, os_pipe, poll_and_drop, poll_once, runtime, turn};

fn pair() -> (AsyncFd<UnixStream>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("a socket");
    (
        AsyncFd::new(ours).expect("a socket can be waited for"),
        theirs,
    )
}

fn read(mut stream: &UnixStream) -> io::Result<Vec<u8>> {
    let mut buf = vec![0; 64];
    let n = stream.read(&mut buf)?;
    buf.truncate(n);
    Ok(buf)
}

#[test]
fn a_read_waits_until_there_is_something() {
    let _alone = alone();
    runtime().block_on(async {
        let (fd, mut peer) = pair();
        let mut reading = pin!(fd.async_io(Interest::READABLE, read));
        assert!(poll_once(reading.as_mut()).await.is_pending());
        turn().await;
        assert!(poll_once(reading.as_mut()).await.is_pending());
        peer.write_all(b"hello").expect("room");
        assert_eq!(reading.await.expect("bytes"), b"hello");
        drop(peer);
        assert!(
            fd.async_io(Interest::READABLE, read)
                .await
                .expect("the end")
                .is_empty()
        );
    });
}

#[test]
fn guards_tell_what_is_there_and_whether_to_wait_again() {
    let _alone = alone();
    runtime().block_on(async {
        let (fd, mut peer) = pair();
        assert!(poll_and_drop(fd.readable()).await.is_pending());
        let mut guard = fd.writable().await.expect("writable");
        assert!(guard.ready().is_writable() && !guard.ready().is_readable());
        assert!(guard.try_io(|fd| read(fd.get_ref())).is_err());
        assert!(guard.ready().is_empty(), "cleared");
        peer.write_all(b"x").expect("room");
        let both = Interest::READABLE | Interest::WRITABLE;
        let mut guard = fd.ready(both).await.expect("both");
        assert!(guard.ready().is_readable() && guard.ready().is_writable());
        let byte = guard.try_io(|fd| read(fd.get_ref())).expect("no wait");
        assert_eq!(byte.expect("a byte"), b"x");
        drop(peer);
        let guard = fd.readable().await.expect("the end");
        assert!(guard.ready().is_read_closed());
    });
}

#[test]
fn both_directions_wait_at_the_same_time() {
    let _alone = alone();
    runtime().block_on(async {
        let (fd, mut peer) = pair();
        let fd = Rc::new(fd);
        // Full, so that writing has to wait, too.
        while (&mut fd.get_ref()).write(&[1; 65536]).is_ok() {}
        let writes = camshaft::spawn({
            let fd = fd.clone();
            async move {
                fd.async_io(Interest::WRITABLE, |mut it| it.write(b"w"))
                    .await
            }
        });
        let reads = camshaft::spawn({
            let fd = fd.clone();
            async move { fd.async_io(Interest::READABLE, read).await }
        });
        turn().await;
        assert!(!writes.is_finished() && !reads.is_finished());
        peer.write_all(b"r").expect("room");
        assert_eq!(reads.await.expect("the task").expect("a byte"), b"r");
        assert!(!writes.is_finished());
        peer.set_nonblocking(true).expect("a socket");
        let mut sink = vec![0; 1 << 20];
        while peer.read(&mut sink).is_ok() {}
        assert_eq!(writes.await.expect("the task").expect("room"), 1);
    });
}

#[test]
fn what_has_no_readiness_is_refused() {
    let _alone = alone();
    let before = fds();
    let file = File::open("/proc/self/exe").expect("a file");
    for fd in [
        file.into(),
        OwnedFd::from(File::open("/").expect("a directory")),
    ] {
        let error = AsyncFd::new(fd).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("fs::File"), "{error}");
    }
    assert_eq!(fds(), before);
}

#[test]
fn another_interest_than_that_it_was_wrapped_for_is_refused() {
    let _alone = alone();
    runtime().block_on(async {
        let (read, _write) = os_pipe();
        let fd = AsyncFd::with_interest(read, Interest::READABLE).expect("a pipe");
        let error = fd.writable().await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(poll_and_drop(fd.readable()).await.is_pending());
        assert!(poll_and_drop(fd.ready(Interest::ERROR)).await.is_pending());
    });
}

#[test]
fn a_timerfd_and_an_eventfd_wake() {
    let _alone = alone();
    runtime().block_on(async {
        // SAFETY: no memory is passed.
        let event = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        // SAFETY: a new descriptor that nobody else owns.
        let event = File::from(unsafe { OwnedFd::from_raw_fd(event) });
        let writer = event.try_clone().expect("a duplicate");
        let mut event = AsyncFd::new(event).expect("an eventfd");
        let counting = event.async_io_mut(Interest::READABLE, |file| {
            let mut count = [0; 8];
            file.read_exact(&mut count)?;
            Ok(u64::from_ne_bytes(count))
        });
        let mut counting = pin!(counting);
        assert!(poll_once(counting.as_mut()).await.is_pending());
        (&writer).write_all(&3_u64.to_ne_bytes()).expect("room");
        assert_eq!(counting.await.expect("a count"), 3);

        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: no memory is passed.
        let timer = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        // SAFETY: a new descriptor that nobody else owns.
        let timer = AsyncFd::new(unsafe { OwnedFd::from_raw_fd(timer) }).expect("a timerfd");
        assert!(poll_and_drop(timer.readable()).await.is_pending());
        // SAFETY: an all-zero time is valid.
        let mut at: libc::itimerspec = unsafe { MaybeUninit::zeroed().assume_init() };
        at.it_value.tv_nsec = 1_000_000;
        let fd = timer.as_raw_fd();
        // SAFETY: the kernel reads one time.
        let set = unsafe { libc::timerfd_settime(fd, 0, &raw const at, std::ptr::null_mut()) };
        assert_eq!(set, 0);
        assert!(
            timer
                .readable()
                .await
                .expect("it fires")
                .ready()
                .is_readable()
        );
    });
}

#[test]
fn dropped_waits_leave_nothing_behind() {
    let _alone = alone();
    let runtime = runtime();
    let before = runtime.block_on(async {
        turn().await;
        fds()
    });
    runtime.block_on(async {
        for entered in [false, true] {
            for happened in [false, true] {
                let (fd, mut peer) = pair();
                drop(fd.readable());
                let mut waiting = Box::pin(fd.readable());
                assert!(poll_once(waiting.as_mut()).await.is_pending());
                if entered {
                    turn().await;
                }
                if happened {
                    peer.write_all(b"x").expect("room");
                    turn().await;
                }
                drop(waiting);
                drop(poll_and_drop(fd.readable()).await);
                let mut ours = fd.into_inner();
                drop(peer);
                let mut rest = Vec::new();
                ours.read_to_end(&mut rest).expect("the end");
                assert_eq!(rest.len(), usize::from(happened));
                drop(ours);
                assert_eq!(fds(), before, "{entered} {happened}");
            }
        }
    });
    // And at the end of a runtime.
    let (fd, _peer) = pair();
    let fd = Rc::new(fd);
    let task = runtime.spawn({
        let fd = fd.clone();
        async move { fd.readable().await.map(drop) }
    });
    runtime.block_on(turn());
    drop(runtime);
    assert_eq!(Rc::strong_count(&fd), 1);
    drop(task);
    let second = common::runtime();
    second.block_on(async { assert!(poll_and_drop(fd.readable()).await.is_pending()) });
}

#[test]
fn who_is_always_ready_lets_others_run() {
    let _alone = alone();
    runtime().block_on(async {
        let turns = Rc::new(Cell::new(0));
        let other = camshaft::spawn({
            let turns = turns.clone();
            async move {
                loop {
                    turns.set(turns.get() + 1);
                    yield_now().await;
                }
            }
        });
        let (fd, _peer) = pair();
        for _ in 0..1000 {
            fd.async_io(Interest::READABLE, |_| Ok(()))
                .await
                .expect("ready");
        }
        assert!(turns.get() > 10, "{}", turns.get());
        other.abort();
    });
}
