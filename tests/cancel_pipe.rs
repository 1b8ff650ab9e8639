//! Reads and writes of pipes, dropped at every stage: no byte is lost, none comes twice, none out of order.

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use camshaft::io::{BufResult, PipeReader, PipeWriter, pipe};
use common::{Random, alone, fds, os_pipe, poll_once, runtime, small_runtime, turn};

type Doing<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;
type Reading<'a> = Pin<Box<dyn Future<Output = BufResult<usize, Vec<u8>>> + 'a>>;
type BeginRead = for<'a> fn(&'a PipeReader) -> Doing<'a>;
type BeginWrite = for<'a> fn(&'a PipeWriter, u8) -> Doing<'a>;

/// Every way to read, with its output thrown away: only futures that never became ready are used.
const READS: [(&str, BeginRead); 4] = [
    ("read", |it| {
        Box::pin(async { drop(it.read(Vec::with_capacity(3)).await) })
    }),
    ("read_exact", |it| {
        Box::pin(async { drop(it.read_exact(vec![0; 99].into_boxed_slice()).await) })
    }),
    ("read_to_end", |it| {
        Box::pin(async { drop(it.read_to_end(b"prefix".to_vec()).await) })
    }),
    ("read_vectored", |it| {
        let bufs = vec![Vec::new(), Vec::with_capacity(5)];
        Box::pin(async { drop(it.read_vectored(bufs).await) })
    }),
];

/// Every way to write a MiB of a byte.
const WRITES: [(&str, BeginWrite); 3] = [
    ("write", |it, byte| {
        Box::pin(async move { drop(it.write(vec![byte; 1 << 20]).await) })
    }),
    ("write_all", |it, byte| {
        Box::pin(async move { drop(it.write_all(vec![byte; 1 << 20]).await) })
    }),
    ("write_vectored", |it, byte| {
        let bufs = vec![vec![byte; 1 << 19]; 2];
        Box::pin(async move { drop(it.write_vectored(bufs).await) })
    }),
];

/// A writer that keeps what it has written.
struct Source {
    file: Option<File>,
    sent: Vec<u8>,
}

impl Source {
    fn new() -> (Self, PipeReader) {
        let (read, write) = os_pipe();
        let source = Self {
            file: Some(write.into()),
            sent: Vec::new(),
        };
        (
            source,
            PipeReader::from_fd(read).expect("the end of a pipe"),
        )
    }

    fn send(&mut self, bytes: &[u8]) {
        let file = self.file.as_mut().expect("it is open");
        file.write_all(bytes).expect("room");
        self.sent.extend_from_slice(bytes);
    }

    /// Closes, and checks that exactly what was written arrives, and then the end.
    async fn finish(&mut self, reader: &PipeReader, what: &str) {
        self.file = None;
        let (result, bytes) = reader.read_to_end(Vec::new()).await;
        result.expect("bytes and the end");
        assert_eq!(
            String::from_utf8_lossy(&bytes),
            String::from_utf8_lossy(&self.sent),
            "{what}"
        );
        let end = reader.read(Vec::with_capacity(1)).await.0;
        assert_eq!(end.expect("the end again"), 0);
    }
}

#[test]
fn a_transfer_that_was_never_polled_does_nothing() {
    let _alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        for (kind, begin) in READS {
            let (mut source, reader) = Source::new();
            source.send(b"abc");
            let before = runtime.metrics().ops_submitted;
            drop(begin(&reader));
            assert_eq!(runtime.metrics().ops_submitted, before, "{kind}");
            let (result, bytes) = reader.read(Vec::with_capacity(9)).await;
            assert_eq!((result.expect("bytes"), &bytes[..]), (3, &b"abc"[..]));
        }
        for (kind, begin) in WRITES {
            let (reader, writer) = pipe().expect("a pipe");
            drop(begin(&writer, 1));
            drop(writer);
            let (result, bytes) = reader.read_to_end(Vec::new()).await;
            result.expect("the end");
            assert!(bytes.is_empty(), "{kind}");
        }
    });
}

#[test]
fn reads_dropped_at_any_stage_lose_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        for (kind, begin) in READS {
            for entered in [false, true] {
                for (before, after) in [("before ", ""), ("", "after "), ("x", "y")] {
                    for completed in [false, true] {
                        let (mut source, reader) = Source::new();
                        let mut reading = begin(&reader);
                        assert!(poll_once(reading.as_mut()).await.is_pending());
                        if entered {
                            turn().await;
                        }
                        source.send(before.as_bytes());
                        if completed {
                            turn().await;
                        }
                        drop(reading);
                        source.send(after.as_bytes());
                        let what = format!("{kind} {entered} {completed}");
                        source.finish(&reader, &what).await;
                    }
                }
            }
        }
    });
}

#[test]
fn reads_of_two_kinds_dropped_one_after_the_other_lose_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        for (first, begin_first) in READS {
            for (second, begin_second) in READS {
                for entered in [false, true] {
                    let (mut source, reader) = Source::new();
                    let mut reading = begin_first(&reader);
                    assert!(poll_once(reading.as_mut()).await.is_pending());
                    if entered {
                        turn().await;
                    }
                    source.send(b"one ");
                    drop(reading);
                    let mut reading = begin_second(&reader);
                    let ready = poll_once(reading.as_mut()).await.is_ready();
                    assert!(!ready, "nothing was reaped, so nothing is stashed");
                    source.send(b"two ");
                    drop(reading);
                    source.send(b"three");
                    let what = format!("{first}, then {second}, {entered}");
                    source.finish(&reader, &what).await;
                }
            }
        }
    });
}

#[test]
fn a_read_that_has_taken_some_gives_it_back() {
    let _alone = alone();
    runtime().block_on(async {
        for (kind, begin) in &READS[1..3] {
            let (mut source, reader) = Source::new();
            let mut reading = begin(&reader);
            for part in ["one ", "two ", "three "] {
                source.send(part.as_bytes());
                assert!(poll_once(reading.as_mut()).await.is_pending());
                turn().await;
            }
            drop(reading);
            let mut again = begin(&reader);
            assert!(poll_once(again.as_mut()).await.is_pending());
            source.send(b"four");
            turn().await;
            drop(again);
            source.finish(&reader, kind).await;
        }
    });
}

#[test]
fn transfers_in_flight_at_teardown_lose_nothing() {
    let _alone = alone();
    for (kind, begin) in READS {
        for outlives in [false, true] {
            let (mut source, reader) = Source::new();
            let reader = Rc::new(reader);
            let first = runtime();
            let mut reading = begin(&reader);
            if outlives {
                first.block_on(async {
                    assert!(poll_once(reading.as_mut()).await.is_pending());
                });
            } else {
                drop(reading);
                let reader = reader.clone();
                first.spawn(async move { begin(&reader).await });
                reading = Box::pin(async {});
            }
            first.block_on(turn());
            source.send(b"before the end ");
            drop(first);
            drop(reading);
            source.send(b"after the end");
            runtime().block_on(source.finish(&reader, kind));
        }
    }
    for (kind, begin) in WRITES {
        let (read, write) = os_pipe();
        let writer = PipeWriter::from_fd(write).expect("the end of a pipe");
        let writer = Rc::new(writer);
        let first = runtime();
        first.spawn({
            let writer = writer.clone();
            async move {
                begin(&writer, 1).await;
                begin(&writer, 1).await;
            }
        });
        first.block_on(turn());
        drop(first);
        assert_eq!(Rc::strong_count(&writer), 1, "{kind}");
        drop(writer);
        let mut bytes = Vec::new();
        File::from(read).read_to_end(&mut bytes).expect("bytes");
        assert!(
            bytes.len() < 1 << 20 && bytes.iter().all(|byte| *byte == 1),
            "{kind}"
        );
    }
}

#[test]
fn a_dropped_write_writes_a_prefix_and_nothing_behind_the_next() {
    let _alone = alone();
    runtime().block_on(async {
        for (first, begin_first) in WRITES {
            for (second, begin_second) in WRITES {
                for entered in [false, true] {
                    let (reader, writer) = pipe().expect("a pipe");
                    // Full, so that the write has to wait, as a whole or in its middle.
                    writer
                        .write_all(vec![b'a'; 65_536 - 4096])
                        .await
                        .0
                        .expect("room");
                    let mut writing = begin_first(&writer, b'b');
                    let _ = poll_once(writing.as_mut()).await;
                    if entered {
                        turn().await;
                    }
                    drop(writing);
                    let mut writing = begin_second(&writer, b'c');
                    let _ = poll_once(writing.as_mut()).await;
                    drop(writing);
                    let last = camshaft::spawn(async move { writer.write_all("d").await.0 });
                    let (result, bytes) = reader.read_to_end(Vec::new()).await;
                    result.expect("bytes and the end");
                    last.await.expect("the task").expect("written");
                    assert!(
                        bytes.is_sorted() && bytes.ends_with(b"d"),
                        "{first}, {second}"
                    );
                }
            }
        }
    });
}

#[test]
fn ends_dropped_with_their_transfers_are_closed_soon() {
    let _alone = alone();
    runtime().block_on(async {
        turn().await;
        let before = fds();
        for entered in [false, true] {
            for (kind, begin) in READS {
                let (reader, writer) = pipe().expect("a pipe");
                let mut reading = begin(&reader);
                assert!(poll_once(reading.as_mut()).await.is_pending());
                if entered {
                    turn().await;
                }
                drop(reading);
                drop(reader);
                writer.write("x").await.0.expect_err(kind);
            }
            for (kind, begin) in WRITES {
                let (reader, writer) = pipe().expect("a pipe");
                while poll_once(begin(&writer, 1).as_mut()).await.is_ready() {}
                let mut writing = begin(&writer, 1);
                assert!(poll_once(writing.as_mut()).await.is_pending());
                if entered {
                    turn().await;
                }
                drop(writing);
                drop(writer);
                reader.read_to_end(Vec::new()).await.0.expect(kind);
            }
        }
        turn().await;
        assert_eq!(fds(), before);
    });
}

#[test]
fn a_storm_of_dropped_reads_loses_nothing() {
    let _alone = alone();
    for runtime in [runtime(), small_runtime()] {
        runtime.block_on(async {
            let mut random = Random::new(7);
            let (mut source, reader) = Source::new();
            let mut found = Vec::new();
            while found.len() < 20_000 {
                if random.one_in(2) {
                    let len = 1 + random.below(60);
                    let byte = b"abcdefghijklmnopqrstuvwxyz"[random.below(26)];
                    source.send(&vec![byte; len]);
                }
                // Waits, and is dropped, if it asks for more than there is.
                let room = 1 + random.below(80);
                let mut reading: Reading<'_> = if random.one_in(2) {
                    Box::pin(reader.read(Vec::with_capacity(room)))
                } else {
                    Box::pin(reader.read_exact(Vec::with_capacity(room)))
                };
                let mut polled = poll_once(reading.as_mut()).await;
                if polled.is_pending() && random.one_in(2) {
                    turn().await;
                    polled = poll_once(reading.as_mut()).await;
                }
                if let Poll::Ready((result, bytes)) = polled {
                    result.expect("bytes");
                    found.extend(bytes);
                }
                drop(reading);
                assert_eq!(source.sent[..found.len()], found);
            }
        });
    }
}
