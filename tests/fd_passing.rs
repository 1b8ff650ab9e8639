//! Descriptors that travel with bytes: they arrive with the byte that they were sent with, and none is ever left open.

mod common;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;

use camshaft::net::UnixStream;
use camshaft::time::{Duration, sleep};
use common::{alone, fds, isolated, limit_fds, os_pipe, poll_once, runtime, turn, until};

/// Has the kernel tell of the sender by a descriptor of its process (Linux 6.5).
const SO_PASSPIDFD: libc::c_int = 76;

/// The two ends of a pipe: if the writing one is gone everywhere, the other reads the end.
fn probe() -> (File, OwnedFd) {
    let (read, write) = os_pipe();
    (File::from(read), write)
}

fn is_closed(probe: &File) -> bool {
    let mut poll = libc::pollfd {
        fd: probe.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one entry.
    unsafe { libc::poll(&raw mut poll, 1, 0) };
    poll.revents & libc::POLLHUP != 0
}

async fn send(stream: &UnixStream, bytes: &'static [u8], fds: Vec<OwnedFd>) {
    let (sent, _) = stream.send_with_fds(bytes, fds).await;
    assert_eq!(sent.expect("sent"), bytes.len());
}

async fn recv(stream: &UnixStream) -> (Vec<u8>, Vec<OwnedFd>) {
    let (received, buf) = stream.recv_with_fds(Vec::with_capacity(64)).await;
    let (n, fds) = received.expect("bytes");
    assert_eq!(n, buf.len());
    (buf, fds)
}

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("a pair")
}

#[test]
fn descriptors_arrive_with_their_bytes() {
    let _alone = alone();
    runtime().block_on(async {
        turn().await;
        let before = fds();
        {
            let (a, b) = pair();
            let (mut reader, writer) = probe();
            // They are borrowed, or given away.
            let (sent, _) = a
                .send_with_fds(b"two", [&reader.as_fd(), &writer.as_fd()])
                .await;
            assert_eq!(sent.unwrap(), 3);
            send(&a, b"none", Vec::new()).await;
            let (bytes, mut received) = recv(&b).await;
            assert_eq!((&bytes[..], received.len()), (&b"two"[..], 2));
            for fd in &received {
                // SAFETY: no memory is passed.
                let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
                assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
            }
            drop(writer);
            let there = File::from(received.pop().unwrap());
            std::io::Write::write_all(&mut &there, b"through").unwrap();
            let mut word = [0; 7];
            reader.read_exact(&mut word).unwrap();
            assert_eq!(&word, b"through");
            assert!(!is_closed(&reader));
            drop(there);
            assert!(is_closed(&reader));
            let (bytes, received) = recv(&b).await;
            assert_eq!((&bytes[..], received.len()), (&b"none"[..], 0));
            drop(a);
            let (bytes, received) = recv(&b).await;
            assert!(bytes.is_empty() && received.is_empty(), "the end");
        }
        assert_eq!(fds(), before);
    });
}

#[test]
fn what_can_not_be_sent_is_refused() {
    let _alone = alone();
    runtime().block_on(async {
        let (a, b) = pair();
        let (reader, _writer) = probe();
        let (error, _) = a.send_with_fds(Vec::new(), [&reader]).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("at least one"), "{error}");
        let before = fds();
        let (error, _) = a.send_with_fds(b"x", vec![&reader; 254]).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("253"), "{error}");
        assert_eq!(fds(), before);
        let (sent, _) = a.send_with_fds(b"x", vec![&reader; 253]).await;
        assert_eq!(sent.unwrap(), 1);
        assert_eq!(recv(&b).await.1.len(), 253);
        assert_eq!(fds(), before);
        let (error, _) = b.recv_with_fds(Vec::new()).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn the_sender_may_be_told_beside_as_many_as_there_can_be() {
    let _alone = alone();
    runtime().block_on(async {
        for option in [libc::SO_PASSCRED, SO_PASSPIDFD] {
            let (a, b) = pair();
            let (reader, _writer) = probe();
            let on: libc::c_int = 1;
            // SAFETY: the kernel reads one integer.
            let set = unsafe {
                libc::setsockopt(
                    b.as_raw_fd(),
                    libc::SOL_SOCKET,
                    option,
                    (&raw const on).cast(),
                    size_of_val(&on).try_into().expect("fits"),
                )
            };
            if set != 0 {
                // The kernel does not know of it.
                continue;
            }
            let (sent, _) = a.send_with_fds(b"x", vec![&reader; 253]).await;
            assert_eq!(sent.unwrap(), 1);
            let (bytes, received) = recv(&b).await;
            assert_eq!((&bytes[..], received.len()), (&b"x"[..], 253));
        }
    });
}

type Reading<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;
type Begin = for<'a> fn(&'a UnixStream) -> Reading<'a>;

/// Reads that do not ask for descriptors.
const PLAIN: [(&str, Begin); 4] = [
    ("read", |stream| {
        Box::pin(async { drop(stream.read(Vec::with_capacity(2)).await) })
    }),
    ("recv", |stream| {
        Box::pin(async { drop(stream.recv().await) })
    }),
    ("read_vectored", |stream| {
        Box::pin(async { drop(stream.read_vectored(vec![Vec::with_capacity(3)]).await) })
    }),
    ("read_exact", |stream| {
        Box::pin(async { drop(stream.read_exact(vec![0; 2].into_boxed_slice()).await) })
    }),
];

#[test]
fn a_read_that_does_not_ask_for_them_closes_them() {
    let _alone = alone();
    runtime().block_on(async {
        for (kind, begin) in PLAIN {
            for stashed in [false, true] {
                let (a, b) = pair();
                let (reader, writer) = probe();
                let mut receiving = Box::pin(b.recv_with_fds(Vec::with_capacity(8)));
                if stashed {
                    assert!(poll_once(receiving.as_mut()).await.is_pending());
                }
                send(&a, b"abc", vec![writer]).await;
                turn().await;
                drop(receiving);
                assert!(!is_closed(&reader), "{kind}: kept so far");
                begin(&b).await;
                assert!(is_closed(&reader), "{kind} {stashed}");
            }
        }
        // A peek leaves them.
        let (a, b) = pair();
        let (reader, writer) = probe();
        let mut receiving = Box::pin(b.recv_with_fds(Vec::with_capacity(8)));
        assert!(poll_once(receiving.as_mut()).await.is_pending());
        send(&a, b"abc", vec![writer]).await;
        turn().await;
        drop(receiving);
        assert_eq!(b.peek(Vec::with_capacity(2)).await.1, b"ab");
        let (received, buf) = b.recv_with_fds(Vec::with_capacity(2)).await;
        let (n, received) = received.unwrap();
        assert_eq!((n, &buf[..], received.len()), (2, &b"ab"[..], 1));
        let (bytes, none) = recv(&b).await;
        assert_eq!(
            (&bytes[..], none.len()),
            (&b"c"[..], 0),
            "they came with the first byte"
        );
        drop(received);
        assert!(is_closed(&reader));
    });
}

#[test]
fn a_dropped_receive_loses_neither_bytes_nor_descriptors() {
    let _alone = alone();
    runtime().block_on(async {
        turn().await;
        let before = fds();
        for stage in 0..5 {
            let (a, b) = pair();
            let (reader, writer) = probe();
            let mut receiving = Box::pin(b.recv_with_fds(Vec::with_capacity(8)));
            match stage {
                0 => {}
                1 => assert!(poll_once(receiving.as_mut()).await.is_pending()),
                _ => {
                    assert!(poll_once(receiving.as_mut()).await.is_pending());
                    turn().await;
                }
            }
            if stage == 4 {
                drop(receiving);
                send(&a, b"abc", vec![writer]).await;
            } else {
                send(&a, b"abc", vec![writer]).await;
                if stage == 3 {
                    turn().await;
                }
                drop(receiving);
            }
            send(&a, b"def", Vec::new()).await;
            let (bytes, received) = recv(&b).await;
            assert_eq!((&bytes[..], received.len()), (&b"abc"[..], 1), "{stage}");
            assert_eq!(recv(&b).await.0, b"def");
            drop(received);
            assert!(is_closed(&reader), "{stage}");
        }
        assert_eq!(fds(), before);
    });
}

#[test]
fn a_stream_dropped_with_its_receive_closes_what_comes() {
    let _alone = alone();
    runtime().block_on(async {
        turn().await;
        let before = fds();
        for entered in [false, true] {
            let (a, b) = pair();
            let (reader, writer) = probe();
            let mut receiving = Box::pin(b.recv_with_fds(Vec::with_capacity(8)));
            assert!(poll_once(receiving.as_mut()).await.is_pending());
            turn().await;
            send(&a, b"abc", vec![writer]).await;
            if entered {
                turn().await;
            }
            drop(receiving);
            drop(b);
            drop(a);
            until(|| is_closed(&reader)).await;
        }
        until(|| fds() == before).await;
    });
}

#[test]
fn a_dropped_send_closes_its_copies() {
    let _alone = alone();
    runtime().block_on(async {
        turn().await;
        let before = fds();
        for stage in 0..3 {
            let (a, b) = pair();
            common::shrink(&a);
            // Nothing more goes out.
            let mut filling = Box::pin(a.write_all(vec![0; 1 << 20]));
            assert!(poll_once(filling.as_mut()).await.is_pending());
            turn().await;
            drop(filling);
            let (reader, writer) = probe();
            let mut sending = Box::pin(a.send_with_fds(b"abc", vec![writer]));
            if stage > 0 {
                assert!(poll_once(sending.as_mut()).await.is_pending());
            }
            if stage > 1 {
                turn().await;
                assert!(poll_once(sending.as_mut()).await.is_pending());
                turn().await;
            }
            assert!(!is_closed(&reader));
            drop(sending);
            drop((a, b));
            until(|| is_closed(&reader)).await;
        }
        until(|| fds() == before).await;
    });
}

#[test]
fn teardown_leaves_them_in_the_stash() {
    let _alone = alone();
    let before = fds();
    {
        let (a, b) = pair();
        let b = Rc::new(b);
        let (reader, writer) = probe();
        let first = runtime();
        first.spawn({
            let b = b.clone();
            async move { drop(b.recv_with_fds(Vec::with_capacity(8)).await) }
        });
        first.block_on(turn());
        send_elsewhere(a, writer);
        drop(first);
        runtime().block_on(async {
            let (bytes, received) = recv(&b).await;
            assert_eq!((&bytes[..], received.len()), (&b"abc"[..], 1));
        });
        assert!(is_closed(&reader));
    }
    assert_eq!(fds(), before);
}

/// Sends from another thread, on a runtime of its own.
fn send_elsewhere(stream: UnixStream, fd: OwnedFd) {
    let stream = stream.into_std().expect("nothing is stashed");
    let sending = std::thread::spawn(move || {
        let stream = UnixStream::from_std(stream).expect("a socket");
        runtime().block_on(send(&stream, b"abc", vec![fd]));
    });
    sending.join().expect("no panic");
}

/// Who asks for it gets a descriptor of the sender's process with each message (`SO_PASSPIDFD`, Linux 6.5).
#[test]
fn a_descriptor_that_nobody_asked_for_is_closed() {
    const PASS_PIDFD: libc::c_int = 76;
    let _alone = alone();
    runtime().block_on(async {
        turn().await;
        let (a, b) = pair();
        let on: libc::c_int = 1;
        // SAFETY: the kernel reads one integer.
        let set = unsafe {
            let on = (&raw const on).cast();
            libc::setsockopt(b.as_raw_fd(), libc::SOL_SOCKET, PASS_PIDFD, on, 4)
        };
        if set != 0 {
            return eprintln!("this kernel has none");
        }
        let before = fds();
        let (reader, writer) = probe();
        send(&a, b"abc", vec![writer]).await;
        let (bytes, received) = recv(&b).await;
        assert_eq!((&bytes[..], received.len()), (&b"abc"[..], 1));
        drop((reader, received));
        assert_eq!(fds(), before);
    });
}

#[test]
fn without_numbers_left_the_bytes_remain_and_nothing_stays_open() {
    let _alone = alone();
    isolated(
        "without_numbers_left_the_bytes_remain_and_nothing_stays_open",
        || {
            runtime().block_on(async {
                for dropped in [false, true] {
                    let (a, b) = pair();
                    turn().await;
                    let probes: Vec<_> = (0..5).map(|_| probe()).collect();
                    let (readers, writers): (Vec<_>, Vec<_>) = probes.into_iter().unzip();
                    send(&a, b"abc", writers).await;
                    // Two of the five fit.
                    let free: Vec<_> = (0..2).map(|_| File::open("/dev/null").unwrap()).collect();
                    let highest = free.iter().map(AsRawFd::as_raw_fd).max().unwrap();
                    drop(free);
                    let former = limit_fds(u64::try_from(highest).unwrap() + 1);
                    if dropped {
                        let mut receiving = Box::pin(b.recv_with_fds(Vec::with_capacity(8)));
                        if poll_once(receiving.as_mut()).await.is_ready() {
                            // Where it is ready at once nothing can be dropped unseen.
                            limit_fds(former);
                            continue;
                        }
                        while !readers.iter().any(is_closed) {
                            sleep(Duration::from_millis(1)).await;
                        }
                        drop(receiving);
                        // Who looks leaves it to the next, with all that it says.
                        let error = b.peek(Vec::with_capacity(8)).await.0.unwrap_err();
                        assert!(error.to_string().contains("RLIMIT_NOFILE"), "{error}");
                    }
                    let receiving = b.recv_with_fds(Vec::with_capacity(8));
                    let (error, buf) = receiving.await;
                    let error = error.unwrap_err();
                    assert!(buf.is_empty(), "the next read gets them");
                    assert!(error.to_string().contains("RLIMIT_NOFILE"), "{error}");
                    assert!(
                        readers.iter().all(is_closed),
                        "the message is gone, and what came closed"
                    );
                    let (bytes, received) = recv(&b).await;
                    assert_eq!((&bytes[..], received.len()), (&b"abc"[..], 0));
                    limit_fds(former);
                }
            });
        },
    );
}
