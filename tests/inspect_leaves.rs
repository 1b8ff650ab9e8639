//! What a leaf tells of itself: each kind of operation, timer and join, word for word, the same on the ring and on epoll.

#![cfg(feature = "inspect")]

mod common;
use common::*;
#[path = "common/scratch.rs"]
mod scratch;
use scratch::Scratch;
#[path = "common/leaves.rs"]
mod leaves;
use leaves::{caught, fd, is_described, leaf, leaf_of, on_each, told};

use std::fs;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camshaft::buf::IoBuf as _;
use camshaft::inspect::{self, Cause};
use camshaft::io::{AsyncFd, Interest, pipe};
use camshaft::net::{TcpListener, TcpSocket, UdpSocket, UnixListener, UnixStream};
use camshaft::process::Command;
use camshaft::task::{JoinSet, spawn_blocking};
use camshaft::time::{interval, sleep, timeout};

#[test]
fn streams_tell_what_is_asked_for_and_who_is_there() {
    on_each(async || {
        let (listener, address) = listener().await;
        {
            let accept = pin!(listener.accept());
            let expected = format!("accept, fd {}, bound to {address}", fd(&listener));
            assert_eq!(told(accept).await, expected);
        }
        let (client, server) = pair().await;
        let peer = client.local_addr().expect("it is bound");
        let at = format!("fd {}, peer {peer}", fd(&server));
        {
            let read = pin!(server.read(Vec::with_capacity(8)));
            assert_eq!(told(read).await, format!("recv, {at}, 8 bytes"));
        }
        turn().await;
        {
            let read = pin!(server.read_exact(vec![0; 32].into_boxed_slice()));
            assert_eq!(told(read).await, format!("recv, {at}, 32 bytes"));
        }
        turn().await;
        {
            let mut first = pin!(server.recv());
            assert_eq!(told(first.as_mut()).await, format!("recv, {at}"));
            let second = pin!(server.peek(Vec::with_capacity(1)));
            let expected = format!("recv (peek), {at}, 1 byte, waits for its turn");
            assert_eq!(told(second).await, expected);
        }
        turn().await;
        {
            let ready = pin!(server.readable());
            assert_eq!(told(ready).await, format!("poll, {at}, to be readable"));
        }
        let bytes = vec![0; 1 << 24];
        let mut write = pin!(server.write_all(bytes.slice(1..)));
        let expected = format!("send, {at}, {} bytes", (1 << 24) - 1);
        assert_eq!(told(write.as_mut()).await, expected);
        let received = camshaft::spawn(async move { read_exactly(&client, (1 << 24) - 1).await });
        write.await.0.expect("the peer reads");
        assert_eq!(
            received.await.expect("it does not panic").len(),
            (1 << 24) - 1
        );
    });
}

#[test]
fn connects_tell_where_to() {
    on_each(async || {
        let (listener, address) = listener().await;
        let socket = TcpSocket::new_v4().expect("a socket");
        let number = fd(&socket);
        let mut connect = pin!(socket.connect(address));
        let leaf = leaf(connect.as_mut()).await;
        assert_eq!(
            leaf.to_string(),
            format!("connect, fd {number}, to {address}")
        );
        assert_eq!(leaf.peer, Some(address.to_string()));
        connect.await.expect("it listens");
        drop(listener);
    });
}

#[test]
fn datagrams_tell_where_they_come_from_and_go_to() {
    on_each(async || {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        let receive = pin!(socket.recv_from(vec![0; 512].into_boxed_slice()));
        let expected = format!("recvmsg, fd {}, bound to {address}, 512 bytes", fd(&socket));
        assert_eq!(told(receive).await, expected);
        let mut send = pin!(socket.send_to(b"ping", address));
        let expected = format!("sendmsg, fd {}, peer {address}, 4 bytes", fd(&socket));
        assert_eq!(told(send.as_mut()).await, expected);
        send.await.0.expect("it is there");
    });
}

#[test]
fn unix_sockets_tell_their_paths() {
    on_each(async || {
        let scratch = Scratch::new();
        let path = scratch.at("socket");
        let listener = UnixListener::bind(&path).expect("a free name");
        let at = format!("fd {}, bound to {}", fd(&listener), path.display());
        assert_eq!(told(pin!(listener.accept())).await, format!("accept, {at}"));
        let client = UnixStream::connect(&path).await.expect("it listens");
        let leaf = leaf(pin!(client.read(Vec::with_capacity(4)))).await;
        assert_eq!(leaf.peer.as_deref(), path.to_str());
        let (one, _other) = UnixStream::pair().expect("a pair");
        let link = fs::read_link(format!("/proc/self/fd/{}", fd(&one))).expect("it is open");
        let expected = format!("recv, fd {}, {}, 4 bytes", fd(&one), link.display());
        assert_eq!(told(pin!(one.read(Vec::with_capacity(4)))).await, expected);
    });
}

#[test]
fn pipes_tell_which_they_are() {
    on_each(async || {
        let (reader, writer) = pipe().expect("a pipe");
        let link = fs::read_link(format!("/proc/self/fd/{}", fd(&reader))).expect("it is open");
        let read = pin!(reader.read(Vec::with_capacity(16)));
        let expected = format!("read, fd {}, {}, 16 bytes", fd(&reader), link.display());
        assert_eq!(told(read).await, expected);
        let write = pin!(writer.write_all(vec![0; 1 << 20]));
        let expected = format!(
            "write, fd {}, {}, 1048576 bytes",
            fd(&writer),
            link.display()
        );
        assert_eq!(told(write).await, expected);
    });
}

#[test]
fn work_on_other_threads_tells_its_name() {
    on_each(async || {
        let leaf = caught(|| camshaft::net::lookup_host("localhost:80")).await;
        assert_eq!(leaf.to_string(), "name look-up, on another thread");
        let leaf = caught(|| camshaft::fs::canonicalize("/")).await;
        assert_eq!(leaf.to_string(), "canonicalize, on another thread");
        assert_eq!(leaf.kind, Cause::Blocking);
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = std::sync::mpsc::channel();
        let mut closure = pin!(spawn_blocking(move || {
            begin.send(()).expect("the test waits");
            wait.recv()
        }));
        begun.recv().expect("it begins");
        assert_eq!(told(closure.as_mut()).await, "a blocking closure, running");
        drop(release);
        assert!(closure.await.expect("it does not panic").is_err());
    });
}

#[test]
fn signals_and_children_tell_their_numbers() {
    on_each(async || {
        let mut signal = camshaft::signal::signal(camshaft::signal::SignalKind::user_defined2())
            .expect("it can be listened to");
        {
            let told = told(pin!(signal.recv())).await;
            assert_eq!(told, "signal SIGUSR2");
        }
        let mut child = Command::new("sleep")
            .arg("60")
            .kill_on_drop(true)
            .spawn()
            .expect("sleep");
        let pid = child.id().expect("it runs");
        {
            let leaf = leaf(pin!(child.wait())).await;
            assert_eq!((leaf.kind, leaf.pid), (Cause::Process, Some(pid)));
            let fd = leaf.fd.expect("kernels as of 5.3 have one");
            assert_eq!(leaf.to_string(), format!("waitid, fd {fd}, child {pid}"));
        }
        child.kill().await.expect("it runs");
    });
}

#[test]
fn a_closure_that_has_to_wait_says_so() {
    let _alone = alone();
    if !is_described() {
        return;
    }
    runtime().block_on(async {
        // As many as there are threads hold them all.
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let holds = || {
            let wait = Arc::clone(&wait);
            spawn_blocking(move || wait.lock().expect("nobody panics").recv().is_ok())
        };
        let handles: Vec<_> = (0..512).map(|_| holds()).collect();
        let mut queued = pin!(spawn_blocking(|| 7));
        let told = told(queued.as_mut()).await;
        drop(release);
        assert_eq!(told, "a blocking closure, in the queue");
        assert_eq!(queued.await.expect("it does not panic"), 7);
        for handle in handles {
            assert!(!handle.await.expect("it does not panic"));
        }
    });
}

#[test]
fn closures_of_the_runtime_poll_what_they_hold() {
    let _alone = alone();
    paused().block_on(async {
        let mut interval = interval(Duration::from_secs(3));
        interval.tick().await;
        let mut tick = pin!(interval.tick());
        assert!(poll_once(tick.as_mut()).await.is_pending());
        let tree = inspect::tree_of(&*tick).to_string();
        assert!(!tree.contains("held"), "{tree}");
    });
}

#[test]
fn a_duplicate_tells_what_it_is_one_of() {
    on_each(async || {
        let (_other, socket) = std::os::unix::net::UnixDatagram::pair().expect("a pair");
        let original = fd(&socket);
        let link = fs::read_link(format!("/proc/self/fd/{original}")).expect("it is open");
        let socket = AsyncFd::with_interest(socket, Interest::READABLE).expect("a socket");
        let leaf = leaf(pin!(socket.readable())).await;
        let duplicate = leaf.fd.expect("it has one");
        assert_ne!(duplicate, original);
        assert_eq!(
            leaf.to_string(),
            format!(
                "poll, fd {original}, waited on by its duplicate {duplicate}, {}, to be readable",
                link.display()
            )
        );
    });
}

#[test]
fn streams_of_operations_tell_what_is_repeated() {
    on_each(async || {
        let (listener, address) = listener().await;
        let number = fd(&listener);
        let mut incoming = listener.incoming();
        let next = pin!(futures_lite::StreamExt::next(&mut incoming));
        let leaf = leaf(next).await;
        let at = format!("accept, fd {number}, bound to {address}");
        let expected = [at.clone(), format!("{at}, repeated")];
        assert!(expected.contains(&leaf.to_string()), "{leaf}");
    });
}

#[test]
fn timers_tell_when() {
    let _alone = alone();
    if !is_described() {
        return;
    }
    paused().block_on(async {
        let told_of_sleep = told(pin!(sleep(Duration::from_secs(60)))).await;
        assert_eq!(told_of_sleep, "60.0s left");
        let never = told(pin!(sleep(Duration::MAX))).await;
        assert_eq!(never, "waits for ever");
        let mut interval = interval(Duration::from_secs(3));
        interval.tick().await;
        assert_eq!(told(pin!(interval.tick())).await, "3.0s left");
        let mut limited = pin!(timeout(
            Duration::from_secs(9),
            std::future::pending::<()>()
        ));
        assert!(poll_once(limited.as_mut()).await.is_pending());
        let tree = inspect::tree_of(&*limited);
        let sleep = tree.root.children.last().expect("it has a timer");
        let left = sleep.leaf.as_ref().map(ToString::to_string);
        assert_eq!(left.as_deref(), Some("9.0s left"));
        let json = tree.to_json();
        assert!(
            json.contains("\"leaf\":{\"kind\":\"timer\",\"deadline_ns\":"),
            "{json}"
        );
        assert!(json.contains("\"left_ns\":"), "{json}");
    });
}

#[test]
fn joins_tell_of_whom() {
    let _alone = alone();
    if !is_described() {
        return;
    }
    paused().block_on(async {
        let patient = || sleep(Duration::from_secs(60));
        let worker = camshaft::task::Builder::new()
            .name("worker")
            .spawn(patient());
        let id = worker.id();
        let joiner = camshaft::spawn(async move { worker.await.is_ok() });
        let mut set = JoinSet::new();
        set.spawn(patient());
        set.spawn(patient());
        let of_set = camshaft::spawn(async move { set.join_next().await.is_some() });
        camshaft::task::yield_now().await;
        let dump = inspect::dump();
        let tell = |handle: &camshaft::task::JoinHandle<bool>| {
            let id = handle.id().to_string();
            let mut tasks = dump.tasks.iter();
            let task = tasks.find(|task| task.id.is_some_and(|it| it.to_string() == id));
            let leaf = leaf_of(&task.expect("it lives").root).expect("it has a leaf");
            leaf.to_string()
        };
        assert_eq!(tell(&joiner), format!("waits for task {id} \"worker\""));
        assert_eq!(tell(&of_set), "waits for the first of 2 tasks");
    });
}

#[test]
fn a_listener_of_another_runtime_is_told_as_well() {
    let _alone = alone();
    if !is_described() {
        return;
    }
    let listener = std::net::TcpListener::bind("[::1]:0");
    let Ok(listener) = listener else { return }; // a machine without IPv6
    let address = listener.local_addr().expect("it is bound");
    let runtime = runtime();
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).expect("a listener");
        let told = told(pin!(listener.accept())).await;
        assert_eq!(
            told,
            format!("accept, fd {}, bound to {address}", fd(&listener))
        );
    });
}
