//! Faults of the system: bad devices, full disks, no descriptors left, calls that are interrupted. Each is an error that
//! tells what it is, or nothing at all; nothing hangs, nothing is lost, and afterwards all goes on.

mod common;
#[path = "common/scratch.rs"]
mod scratch;

use std::ffi::CString;
use std::io::{self, ErrorKind, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;

use camshaft::buf::IoBuf;
use camshaft::fs::{self, File, OpenOptions};
use camshaft::io::{AsyncFd, pipe};
use camshaft::net::{
    TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixSeqpacket,
    UnixSeqpacketListener, UnixStream,
};
use camshaft::process::Command;
use camshaft::runtime::Builder;
use camshaft::signal::{SignalKind, signal};
use common::filter::refuse;
use common::interrupts::Interrupts;
use common::sockets::{abstract_addr, next};
use common::tracked::{self, Tracked};
use common::{
    alone, fds, half_std, in_child, is_child, isolated, limit_fds, os_pipe, runtime, turn,
};
use scratch::{Scratch, pattern};

fn errno<T>(result: &io::Result<T>) -> Option<i32> {
    result.as_ref().err().and_then(io::Error::raw_os_error)
}

#[test]
fn a_device_that_fails_is_an_error_and_the_buffer_comes_back() {
    let _alone = alone();
    runtime().block_on(async {
        // Nothing is mapped at the lowest addresses, and reading there is an error of the device.
        let file = File::open("/proc/self/mem").await.unwrap();
        for at in [0, 4096] {
            let (result, buf) = file.read_at(Tracked::room(100), at).await;
            assert_eq!(errno(&result), Some(libc::EIO));
            assert_eq!(buf.total_len(), 100);
            assert_eq!(errno(&file.read_exact_at(buf, at).await.0), Some(libc::EIO));
            let bufs = vec![Tracked::room(1), Tracked::room(1)];
            let (result, bufs) = file.read_vectored_at(bufs, at).await;
            assert_eq!((errno(&result), bufs.len()), (Some(libc::EIO), 2));
            file.seek(SeekFrom::Start(at)).await.unwrap();
            assert_eq!(errno(&file.read(Tracked::room(9)).await.0), Some(libc::EIO));
            let (result, bytes) = file.read_to_end(b"prefix".to_vec()).await;
            assert_eq!(
                (errno(&result), &bytes[..]),
                (Some(libc::EIO), &b"prefix"[..])
            );
            assert_eq!(file.stream_position().await.unwrap(), at);
        }
        // What is mapped is read all the same.
        let here = Box::new(*b"here");
        let (result, buf) = file
            .read_exact_at(Tracked::room(4), here.as_ptr() as u64)
            .await;
        assert_eq!((result.unwrap(), buf.as_slice()), (4, &here[..]));
    });
    assert_eq!(tracked::live(), 0);
}

/// Runs the body in a process of its own that uses epoll.
fn on_epoll(test: &str, body: impl FnOnce()) {
    if is_child() {
        return body();
    }
    let output = in_child(test, &[("CAMSHAFT_BACKEND", "epoll")]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

#[test]
fn system_calls_that_fail_are_errors_on_epoll() {
    let _alone = alone();
    let test = "system_calls_that_fail_are_errors_on_epoll";
    on_epoll(test, || {
        let runtime = runtime();
        let scratch = Scratch::new();
        let path = scratch.file("file", pattern(9000));
        runtime.block_on(async {
            let (mut peer, stream) = half_std();
            peer.write_all(b"bytes to be tried for").unwrap();
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).open(&path).await.unwrap();
            for call in [
                libc::SYS_recvfrom,
                libc::SYS_recvmsg,
                libc::SYS_sendto,
                libc::SYS_sendmsg,
                libc::SYS_pread64,
                libc::SYS_preadv,
                libc::SYS_preadv2,
                libc::SYS_pwrite64,
                libc::SYS_pwritev,
                libc::SYS_pwritev2,
                libc::SYS_fdatasync,
            ] {
                refuse(call, libc::EIO);
            }
            // In files last: threads that run already are not refused anything.
            let write = || Tracked::full(vec![1; 10]);
            assert_eq!(
                errno(&stream.read(Tracked::room(1)).await.0),
                Some(libc::EIO)
            );
            assert_eq!(errno(&stream.recv().await), Some(libc::EIO));
            let many = vec![Tracked::room(1), Tracked::room(1)];
            assert_eq!(errno(&stream.read_vectored(many).await.0), Some(libc::EIO));
            assert_eq!(errno(&stream.write(write()).await.0), Some(libc::EIO));
            assert_eq!(errno(&stream.write_all(write()).await.0), Some(libc::EIO));
            assert_eq!(
                errno(&stream.write_vectored(vec![write()]).await.0),
                Some(libc::EIO)
            );
            for _ in 0..2 {
                let read = file.read_at(Tracked::room(1), 0).await.0;
                assert!(matches!(errno(&read), Some(libc::EIO) | None));
            }
        });
        assert_eq!(tracked::live(), 0);
    });
}

/// Writes of every kind to a full device.
async fn finds_it_full(file: &File) {
    let buf = || Tracked::full(vec![7; 100_000]);
    let full = |result: io::Error| assert_eq!(result.kind(), ErrorKind::StorageFull);
    full(file.write_all(buf()).await.0.unwrap_err());
    full(file.write(buf()).await.0.unwrap_err());
    full(file.write_vectored(vec![buf()]).await.0.unwrap_err());
}

#[test]
fn a_full_device_is_an_error() {
    let _alone = alone();
    runtime().block_on(async {
        let file = OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .await
            .unwrap();
        finds_it_full(&file).await;
        let scratch = Scratch::new();
        let path = scratch.file("file", pattern(5000));
        let copied = fs::copy(&path, "/dev/full").await.unwrap_err();
        assert_eq!(copied.kind(), ErrorKind::StorageFull);
        let written = fs::write("/dev/full", b"some".to_vec()).await.unwrap_err();
        assert_eq!(written.kind(), ErrorKind::StorageFull);
    });
    assert_eq!(tracked::live(), 0);
}

/// Mounts a small file system that only this process sees. `false` if it may not.
fn mount_small(at: &Path) -> bool {
    let path = CString::new(at.as_os_str().as_encoded_bytes()).unwrap();
    // SAFETY: no memory is passed.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return false;
    }
    let mount = |from: &std::ffi::CStr,
                 kind: &std::ffi::CStr,
                 flags,
                 at: &std::ffi::CStr,
                 data: &std::ffi::CStr| {
        // SAFETY: the kernel reads texts that end with a zero.
        let mounted = unsafe {
            libc::mount(
                from.as_ptr(),
                at.as_ptr(),
                kind.as_ptr(),
                flags,
                data.as_ptr().cast(),
            )
        };
        mounted == 0
    };
    mount(c"none", c"", libc::MS_REC | libc::MS_PRIVATE, c"/", c"")
        && mount(c"tmpfs", c"tmpfs", 0, &path, c"size=256k")
}

#[test]
fn a_disk_that_becomes_full_keeps_what_was_written() {
    let _alone = alone();
    isolated("a_disk_that_becomes_full_keeps_what_was_written", || {
        let scratch = Scratch::new();
        if !mount_small(scratch.path()) {
            return eprintln!("skipped: this user may not mount");
        }
        runtime().block_on(async {
            let path = scratch.at("file");
            let file = File::create(&path).await.unwrap();
            let bytes = pattern(400_000);
            let (result, back) = file.write_all(Tracked::full(bytes.clone())).await;
            assert_eq!(result.unwrap_err().kind(), ErrorKind::StorageFull);
            assert_eq!(back.as_slice().len(), 400_000);
            // The position lies behind what was written, and that is a prefix.
            let position = file.stream_position().await.unwrap();
            let written = fs::read(&path).await.unwrap();
            assert_eq!(written.len() as u64, position);
            assert!(!written.is_empty() && bytes.starts_with(&written));
            finds_it_full(&file).await;
            let other = fs::write(scratch.at("other"), bytes.clone()).await;
            assert_eq!(other.unwrap_err().kind(), ErrorKind::StorageFull);
            let allocated = file.allocate(0, 10 << 20).await;
            assert_eq!(allocated.unwrap_err().kind(), ErrorKind::StorageFull);
            // With room again it goes on where it was.
            fs::remove_file(scratch.at("other")).await.unwrap();
            file.set_len(100).await.unwrap();
            file.seek(SeekFrom::End(0)).await.unwrap();
            file.write_all(b"more".to_vec()).await.0.unwrap();
            let written = fs::read(&path).await.unwrap();
            assert_eq!(written, [&bytes[..100], b"more"].concat());
        });
        assert_eq!(tracked::live(), 0);
    });
}

#[test]
fn a_limit_of_the_size_of_files_makes_a_short_write_and_then_an_error() {
    let _alone = alone();
    let test = "a_limit_of_the_size_of_files_makes_a_short_write_and_then_an_error";
    isolated(test, || {
        // SAFETY: to ignore a signal runs no code.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
        let limit = libc::rlimit {
            rlim_cur: 10_000,
            rlim_max: libc::RLIM_INFINITY,
        };
        let scratch = Scratch::new();
        runtime().block_on(async {
            let file = File::create(scratch.at("file")).await.unwrap();
            // SAFETY: the kernel reads one `rlimit`.
            let set = unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
            assert_eq!(set, 0);
            assert_eq!(file.write(vec![1; 9000]).await.0.unwrap(), 9000);
            assert_eq!(file.write(vec![2; 9000]).await.0.unwrap(), 1000);
            assert_eq!(errno(&file.write(vec![3; 10]).await.0), Some(libc::EFBIG));
            file.set_len(0).await.unwrap();
            file.rewind().await.unwrap();
            let all = file.write_all(pattern(12_000)).await.0;
            assert_eq!(errno(&all), Some(libc::EFBIG));
            assert_eq!(file.stream_position().await.unwrap(), 10_000);
            assert_eq!(
                std::fs::read(scratch.at("file")).unwrap(),
                pattern(12_000)[..10_000]
            );
        });
    });
}

type Making<'a> = Pin<Box<dyn Future<Output = io::Result<()>> + 'a>>;

type Make = for<'a> fn(&'a Makers) -> Making<'a>;

/// What makes descriptors.
struct Makers {
    scratch: Scratch,
    tcp: TcpListener,
    unix: UnixListener,
    seqpacket: UnixSeqpacketListener,
    unix_address: SocketAddr,
    seqpacket_address: SocketAddr,
    file: File,
    pipe: OwnedFd,
}

impl Makers {
    async fn new() -> Self {
        let scratch = Scratch::new();
        let path = scratch.file("file", "bytes");
        let (unix_address, seqpacket_address) = (abstract_addr(), abstract_addr());
        Self {
            tcp: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            unix: UnixListener::bind_addr(&unix_address).unwrap(),
            seqpacket: UnixSeqpacketListener::bind_addr(&seqpacket_address).unwrap(),
            file: File::open(&path).await.unwrap(),
            pipe: os_pipe().0,
            scratch,
            unix_address,
            seqpacket_address,
        }
    }
}

/// Every operation that makes descriptors, by its name. The listeners have a connection in their queue.
macro_rules! makers {
    ($($name:literal: |$it:ident| $body:expr;)+) => {
        [$(($name, |$it: &Makers| -> Making<'_> { Box::pin(async move { $body.map(drop) }) })),+]
    };
}

const MAKERS: [(&str, Make); 29] = makers! {
    "TcpListener::accept": |it| it.tcp.accept().await;
    "TcpListener::incoming": |it| next(&mut it.tcp.incoming()).await.unwrap();
    "UnixListener::accept": |it| it.unix.accept().await;
    "UnixListener::incoming": |it| next(&mut it.unix.incoming()).await.unwrap();
    "UnixSeqpacketListener::accept": |it| it.seqpacket.accept().await;
    "TcpListener::bind": |_it| TcpListener::bind("127.0.0.1:0").await;
    "TcpStream::connect": |it| TcpStream::connect(it.tcp.local_addr().unwrap()).await;
    "TcpSocket": |_it| TcpSocket::new_v4();
    "UdpSocket::bind": |_it| UdpSocket::bind("127.0.0.1:0").await;
    "UnixStream::connect": |it| UnixStream::connect_addr(&it.unix_address).await;
    "UnixSeqpacket::connect": |it| UnixSeqpacket::connect_addr(&it.seqpacket_address).await;
    "UnixDatagram::unbound": |_it| UnixDatagram::unbound();
    "UnixStream::pair": |_it| UnixStream::pair();
    "UnixDatagram::pair": |_it| UnixDatagram::pair();
    "pipe": |_it| pipe();
    "AsyncFd": |it| AsyncFd::new(it.pipe.try_clone()?);
    "signal": |_it| signal(SignalKind::user_defined2());
    "Command::spawn": |_it| Command::new("true").stdin(Stdio::piped()).spawn()?.wait().await;
    "Command::output": |_it| Command::new("true").output().await;
    "Builder::build": |_it| Builder::new().build();
    "File::open": |it| File::open(it.scratch.at("file")).await;
    "File::create": |it| File::create(it.scratch.at("new")).await;
    "File::try_clone": |it| it.file.try_clone().await;
    "tempfile": |it| fs::tempfile_in(it.scratch.path()).await;
    "fs::read": |it| fs::read(it.scratch.at("file")).await;
    "fs::write": |it| fs::write(it.scratch.at("new"), vec![1]).await;
    "fs::copy": |it| fs::copy(it.scratch.at("file"), it.scratch.at("copy")).await;
    "read_dir": |it| fs::read_dir(it.scratch.path()).await;
    "send_with_fds": |it| {
        let (a, _b) = UnixStream::pair()?;
        a.send_with_fds(b"x".to_vec(), [&it.file]).await.0
    };
};

/// Has the process make no more descriptors, until it is dropped.
struct Starved(u64);

impl Starved {
    fn new() -> Self {
        // The lowest number that is free: what is open stays of use, and polls of a few descriptors are legal.
        let (next, _) = os_pipe();
        let free = next.as_raw_fd();
        drop(next);
        Self(limit_fds(u64::try_from(free).expect("a descriptor")))
    }
}

impl Drop for Starved {
    fn drop(&mut self) {
        limit_fds(self.0);
    }
}

#[test]
fn no_descriptor_left_is_an_error_everywhere_and_all_works_again_after() {
    let _alone = alone();
    let test = "no_descriptor_left_is_an_error_everywhere_and_all_works_again_after";
    isolated(test, || {
        runtime().block_on(async {
            Command::new("true").status().await.unwrap(); // threads and descriptors that stay
            for (name, make) in MAKERS {
                let it = Makers::new().await;
                let address = it.tcp.local_addr().unwrap();
                let _waiting = (
                    std::net::TcpStream::connect(address).unwrap(),
                    UnixStream::connect_addr(&it.unix_address).await.unwrap(),
                    UnixSeqpacket::connect_addr(&it.seqpacket_address)
                        .await
                        .unwrap(),
                );
                turn().await;
                let before = fds();
                let starved = Starved::new();
                for _ in 0..3 {
                    let error = make(&it).await.expect_err(name);
                    let told = error.raw_os_error() == Some(libc::EMFILE)
                        || error.to_string().contains("ulimit -n");
                    assert!(told, "{name}: {error}");
                }
                drop(starved);
                assert_eq!(fds(), before, "{name}");
                if let Err(error) = make(&it).await {
                    panic!("{name} does not recover: {error}");
                }
            }
        });
    });
}

#[test]
fn a_descriptor_that_finds_no_number_is_an_error_and_its_bytes_come() {
    let _alone = alone();
    isolated(
        "a_descriptor_that_finds_no_number_is_an_error_and_its_bytes_come",
        || {
            runtime().block_on(async {
                let (a, b) = UnixStream::pair().unwrap();
                let (read, _write) = os_pipe();
                turn().await;
                let before = fds();
                a.send_with_fds(b"with one".to_vec(), [&read])
                    .await
                    .0
                    .unwrap();
                let starved = Starved::new();
                let error = b.recv_with_fds(Tracked::room(20)).await.0.unwrap_err();
                assert!(error.to_string().contains("RLIMIT_NOFILE"), "{error}");
                assert_eq!(b.read(Tracked::room(20)).await.1.as_slice(), b"with one");
                drop(starved);
                assert_eq!(fds(), before);
                a.send_with_fds(b"again".to_vec(), [&read]).await.0.unwrap();
                let (result, buf) = b.recv_with_fds(Tracked::room(20)).await;
                assert_eq!(
                    (result.unwrap().1.len(), buf.as_slice()),
                    (1, &b"again"[..])
                );
            });
        },
    );
}

#[test]
fn interrupted_calls_go_on() {
    let _alone = alone();
    let interrupts = Interrupts::start();
    let scratch = Scratch::new();
    let bytes = pattern(300_000);
    let path = scratch.file("file", &bytes);
    for runtime in [runtime(), common::small_runtime()] {
        runtime.block_on(async {
            for _ in 0..10 {
                interrupts.refresh();
                let (a, b) = UnixStream::pair().unwrap();
                let sent = bytes.clone();
                let sending = camshaft::spawn(async move { a.write_all(sent).await.0 });
                let (result, received) = b.read_to_end(Vec::new()).await;
                result.unwrap();
                sending.await.unwrap().unwrap();
                assert!(received == bytes);
                assert!(fs::read(&path).await.unwrap() == bytes);
                for _ in 0..20 {
                    let copied = fs::copy(&path, scratch.at("copy")).await.unwrap();
                    assert_eq!(copied, bytes.len() as u64);
                }
                fs::write(scratch.at("written"), bytes.clone())
                    .await
                    .unwrap();
                File::open(&path).await.unwrap().sync_all().await.unwrap();
                let (client, server) = common::pair().await;
                client.write_all(b"x".to_vec()).await.0.unwrap();
                assert_eq!(common::read_exactly(&server, 1).await, b"x");
                camshaft::time::sleep(std::time::Duration::from_millis(1)).await;
                let status = Command::new("true").status().await.unwrap();
                assert!(status.success());
            }
        });
    }
}
