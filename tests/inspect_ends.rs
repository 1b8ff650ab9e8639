//! What a dump shows in the middle of something: while a task runs, is dropped or was aborted, and when a panic ends a run.

#![cfg(feature = "inspect")]

mod common;
use common::*;

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use camshaft::inspect::{self, Activity, Dump, Node, Standing, TaskTree};
use camshaft::runtime;
use camshaft::task::{Builder, JoinSet, yield_now};
use camshaft::time::{advance, sleep};

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

fn root(dump: &Dump) -> &TaskTree {
    let mut tasks = dump.tasks.iter();
    tasks
        .find(|task| task.id.is_none())
        .expect("there is a root future")
}

/// Whether this program can be looked into.
fn is_described(dump: &Dump) -> bool {
    dump.missing.is_empty() || common::is_described()
}

#[test]
fn an_aborted_task_is_said_to_be_one() {
    let _alone = alone();
    let dump = paused().block_on(async {
        let task = camshaft::spawn(patient());
        yield_now().await;
        task.abort();
        inspect::dump()
    });
    let task = dump.tasks.iter().find(|task| task.id.is_some());
    assert_eq!(task.expect("it is still there").activity, Activity::Aborted);
    assert!(dump.to_string().contains(", aborted\n"), "{dump}");
}

#[test]
fn the_root_future_says_what_it_does() {
    let _alone = alone();
    let (woken, seen, waiting, ending) = paused().block_on(async {
        let woken = poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::Ready(inspect::dump())
        });
        let woken = woken.await;
        yield_now().await; // takes that wake
        let ready = camshaft::spawn(async { inspect::dump() });
        let dumps = Dumps::default();
        let looks = Looks(Rc::clone(&dumps));
        yield_now().await; // it is queued again before the task looks
        let seen = ready.await.expect("it does not panic");
        let waiting = camshaft::spawn(async { inspect::dump() });
        let waiting = waiting.await.expect("it does not panic");
        drop(looks);
        (woken, seen, waiting, dumps.take().remove(0))
    });
    assert_eq!(root(&woken).activity, Activity::Running);
    assert_eq!(root(&seen).activity, Activity::Ready);
    assert_eq!(root(&waiting).activity, Activity::Waiting);
    assert_eq!(root(&ending).activity, Activity::Running);
}

#[test]
fn a_root_future_that_is_dropped_is_not_looked_at() {
    struct Quick(#[expect(dead_code, reason = "it looks when it is dropped")] Looks);
    impl Future for Quick {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }
    let _alone = alone();
    let dumps = Dumps::default();
    paused().block_on(Quick(Looks(Rc::clone(&dumps))));
    let dump = dumps.take().remove(0);
    assert_eq!(root(&dump).activity, Activity::Ending);
}

#[test]
fn of_a_task_that_runs_only_the_last_suspension_is_told() {
    let _alone = alone();
    let (first, later) = paused().block_on(async {
        let task = camshaft::spawn(async {
            let first = inspect::dump();
            let boxed: Pin<Box<dyn Future<Output = ()>>> = Box::pin(yield_now());
            boxed.await; // gone, when it looks again
            (first, inspect::dump())
        });
        task.await.expect("it does not panic")
    });
    if !is_described(&first) {
        return;
    }
    let task = |dump: &Dump| -> Node {
        let task = dump.tasks.iter().find(|task| task.id.is_some());
        task.expect("it was alive").root.clone()
    };
    assert_eq!(task(&first).standing, Standing::Started, "{first}");
    let root = task(&later);
    assert_eq!(root.standing, Standing::Running, "{later}");
    let [below] = &root.children[..] else {
        panic!("{later}");
    };
    assert!(below.children.is_empty(), "{later}");
    assert_eq!(
        below.limit.as_deref(),
        Some("as of its last suspension; not followed while its task runs")
    );
}

#[test]
fn a_tree_goes_by_the_clock_of_the_runtime() {
    let _alone = alone();
    paused().block_on(async {
        let sleep = Box::pin(sleep(Duration::from_secs(7210)));
        advance(Duration::from_secs(7200)).await;
        let told = inspect::tree_of(&*sleep).to_string();
        assert!(
            !told.contains(" left") || told.contains(": 10.0s left"),
            "{told}"
        );
        assert!(told.contains("Sleep"), "{told}");
    });
}

#[test]
fn an_operation_on_a_file_is_not_taken_for_one_on_the_ring() {
    let _alone = alone();
    let path = std::env::temp_dir().join(format!("camshaft-inspect-{}", std::process::id()));
    paused().block_on(async {
        let file = camshaft::fs::File::create(&path)
            .await
            .expect("there is room");
        let mut sync = Box::pin(file.sync_all());
        let told = poll_fn(|context| {
            let pending = sync.as_mut().poll(context).is_pending();
            Poll::Ready(pending.then(|| inspect::tree_of(&*sync).to_string()))
        });
        if let Some(told) = told.await {
            assert!(!told.contains("anon_inode"), "{told}");
            let of_file = told.contains(&path.display().to_string());
            assert!(of_file || !told.contains(": fd "), "{told}");
            sync.await.expect("it is written");
        }
    });
    std::fs::remove_file(path).expect("it is there");
}

#[cfg(feature = "stackful")]
#[test]
fn a_deep_tree_is_printed_on_the_stack_of_a_fiber() {
    fn deep(left: u32) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move {
            match left {
                0 => patient().await,
                _ => deep(left - 1).await,
            }
        })
    }
    let _alone = alone();
    paused().block_on(async {
        let _task = camshaft::spawn(deep(1000));
        yield_now().await;
        let printed = camshaft::fiber::spawn(|| {
            let dump = inspect::dump();
            let texts = (dump.to_string(), dump.to_json());
            let described = is_described(&dump);
            drop(dump);
            (described, texts)
        });
        let (described, (text, json)) = printed.await.expect("it does not panic");
        if described {
            assert!(text.matches("deep").count() > 200, "{text}");
            assert_eq!(json.matches('{').count(), json.matches('}').count());
        }
    });
}

/// Panics when it is polled for the second time, and drops its tasks later.
struct Fails {
    tasks: JoinSet<()>,
    polled: bool,
}

impl Future for Fails {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.polled, true) {
            panic!("as it should");
        }
        self.tasks.spawn(patient());
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

fn dumping() -> runtime::Runtime {
    let builder = runtime::Builder::new().dump_on_panic(true);
    builder.build().expect("a runtime can be built")
}

#[test]
fn a_panic_shows_the_tasks_as_they_were() {
    if is_child() {
        return dumping().block_on(Fails {
            tasks: JoinSet::new(),
            polled: false,
        });
    }
    let output = in_child("a_panic_shows_the_tasks_as_they_were", &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the runtime ends with a panic\n"), "{said}");
    assert!(said.contains("patient"), "{said}");
    assert!(!said.contains(", aborted"), "{said}");
}

#[test]
fn a_run_inside_of_an_unwind_prints_nothing() {
    struct CleansUp;
    impl Drop for CleansUp {
        fn drop(&mut self) {
            dumping().block_on(yield_now());
            eprintln!("cleaned up");
        }
    }
    if is_child() {
        let _cleans_up = CleansUp;
        panic!("as it should");
    }
    let output = in_child("a_run_inside_of_an_unwind_prints_nothing", &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cleaned up"), "{said}");
    assert!(!said.contains("the runtime ends with a panic"), "{said}");
}
