//! A dump with a thousand operations of all kinds in flight: each is told as it is, and to look changes nothing.

#![cfg(feature = "inspect")]

mod common;
use common::*;
#[path = "common/scratch.rs"]
mod scratch;
use scratch::Scratch;
#[path = "common/leaves.rs"]
mod leaves;
use leaves::is_described;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use camshaft::fs::File;
use camshaft::inspect::{Dump, Leaf, Node};
use camshaft::io::pipe;
use camshaft::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram};
use camshaft::runtime::{Backend, Builder, Runtime};
use camshaft::task::{JoinHandle, yield_now};
use camshaft::time::sleep;

/// How many there are of each kind, 1,000 with the three of each in the last line.
const STREAMS: usize = 300;
const PIPES: usize = 200;
const TIMERS: usize = 150;
const LISTENERS: usize = 100;
const DATAGRAMS: usize = 100;
const SHORT: usize = 50;

/// The operations that end when somebody does something, with what they will bring.
struct Long {
    tasks: Vec<JoinHandle<Vec<u8>>>,
    expected: Vec<Vec<u8>>,
    /// What has them end.
    end: Vec<Box<dyn FnOnce()>>,
    timers: Vec<JoinHandle<()>>,
    /// The lines that are to be told, with how often.
    told: BTreeMap<String, usize>,
}

impl Long {
    fn add(
        &mut self,
        task: JoinHandle<Vec<u8>>,
        told: String,
        end: impl FnOnce(Vec<u8>) + 'static,
    ) {
        let data = format!("{:08}", self.tasks.len()).into_bytes();
        self.expected.push(data.clone());
        self.tasks.push(task);
        self.end.push(Box::new(move || end(data)));
        *self.told.entry(told).or_default() += 1;
    }

    async fn start() -> Self {
        let mut long = Self {
            tasks: Vec::new(),
            expected: Vec::new(),
            end: Vec::new(),
            timers: Vec::new(),
            told: BTreeMap::new(),
        };
        for _ in 0..STREAMS {
            long.stream();
        }
        for _ in 0..PIPES {
            long.pipe();
        }
        for turn in 0..DATAGRAMS {
            long.datagram(turn % 2 == 0).await;
        }
        for _ in 0..LISTENERS {
            long.listener().await;
        }
        let patient = || sleep(Duration::from_secs(5));
        long.timers = (0..TIMERS).map(|_| camshaft::spawn(patient())).collect();
        long
    }

    fn stream(&mut self) {
        let (mut theirs, ours) = half_std();
        let peer = theirs.local_addr().expect("it is bound");
        let told = format!("recv, fd {}, peer {peer}, 8 bytes", ours.as_raw_fd());
        let task = camshaft::spawn(async move { read_exactly(&ours, 8).await });
        self.add(task, told, move |data| {
            theirs.write_all(&data).expect("it is there");
        });
    }

    fn pipe(&mut self) {
        let (reader, writer) = pipe().expect("a pipe");
        let fd = reader.as_raw_fd();
        let link = fs::read_link(format!("/proc/self/fd/{fd}")).expect("it is open");
        let told = format!("read, fd {fd}, {}, 8 bytes", link.display());
        let task = camshaft::spawn(async move {
            let (read, bytes) = reader.read(Vec::with_capacity(8)).await;
            read.expect("it is open");
            bytes
        });
        self.add(task, told, move |data| {
            camshaft::spawn(async move { writer.write_all(data).await.0.expect("it is read") });
        });
    }

    async fn datagram(&mut self, internet: bool) {
        if internet {
            let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
            let address = socket.local_addr().expect("it is bound");
            let told = format!(
                "recvmsg, fd {}, bound to {address}, 64 bytes",
                socket.as_raw_fd()
            );
            let task = camshaft::spawn(async move {
                let (received, bytes) = socket.recv_from(Vec::with_capacity(64)).await;
                received.expect("it is bound");
                bytes
            });
            return self.add(task, told, move |data| {
                let sender = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
                sender.send_to(&data, address).expect("it is bound");
            });
        }
        let (ours, theirs) = UnixDatagram::pair().expect("a pair");
        let fd = ours.as_raw_fd();
        let link = fs::read_link(format!("/proc/self/fd/{fd}")).expect("it is open");
        let told = format!("recvmsg, fd {fd}, {}, 64 bytes", link.display());
        let task = camshaft::spawn(async move {
            let (received, bytes) = ours.recv(Vec::with_capacity(64)).await;
            received.expect("it is open");
            bytes
        });
        self.add(task, told, move |data| {
            camshaft::spawn(async move { theirs.send(data).await.0.expect("it is there") });
        });
    }

    async fn listener(&mut self) {
        let (listener, address) = listener().await;
        let told = format!("accept, fd {}, bound to {address}", listener.as_raw_fd());
        let task = camshaft::spawn(accepts(listener));
        self.add(task, told, move |data| {
            let mut stream = std::net::TcpStream::connect(address).expect("it listens");
            stream.write_all(&data).expect("it is there");
        });
    }
}

async fn accepts(listener: TcpListener) -> Vec<u8> {
    let (stream, _) = listener.accept().await.expect("one has come");
    read_exactly(&stream, 8).await
}

/// Three operations at once that end by themselves.
async fn short(socket: TcpSocket, address: SocketAddr, path: PathBuf) -> (TcpStream, u64, File) {
    let (stream, metadata, file) = futures::join!(
        socket.connect(address),
        camshaft::fs::metadata(&path),
        File::open(&path)
    );
    let metadata = metadata.expect("it is there");
    (
        stream.expect("it listens"),
        metadata.len(),
        file.expect("it is there"),
    )
}

fn leaves_below(node: &Node, out: &mut Vec<Leaf>) {
    out.extend(node.leaf.as_deref().cloned());
    node.children
        .iter()
        .for_each(|child| leaves_below(child, out));
}

/// What the leaves of all tasks tell, and how often. Of timers how many there are, since time goes on.
fn told(dump: &Dump) -> BTreeMap<String, usize> {
    let mut leaves = Vec::new();
    dump.tasks
        .iter()
        .for_each(|task| leaves_below(&task.root, &mut leaves));
    let mut told = BTreeMap::new();
    for leaf in leaves {
        let text = if leaf.left.is_some() {
            "a timer".to_owned()
        } else {
            leaf.to_string()
        };
        *told.entry(text).or_default() += 1;
    }
    told
}

/// What is open, with its numbers, but a file that the kernel may be opening now.
fn open_but(file: &Path) -> Vec<(PathBuf, PathBuf)> {
    let open = fs::read_dir("/proc/self/fd").expect("procfs");
    let open = open.map(|entry| entry.expect("procfs").path());
    let mut open: Vec<_> = open
        .filter_map(|name| Some((fs::read_link(&name).ok()?, name)))
        .filter(|(link, _)| link != file && !link.starts_with("/proc"))
        .collect();
    open.sort();
    open
}

/// Opens a file, and takes a lock of the kind that a process loses when it closes the file, whichever descriptor that was.
fn lock(path: &Path) -> fs::File {
    let file = fs::File::options().read(true).write(true).open(path);
    let file = file.expect("it is there");
    // SAFETY: it takes numbers.
    let got = unsafe { libc::lockf(file.as_raw_fd(), libc::F_TLOCK, 0) };
    assert_eq!(got, 0);
    assert!(is_locked(&file));
    file
}

fn is_locked(file: &fs::File) -> bool {
    let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()));
    about.expect("procfs").contains("\nlock:")
}

/// What would show that something was polled, woken, begun, ended or entered.
fn touched(runtime: &Runtime) -> [u64; 8] {
    let metrics = runtime.metrics();
    [
        metrics.polls,
        metrics.wakes_local,
        metrics.wakes_remote,
        metrics.tasks,
        metrics.ops_submitted,
        metrics.ops_completed,
        metrics.ops_cancelled,
        metrics.enters,
    ]
}

#[test]
fn a_thousand_operations_are_told_and_not_touched() {
    let _alone = alone();
    raise_fd_limit();
    if !is_described() {
        return;
    }
    // The timers of both go on meanwhile.
    let looked_at = [Backend::Auto, Backend::Epoll].map(|backend| {
        let runtime = Builder::new().backend(backend).build();
        let runtime = runtime.expect("a runtime can be built");
        let timers = look_at_all(&runtime);
        (runtime, timers)
    });
    for (runtime, timers) in looked_at {
        runtime.block_on(async {
            for timer in timers {
                timer.await.expect("it does not panic");
            }
        });
    }
}

/// The timers, which have not ended.
fn look_at_all(runtime: &Runtime) -> Vec<JoinHandle<()>> {
    let scratch = Scratch::new();
    let path = scratch.file("file", b"some bytes");
    let locked = lock(&path);
    let mut long = runtime.block_on(Long::start());
    runtime.block_on(async {
        for _ in 0..3 {
            yield_now().await;
        }
    });
    let target = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = target.local_addr().expect("it is bound");
    let mut expected = std::mem::take(&mut long.told);
    expected.insert("a timer".to_owned(), TIMERS);
    let mut tasks = Vec::new();
    for _ in 0..SHORT {
        let socket = TcpSocket::new_v4().expect("a socket");
        let connect = format!("connect, fd {}, to {address}", socket.as_raw_fd());
        for told in [
            connect,
            format!("statx, {}", path.display()),
            format!("openat, {}", path.display()),
        ] {
            *expected.entry(told).or_default() += 1;
        }
        tasks.push(runtime.spawn(short(socket, address, path.clone())));
    }
    // One round of polls, in which nothing that was begun can end.
    runtime.block_on(async {});
    assert_eq!(expected.values().sum::<usize>(), 1000);

    let state = || (touched(runtime), open_but(&path));
    let before = state();
    let (first, second) = (told(&runtime.dump()), told(&runtime.dump()));
    assert_eq!(state(), before);
    assert_eq!(first, expected);
    assert_eq!(second, expected);
    assert!(is_locked(&locked), "to look has released a lock");

    runtime.block_on(async {
        for task in tasks {
            let (stream, length, _file) = task.await.expect("it does not panic");
            assert_eq!(stream.peer_addr().expect("it is connected"), address);
            assert_eq!(length, 10);
        }
        long.end.into_iter().for_each(|end| end());
        for (task, expected) in long.tasks.into_iter().zip(long.expected) {
            assert_eq!(task.await.expect("it does not panic"), expected);
        }
    });
    drop(locked);
    long.timers
}
