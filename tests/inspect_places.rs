//! A dump from wherever user code can run: while a task is polled for the first time, dropped, woken or closed, in futures that poll
//! others, in a panic, on other threads, on a second runtime. It says what is so there, and tells the same of everybody else.

#![cfg(feature = "inspect")]

mod common;
use common::*;

use std::cell::RefCell;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use camshaft::inspect::{self, Activity, Dump, Missing, Standing, TaskTree};
use camshaft::task::{Builder, yield_now};
use camshaft::time::sleep;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use futures_lite::future::zip;

const BYSTANDER: &str = "bystander";

async fn patient() {
    sleep(Duration::from_secs(3600)).await;
}

/// A task that has nothing to do with what happens.
async fn bystander() {
    drop(Builder::new().name(BYSTANDER).spawn(patient()));
    yield_now().await;
}

/// Whether this program can be looked into.
fn is_described(dump: &Dump) -> bool {
    dump.missing.is_empty()
}

fn named<'a>(dump: &'a Dump, name: &str) -> &'a TaskTree {
    let mut tasks = dump.tasks.iter();
    let found = tasks.find(|task| task.name.as_deref() == Some(name));
    found.unwrap_or_else(|| panic!("no task {name}: {dump}"))
}

/// The one that does nothing is told to wait as ever.
fn assert_bystander(dump: &Dump) {
    let task = named(dump, BYSTANDER);
    assert_eq!(task.activity, Activity::Waiting, "{dump}");
    if is_described(dump) {
        assert_eq!(task.root.standing, Standing::Suspended, "{dump}");
        assert!(task.root.name.ends_with("patient"), "{dump}");
        let [sleep] = &task.root.children[..] else {
            panic!("it waits for one thing: {dump}");
        };
        assert_eq!(sleep.detail().as_deref(), Some("3600.0s left"), "{dump}");
    }
}

/// Keeps what is dumped when it is dropped.
struct Looks(Rc<RefCell<Vec<Dump>>>);

impl Drop for Looks {
    fn drop(&mut self) {
        self.0.borrow_mut().push(inspect::dump());
    }
}

#[test]
fn from_the_first_poll() {
    let _alone = alone();
    paused().block_on(async {
        bystander().await;
        let looker = async { inspect::dump() };
        let looker = Builder::new().name("looker").spawn(looker);
        let dump = looker.await.expect("it does not panic");
        assert_bystander(&dump);
        let looker = named(&dump, "looker");
        assert_eq!(looker.activity, Activity::Running);
        if is_described(&dump) {
            assert_eq!(looker.root.standing, Standing::Started, "{dump}");
            assert!(looker.root.children.is_empty(), "{dump}");
        }
    });
}

#[test]
fn from_the_drop_of_a_future() {
    let _alone = alone();
    let dumps = Rc::default();
    let looks = Looks(Rc::clone(&dumps));
    paused().block_on(async move {
        bystander().await;
        let task = camshaft::spawn(async move {
            let _looks = looks;
            patient().await;
        });
        yield_now().await;
        task.abort();
        assert!(task.await.expect_err("it was aborted").is_cancelled());
    });
    let dumps = dumps.take();
    assert_eq!(dumps.len(), 1);
    assert_bystander(&dumps[0]);
    assert_eq!(dumps[0].tasks.len(), 3, "{}", dumps[0]);
}

/// Looks when it is woken.
#[derive(Default)]
struct Woken(Mutex<Option<Dump>>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        let dump = inspect::dump();
        *self.0.lock().expect("nobody panics") = Some(dump);
    }
}

#[test]
fn from_a_waker() {
    let _alone = alone();
    let woken = Arc::new(Woken::default());
    paused().block_on(async {
        bystander().await;
        let waker = Waker::from(Arc::clone(&woken));
        let mut timer = pin!(sleep(Duration::ZERO + Duration::from_nanos(1)));
        assert!(
            timer
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        let mut second = pin!(sleep(Duration::from_nanos(2)));
        second.as_mut().await;
        let dump = woken.0.lock().expect("nobody panics").take();
        let dump = dump.expect("the first timer was first");
        let task = named(&dump, BYSTANDER);
        if is_described(&dump) {
            let left = task.root.children[0].detail();
            assert_eq!(left.as_deref(), Some("3600.0s left"), "{dump}");
        }
        let root = dump.tasks.iter().find(|task| task.id.is_none());
        let root = root.expect("there is a root future");
        assert_eq!(root.activity, Activity::Waiting, "{dump}");
    });
}

/// Waits once, then looks.
async fn looks_later() -> Dump {
    yield_now().await;
    inspect::dump()
}

/// Has a future in a task of its own look from its second poll on, next to one that waits.
fn from_inside<F: Future<Output = ()> + 'static>(around: impl FnOnce(Looking, Waiting) -> F) {
    let _alone = alone();
    paused().block_on(async {
        bystander().await;
        let seen = Rc::new(RefCell::new(None));
        let keep = Rc::clone(&seen);
        let looking = async move {
            *keep.borrow_mut() = Some(looks_later().await);
        };
        let around = around(Box::pin(looking), Box::pin(patient()));
        drop(Builder::new().name("around").spawn(around));
        while seen.borrow().is_none() {
            yield_now().await;
        }
        let dump = seen.take().expect("it has looked");
        assert_bystander(&dump);
        let around = named(&dump, "around");
        assert_eq!(around.activity, Activity::Running);
        if is_described(&dump) {
            assert_eq!(around.root.standing, Standing::Running, "{dump}");
            let text = dump.to_string();
            assert!(text.contains("as of its last suspension"), "{text}");
        }
    });
}

type Looking = Pin<Box<dyn Future<Output = ()>>>;
type Waiting = Pin<Box<dyn Future<Output = ()>>>;

#[test]
fn from_a_future_that_is_joined() {
    from_inside(async |looking, waiting| {
        zip(looking, waiting).await;
    });
}

#[test]
fn from_a_future_among_many() {
    from_inside(async |looking, waiting| {
        let mut many: FuturesUnordered<_> = [looking, waiting].into_iter().collect();
        while many.next().await.is_some() {}
    });
}

#[test]
fn from_a_panic_hook() {
    isolated("from_a_panic_hook", || {
        let _alone = alone();
        static SEEN: Mutex<Option<Dump>> = Mutex::new(None);
        std::panic::set_hook(Box::new(|_| {
            *SEEN.lock().expect("nobody panics here") = Some(inspect::dump());
        }));
        paused().block_on(async {
            bystander().await;
            let task = Builder::new().name("panics").spawn(async {
                yield_now().await;
                panic!("as it should");
            });
            assert!(task.await.expect_err("it panicked").is_panic());
        });
        let dump = SEEN.lock().expect("nobody panics").take();
        let dump = dump.expect("the hook was called");
        assert_bystander(&dump);
        assert_eq!(named(&dump, "panics").activity, Activity::Running);
    });
}

#[test]
fn on_another_thread_there_is_no_runtime() {
    let _alone = alone();
    let runtime = runtime();
    let handle = runtime.handle();
    let dump = thread::scope(|scope| {
        let thread = scope.spawn(move || {
            drop(handle.spawn(std::future::pending::<()>()));
            inspect::dump()
        });
        thread.join().expect("it does not panic")
    });
    assert_eq!(dump.missing, [Missing::Runtime]);
    assert!(dump.tasks.is_empty());
    assert!(
        dump.to_string().contains("no runtime runs on this thread"),
        "{dump}"
    );
    assert!(dump.to_json().contains("no runtime runs on this thread"));
    assert!(!runtime.dump().missing.contains(&Missing::Runtime));
}

#[test]
fn on_a_thread_for_what_blocks_there_is_no_runtime() {
    let _alone = alone();
    let dump = runtime().block_on(async {
        let looked = camshaft::task::spawn_blocking(inspect::dump);
        looked.await
    });
    assert_eq!(dump.expect("it does not panic").missing, [Missing::Runtime]);
}

#[test]
fn a_second_runtime_has_its_own_tasks() {
    let _alone = alone();
    for name in ["first", "second"] {
        let runtime = paused();
        runtime.block_on(async {
            drop(Builder::new().name(name).spawn(patient()));
        });
        runtime.block_on(yield_now());
        let dump = runtime.block_on(async { inspect::dump() });
        let names: Vec<_> = dump
            .tasks
            .iter()
            .filter_map(|task| task.name.as_deref())
            .collect();
        assert_eq!(names, [name], "{dump}");
    }
    // And two at once, one of which runs inside of nothing.
    let (one, two) = (paused(), paused());
    drop(one.spawn(patient()));
    assert_eq!((one.dump().tasks.len(), two.dump().tasks.len()), (1, 0));
    assert_eq!(two.dump().to_string(), "no tasks\n");
    let both = two.block_on(async { (one.dump(), inspect::dump()) });
    assert_eq!((both.0.tasks.len(), both.1.tasks.len()), (1, 1));
    assert!(both.1.tasks[0].id.is_none(), "{}", both.1);
}

#[test]
fn while_a_runtime_is_closed() {
    let _alone = alone();
    let dumps = Rc::default();
    let runtime = paused();
    runtime.block_on(async {
        for _ in 0..3 {
            let looks = Looks(Rc::clone(&dumps));
            drop(camshaft::spawn(async move {
                let _looks = looks;
                patient().await;
            }));
        }
        yield_now().await;
    });
    drop(runtime);
    let dumps = dumps.take();
    assert_eq!(dumps.len(), 3);
    for (place, dump) in dumps.iter().enumerate() {
        let ending = dump
            .tasks
            .iter()
            .filter(|task| task.activity == Activity::Ending);
        assert!(ending.count() <= 1, "{dump}");
        assert!(dump.tasks.len() <= 3 - place, "{dump}");
    }
}

#[cfg(feature = "stackful")]
#[test]
fn from_a_fiber_that_is_dropped() {
    use camshaft::fiber;

    let _alone = alone();
    let dumps = Rc::default();
    let looks = Looks(Rc::clone(&dumps));
    paused().block_on(async move {
        bystander().await;
        let fiber = fiber::spawn(move || {
            let _looks = looks;
            fiber::wait(patient());
        });
        yield_now().await;
        fiber.abort();
        assert!(fiber.await.expect_err("it was aborted").is_cancelled());
    });
    let dumps = dumps.take();
    assert_eq!(dumps.len(), 1);
    assert_bystander(&dumps[0]);
}
