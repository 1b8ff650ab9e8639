//! Buffers that are lent or registered: none is missing when what had them was dropped.

use std::io::Write;
use std::rc::Rc;

use camshaft::buf::FixedBuf;
use camshaft::fs::File;
use camshaft::net::TcpStream;

use crate::common::sockets::next;
use crate::common::{
    alone, half_std, poll_once, read_exactly, runtime, small_runtime, turn, until,
};
use crate::scratch::{Scratch, pattern};
use crate::{Doing, STAGES, Stage};

const RECEIVES: [fn(Rc<TcpStream>) -> Doing; 2] = [
    |it| Box::pin(async move { drop(it.recv().await) }),
    |it| Box::pin(async move { drop(next(&mut it.recv_stream()).await) }),
];

/// Drops a receive at a stage, and reads what was not received.
async fn receive(stage: Stage, begin: fn(Rc<TcpStream>) -> Doing) {
    let (mut client, server) = half_std();
    let server = Rc::new(server);
    for round in 0..1 + u8::from(stage == Stage::Twice) {
        let mut receiving = begin(server.clone());
        let is_polled = stage != Stage::Unpolled;
        assert!(!is_polled || poll_once(receiving.as_mut()).await.is_pending());
        if is_polled && stage != Stage::BeforeSubmit {
            turn().await;
        }
        client.write_all(&[round; 5]).expect("it lives");
        if stage == Stage::CompletedUnpolled {
            turn().await;
        }
        drop(receiving);
        assert_eq!(read_exactly(&server, 5).await, [round; 5]);
    }
}

#[test]
fn lent_buffers_come_back() {
    for build in [runtime, small_runtime] {
        let _alone = alone();
        build().block_on(async {
            let (mut client, server) = half_std();
            client.write_all(b"x").expect("it lives");
            let guard = server.recv().await.expect("a byte");
            let Some(ring) = guard.ring() else {
                return; // on such a ring all are private
            };
            let free = ring.free();
            assert_eq!(free, ring.buffers() - 1);
            for _ in 0..30 {
                for begin in RECEIVES {
                    for stage in STAGES {
                        receive(stage, begin).await;
                    }
                }
            }
            // Hangs if one is missing.
            until(|| ring.free() == free).await;
        });
    }
}

#[test]
fn registered_buffers_come_back() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.file("file", pattern(4096));
    let runtime = runtime();
    runtime.block_on(async {
        let is_registered = FixedBuf::zeroed(4096).is_registered();
        let (_client, server) = half_std();
        let file = File::open(path).await.expect("a file");
        // More than can be registered at a time.
        for round in 0..1200 {
            let buf = FixedBuf::zeroed(4096);
            assert_eq!(buf.is_registered(), is_registered, "round {round}");
            let reading = server.read(buf);
            let mut reading = Box::pin(reading);
            assert!(round % 3 == 0 || poll_once(reading.as_mut()).await.is_pending());
            if round % 3 == 2 {
                turn().await;
            }
            drop(reading);
            drop(poll_once(Box::pin(file.read_at(FixedBuf::zeroed(4096), 0)).as_mut()).await);
            if round % 100 == 0 {
                until(|| {
                    let metrics = runtime.metrics();
                    metrics.ops_submitted == metrics.ops_completed
                })
                .await;
            }
        }
    });
}
