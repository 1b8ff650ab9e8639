//! The standard streams, whatever they are: a pipe, a terminal, a file, `/dev/null`, closed.

mod common;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::task::Poll;
use std::thread;

use camshaft::io::stdin;
use camshaft::runtime::Runtime;
use common::filter::refuse;
use common::standard::{Instead, close, file, terminal};
use common::{alone, isolated, os_pipe, poll_once, runtime, turn};

fn file_with(directory: &str, bytes: &[u8]) -> File {
    let mut file = file(directory);
    file.write_all(bytes).expect("room");
    file.rewind().expect("a file");
    file
}

async fn rest() -> Vec<u8> {
    let (result, bytes) = stdin().read_to_end(Vec::new()).await;
    assert_eq!(result.expect("bytes and the end"), bytes.len());
    bytes
}

type Reading = Pin<Box<dyn Future<Output = ()>>>;
type Kind = (&'static str, fn() -> Reading);

/// Every way to read, with its output thrown away: only futures that never became ready are used.
const KINDS: [Kind; 4] = [
    ("read", || {
        Box::pin(async { drop(stdin().read(Vec::with_capacity(3)).await) })
    }),
    ("read_exact", || {
        Box::pin(async { drop(stdin().read_exact(vec![0; 900].into_boxed_slice()).await) })
    }),
    ("read_to_end", || {
        Box::pin(async { drop(stdin().read_to_end(b"prefix".to_vec()).await) })
    }),
    ("read_vectored", || {
        let bufs = vec![Vec::new(), Vec::with_capacity(5)];
        Box::pin(async { drop(stdin().read_vectored(bufs).await) })
    }),
];

/// How many bytes the system has for standard input.
fn available() -> i32 {
    let mut count = 0;
    // SAFETY: the kernel writes one integer.
    let asked = unsafe { libc::ioctl(0, libc::FIONREAD, &raw mut count) };
    assert_eq!(asked, 0);
    count
}

/// Drops reads of every kind at every stage. `write` puts a line into what is standard input.
async fn drops_reads(mut write: impl FnMut(&[u8])) {
    for (kind, begin) in KINDS {
        // Never polled; before it was submitted; in flight; done, but not polled; and twice.
        drop(begin());
        assert!(poll_once(begin().as_mut()).await.is_pending(), "{kind}");
        let mut reading = begin();
        assert!(poll_once(reading.as_mut()).await.is_pending());
        turn().await;
        drop(reading);
        let mut reading = begin();
        assert!(poll_once(reading.as_mut()).await.is_pending());
        turn().await;
        write(b"one ...\n");
        turn().await;
        drop(reading);
        drop(begin());
        assert_eq!(exactly(8).await, b"one ...\n", "{kind}");

        // When it has taken some, by itself or with the help of a thread, and waits for more.
        for more in KINDS[1..3].iter().map(|(_, begin)| begin) {
            let mut reading = begin();
            assert!(poll_once(reading.as_mut()).await.is_pending());
            drop(reading);
            let mut reading = more();
            assert!(poll_once(reading.as_mut()).await.is_pending());
            write(b"two ...\n");
            while available() > 0 {
                turn().await;
                assert!(poll_once(reading.as_mut()).await.is_pending());
            }
            drop(reading);
            write(b"three .\n");
            assert_eq!(exactly(16).await, b"two ...\nthree .\n", "{kind}");
        }
    }
}

async fn exactly(n: usize) -> Vec<u8> {
    let (result, bytes) = stdin().read_exact(vec![0; n].into_boxed_slice()).await;
    assert_eq!(result.expect("enough bytes"), n);
    bytes.into_vec()
}

#[test]
fn dropped_reads_of_a_pipe_lose_nothing() {
    let _alone = alone();
    isolated("dropped_reads_of_a_pipe_lose_nothing", pipe_loses_nothing);
}

#[test]
fn dropped_reads_lose_nothing_where_the_kernel_can_not_try_a_pipe() {
    let _alone = alone();
    isolated(
        "dropped_reads_lose_nothing_where_the_kernel_can_not_try_a_pipe",
        || {
            refuse(libc::SYS_preadv2, libc::EOPNOTSUPP);
            pipe_loses_nothing();
        },
    );
}

fn pipe_loses_nothing() {
    let (read, write) = os_pipe();
    let stdin = Instead::of(0, read);
    runtime().block_on(async {
        let mut write = File::from(write);
        drops_reads(|line| write.write_all(line).expect("room")).await;
        drop(write);
        assert!(rest().await.is_empty());
        assert!(rest().await.is_empty());
    });
    assert_eq!(stdin.flags() & libc::O_NONBLOCK, 0);
}

#[test]
fn dropped_reads_of_a_terminal_lose_nothing() {
    let _alone = alone();
    isolated("dropped_reads_of_a_terminal_lose_nothing", || {
        let (mut master, slave) = terminal();
        let stdin = Instead::of(0, slave);
        runtime().block_on(async {
            drops_reads(|line| master.write_all(line).expect("room")).await;
            let mut reading = Box::pin(rest());
            assert!(poll_once(reading.as_mut()).await.is_pending());
            master.write_all(b"last\n\x04").expect("room");
            assert_eq!(reading.await, b"last\n");
        });
        assert_eq!(stdin.flags() & libc::O_NONBLOCK, 0);
    });
}

#[test]
fn files_and_devices_are_read_to_their_end() {
    let _alone = alone();
    isolated("files_and_devices_are_read_to_their_end", || {
        let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        for directory in ["/tmp", "/dev/shm"] {
            let _stdin = Instead::of(0, file_with(directory, &bytes));
            runtime().block_on(async {
                let head = stdin().read_exact(vec![0; 100].into_boxed_slice()).await.1;
                assert_eq!(*head, bytes[..100]);
                // No more was taken than was asked for.
                let mut shared =
                    File::from(stdin().as_fd().try_clone_to_owned().expect("a duplicate"));
                assert_eq!(shared.stream_position().expect("a file"), 100);
                let mut reading = Box::pin(stdin().read_to_end(Vec::new()));
                if poll_once(reading.as_mut()).await.is_ready() {
                    shared.seek(SeekFrom::Start(100)).expect("a file");
                }
                drop(reading);
                assert!(rest().await == bytes[100..], "{directory}");
                shared.seek(SeekFrom::Start(7)).expect("a file");
                assert!(rest().await == bytes[7..], "{directory}");
            });
        }
        let _stdin = Instead::of(0, File::open("/dev/null").expect("a device"));
        runtime().block_on(async { assert!(rest().await.is_empty()) });
        let runtime = runtime();
        close(0);
        runtime.block_on(async { assert!(rest().await.is_empty()) });
    });
}

#[test]
fn a_waiting_read_keeps_nothing_from_ending() {
    let _alone = alone();
    isolated("a_waiting_read_keeps_nothing_from_ending", || {
        let (mut master, slave) = terminal();
        let mut thief = File::from(slave.try_clone().expect("a duplicate"));
        let _stdin = Instead::of(0, slave);
        let first = runtime();
        first.spawn(async { drop(stdin().read(Vec::with_capacity(10)).await) });
        first.block_on(turn());
        drop(first);
        // Somebody else takes the line that the read was told of, so that its thread waits for the next.
        let second = runtime();
        second.block_on(async {
            let mut reading = Box::pin(stdin().read(Vec::with_capacity(10)));
            assert!(poll_once(reading.as_mut()).await.is_pending());
            master.write_all(b"stolen\n").expect("room");
            turn().await;
            let mut line = [0; 7];
            thief.read_exact(&mut line).expect("a line");
            assert!(poll_once(reading.as_mut()).await.is_pending());
            turn().await;
        });
        drop(second);
        // What the thread reads goes to whoever reads next, wherever.
        let reader = thread::spawn(|| {
            runtime().block_on(async { stdin().read(Vec::with_capacity(10)).await })
        });
        master.write_all(b"kept\n").expect("room");
        let (result, line) = reader.join().expect("the thread");
        assert_eq!((result.expect("a line"), line), (5, b"kept\n".to_vec()));
        // And the process ends while a thread of it reads.
        let third = runtime();
        third.block_on(async {
            let mut reading = Box::pin(stdin().read(Vec::with_capacity(10)));
            assert!(poll_once(reading.as_mut()).await.is_pending());
            master.write_all(b"stolen\n").expect("room");
            turn().await;
            thief.read_exact(&mut [0; 7]).expect("a line");
            assert!(poll_once(reading.as_mut()).await.is_pending());
        });
        // Not leaked, but kept where a sanitizer finds it.
        static KEPT: AtomicPtr<Runtime> = AtomicPtr::new(ptr::null_mut());
        KEPT.store(Box::into_raw(Box::new(third)), Ordering::Relaxed);
    });
}

#[test]
fn readers_on_many_threads_take_turns() {
    let _alone = alone();
    isolated("readers_on_many_threads_take_turns", || {
        let (read, write) = os_pipe();
        let _stdin = Instead::of(0, read);
        let readers: Vec<_> = (0..4)
            .map(|_| {
                thread::spawn(|| {
                    let mut words = Vec::new();
                    runtime().block_on(async {
                        loop {
                            let mut reading = Box::pin(stdin().read_exact(Box::new([0; 4])));
                            let (result, word) = match poll_once(reading.as_mut()).await {
                                Poll::Ready(read) => read,
                                Poll::Pending if words.len() % 3 == 0 => {
                                    drop(reading);
                                    stdin().read_exact(Box::new([0; 4])).await
                                }
                                Poll::Pending => reading.await,
                            };
                            if result.is_err() {
                                return;
                            }
                            words.push(u32::from_le_bytes(*word));
                        }
                    });
                    words
                })
            })
            .collect();
        let mut write = File::from(write);
        for word in 0..5000_u32 {
            write.write_all(&word.to_le_bytes()).expect("room");
        }
        drop(write);
        let mut words: Vec<u32> = Vec::new();
        for reader in readers {
            let some = reader.join().expect("a reader");
            assert!(some.is_sorted(), "in the order of the pipe");
            words.extend(some);
        }
        words.sort_unstable();
        assert_eq!(words, (0..5000).collect::<Vec<_>>(), "no word was torn");
    });
}
