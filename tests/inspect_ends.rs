//! What a dump shows in the moments when something ends: a task, a run, a fiber.

#![cfg(feature = "inspect")]

mod common;
use common::*;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use camshaft::inspect::{self, Activity, Dump};
use camshaft::task::{Builder, yield_now};
use camshaft::time::sleep;

const NAME: &str = "a task whose name is longer than a few words, and lies on the heap";

type Dumps = Rc<RefCell<Vec<Dump>>>;

/// Looks at all tasks when it is dropped.
struct Looks(Dumps);

impl Drop for Looks {
    fn drop(&mut self) {
        self.0.borrow_mut().push(inspect::dump());
    }
}

async fn patient() {
    sleep(Duration::from_secs(3600)).await;
}

/// The one task that is there ends, and nothing is told of it that is gone.
fn assert_ending(dumps: &Dumps) {
    let dumps = dumps.borrow();
    assert_eq!(dumps.len(), 1);
    let dump = &dumps[0];
    let tasks: Vec<_> = dump.tasks.iter().filter(|task| task.id.is_some()).collect();
    assert_eq!(tasks.len(), 1, "{dump}");
    assert_eq!(
        (tasks[0].activity, &tasks[0].name),
        (Activity::Ending, &None)
    );
    assert_eq!(tasks[0].root.limit.as_deref(), Some("is ending"));
    assert!(tasks[0].root.children.is_empty(), "{dump}");
    assert!(dump.to_string().contains(", ending\n"), "{dump}");
    assert!(dump.to_json().contains("\"activity\":\"ending\""));
}

#[test]
fn a_future_that_is_dropped_is_not_looked_at() {
    let _alone = alone();
    let dumps = Dumps::default();
    paused().block_on(async {
        let looks = Looks(Rc::clone(&dumps));
        let task = Builder::new().name(NAME).spawn(async move {
            let (inner, _looks) = (Box::pin(patient()), looks);
            inner.await;
        });
        yield_now().await;
        task.abort();
        assert!(task.await.expect_err("it was aborted").is_cancelled());
    });
    assert_ending(&dumps);
}

#[test]
fn a_task_whose_output_is_dropped_is_not_looked_at() {
    let _alone = alone();
    let dumps = Dumps::default();
    paused().block_on(async {
        let looks = Looks(Rc::clone(&dumps));
        drop(Builder::new().name(NAME).spawn(async move { looks }));
        while dumps.borrow().is_empty() {
            yield_now().await;
        }
    });
    assert_ending(&dumps);
}
