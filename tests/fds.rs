//! Descriptors: every one is close-on-exec, and none is left behind.

mod common;

use std::fs;
use std::os::fd::AsFd;

use camshaft::fs::File;
use camshaft::net::{TcpListener, TcpStream};
use camshaft::task::yield_now;
use common::{alone, fds, pair, runtime, small_runtime, std_pair, turn};

/// The flags of every open descriptor, from the kernel.
fn flags() -> Vec<(i32, i32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fdinfo").expect("procfs") {
        let fd: i32 = entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .parse()
            .expect("a number");
        // The descriptor of the directory that is read is gone by now, or says so too.
        let Ok(info) = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")) else {
            continue;
        };
        let flags = info
            .lines()
            .find_map(|line| line.strip_prefix("flags:"))
            .expect("flags");
        let flags = i32::from_str_radix(flags.trim(), 8).expect("octal");
        found.push((fd, flags));
    }
    found
}

#[test]
fn every_descriptor_is_closed_on_exec() {
    let _alone = alone();
    let before = fds();
    let inherited: Vec<i32> = flags().iter().map(|(fd, _)| *fd).collect();
    let runtime = runtime();
    runtime.block_on(async {
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let stashed = TcpStream::connect(address).await.unwrap();
        {
            let mut accepting = Box::pin(listener.accept());
            let _ = common::poll_once(accepting.as_mut()).await;
            turn().await;
        }
        let _ = common::poll_and_drop(server.recv()).await;
        let file = File::open("/dev/null").await.unwrap();
        let std_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let std_listener = std_listener.into_std().unwrap();
        let (a, b) = std_pair();
        let std_stream = TcpStream::from_std(a).unwrap().into_std().unwrap();
        let handle = runtime.handle();
        let mut new = 0;
        for (fd, flags) in flags() {
            if !inherited.contains(&fd) {
                assert!(flags & libc::O_CLOEXEC != 0, "{fd} has the flags {flags:o}");
                new += 1;
            }
        }
        assert!(
            new >= 10,
            "ring or epoll, eventfd, 3 listeners, 5 streams and perhaps a stashed one, a file: {new}"
        );
        drop((client, stashed, file, std_listener, b, std_stream, handle));
        drop((listener, server));
    });
    drop(runtime);
    // The thread that has looked up the name may hold what woke the runtime a moment longer.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while fds() != before && std::time::Instant::now() < until {
        std::thread::yield_now();
    }
    assert_eq!(fds(), before);
}

#[test]
fn a_thousand_runtimes_leave_nothing_open() {
    let _alone = alone();
    let before = fds();
    for round in 0..1000 {
        let runtime = if round % 2 == 0 {
            runtime()
        } else {
            small_runtime()
        };
        if round % 4 == 0 {
            runtime.block_on(async {
                let (client, server) = pair().await;
                camshaft::spawn(async move { drop(server.recv().await) });
                camshaft::spawn(async move { drop(client.read(Vec::with_capacity(1)).await) });
                yield_now().await;
            });
        }
        drop(runtime);
        assert_eq!(fds(), before, "round {round}");
    }
}

#[test]
fn sockets_go_over_to_std_and_back() {
    let _alone = alone();
    let before = fds();
    runtime().block_on(async {
        let (client, server) = pair().await;
        let mut server = server;
        for _ in 0..10 {
            let std = server.into_std().unwrap();
            std.set_nonblocking(true).unwrap();
            server = TcpStream::from_std(std).unwrap(); // sets the mode that it needs
        }
        client.write_all(b"x").await.0.unwrap();
        assert_eq!(common::read_exactly(&server, 1).await, b"x");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let waiting = camshaft::spawn({
            let address = listener.local_addr().unwrap();
            async move { TcpStream::connect(address).await.unwrap() }
        });
        listener.accept().await.expect("it waits, and gets one");
        waiting.await.unwrap().as_fd();
    });
    assert_eq!(fds(), before);
}
