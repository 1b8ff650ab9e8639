//! More of everything than the queues hold: submissions, completions, cancellations. Nothing is lost, nothing hangs.

mod common;

use std::cell::Cell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use camshaft::net::TcpStream;
use camshaft::runtime::Builder;
use camshaft::task::{JoinSet, yield_now};
use common::{
    alone, half_std, listener, pair, poll_once, raise_fd_limit, read_exactly, runtime,
    small_runtime, turn, until,
};

const MANY: usize = 1500;

async fn many_pairs() -> Vec<(std::net::TcpStream, TcpStream)> {
    raise_fd_limit();
    (0..MANY).map(|_| half_std()).collect()
}

#[test]
fn thousands_of_operations_in_flight_on_a_tiny_ring() {
    let _alone = alone();
    raise_fd_limit();
    let runtime = small_runtime();
    runtime.block_on(async {
        let (listener, address) = listener().await;
        let mut connecting = JoinSet::new();
        for _ in 0..MANY {
            connecting.spawn(async move { TcpStream::connect(address).await });
        }
        let mut echoes = JoinSet::new();
        for _ in 0..MANY {
            let (stream, _) = listener.accept().await.expect("a connection");
            echoes.spawn(async move {
                let word = read_exactly(&stream, 4).await;
                stream.write_all(word).await.0.expect("sent");
            });
        }
        let mut clients = Vec::new();
        while let Some(client) = connecting.join_next().await {
            clients.push(client.expect("no panic").expect("connected"));
        }
        // Each client reads before it writes: both ends wait, 3000 operations at once.
        let mut words = JoinSet::new();
        for (n, client) in clients.into_iter().enumerate() {
            words.spawn(async move {
                let client = Rc::new(client);
                let word = u32::try_from(n).expect("fits").to_be_bytes();
                let reading = camshaft::spawn({
                    let client = client.clone();
                    async move { read_exactly(&client, 4).await }
                });
                yield_now().await;
                client.write_all(word.to_vec()).await.0.expect("sent");
                assert_eq!(reading.await.expect("no panic"), word);
            });
        }
        let mut done = 0;
        while let Some(word) = words.join_next().await {
            word.expect("the word came back");
            done += 1;
        }
        assert_eq!(done, MANY);
    });
    let metrics = runtime.metrics();
    assert_eq!(metrics.ops_submitted, metrics.ops_completed);
}

#[test]
fn thousands_of_completions_at_once_overflow_the_queue() {
    let _alone = alone();
    let runtime = small_runtime(); // 64 completions fit
    runtime.block_on(async {
        let mut readers = JoinSet::new();
        let mut clients = Vec::new();
        for (client, server) in many_pairs().await {
            readers.spawn(async move {
                for _ in 0..3 {
                    assert_eq!(read_exactly(&server, 1).await, [7]);
                }
            });
            clients.push(client);
        }
        for _ in 0..3 {
            yield_now().await;
            turn().await; // all reads are in the kernel
            for client in &mut clients {
                client.write_all(&[7]).expect("sent"); // and all complete before it is entered again
            }
        }
        while let Some(reader) = readers.join_next().await {
            reader.expect("its bytes");
        }
    });
}

#[test]
fn thousands_of_cancellations_with_a_full_queue_lose_nothing() {
    let _alone = alone();
    let runtime = small_runtime();
    runtime.block_on(async {
        let pairs = many_pairs().await;
        for round in 0..3 {
            let mut reads: Vec<_> = pairs
                .iter()
                .map(|(_, server)| Box::pin(server.recv()))
                .collect();
            for read in &mut reads {
                assert!(poll_once(read.as_mut()).await.is_pending());
            }
            if round > 0 {
                turn().await;
            }
            for (client, _) in &pairs[..MANY / 2] {
                (&*client).write_all(b"before").expect("sent");
            }
            drop(reads);
            for (client, _) in &pairs[MANY / 2..] {
                (&*client).write_all(b"behind").expect("sent");
            }
            for (n, (_, server)) in pairs.iter().enumerate() {
                let expected: &[u8] = if n < MANY / 2 { b"before" } else { b"behind" };
                assert_eq!(read_exactly(server, 6).await, expected);
            }
        }
    });
    drop(runtime);
}

/// Nothing arrives, so these reads end only if each of them is cancelled.
#[test]
fn every_one_of_thousands_of_cancellations_reaches_the_kernel() {
    let _alone = alone();
    let runtime = small_runtime();
    runtime.block_on(async {
        let pairs = many_pairs().await;
        for entered in [false, true] {
            let mut reads: Vec<_> = pairs
                .iter()
                .map(|(_, server)| Box::pin(server.read(Vec::with_capacity(1))))
                .collect();
            for read in &mut reads {
                assert!(poll_once(read.as_mut()).await.is_pending());
            }
            if entered {
                turn().await;
            }
            drop(reads);
            until(|| runtime.metrics().ops_submitted == runtime.metrics().ops_completed).await;
        }
    });
}

#[test]
fn a_runtime_goes_with_thousands_of_operations_in_flight() {
    let _alone = alone();
    let runtime = small_runtime();
    let mut clients = Vec::new();
    for (client, server) in runtime.block_on(many_pairs()) {
        clients.push(client);
        runtime.spawn(async move { drop(server.read(Vec::with_capacity(1)).await) });
    }
    runtime.block_on(async {
        yield_now().await;
        turn().await;
    });
    drop(runtime);
    for mut client in clients {
        assert_eq!(client.read(&mut [0]).expect("the end"), 0, "it is closed");
    }
}

/// A park that submits a queue full of operations that never complete must still hear of other threads.
#[test]
fn a_remote_wake_ends_a_park_that_began_with_a_full_queue() {
    let _alone = alone();
    for entries in [1, 2, 4, 8] {
        for operations in 1..=9 {
            let runtime = Builder::new()
                .ring_entries(entries)
                .build()
                .expect("a runtime can be built");
            let pairs: Vec<_> = (0..operations).map(|_| half_std()).collect();
            let handle = runtime.handle();
            runtime.block_on(async {
                let mut reads: Vec<_> = pairs
                    .iter()
                    .map(|(_, server)| Box::pin(server.read(Vec::with_capacity(1))))
                    .collect();
                for read in &mut reads {
                    assert!(poll_once(read.as_mut()).await.is_pending());
                }
                let (tell, told) = std::sync::mpsc::channel();
                let remote = std::thread::spawn(move || {
                    told.recv().expect("the loop is about to park");
                    // The loop sleeps by the time of the second task if not of the first; both must arrive.
                    std::thread::sleep(Duration::from_millis(2));
                    handle.spawn(async {})
                });
                tell.send(()).expect("the thread lives");
                let done = Rc::new(Cell::new(false));
                let joined = remote_join(remote, &done).await;
                joined.await.expect("it runs");
            });
        }
    }
}

/// Waits for a thread without blocking the loop: on one more thread, whose end is a remote wake too.
async fn remote_join<T: Send + 'static>(
    thread: std::thread::JoinHandle<T>,
    done: &Cell<bool>,
) -> T {
    let result = camshaft::task::spawn_blocking(move || thread.join()).await;
    done.set(true);
    result.expect("not cancelled").expect("no panic")
}

/// Closing a stream whose read was cancelled enters the kernel, and that may reap completions of others: their tasks must
/// be woken even if the loop then has nothing else to wait for.
#[test]
fn what_is_reaped_while_a_stream_is_closed_wakes_its_task() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = half_std();
        let reading = camshaft::spawn(async move { read_exactly(&server, 1).await });
        let (_peer, other) = half_std();
        let mut cancelled = Box::pin(other.read(Vec::with_capacity(1)));
        assert!(poll_once(cancelled.as_mut()).await.is_pending());
        yield_now().await;
        turn().await; // both reads are in the kernel
        client.write_all(b"x").expect("sent");
        drop(cancelled);
        drop(other);
        assert_eq!(reading.await.expect("no panic"), b"x");
    });
}

/// The same for a submission that finds the queue full and hands it over on the spot.
#[test]
fn what_is_reaped_to_make_room_wakes_its_task() {
    let _alone = alone();
    small_runtime().block_on(async {
        let (mut client, server) = half_std();
        let reading = camshaft::spawn(async move { read_exactly(&server, 1).await });
        yield_now().await;
        turn().await;
        client.write_all(b"x").expect("sent");
        let idle: Vec<_> = (0..9).map(|_| half_std()).collect();
        let mut reads: Vec<_> = idle
            .iter()
            .map(|(_, server)| Box::pin(server.read(Vec::with_capacity(1))))
            .collect();
        for read in &mut reads {
            assert!(poll_once(read.as_mut()).await.is_pending());
        }
        assert_eq!(reading.await.expect("no panic"), b"x");
    });
}

#[test]
fn many_reads_on_one_stream_get_a_byte_each() {
    let _alone = alone();
    small_runtime().block_on(async {
        let (client, server) = pair().await;
        let server = Rc::new(server);
        let mut readers = JoinSet::new();
        for _ in 0..3000 {
            let server = server.clone();
            readers.spawn(async move { read_exactly(&server, 1).await[0] });
        }
        yield_now().await;
        turn().await;
        let sent: Vec<u8> = (0..=255).cycle().take(3000).collect();
        client.write_all(sent.clone()).await.0.expect("sent");
        let mut counts = [0_usize; 256];
        while let Some(byte) = readers.join_next().await {
            counts[usize::from(byte.expect("a byte"))] += 1;
        }
        for byte in sent {
            counts[usize::from(byte)] -= 1;
        }
        assert_eq!(counts, [0; 256]);
    });
}
