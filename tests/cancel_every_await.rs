//! A session whose side is cancelled at every await in turn and continued by a fresh future: no byte is lost, none comes
//! twice, the order is kept; of a cancelled write a prefix is sent, and nothing after the next write begins.

mod common;

use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;

use camshaft::net::{TcpListener, TcpStream};
use camshaft::task::yield_now;
use common::{Random, alone, listener, pair, poll_once, read_rest, runtime, small_runtime, turn};

/// So many futures are cancelled at most. The end of a stream is seen only by a read that may wait for it.
const CANCELLED: usize = 3000;

/// Runs futures one after the other, each for so many polls; the one that gets ready ends it. Others run in between.
async fn cancelled_after<F: Future>(mut polls: impl FnMut() -> usize, make: impl Fn() -> F) {
    for _ in 0..CANCELLED {
        let mut future = pin!(make());
        for _ in 0..polls() {
            if poll_once(future.as_mut()).await.is_ready() {
                return;
            }
            yield_now().await;
        }
    }
    make().await;
}

/// Cancels after the k-th poll: every time, or only once.
fn schedules() -> Vec<(String, Box<dyn FnMut() -> usize>)> {
    let mut all: Vec<(String, Box<dyn FnMut() -> usize>)> = Vec::new();
    for k in 1..=8 {
        all.push((format!("every {k} polls"), Box::new(move || k)));
    }
    for k in 1..=60 {
        let mut first = true;
        let once = move || {
            if std::mem::take(&mut first) {
                k
            } else {
                usize::MAX
            }
        };
        all.push((format!("once after {k} polls"), Box::new(once)));
    }
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let random = move || random.below(12) + 1;
        all.push((format!("randomly with seed {seed}"), Box::new(random)));
    }
    all
}

/// Sends numbered bytes in chunks of changing size.
async fn send(stream: TcpStream, len: usize) -> Vec<u8> {
    let bytes: Vec<u8> = (0..=250).cycle().take(len).collect();
    let mut at = 0;
    for size in [1, 2, 7, 64, 3, 300].into_iter().cycle() {
        let end = (at + size).min(len);
        stream
            .write_all(bytes[at..end].to_vec())
            .await
            .0
            .expect("the peer reads");
        at = end;
        if at == len {
            return bytes;
        }
        if size % 2 == 0 {
            yield_now().await;
        } else {
            turn().await;
        }
    }
    unreachable!("an endless cycle")
}

/// Reads in every way, and notes what came as soon as it is there.
async fn receive(stream: &TcpStream, received: &RefCell<Vec<u8>>) {
    let note = |bytes: &[u8]| received.borrow_mut().extend_from_slice(bytes);
    loop {
        let (result, buf) = stream.read(Vec::with_capacity(5)).await;
        note(&buf);
        if result.expect("no error") == 0 {
            return;
        }
        let guard = stream.recv().await.expect("no error");
        note(&guard);
        drop(guard);
        drop(stream.peek(Vec::with_capacity(3)).await);
        let (_, bufs) = stream
            .read_vectored(vec![Vec::with_capacity(2), Vec::with_capacity(9)])
            .await;
        note(&bufs.concat());
        let (result, buf) = stream.read_exact(Vec::with_capacity(11)).await;
        note(&buf);
        if result.is_err() {
            return;
        }
    }
}

#[test]
fn a_reader_loses_nothing() {
    let _alone = alone();
    for (n, (what, polls)) in schedules().into_iter().enumerate() {
        let runtime = if n % 2 == 0 {
            runtime()
        } else {
            small_runtime()
        };
        runtime.block_on(async {
            let (client, server) = pair().await;
            let sending = camshaft::spawn(send(client, 3000));
            let received = RefCell::default();
            cancelled_after(polls, || receive(&server, &received)).await;
            let sent = sending.await.expect("no panic");
            assert!(received.into_inner() == sent, "{what}");
        });
    }
}

#[test]
fn reading_to_the_end_loses_nothing() {
    let _alone = alone();
    for (what, polls) in schedules() {
        runtime().block_on(async {
            let (client, server) = pair().await;
            let sending = camshaft::spawn(send(client, 1000));
            let received = RefCell::default();
            cancelled_after(polls, async || {
                let all = read_rest(&server).await;
                received.replace(all);
            })
            .await;
            let sent = sending.await.expect("no panic");
            assert!(received.into_inner() == sent, "{what}");
        });
    }
}

#[test]
fn an_acceptor_loses_nothing() {
    let _alone = alone();
    const CONNECTIONS: usize = 30;
    for (what, polls) in schedules() {
        runtime().block_on(async {
            let (listener, address) = listener().await;
            let connecting = camshaft::spawn(async move {
                let mut clients = Vec::new();
                for n in 0..CONNECTIONS {
                    clients.push(TcpStream::connect(address).await.expect("a listener"));
                    if n % 3 == 0 {
                        turn().await;
                    }
                }
                clients
            });
            let accepted: RefCell<Vec<SocketAddr>> = RefCell::default();
            cancelled_after(polls, || accept(&listener, &accepted, CONNECTIONS)).await;
            let clients = connecting.await.expect("no panic");
            let connected: Vec<_> = clients.iter().map(|c| c.local_addr().unwrap()).collect();
            assert_eq!(accepted.into_inner(), connected, "{what}");
        });
    }
}

async fn accept(listener: &TcpListener, accepted: &RefCell<Vec<SocketAddr>>, n: usize) {
    while accepted.borrow().len() < n {
        let (_, peer) = listener.accept().await.expect("no error");
        accepted.borrow_mut().push(peer);
    }
}

/// Each record is of one byte value, and longer than the socket takes at once.
#[test]
fn a_writer_sends_prefixes_in_order() {
    let _alone = alone();
    const RECORDS: u8 = 20;
    const LEN: usize = 30_000;
    for (what, mut polls) in schedules() {
        small_runtime().block_on(async {
            let (client, server) = pair().await;
            common::shrink(&server);
            let reading = camshaft::spawn(async move { read_rest(&client).await });
            let mut complete = Vec::new();
            for n in 0..RECORDS {
                let mut writing = pin!(server.write_all(vec![n; LEN]));
                let mut done = false;
                for _ in 0..polls() {
                    if let Poll::Ready((result, _)) = poll_once(writing.as_mut()).await {
                        result.expect("the peer reads");
                        done = true;
                        break;
                    }
                    turn().await;
                }
                complete.push(done);
            }
            drop(server);
            let received = reading.await.expect("no panic");
            let mut rest = &received[..];
            for (n, complete) in (0..RECORDS).zip(complete) {
                let run = rest.iter().take_while(|byte| **byte == n).count();
                assert!(
                    run <= LEN && (run == LEN || !complete),
                    "{what}: {n}: {run}"
                );
                rest = &rest[run..];
            }
            assert!(rest.is_empty(), "{what}: out of order");
        });
    }
}
