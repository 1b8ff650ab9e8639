//! Locks between open files: alone and shared, tried and waited for, on clones, released by the last close.

mod common;
#[path = "common/scratch.rs"]
mod scratch;

use std::fs::TryLockError;
use std::rc::Rc;

use camshaft::fs::{File, OpenOptions};
use common::{alone, fds, poll_and_drop, poll_once, runtime, turn};
use scratch::Scratch;

async fn open(path: &std::path::Path) -> File {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .open(path)
        .await
        .unwrap()
}

fn is_locked(result: Result<(), TryLockError>) -> bool {
    match result {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(error)) => panic!("{error}"),
    }
}

#[test]
fn one_alone_or_many_together() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.at("locked");
    runtime().block_on(async {
        let (one, two) = (open(&path).await, open(&path).await);
        one.lock().await.unwrap();
        assert!(is_locked(two.try_lock().await));
        assert!(is_locked(two.try_lock_shared().await));
        one.lock_shared().await.unwrap();
        assert!(!is_locked(two.try_lock_shared().await));
        assert!(is_locked(two.try_lock().await));
        one.unlock().await.unwrap();
        assert!(!is_locked(two.try_lock().await));
        // The open file is what is locked; those of std see the same.
        let third = std::fs::File::open(&path).unwrap();
        assert!(is_locked(third.try_lock()));
        drop(two);
        assert!(!is_locked(third.try_lock()));
    });
}

#[test]
fn who_waits_gets_the_lock_when_it_is_released() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.at("locked");
    runtime().block_on(async {
        let (one, two) = (open(&path).await, Rc::new(open(&path).await));
        one.lock().await.unwrap();
        let waiter = camshaft::spawn({
            let two = two.clone();
            async move { two.lock().await }
        });
        for _ in 0..20 {
            turn().await;
        }
        assert!(!waiter.is_finished());
        one.unlock().await.unwrap();
        waiter.await.unwrap().unwrap();
        assert!(is_locked(one.try_lock().await));
    });
}

#[test]
fn many_increments_under_a_lock() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.file("counter", 0_u64.to_be_bytes());
    runtime().block_on(async {
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                camshaft::spawn(async move {
                    let file = open(&path).await;
                    for _ in 0..5 {
                        file.lock().await.unwrap();
                        let (result, bytes) = file.read_exact_at(Box::new([0; 8]), 0).await;
                        result.unwrap();
                        let count = u64::from_be_bytes(*bytes) + 1;
                        turn().await;
                        file.write_all_at(Box::new(count.to_be_bytes()), 0)
                            .await
                            .0
                            .unwrap();
                        file.unlock().await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(std::fs::read(&path).unwrap(), 40_u64.to_be_bytes());
    });
}

#[test]
fn a_clone_shares_the_lock() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.at("locked");
    runtime().block_on(async {
        let (one, other) = (open(&path).await, open(&path).await);
        let clone = one.try_clone().await.unwrap();
        one.lock().await.unwrap();
        assert!(!is_locked(clone.try_lock().await));
        drop(one);
        assert!(is_locked(other.try_lock().await));
        drop(clone);
        assert!(!is_locked(other.try_lock().await));
    });
}

#[test]
fn a_dropped_lock_leaves_the_lock_that_was_held() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.at("locked");
    runtime().block_on(async {
        let (one, other) = (open(&path).await, open(&path).await);
        let clone = one.try_clone().await.unwrap();
        one.lock().await.unwrap();
        for _ in 0..500 {
            drop(poll_and_drop(one.lock()).await);
            drop(poll_and_drop(clone.try_lock()).await);
            assert!(is_locked(other.try_lock_shared().await));
        }
        one.unlock().await.unwrap();
        // Of what was dropped and not held before nothing stays, once the workers are done with it.
        if poll_and_drop(one.lock()).await.is_ready() {
            one.unlock().await.unwrap();
        }
        while is_locked(other.try_lock().await) {
            turn().await;
        }
    });
}

#[test]
fn a_lock_that_is_never_released_does_not_keep_the_runtime() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.at("locked");
    let holder = std::fs::File::create(&path).unwrap();
    holder.lock().unwrap();
    let before = fds();
    let first = runtime();
    first.block_on(async {
        let file = open(&path).await;
        let mut locking = Box::pin(file.lock());
        let _ = poll_once(locking.as_mut()).await.is_ready();
        for _ in 0..5 {
            turn().await;
        }
    });
    first.spawn(async move {
        let file = open(&path).await;
        let _ = file.lock().await;
    });
    first.block_on(async {
        for _ in 0..20 {
            turn().await;
        }
    });
    drop(first);
    // A worker may be about to give its last try up.
    while fds() != before {
        std::thread::yield_now();
    }
}
