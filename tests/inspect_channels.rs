//! What leaves tell of the channels and locks of other crates: those who wait for the same have the same address, whichever
//! end they have.

#![cfg(feature = "inspect")]

mod common;
use common::*;
#[path = "common/leaves.rs"]
mod leaves;
use leaves::{is_described, leaf};

use std::pin::pin;
use std::sync::Arc;

use camshaft::inspect::{Cause, Leaf};
use futures::{SinkExt as _, StreamExt as _};

fn run(test: impl AsyncFn()) {
    let _alone = alone();
    if is_described() {
        runtime().block_on(test());
    }
}

/// A leaf as text, with a name for the address.
fn text(leaf: &Leaf) -> String {
    let at = leaf.channel.expect("it is shared");
    leaf.to_string().replace(&format!("{at:#x}"), "AT")
}

/// What each tells, if they wait for the same.
fn alike<const N: usize>(leaves: [Leaf; N]) -> [String; N] {
    let [first, ..] = &leaves[..] else {
        panic!("there is one")
    };
    assert!(
        leaves.iter().all(|it| it.channel == first.channel),
        "{leaves:?}"
    );
    leaves.map(|leaf| text(&leaf))
}

#[test]
fn channels_of_futures() {
    run(async || {
        use futures::channel::{mpsc, oneshot};
        let (mut sender, mut receiver) = mpsc::channel::<u32>(0);
        let other = sender.clone();
        let waits = leaf(pin!(receiver.next())).await;
        sender.try_send(1).expect("there is room for one");
        let full = leaf(pin!(sender.send(2))).await;
        assert_eq!(
            alike([waits, full]),
            [
                "mpsc receiver of u32, channel AT, 0 messages queued, 2 senders",
                "mpsc sender of u32, channel AT, 1 message queued"
            ]
        );
        drop(other);
        let (sender, mut receiver) = mpsc::unbounded::<String>();
        let waits = leaf(pin!(receiver.next())).await;
        let expected = "mpsc receiver of String, channel AT, 0 messages queued, 1 sender";
        assert_eq!(text(&waits), expected);
        assert_eq!(waits.kind, Cause::Channel);
        drop(sender);
        let (sender, receiver) = oneshot::channel::<u8>();
        let waits = leaf(pin!(receiver)).await;
        assert_eq!(text(&waits), "oneshot receiver of u8, channel AT");
        drop(sender);
    });
}

#[test]
fn locks_of_futures() {
    run(async || {
        let lock = Arc::new(futures::lock::Mutex::new(7_u8));
        let _held = lock.lock().await;
        let borrowed = leaf(pin!(lock.lock())).await;
        let owned = leaf(pin!(Arc::clone(&lock).lock_owned())).await;
        assert_eq!(borrowed.kind, Cause::Lock);
        assert_eq!(
            alike([borrowed, owned]),
            ["mutex, lock AT", "mutex, lock AT"]
        );
    });
}

#[test]
fn queues_of_tokio() {
    run(async || {
        use tokio::sync::mpsc;
        let (sender, mut receiver) = mpsc::channel::<u32>(2);
        let waits = leaf(pin!(receiver.recv())).await;
        for n in 0..2 {
            sender.try_send(n).expect("there is room for two");
        }
        let full = leaf(pin!(sender.send(2))).await;
        let reserves = leaf(pin!(sender.reserve())).await;
        assert_eq!(
            alike([waits, full, reserves]),
            [
                "mpsc receiver of u32, channel AT, 0 messages queued, 1 sender",
                "mpsc sender, channel AT",
                "mpsc sender, channel AT"
            ]
        );
        let mut taken = Vec::new();
        assert_eq!(receiver.recv_many(&mut taken, 8).await, 2);
        let waits = leaf(pin!(receiver.recv_many(&mut taken, 8))).await;
        let expected = "mpsc receiver of u32, channel AT, 0 messages queued, 1 sender";
        assert_eq!(text(&waits), expected);
        let (sender, mut receiver) = mpsc::unbounded_channel::<u8>();
        let _other = sender.clone();
        let waits = leaf(pin!(receiver.recv())).await;
        let expected = "mpsc receiver of u8, channel AT, 0 messages queued, 2 senders";
        assert_eq!(text(&waits), expected);
    });
}

#[test]
fn single_messages_of_tokio() {
    run(async || {
        use tokio::sync::{broadcast, oneshot, watch};
        let (sender, receiver) = oneshot::channel::<u8>();
        let waits = leaf(pin!(receiver)).await;
        assert_eq!(text(&waits), "oneshot receiver of u8, channel AT");
        drop(sender);
        let (sender, mut one) = broadcast::channel::<u16>(4);
        let mut two = sender.subscribe();
        let leaves = [leaf(pin!(one.recv())).await, leaf(pin!(two.recv())).await];
        let expected = "broadcast receiver of u16, channel AT, 1 sender";
        assert_eq!(alike(leaves), [expected, expected]);
        let (sender, mut one) = watch::channel(1_u64);
        let mut two = sender.subscribe();
        let leaves = [
            leaf(pin!(one.changed())).await,
            leaf(pin!(two.changed())).await,
        ];
        let expected = "watch receiver of u64, channel AT, 1 sender";
        assert_eq!(alike(leaves), [expected, expected]);
    });
}

#[test]
fn locks_of_tokio() {
    run(async || {
        use tokio::sync::{Mutex, Notify, RwLock, Semaphore};
        let lock = Arc::new(Mutex::new(1));
        let held = lock.lock().await;
        let leaves = [
            leaf(pin!(lock.lock())).await,
            leaf(pin!(Arc::clone(&lock).lock_owned())).await,
        ];
        assert_eq!(alike(leaves), ["mutex, lock AT", "mutex, lock AT"]);
        drop(held);
        let lock = RwLock::new(1);
        let held = lock.write().await;
        let leaves = [
            leaf(pin!(lock.read())).await,
            leaf(pin!(lock.write())).await,
        ];
        let expected = ["rwlock (read), lock AT", "rwlock (write), lock AT"];
        assert_eq!(alike(leaves), expected);
        drop(held);
        let semaphore = Semaphore::new(3);
        let waits = leaf(pin!(semaphore.acquire_many(5))).await;
        // It has taken those that there were.
        let expected = "semaphore, lock AT, 5 permits wanted, 0 left";
        assert_eq!(text(&waits), expected);
        assert_eq!((waits.wanted, waits.permits), (Some(5), Some(0)));
        let notify = Notify::new();
        let leaves = [
            leaf(pin!(notify.notified())).await,
            leaf(pin!(notify.notified())).await,
        ];
        assert_eq!(
            alike(leaves),
            ["notification, lock AT", "notification, lock AT"]
        );
    });
}

#[test]
fn channels_and_locks_on_event_listeners() {
    run(async || {
        let (sender, receiver) = async_channel::bounded::<u8>(1);
        let waits = leaf(pin!(receiver.recv())).await;
        sender.try_send(1).expect("there is room for one");
        let full = leaf(pin!(sender.send(2))).await;
        assert_eq!(
            alike([waits, full]),
            ["receiver, channel AT, 1 sender", "sender, channel AT"]
                .map(|text| text.replace("r,", "r of u8,"))
        );
        let (_sender, receiver) = async_channel::unbounded::<u8>();
        let waits = leaf(pin!(Box::pin(receiver).next())).await;
        assert_eq!(text(&waits), "receiver of u8, channel AT, 1 sender");
        let lock = async_lock::Mutex::new(1);
        let _held = lock.lock().await;
        assert_eq!(text(&leaf(pin!(lock.lock())).await), "mutex, lock AT");
        let semaphore = async_lock::Semaphore::new(0);
        let waits = leaf(pin!(semaphore.acquire())).await;
        assert_eq!(text(&waits), "semaphore, lock AT");
        let lock = async_lock::RwLock::new(1);
        let _held = lock.write().await;
        assert_eq!(
            text(&leaf(pin!(lock.read())).await),
            "rwlock (read), lock AT"
        );
        assert_eq!(
            text(&leaf(pin!(lock.write())).await),
            "rwlock (write), lock AT"
        );
    });
}

#[test]
fn channels_of_flume() {
    run(async || {
        let (sender, receiver) = flume::bounded::<u8>(0);
        let waits = leaf(pin!(receiver.recv_async())).await;
        let owned = leaf(pin!(receiver.clone().into_recv_async())).await;
        let full = leaf(pin!(sender.send_async(2))).await;
        let expected = ["receiver of u8, channel AT, 1 sender"; 2];
        assert_eq!(alike([waits.clone(), owned]), expected);
        assert_eq!(alike([waits, full])[1], "sender of u8, channel AT");
    });
}
