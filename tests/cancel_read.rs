//! Reads of every kind, dropped at every stage: no byte is lost, none comes twice, none out of order.

mod common;

use std::future::Future;
use std::io::Write;
use std::pin::Pin;

use camshaft::net::TcpStream;
use camshaft::task::yield_now;
use common::{
    alone, fds, half_std, pair, poll_once, read_exactly, read_rest, runtime, small_runtime, turn,
};

type Reading<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;
type Begin = for<'a> fn(&'a TcpStream) -> Reading<'a>;

/// Every way to read, with its output thrown away: only futures that never became ready are used.
const KINDS: [(&str, Begin); 8] = [
    ("read", |stream| {
        Box::pin(async { drop(stream.read(Vec::with_capacity(3)).await) })
    }),
    ("read into a box", |stream| {
        Box::pin(async { drop(stream.read(vec![0; 64].into_boxed_slice()).await) })
    }),
    ("read_exact", |stream| {
        Box::pin(async { drop(stream.read_exact(vec![0; 9].into_boxed_slice()).await) })
    }),
    ("read_exact behind a prefix", |stream| {
        Box::pin(async {
            let mut buf = Vec::with_capacity(64);
            buf.extend_from_slice(b"prefix");
            drop(stream.read_exact(buf).await);
        })
    }),
    ("read_to_end", |stream| {
        Box::pin(async { drop(stream.read_to_end(b"prefix".to_vec()).await) })
    }),
    ("read_vectored", |stream| {
        Box::pin(async {
            let bufs = vec![Vec::with_capacity(2), Vec::new(), Vec::with_capacity(5)];
            drop(stream.read_vectored(bufs).await);
        })
    }),
    ("peek", |stream| {
        Box::pin(async { drop(stream.peek(Vec::with_capacity(4)).await) })
    }),
    ("recv", |stream| {
        Box::pin(async { drop(stream.recv().await) })
    }),
];

/// A peer that keeps what it has sent.
struct Peer {
    stream: std::net::TcpStream,
    sent: Vec<u8>,
}

impl Peer {
    fn new() -> (Self, TcpStream) {
        let (stream, server) = half_std();
        let sent = Vec::new();
        (Self { stream, sent }, server)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the other end lives");
        self.sent.extend_from_slice(bytes);
    }

    /// Closes, and checks that exactly what was sent arrives, and then the end.
    async fn finish(self, server: &TcpStream, what: &str) {
        drop(self.stream);
        let received = read_rest(server).await;
        assert_eq!(
            String::from_utf8_lossy(&received),
            String::from_utf8_lossy(&self.sent),
            "{what}"
        );
        assert!(read_rest(server).await.is_empty(), "{what}: one end only");
    }
}

#[test]
fn a_read_that_was_never_polled_does_nothing() {
    let _alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        for (kind, begin) in KINDS {
            let (mut peer, server) = Peer::new();
            let before = runtime.metrics().ops_submitted;
            drop(begin(&server));
            assert_eq!(runtime.metrics().ops_submitted, before, "{kind}");
            peer.send(b"abc");
            drop(begin(&server));
            peer.finish(&server, kind).await;
        }
    });
}

#[test]
fn a_read_dropped_before_it_was_submitted_loses_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        for (kind, begin) in KINDS {
            for early in [true, false] {
                let (mut peer, server) = Peer::new();
                if early {
                    peer.send(b"early ");
                }
                assert!(poll_once(begin(&server).as_mut()).await.is_pending());
                if !early {
                    peer.send(b"late ");
                }
                peer.send(b"and more than any of the buffers takes");
                peer.finish(&server, kind).await;
            }
        }
    });
}

#[test]
fn a_read_dropped_in_flight_loses_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        for (kind, begin) in KINDS {
            for (before, after) in [(&b"before "[..], &b""[..]), (b"", b"after "), (b"x", b"y")] {
                let (mut peer, server) = Peer::new();
                let mut reading = begin(&server);
                assert!(poll_once(reading.as_mut()).await.is_pending());
                turn().await;
                peer.send(before);
                drop(reading);
                peer.send(after);
                peer.finish(&server, kind).await;
            }
        }
    });
}

#[test]
fn a_read_that_completed_unseen_loses_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        for (kind, begin) in KINDS {
            let (mut peer, server) = Peer::new();
            let mut reading = begin(&server);
            assert!(poll_once(reading.as_mut()).await.is_pending());
            peer.send(b"0123456789");
            turn().await;
            drop(reading);
            peer.send(b"abc");
            peer.finish(&server, kind).await;
        }
    });
}

#[test]
fn reads_of_two_kinds_dropped_one_after_the_other_lose_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        for (first, begin_first) in KINDS {
            for (second, begin_second) in KINDS {
                for entered in [false, true] {
                    let (mut peer, server) = Peer::new();
                    let mut reading = begin_first(&server);
                    assert!(poll_once(reading.as_mut()).await.is_pending());
                    if entered {
                        turn().await;
                    }
                    peer.send(b"one ");
                    drop(reading);
                    // Ready if the first had completed and its bytes are enough; then they are read, and dropped here.
                    let mut reading = begin_second(&server);
                    let ready = poll_once(reading.as_mut()).await.is_ready();
                    assert!(!ready, "nothing was reaped, so nothing is stashed");
                    if entered {
                        yield_now().await;
                    }
                    peer.send(b"two ");
                    drop(reading);
                    peer.send(b"three");
                    peer.finish(&server, &format!("{first}, then {second}, {entered}"))
                        .await;
                }
            }
        }
    });
}

#[test]
fn a_read_in_flight_at_teardown_loses_nothing() {
    let _alone = alone();
    for (kind, begin) in KINDS {
        for sent_before in [false, true] {
            let first = runtime();
            let (mut peer, server) = Peer::new();
            let server = std::rc::Rc::new(server);
            first.spawn({
                let server = server.clone();
                async move { begin(&server).await }
            });
            first.block_on(turn());
            if sent_before {
                peer.send(b"before the end ");
            }
            drop(first);
            peer.send(b"after the end");
            runtime().block_on(peer.finish(&server, kind));
        }
    }
}

#[test]
fn a_read_that_outlives_its_runtime_loses_nothing() {
    let _alone = alone();
    for (kind, begin) in KINDS {
        let first = runtime();
        let (mut peer, server) = Peer::new();
        let mut reading = begin(&server);
        first.block_on(async {
            assert!(poll_once(reading.as_mut()).await.is_pending());
            turn().await;
        });
        peer.send(b"at the end ");
        drop(first);
        drop(reading);
        peer.send(b"and after");
        runtime().block_on(peer.finish(&server, kind));
    }
}

#[test]
fn lent_buffers_come_back() {
    let _alone = alone();
    // Each stage is passed many times more often than there are buffers.
    let runtime = runtime();
    runtime.block_on(async {
        let (mut peer, server) = Peer::new();
        let mut read = 0;
        for round in 0..2000 {
            match round % 4 {
                0 => drop(server.recv()),
                1 => {
                    let _ = common::poll_and_drop(server.recv()).await;
                }
                2 => {
                    let mut receiving = Box::pin(server.recv());
                    let _ = poll_once(receiving.as_mut()).await;
                    turn().await;
                    drop(receiving);
                }
                _ => {
                    let mut receiving = Box::pin(server.recv());
                    peer.send(b"byte");
                    if let std::task::Poll::Ready(guard) = poll_once(receiving.as_mut()).await {
                        read += guard.expect("bytes").len();
                    } else {
                        turn().await;
                    }
                    drop(receiving);
                }
            }
            // What came is read, so that the stash does not hide a buffer that is lost.
            while read < peer.sent.len() {
                read += server.recv().await.expect("bytes").len();
            }
        }
        // All can be lent at the same time, as in a runtime that has just begun.
        let after = lent_at_a_time(&mut peer, &server).await;
        let (mut peer, server) = Peer::new();
        let again = lent_at_a_time(&mut peer, &server).await;
        // One buffer may have been begun.
        assert!(
            after + 64 * 1024 > again && again + 64 * 1024 > after,
            "{after}, then {again}"
        );
    });
}

/// Keeps guards until a receive does not get a lent one; returns how many bytes were lent.
async fn lent_at_a_time(peer: &mut Peer, server: &TcpStream) -> usize {
    let is_lent = |guard: &camshaft::buf::BufGuard| format!("{guard:?}").contains("lent: true");
    let mut guards = Vec::new();
    let mut unread = 0;
    loop {
        if unread == 0 {
            peer.send(&[b'x'; 8192]);
            unread = 8192;
        }
        let guard = server.recv().await.expect("never waits for guards");
        unread -= guard.len();
        if !is_lent(&guard) {
            break;
        }
        guards.push(guard);
    }
    let lent = guards.iter().map(|guard| guard.len()).sum();
    drop(guards);
    if unread > 0 {
        drop(read_exactly(server, unread).await);
    }
    lent
}

#[test]
fn a_stream_dropped_with_its_read_is_closed_soon() {
    let _alone = alone();
    let runtime = runtime();
    let before = runtime.block_on(async {
        turn().await;
        fds()
    });
    runtime.block_on(async {
        for (kind, begin) in KINDS {
            for entered in [false, true] {
                let (client, server) = pair().await;
                let mut reading = begin(&server);
                assert!(poll_once(reading.as_mut()).await.is_pending());
                if entered {
                    turn().await;
                }
                drop(reading);
                drop(server);
                assert!(read_rest(&client).await.is_empty(), "{kind}: the end");
            }
        }
        turn().await;
        assert_eq!(fds(), before);
    });
}

#[test]
fn with_a_tiny_ring_too() {
    let _alone = alone();
    small_runtime().block_on(async {
        let (client, server) = pair().await;
        for round in 0..200_u32 {
            for (_, begin) in KINDS {
                let _ = poll_once(begin(&server).as_mut()).await;
            }
            let word = round.to_be_bytes();
            client.write_all(word.to_vec()).await.0.expect("sent");
            assert_eq!(read_exactly(&server, 4).await, word);
        }
    });
}
