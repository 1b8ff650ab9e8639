//! Transfers of a Unix stream dropped at every stage: no byte is lost, none comes twice, none out of order, and nothing of a
//! dropped write goes out after the next one has begun.

mod common;

use std::future::Future;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::pin::Pin;
use std::rc::Rc;

use camshaft::net::{UnixListener, UnixStream};
use common::sockets::SocketDir;
use common::{alone, fds, poll_once, runtime, small_runtime, turn, until};

type Doing<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;
type Begin = for<'a> fn(&'a UnixStream) -> Doing<'a>;

/// Every way to read, with its output thrown away: only futures that never became ready are used.
const READS: [(&str, Begin); 8] = [
    ("read", |it| {
        Box::pin(async { drop(it.read(Vec::with_capacity(3)).await) })
    }),
    ("read_exact", |it| {
        Box::pin(async { drop(it.read_exact(vec![0; 30].into_boxed_slice()).await) })
    }),
    ("read_to_end", |it| {
        Box::pin(async { drop(it.read_to_end(b"prefix".to_vec()).await) })
    }),
    ("read_vectored", |it| {
        Box::pin(async {
            let bufs = vec![Vec::with_capacity(2), Vec::with_capacity(5)];
            drop(it.read_vectored(bufs).await);
        })
    }),
    ("peek", |it| {
        Box::pin(async { drop(it.peek(Vec::with_capacity(4)).await) })
    }),
    ("recv", |it| Box::pin(async { drop(it.recv().await) })),
    ("recv_with_fds", |it| {
        Box::pin(async { drop(it.recv_with_fds(Vec::with_capacity(4)).await) })
    }),
    ("readable", |it| {
        Box::pin(async { drop(it.readable().await) })
    }),
];

/// When a read is dropped, and when bytes come.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Unpolled,
    Queued,
    InFlight,
    Completed,
    Cancelled,
}

const STAGES: [Stage; 5] = [
    Stage::Unpolled,
    Stage::Queued,
    Stage::InFlight,
    Stage::Completed,
    Stage::Cancelled,
];

fn half_std() -> (StdStream, UnixStream) {
    let (a, b) = StdStream::pair().expect("a pair");
    (a, UnixStream::from_std(b).expect("a socket"))
}

/// Drops a read at a stage, with bytes that come before the drop or after.
async fn drop_at(
    stage: Stage,
    stream: &UnixStream,
    begin: Begin,
    peer: &mut StdStream,
    bytes: &[u8],
) {
    let mut reading = begin(stream);
    if !matches!(stage, Stage::Unpolled) {
        assert!(poll_once(reading.as_mut()).await.is_pending());
    }
    if !matches!(stage, Stage::Unpolled | Stage::Queued) {
        turn().await;
    }
    match stage {
        Stage::Cancelled => {
            drop(reading);
            turn().await;
            peer.write_all(bytes).expect("the other end lives");
        }
        _ => {
            peer.write_all(bytes).expect("the other end lives");
            if matches!(stage, Stage::Completed) {
                turn().await;
            }
            drop(reading);
        }
    }
}

async fn rest(stream: &UnixStream) -> String {
    let (read, bytes) = stream.read_to_end(Vec::new()).await;
    assert_eq!(read.expect("bytes and an end"), bytes.len());
    String::from_utf8(bytes).expect("text")
}

#[test]
fn a_read_dropped_at_any_stage_loses_nothing() {
    let _alone = alone();
    for runtime in [runtime(), small_runtime()] {
        runtime.block_on(async {
            for stage in STAGES {
                for (kind, begin) in READS {
                    let (mut peer, stream) = half_std();
                    drop_at(stage, &stream, begin, &mut peer, b"one and ").await;
                    peer.write_all(b"two").unwrap();
                    drop(peer);
                    assert_eq!(rest(&stream).await, "one and two", "{kind} {stage:?}");
                }
            }
        });
    }
}

#[test]
fn reads_of_two_kinds_dropped_one_after_the_other_lose_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        for (first, begin_first) in READS {
            for (second, begin_second) in READS {
                let (mut peer, stream) = half_std();
                let mut a = begin_first(&stream);
                let mut b = begin_second(&stream);
                assert!(poll_once(a.as_mut()).await.is_pending());
                assert!(poll_once(b.as_mut()).await.is_pending());
                turn().await;
                peer.write_all(b"one ").unwrap();
                drop(a);
                turn().await;
                peer.write_all(b"two ").unwrap();
                drop(b);
                peer.write_all(b"three").unwrap();
                drop(peer);
                assert_eq!(rest(&stream).await, "one two three", "{first}, {second}");
            }
        }
    });
}

#[test]
fn a_read_in_flight_at_teardown_loses_nothing() {
    let _alone = alone();
    for (kind, begin) in READS {
        for before in [false, true] {
            let first = runtime();
            let (mut peer, stream) = half_std();
            let stream = Rc::new(stream);
            first.spawn({
                let stream = stream.clone();
                async move { begin(&stream).await }
            });
            first.block_on(turn());
            if before {
                peer.write_all(b"before the end ").unwrap();
            }
            drop(first);
            peer.write_all(b"after the end").unwrap();
            drop(peer);
            let text = runtime().block_on(rest(&stream));
            let expected = if before {
                "before the end after the end"
            } else {
                "after the end"
            };
            assert_eq!(text, expected, "{kind}");
        }
    }
}

#[test]
fn a_stream_dropped_with_its_read_is_closed_at_once() {
    let _alone = alone();
    runtime().block_on(async {
        turn().await;
        let before = fds();
        for (kind, begin) in READS {
            for entered in [false, true] {
                let (mut peer, stream) = half_std();
                let mut reading = begin(&stream);
                assert!(poll_once(reading.as_mut()).await.is_pending());
                if entered {
                    turn().await;
                }
                drop(reading);
                drop(stream);
                let mut end = [0];
                assert_eq!(peer.read(&mut end).unwrap(), 0, "{kind}");
            }
        }
        until(|| fds() == before).await;
    });
}

#[test]
fn nothing_of_a_dropped_write_goes_out_after_the_next_one() {
    let _alone = alone();
    runtime().block_on(async {
        for stage in 0..3 {
            let (mut peer, stream) = half_std();
            common::shrink(&stream);
            let mut writing = Box::pin(stream.write_all(vec![b'a'; 1 << 20]));
            if stage > 0 {
                assert!(poll_once(writing.as_mut()).await.is_pending());
            }
            if stage > 1 {
                turn().await;
            }
            drop(writing);
            let reading = std::thread::spawn(move || {
                let mut bytes = Vec::new();
                peer.read_to_end(&mut bytes).map(|_| bytes)
            });
            stream.write_all(vec![b'b'; 100_000]).await.0.unwrap();
            drop(stream);
            let bytes = reading.join().unwrap().unwrap();
            let split = bytes.iter().position(|it| *it == b'b').unwrap();
            assert!(bytes[split..].iter().all(|it| *it == b'b'), "{stage}");
            assert_eq!(bytes.len() - split, 100_000);
            assert!(stage > 0 || split == 0, "it was never polled");
        }
    });
}

#[test]
fn accepts_and_connects_dropped_lose_and_leak_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        turn().await;
        let before = fds();
        for stage in STAGES {
            let dir = SocketDir::new();
            let listener = UnixListener::bind(dir.path("socket")).unwrap();
            let mut accepting = Box::pin(listener.accept());
            if !matches!(stage, Stage::Unpolled) {
                assert!(poll_once(accepting.as_mut()).await.is_pending());
            }
            if !matches!(stage, Stage::Unpolled | Stage::Queued) {
                turn().await;
            }
            let mut accepting = Some(accepting);
            if matches!(stage, Stage::Cancelled) {
                accepting = None;
                turn().await;
            }
            let mut client = StdStream::connect(dir.path("socket")).unwrap();
            if matches!(stage, Stage::Completed) {
                turn().await;
            }
            drop(accepting);
            client.write_all(b"here").unwrap();
            drop(client);
            let (stream, _) = listener.accept().await.unwrap();
            assert_eq!(rest(&stream).await, "here", "{stage:?}");
            drop(UnixStream::connect(dir.path("socket")));
            let mut connecting = Box::pin(UnixStream::connect(dir.path("socket")));
            let _ = poll_once(connecting.as_mut()).await;
        }
        until(|| fds() == before).await;
    });
}
