//! Task-local values: set during polls and drops, per task, nested.
#![allow(missing_docs)]

mod common;

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;

use camshaft_executor::{spawn, task_local, yield_now};
use common::tracing;

task_local! {
    static NUMBER: u32;
    static TEXT: String;
}

#[test]
fn each_task_has_its_own() {
    tracing().block_on(async {
        let tasks: Vec<_> = (0..10)
            .map(|number| {
                spawn(NUMBER.scope(number, async move {
                    for _ in 0..3 {
                        assert_eq!(NUMBER.with(|seen| *seen), number);
                        yield_now().await;
                    }
                    NUMBER.get()
                }))
            })
            .collect();
        for (number, task) in (0..).zip(tasks) {
            assert_eq!(task.await.unwrap(), number);
        }
        assert!(NUMBER.try_with(|_| ()).is_err());
    });
}

#[test]
fn scopes_nest() {
    tracing().block_on(NUMBER.scope(1, async {
        assert_eq!(NUMBER.get(), 1);
        NUMBER.scope(2, async { assert_eq!(NUMBER.get(), 2) }).await;
        NUMBER.sync_scope(3, || assert_eq!(NUMBER.get(), 3));
        TEXT.scope("text".into(), async {
            assert_eq!(TEXT.with(String::len) + NUMBER.with(|_| 1), 5);
        })
        .await;
        assert_eq!(NUMBER.get(), 1);
        let unset = spawn(async { NUMBER.try_with(|_| ()).is_err() });
        assert!(unset.await.unwrap());
    }));
}

#[test]
fn the_value_is_there_while_the_future_is_dropped() {
    struct Reads(Rc<Cell<u32>>);
    impl Drop for Reads {
        fn drop(&mut self) {
            self.0.set(NUMBER.get());
        }
    }
    let seen = Rc::new(Cell::new(0));
    let executor = tracing();
    let reads = Reads(Rc::clone(&seen));
    drop(executor.spawn(NUMBER.scope(7, async move {
        let _reads = reads;
        pending::<()>().await;
    })));
    executor.block_on(yield_now());
    drop(executor);
    assert_eq!(seen.get(), 7);
}

#[test]
fn a_panic_leaves_no_value_behind() {
    tracing().block_on(async {
        let task = spawn(NUMBER.scope(1, async { panic!("scope") }));
        assert!(task.await.unwrap_err().is_panic());
        assert!(NUMBER.try_with(|_| ()).is_err());
        let caught = std::panic::catch_unwind(|| NUMBER.sync_scope(2, || panic!("sync")));
        assert!(caught.is_err());
        assert!(NUMBER.try_with(|_| ()).is_err());
    });
}

#[test]
#[should_panic(expected = "the task-local value is not set here")]
fn reading_outside() {
    NUMBER.with(|_| ());
}
