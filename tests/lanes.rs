//! Several operations on one socket at once: they pass one after the other, and what cancelled ones bring stays in order.

mod common;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use camshaft::fs::File;
use camshaft::task::JoinSet;
use common::{alone, half_std, pair, poll_once, read_exactly, read_rest, runtime, turn};
use socket2::SockRef;

fn room(len: usize) -> Vec<u8> {
    Vec::with_capacity(len)
}

#[test]
fn reads_at_once_are_served_in_the_order_of_asking() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = half_std();
        let mut first = pin!(server.read_exact(room(2)));
        let mut second = pin!(server.read(room(2)));
        assert!(poll_once(first.as_mut()).await.is_pending());
        assert!(poll_once(second.as_mut()).await.is_pending());
        client.write_all(b"ABCD").expect("sent");
        assert_eq!(first.await.1, b"AB");
        assert_eq!(second.await.1, b"CD");
    });
}

#[test]
fn completed_reads_that_are_dropped_leave_their_bytes_in_order() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = half_std();
        let mut first = Box::pin(server.read(room(2)));
        let mut second = Box::pin(server.read(room(2)));
        assert!(poll_once(first.as_mut()).await.is_pending());
        assert!(poll_once(second.as_mut()).await.is_pending());
        client.write_all(b"ABCDEF").expect("sent");
        turn().await;
        drop((first, second));
        drop(client);
        assert_eq!(read_rest(&server).await, b"ABCDEF");
    });
}

#[test]
fn a_read_that_waits_gets_what_a_dropped_one_received() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = half_std();
        let mut first = Box::pin(server.read(room(64)));
        let mut second = pin!(server.recv());
        assert!(poll_once(first.as_mut()).await.is_pending());
        assert!(poll_once(second.as_mut()).await.is_pending());
        client.write_all(b"only once").expect("sent");
        turn().await;
        drop(first);
        // Nothing more is sent: it must come from the stash.
        assert_eq!(&*second.await.expect("received"), b"only once");
    });
}

#[test]
fn a_read_that_leaves_the_line_lets_the_others_pass() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = half_std();
        let mut first = Box::pin(server.read(room(1)));
        let mut second = Box::pin(server.read(room(1)));
        let mut third = pin!(server.read(room(1)));
        assert!(poll_once(first.as_mut()).await.is_pending());
        assert!(poll_once(second.as_mut()).await.is_pending());
        assert!(poll_once(third.as_mut()).await.is_pending());
        drop(second);
        client.write_all(b"XY").expect("sent");
        assert_eq!(first.await.1, b"X");
        assert_eq!(third.await.1, b"Y");
    });
}

#[test]
fn writes_at_once_do_not_mix_their_bytes() {
    const LEN: usize = 4 << 20;
    let _alone = alone();
    runtime().block_on(async {
        let (mut peer, stream) = half_std();
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).map(|_| all)
        });
        let stream = Rc::new(stream);
        let mut writers = JoinSet::new();
        for byte in *b"abc" {
            let stream = stream.clone();
            writers.spawn(async move { stream.write_all(vec![byte; LEN]).await.0 });
        }
        while let Some(written) = writers.join_next().await {
            written.expect("no panic").expect("written");
        }
        drop(stream);
        let all = reader.join().expect("no panic").expect("read");
        assert_eq!(all.len(), 3 * LEN);
        let changes = all.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert_eq!(changes, 2);
    });
}

#[test]
fn a_dropped_peek_keeps_the_reset_that_it_saw() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = half_std();
        let mut peek = Box::pin(server.peek(room(8)));
        assert!(poll_once(peek.as_mut()).await.is_pending());
        SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .expect("set");
        drop(client);
        turn().await;
        drop(peek);
        let error = server.read(room(8)).await.0.expect_err("it was reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn an_exact_read_returns_a_stashed_error_with_the_bytes_before_it() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = half_std();
        let mut read = Box::pin(server.read(room(8)));
        assert!(poll_once(read.as_mut()).await.is_pending());
        client.write_all(b"AB").expect("sent");
        turn().await;
        drop(read);
        let mut read = Box::pin(server.peek(room(8)));
        // The peek is served from the stash; a read_exact has to go on to the socket.
        assert!(poll_once(read.as_mut()).await.is_ready());
        let mut exact = Box::pin(server.read_exact(room(4)));
        assert!(poll_once(exact.as_mut()).await.is_pending());
        SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .expect("set");
        drop(client);
        turn().await;
        drop(exact);
        let (result, buf) = server.read_exact(room(4)).await;
        assert_eq!(
            result.expect_err("reset").kind(),
            ErrorKind::ConnectionReset
        );
        assert_eq!(buf, b"AB");
    });
}

#[test]
fn a_write_waits_for_a_shutdown_that_came_first() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = pair().await;
        client.write_all(b"last").await.0.expect("written");
        client.shutdown().await.expect("shut down");
        let error = client.write_all(b"more").await.0.expect_err("shut down");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!(read_rest(&server).await, b"last");
    });
}

#[test]
fn an_offset_that_would_mean_the_cursor_is_refused() {
    let _alone = alone();
    runtime().block_on(async {
        let file = File::open("/proc/self/cmdline").await.expect("opened");
        let (result, buf) = file.read_at(room(8), u64::MAX).await;
        assert_eq!(result.expect_err("refused").kind(), ErrorKind::InvalidInput);
        assert!(buf.is_empty());
    });
}

#[test]
fn a_hundred_thousand_in_line_are_dropped_at_once() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = half_std();
        for backwards in [false, true] {
            let reading = || Box::pin(server.read(Vec::with_capacity(1)));
            let mut line: VecDeque<_> = (0..100_000).map(|_| reading()).collect();
            for read in &mut line {
                assert!(poll_once(read.as_mut()).await.is_pending());
            }
            // Who is in front passes the lane on to the next, who is about to go as well.
            while !line.is_empty() {
                drop(if backwards {
                    line.pop_back()
                } else {
                    line.pop_front()
                });
            }
            client.write_all(b"x").expect("sent");
            assert_eq!(read_exactly(&server, 1).await, b"x");
        }
        // The same as tasks that are aborted, each of which is woken by the one before.
        let server = Rc::new(server);
        let mut tasks = JoinSet::new();
        for _ in 0..100_000 {
            let server = server.clone();
            tasks.spawn(async move { drop(server.read(Vec::with_capacity(1)).await) });
        }
        turn().await;
        tasks.shutdown().await;
        client.write_all(b"y").expect("sent");
        assert_eq!(read_exactly(&server, 1).await, b"y");
    });
}
