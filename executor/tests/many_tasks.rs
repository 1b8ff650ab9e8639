//! A hundred thousand tasks at once.
#![allow(missing_docs)]

mod common;

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;

use camshaft_executor::{JoinHandle, spawn, yield_now};
use common::{Drops, Gate, tracing};

const MANY: usize = 100_000;

#[test]
fn spawned_yielding_and_joined() {
    let executor = tracing();
    let total = executor.block_on(async {
        let tasks: Vec<JoinHandle<usize>> = (0..MANY)
            .map(|number| {
                spawn(async move {
                    for _ in 0..number % 4 {
                        yield_now().await;
                    }
                    number
                })
            })
            .collect();
        let mut total = 0;
        for task in tasks {
            total += task.await.unwrap();
        }
        total
    });
    assert_eq!(total, MANY * (MANY - 1) / 2);
    assert_eq!(executor.stats().tasks, 0);
}

#[test]
fn parked_woken_and_dropped() {
    let executor = tracing();
    let drops = Drops::new();
    let gates: Vec<Gate> = (0..1000).map(|_| Gate::new()).collect();
    let passed = Rc::new(Cell::new(0));
    executor.block_on(async {
        for number in 0..MANY {
            let (token, gate, passed) = (
                drops.token(),
                gates.get(number / 100).cloned(),
                Rc::clone(&passed),
            );
            drop(spawn(async move {
                let _token = token;
                if number % 100 == 0 {
                    gate.unwrap().pass().await;
                    passed.set(passed.get() + 1);
                } else {
                    pending::<()>().await;
                }
            }));
        }
        yield_now().await;
        for gate in &gates {
            gate.open();
        }
        yield_now().await;
    });
    assert_eq!((passed.get(), drops.count()), (1000, 1000));
    drop(executor);
    assert_eq!(drops.count(), MANY);
}

#[test]
fn of_every_size() {
    async fn hold<const N: usize>(seed: u8) -> usize {
        let kept = [seed; N];
        yield_now().await;
        kept.iter().map(|byte| usize::from(*byte)).sum()
    }
    let executor = tracing();
    macro_rules! sizes {
        ($($size:literal)*) => {
            executor.block_on(async {
                for _ in 0..300 {
                    $(
                        let task = spawn(hold::<$size>(3));
                        let over_aligned = spawn(async { Aligned([9; $size]) });
                        assert_eq!(task.await.unwrap(), 3 * $size);
                        let output = over_aligned.await.unwrap();
                        assert_eq!(std::ptr::from_ref(&output).addr() % 64, 0);
                        assert!(output.0.iter().all(|byte| *byte == 9));
                    )*
                }
            })
        };
    }
    sizes!(0 1 8 16 31 64 100 200 500 1000 1999 2048 5000);
}

#[repr(align(64))]
struct Aligned<const N: usize>([u8; N]);
