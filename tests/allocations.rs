//! What is free in a steady state: transfers, sleeps, yields and spawns allocate nothing, and many operations share a
//! system call.

mod common;

use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use camshaft::net::{TcpStream, UdpSocket};
use camshaft::runtime::Builder;
use camshaft::task::{JoinSet, yield_now};
use camshaft::time::{sleep, timeout};
use common::sockets::next;
use common::{allocations, alone, pair, runtime};

#[global_allocator]
static COUNTING: common::Counting = common::Counting;

/// Counts the allocations of the second half of the rounds.
macro_rules! steady {
    ($rounds:expr, $round:expr) => {{
        for _ in 0..$rounds {
            $round;
        }
        let before = allocations();
        for _ in 0..$rounds {
            $round;
        }
        allocations() - before
    }};
}

#[test]
fn an_echo_allocates_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = pair().await;
        camshaft::spawn(async move {
            let mut buf = Vec::with_capacity(1024);
            loop {
                buf.clear();
                let (result, filled) = server.read(buf).await;
                if result.expect("connected") == 0 {
                    return;
                }
                let (result, back) = server.write_all(filled).await;
                result.expect("connected");
                buf = back;
            }
        });
        let mut word = vec![7; 64];
        let mut answer = vec![0; 64].into_boxed_slice();
        let count = steady!(500, {
            let (result, back) = client.write_all(word).await;
            result.expect("connected");
            word = back;
            let (result, back) = client.read_exact(answer).await;
            result.expect("connected");
            answer = back;
        });
        assert_eq!(count, 0);
    });
}

#[test]
fn a_round_trip_of_datagrams_allocates_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        let a = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let b = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = b.local_addr().expect("bound");
        let mut word = vec![7; 64];
        let count = steady!(500, {
            let (result, mut back) = a.send_to(word, address).await;
            assert_eq!(result.expect("sent"), 64);
            back.clear();
            let (result, mut filled) = b.recv_from(back).await;
            let (_, sender) = result.expect("a datagram");
            let (result, back) = b.send_to(filled, sender).await;
            assert_eq!(result.expect("sent"), 64);
            filled = back;
            filled.clear();
            let (result, filled) = a.recv(filled).await;
            assert_eq!(result.expect("a datagram"), 64);
            word = filled;
        });
        assert_eq!(count, 0);
    });
}

#[test]
fn a_stream_of_lent_buffers_allocates_nothing() {
    let _alone = alone();
    let runtime = runtime();
    let private = (runtime.backend_report().to_string()).contains("provided-buffer rings: no");
    runtime.block_on(async {
        let (client, server) = pair().await;
        let mut stream = server.recv_stream();
        let count = steady!(500, {
            client.write_all(&b"word"[..]).await.0.expect("connected");
            let guard = next(&mut stream).await.expect("connected");
            assert_eq!(&*guard.expect("bytes"), b"word");
        });
        assert!(count == 0 || private, "{count}");
    });
}

#[test]
fn a_lent_receive_allocates_nothing() {
    let _alone = alone();
    let runtime = runtime();
    // Without provided buffers each receive has a private one.
    let private = (runtime.backend_report().to_string()).contains("provided-buffer rings: no");
    runtime.block_on(async {
        let (client, server) = pair().await;
        let count = steady!(500, {
            client.write_all(&b"word"[..]).await.0.expect("connected");
            assert_eq!(&*server.recv().await.expect("connected"), b"word");
        });
        assert_eq!(count, if private { 500 } else { 0 });
    });
}

#[test]
fn yields_allocate_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        assert_eq!(steady!(200, yield_now().await), 0);
    });
}

/// The wheel makes the array of each of its 1024 slots when the slot is first used, so it is steady after one revolution.
/// The clock is paused: it turns as fast as it is used.
#[test]
fn sleeps_and_timeouts_allocate_nothing() {
    let _alone = alone();
    let runtime = Builder::new().paused_clock(true).build().expect("built");
    runtime.block_on(async {
        let tick = Duration::from_nanos(1 << 20);
        assert_eq!(steady!(2000, sleep(tick).await), 0);
        let hour = Duration::from_secs(3600);
        let limited = steady!(2000, {
            assert!(timeout(hour, sleep(tick)).await.is_ok());
            assert!(timeout(tick, pending::<()>()).await.is_err());
        });
        // Four seconds pass, and far deadlines of a second share a bucket that is made when the first of them is armed.
        assert!(limited <= 5, "{limited}");
    });
}

#[test]
fn spawning_and_joining_allocates_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        let count = steady!(300, {
            let task = camshaft::spawn(async {
                yield_now().await;
                1
            });
            assert_eq!(task.await.expect("no panic"), 1);
        });
        assert_eq!(count, 0);
        let in_bulk = steady!(20, {
            for _ in 0..100 {
                drop(camshaft::spawn(async {}));
            }
            yield_now().await;
        });
        assert_eq!(in_bulk, 0);
    });
}

#[test]
fn accepts_and_connects_allocate_a_bounded_number() {
    let _alone = alone();
    runtime().block_on(async {
        let (listener, address) = common::listener().await;
        let count = steady!(100, {
            let client = TcpStream::connect(address).await.expect("a listener");
            let (server, _) = listener.accept().await.expect("a connection");
            drop((client, server));
        });
        assert!(count <= 100 * 12, "{count}");
    });
}

#[test]
fn operations_under_load_share_their_system_calls() {
    let _alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let mut echoes = JoinSet::new();
        let mut clients = Vec::new();
        for _ in 0..64 {
            let (client, server) = pair().await;
            clients.push(Rc::new(client));
            echoes.spawn(async move {
                let mut buf = Vec::with_capacity(64);
                loop {
                    buf.clear();
                    let (result, filled) = server.read(buf).await;
                    if result.expect("connected") == 0 {
                        return;
                    }
                    buf = server.write_all(filled).await.1;
                }
            });
        }
        let before = runtime.metrics();
        let mut rounds = JoinSet::new();
        for client in &clients {
            let client = client.clone();
            rounds.spawn(async move {
                for _ in 0..100 {
                    client.write_all(vec![1; 16]).await.0.expect("connected");
                    assert_eq!(common::read_exactly(&client, 16).await, [1; 16]);
                }
            });
        }
        while let Some(round) = rounds.join_next().await {
            round.expect("an answer each");
        }
        let after = runtime.metrics();
        let operations = after.ops_submitted - before.ops_submitted;
        let enters = after.enters - before.enters;
        assert!(operations >= 64 * 100 * 4);
        assert!(
            enters <= operations / 8,
            "{enters} system calls for {operations} operations"
        );
    });
}
