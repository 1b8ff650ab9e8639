//! Writes dropped at every stage: a prefix goes out, nothing more of it once the next write begins, and the buffer is freed
//! once, when the kernel is done with it.

mod common;

use std::cell::Cell;
use std::future::Future;
use std::io::Read;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::rc::Rc;

use camshaft::buf::IoBuf;
use camshaft::net::{TcpStream, UnixStream};
use common::{alone, fds, half_std, poll_once, runtime, shrink, small_runtime, turn, until};

/// More than the socket buffers of both ends take.
const LARGE: usize = 32 << 20;
const MARK: &[u8] = &[255; 16];

/// A buffer that counts how often one was freed.
struct Counted {
    bytes: Box<[u8]>,
    freed: Rc<Cell<usize>>,
}

impl Counted {
    /// Bytes that never contain the mark.
    fn new(len: usize, freed: &Rc<Cell<usize>>) -> Self {
        Self {
            bytes: pattern(len),
            freed: freed.clone(),
        }
    }
}

fn pattern(len: usize) -> Box<[u8]> {
    let unit: Vec<u8> = (0..=250).collect();
    let mut bytes = unit.repeat(len / unit.len() + 1);
    bytes.truncate(len);
    bytes.into_boxed_slice()
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.bytes.fill(254); // what the kernel sends after this shows
        self.freed.set(self.freed.get() + 1);
    }
}

// SAFETY: the bytes lie on the heap, are initialised, and nobody writes them while the buffer lives.
unsafe impl IoBuf for Counted {
    fn as_slice(&self) -> &[u8] {
        &self.bytes
    }
}

type Writing<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;
type Begin = for<'a> fn(&'a TcpStream, usize, &Rc<Cell<usize>>) -> Writing<'a>;

const KINDS: [(&str, Begin); 3] = [
    ("write", |stream, len, freed| {
        let buf = Counted::new(len, freed);
        Box::pin(async { drop(stream.write(buf).await) })
    }),
    ("write_all", |stream, len, freed| {
        let buf = Counted::new(len, freed);
        Box::pin(async { drop(stream.write_all(buf).await) })
    }),
    ("write_vectored", |stream, len, freed| {
        let bufs = vec![Counted::new(len, freed)];
        Box::pin(async { drop(stream.write_vectored(bufs).await) })
    }),
];

/// Sends the mark and the end; returns how long a prefix of the pattern the peer read before them, or `None` if it read
/// anything else.
async fn prefix_then_mark(server: TcpStream, client: std::net::TcpStream) -> Option<usize> {
    let reader = std::thread::spawn(move || {
        let mut client = client;
        let mut all = Vec::new();
        client.read_to_end(&mut all).expect("bytes and an end");
        all
    });
    server.write_all(MARK).await.0.expect("the peer reads");
    drop(server);
    let received = reader.join().expect("the reader ends");
    let prefix = received.strip_suffix(MARK)?;
    (prefix == &pattern(LARGE)[..prefix.len()]).then_some(prefix.len())
}

#[test]
fn a_write_that_was_never_polled_sends_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        for (kind, begin) in KINDS {
            let freed = Rc::default();
            let (client, server) = half_std();
            drop(begin(&server, 100, &freed));
            assert_eq!(freed.get(), 1, "{kind}: nothing is in flight");
            assert_eq!(prefix_then_mark(server, client).await, Some(0), "{kind}");
        }
    });
}

#[test]
fn a_write_dropped_before_it_was_submitted_sends_a_prefix() {
    let _alone = alone();
    runtime().block_on(async {
        for (kind, begin) in KINDS {
            for len in [1, 100, LARGE] {
                let freed = Rc::default();
                let (client, server) = half_std();
                let mut writing = begin(&server, len, &freed);
                assert!(poll_once(writing.as_mut()).await.is_pending());
                drop(writing);
                let sent = prefix_then_mark(server, client).await;
                assert!(
                    sent.is_some_and(|sent| sent <= len),
                    "{kind}, {len}: {sent:?}"
                );
                assert_eq!(freed.get(), 1, "{kind}");
            }
        }
    });
}

#[test]
fn a_write_dropped_in_flight_sends_a_prefix() {
    let _alone = alone();
    runtime().block_on(async {
        // One `write` takes what there is room for at once and is never in flight; `write_all` waits.
        let freed = Rc::default();
        let (client, server) = half_std();
        let mut writing = KINDS[1].1(&server, LARGE, &freed);
        assert!(poll_once(writing.as_mut()).await.is_pending());
        turn().await;
        assert!(poll_once(writing.as_mut()).await.is_pending());
        drop(writing);
        assert_eq!(freed.get(), 0, "the kernel still reads it");
        let sent = prefix_then_mark(server, client).await;
        assert!(sent.is_some_and(|n| n > 0 && n < LARGE), "{sent:?}");
        assert_eq!(freed.get(), 1);
    });
}

#[test]
fn a_write_that_completed_unseen_sent_everything() {
    let _alone = alone();
    runtime().block_on(async {
        for (kind, begin) in KINDS {
            let freed = Rc::default();
            let (client, server) = half_std();
            let mut writing = begin(&server, 1000, &freed);
            assert!(poll_once(writing.as_mut()).await.is_pending());
            turn().await;
            drop(writing);
            assert_eq!(freed.get(), 1, "{kind}: the kernel was done with it");
            assert_eq!(prefix_then_mark(server, client).await, Some(1000), "{kind}");
        }
    });
}

#[test]
fn writes_dropped_one_after_the_other_keep_their_order() {
    let _alone = alone();
    runtime().block_on(async {
        let freed: Rc<Cell<usize>> = Rc::default();
        let (client, server) = half_std();
        for n in 0..20 {
            // The first blocks, and the others wait until it has settled, so they send nothing.
            let (_, begin) = KINDS[if n == 0 { 1 } else { n % KINDS.len() }];
            let mut writing = begin(&server, LARGE, &freed);
            assert!(poll_once(writing.as_mut()).await.is_pending());
            if n == 0 {
                turn().await;
            }
            drop(writing);
        }
        let sent = prefix_then_mark(server, client).await;
        assert!(sent.is_some_and(|n| n > 0 && n < LARGE), "{sent:?}");
        assert_eq!(freed.get(), 20);
    });
}

#[test]
fn a_shutdown_waits_for_a_dropped_write() {
    let _alone = alone();
    small_runtime().block_on(async {
        let freed = Rc::default();
        let (mut client, server) = half_std();
        let mut writing = KINDS[1].1(&server, LARGE, &freed);
        assert!(poll_once(writing.as_mut()).await.is_pending());
        turn().await;
        drop(writing);
        server.shutdown().await.expect("connected");
        assert_eq!(freed.get(), 1, "settled before");
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            client.read_to_end(&mut all).map(|_| all)
        });
        let all = reader.join().expect("ends").expect("no reset");
        assert!(!all.is_empty() && all == pattern(LARGE)[..all.len()]);
    });
}

#[test]
fn a_write_in_flight_at_teardown_sends_a_prefix() {
    let _alone = alone();
    for (kind, begin) in KINDS {
        let first = runtime();
        let freed: Rc<Cell<usize>> = Rc::default();
        let (client, server) = half_std();
        let server = Rc::new(server);
        first.spawn({
            let (server, freed) = (server.clone(), freed.clone());
            async move { begin(&server, LARGE, &freed).await }
        });
        first.block_on(turn());
        drop(first);
        assert_eq!(freed.get(), 1, "{kind}: freed with the runtime");
        let server = Rc::into_inner(server).expect("nobody else holds it");
        let sent = runtime().block_on(prefix_then_mark(server, client));
        assert!(sent.is_some_and(|n| n > 0 && n < LARGE), "{kind}: {sent:?}");
    }
}

#[test]
fn a_stream_dropped_with_its_write_is_closed_soon() {
    let _alone = alone();
    runtime().block_on(async {
        turn().await;
        let before = fds();
        for (kind, begin) in KINDS {
            let freed = Rc::default();
            let (client, server) = half_std();
            let mut writing = begin(&server, LARGE, &freed);
            assert!(poll_once(writing.as_mut()).await.is_pending());
            turn().await;
            drop(writing);
            drop(server);
            drop(client);
            turn().await;
            assert_eq!((fds(), freed.get()), (before, 1), "{kind}");
        }
    });
}

/// The kernel's poll calls such a socket ready for ever, because its peer's end of sending is an event, too. So a write that
/// finds no room is tried again and again; a cancellation between two of the tries finds nothing to cancel.
#[test]
fn a_dropped_write_ends_if_the_peer_neither_reads_nor_sends_any_more() {
    let _alone = alone();
    for runtime in [runtime(), small_runtime()] {
        runtime.block_on(async {
            for round in 0..60 {
                let (near, far) = std::os::unix::net::UnixStream::pair().expect("a pair");
                shrink(&near);
                let stream = UnixStream::from_std(near).expect("a socket");
                let mut filling = Box::pin(stream.write_all(vec![7; 100_000]));
                assert!(poll_once(filling.as_mut()).await.is_pending());
                until(|| has_bytes(&far)).await;
                far.shutdown(Shutdown::Write).expect("a socket");
                for _ in 0..round % 20 {
                    camshaft::task::yield_now().await;
                }
                if round % 3 == 1 {
                    turn().await;
                }
                drop(filling);
                // Hangs if the cancellation was in vain.
                until(|| {
                    let metrics = runtime.metrics();
                    metrics.ops_submitted == metrics.ops_completed
                })
                .await;
            }
        });
    }
}

fn has_bytes(socket: &impl AsRawFd) -> bool {
    let mut count: libc::c_int = 0;
    // SAFETY: the kernel writes one integer.
    let asked = unsafe { libc::ioctl(socket.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    assert_eq!(asked, 0);
    count > 0
}
