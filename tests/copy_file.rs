//! Copies from and to files: through the page cache, from the disk, in memory, by threads; and what their positions say.

mod common;

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::rc::Rc;
use std::thread;

use camshaft::fs::{File, OpenOptions};
use camshaft::io::{PipeWriter, copy, pipe};
use camshaft::net::{TcpStream, UnixStream};
use camshaft::task::yield_now;
use common::{
    Random, alone, isolated, os_pipe, poll_once, read_rest, runtime, standard, std_pair, turn,
};

const LEN: usize = 10 << 20;

fn pattern() -> Vec<u8> {
    let mut random = Random::new(2);
    let words = std::iter::repeat_with(|| random.next().to_le_bytes());
    words.flatten().take(LEN).collect()
}

/// A file on a disk and one in memory.
const DIRECTORIES: [&str; 2] = ["/tmp", "/dev/shm"];

fn std_file(directory: &str, bytes: &[u8]) -> std::fs::File {
    let mut file = standard::file(directory);
    file.write_all(bytes).expect("room");
    file.rewind().expect("a file");
    file.sync_all().expect("a file");
    file
}

/// Has the kernel forget what it has in memory of a file that was synced.
fn chill(file: &std::fs::File) {
    // SAFETY: no memory is passed.
    let advised = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    assert_eq!(advised, 0);
}

fn contents(mut file: &std::fs::File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().expect("a file");
    file.read_to_end(&mut bytes).expect("a file");
    bytes
}

/// A sink of the library, and a thread that reads what goes into it.
enum Sink {
    Tcp(TcpStream),
    Unix(UnixStream),
    Pipe(PipeWriter),
}

impl Sink {
    fn all() -> [(Self, thread::JoinHandle<Vec<u8>>); 3] {
        fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                from.read_to_end(&mut bytes).expect("bytes and the end");
                bytes
            })
        }
        let (tcp, tcp_peer) = std_pair();
        let (unix, unix_peer) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let (read, write) = os_pipe();
        [
            (
                Self::Tcp(TcpStream::from_std(tcp).expect("a socket")),
                collect(tcp_peer),
            ),
            (
                Self::Unix(UnixStream::from_std(unix).expect("a socket")),
                collect(unix_peer),
            ),
            (
                Self::Pipe(PipeWriter::from_fd(write).expect("an end")),
                collect(std::fs::File::from(read)),
            ),
        ]
    }

    async fn take(&self, mut file: &File) -> std::io::Result<u64> {
        match self {
            Self::Tcp(to) => copy(&mut file, &mut &*to).await,
            Self::Unix(to) => copy(&mut file, &mut &*to).await,
            Self::Pipe(to) => copy(&mut file, &mut &*to).await,
        }
    }
}

#[test]
fn ten_megabytes_from_a_file_warm_and_cold() {
    let _alone = alone();
    let bytes = pattern();
    for directory in DIRECTORIES {
        for cold in [false, true] {
            for (sink, reader) in Sink::all() {
                let file = std_file(directory, &bytes);
                if cold {
                    chill(&file);
                }
                let file = File::from_std(file);
                let copied = runtime().block_on(sink.take(&file));
                assert_eq!(copied.expect("copied"), LEN as u64);
                drop(sink);
                assert!(
                    reader.join().expect("the reader") == bytes,
                    "{directory} {cold}"
                );
                let mut file = file.into_std().expect("a file");
                assert_eq!(file.stream_position().expect("a file"), LEN as u64);
            }
        }
    }
}

#[test]
fn a_dropped_copy_leaves_the_position_where_it_came_to() {
    let _alone = alone();
    let bytes = pattern();
    for directory in DIRECTORIES {
        for (at, (sink, reader)) in Sink::all().into_iter().enumerate() {
            let file = std_file(directory, &bytes);
            let forget = file.try_clone().expect("a duplicate");
            let file = File::from_std(file);
            let mut random = Random::new(at as u64);
            let mut dropped = 0;
            loop {
                if random.one_in(3) {
                    chill(&forget);
                }
                let patience = random.below(4);
                let runtime = runtime();
                let done = runtime.block_on(async {
                    let mut copying = pin!(sink.take(&file));
                    for _ in 0..patience {
                        if poll_once(copying.as_mut()).await.is_ready() {
                            return true;
                        }
                        turn().await;
                    }
                    false
                });
                if done {
                    break;
                }
                dropped += 1;
            }
            drop(sink);
            assert!(dropped > 3, "{dropped}");
            assert!(reader.join().expect("the reader") == bytes, "{directory}");
        }
    }
}

#[test]
fn ten_megabytes_from_file_to_file() {
    let _alone = alone();
    let bytes = pattern();
    for from in DIRECTORIES {
        for to in DIRECTORIES {
            let source = File::from_std(std_file(from, &bytes));
            let result = standard::file(to);
            let sink = File::from_std(result.try_clone().expect("a duplicate"));
            runtime().block_on(async {
                // At their positions.
                source.seek(SeekFrom::Start(5)).await.expect("a file");
                sink.write_all("head").await.0.expect("room");
                let copied = copy(&mut &source, &mut &sink).await.expect("copied");
                assert_eq!(copied, LEN as u64 - 5);
                sink.write_all("tail").await.0.expect("room");
                let rest = source.read(Vec::with_capacity(9)).await.0;
                assert_eq!(rest.expect("the end"), 0);
            });
            let found = contents(&result);
            assert!(found.starts_with(b"head") && found.ends_with(b"tail"));
            assert!(found[4..found.len() - 4] == bytes[5..], "{from} to {to}");
        }
    }
}

#[test]
fn two_copies_between_two_files_do_not_wait_for_each_other() {
    let _alone = alone();
    runtime().block_on(async {
        for swapped in [false, true] {
            let one = Rc::new(File::from_std(std_file("/tmp", &[1; 100_000])));
            let other = Rc::new(File::from_std(std_file("/tmp", &[2; 100_000])));
            let (a, b) = if swapped { (other, one) } else { (one, other) };
            let start = |from: &Rc<File>, to: &Rc<File>| {
                let (from, to) = (from.clone(), to.clone());
                camshaft::spawn(async move { copy(&mut &*from, &mut &*to).await })
            };
            // Both have to wait for this one; the second in line is the one that could hold the other file meanwhile.
            let writing = camshaft::spawn({
                let b = b.clone();
                async move { b.write_all(vec![3; 1 << 20]).await.0 }
            });
            yield_now().await;
            let back = start(&b, &a);
            yield_now().await;
            let there = start(&a, &b);
            writing.await.expect("the task").expect("written");
            there.await.expect("the task").expect("copied");
            back.await.expect("the task").expect("copied");
        }
    });
}

#[test]
fn a_dropped_copy_between_files_writes_nothing_behind_the_next_write() {
    let _alone = alone();
    for stage in 0..4 {
        let result = standard::file("/tmp");
        let sink = File::from_std(result.try_clone().expect("a duplicate"));
        let source = File::from_std(std_file("/tmp", &[b'a'; 1 << 20]));
        let mut runtime = runtime();
        runtime.block_on(async {
            let (mut from, mut to) = (&source, &sink);
            let mut copying = pin!(copy(&mut from, &mut to));
            for _ in 0..stage {
                if poll_once(copying.as_mut()).await.is_ready() {
                    break;
                }
                if stage > 1 {
                    turn().await;
                }
            }
        });
        if stage == 3 {
            runtime = common::runtime();
        }
        runtime.block_on(async {
            sink.seek(SeekFrom::Start(0)).await.expect("a file");
            sink.write_all(vec![b'b'; 1 << 20]).await.0.expect("room");
        });
        assert!(contents(&result) == [b'b'; 1 << 20], "{stage}");
    }
}

#[test]
fn what_the_kernel_does_not_move_by_itself_is_copied_all_the_same() {
    let _alone = alone();
    runtime().block_on(async {
        let expected = std::fs::read("/proc/self/cmdline").expect("procfs");
        for (sink, reader) in Sink::all() {
            let file = File::open("/proc/self/cmdline").await.expect("procfs");
            sink.take(&file).await.expect("copied");
            drop(sink);
            assert_eq!(reader.join().expect("the reader"), expected);
        }
        let file = File::open("/proc/self/cmdline").await.expect("procfs");
        let result = standard::file("/tmp");
        let sink = File::from_std(result.try_clone().expect("a duplicate"));
        copy(&mut &file, &mut &sink).await.expect("copied");
        assert_eq!(contents(&result), expected);

        // To the end of a file that is appended to.
        let path = std::env::temp_dir().join(format!("camshaft-copy-{}", std::process::id()));
        std::fs::write(&path, "head ").expect("room");
        let mut options = OpenOptions::new();
        let sink = options.append(true).open(&path).await.expect("a file");
        let source = File::from_std(std_file("/tmp", b"tail"));
        assert_eq!(copy(&mut &source, &mut &sink).await.expect("copied"), 4);
        assert_eq!(std::fs::read(&path).expect("a file"), b"head tail");
        std::fs::remove_file(&path).expect("a file");

        // From one handle to another of the same open file.
        let file = standard::file("/tmp");
        let one = File::from_std(file);
        let other = one.try_clone().await.expect("a duplicate");
        assert_eq!(copy(&mut &one, &mut &other).await.expect("copied"), 0);
    });
}

#[test]
fn streams_are_copied_to_files() {
    let _alone = alone();
    let bytes = pattern();
    let (mut peer, source) = std_pair();
    let source = TcpStream::from_std(source).expect("a socket");
    let writer = thread::spawn({
        let bytes = bytes.clone();
        move || peer.write_all(&bytes).expect("somebody reads")
    });
    let result = standard::file("/tmp");
    let sink = File::from_std(result.try_clone().expect("a duplicate"));
    let copied = runtime().block_on(async { copy(&mut &source, &mut &sink).await });
    assert_eq!(copied.expect("copied"), LEN as u64);
    writer.join().expect("the writer");
    assert!(contents(&result) == bytes);
}

#[test]
fn a_file_is_sent_to_nobody_without_a_signal() {
    let _alone = alone();
    isolated("a_file_is_sent_to_nobody_without_a_signal", || {
        // SAFETY: the handler is a constant of the system.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        runtime().block_on(async {
            let file = File::from_std(std_file("/tmp", &[1; 1 << 20]));
            let (reader, writer) = pipe().expect("a pipe");
            drop(reader);
            let error = copy(&mut &file, &mut &writer).await.expect_err("nobody");
            assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
            let (peer, sink) = UnixStream::pair().expect("a pair");
            drop(peer);
            let error = copy(&mut &file, &mut &sink).await.expect_err("nobody");
            assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
            // Nothing was taken.
            let (client, server) = common::pair().await;
            let copying = camshaft::spawn(async move { copy(&mut &file, &mut &client).await });
            assert_eq!(read_rest(&server).await.len(), 1 << 20);
            assert_eq!(copying.await.expect("the task").expect("copied"), 1 << 20);
        });
    });
}
