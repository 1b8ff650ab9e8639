//! What a task tells of itself while it ends: its name goes with its future, and nothing may be read of it after.
#![allow(missing_docs)]

mod common;

use std::cell::RefCell;
use std::future::pending;
use std::hint::black_box;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use camshaft_executor::{Builder, try_id, try_name, yield_now};
use common::tracing;

/// Long enough for an allocation of its own size, which the allocator overwrites when it is freed.
const NAME: &str = "a task whose name is longer than a few words, and lies on the heap";

#[derive(Clone, Default)]
struct Answers(Rc<RefCell<Vec<Option<String>>>>);

/// Asks for the name of the task when it is dropped.
struct Asks(Answers);

impl Drop for Asks {
    fn drop(&mut self) {
        self.0.0.borrow_mut().push(try_name());
    }
}

/// Is ready at once, and asks when it is dropped.
struct Quick(#[expect(dead_code, reason = "it asks when it is dropped")] Asks);

impl Future for Quick {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

fn named() -> Builder {
    Builder::new().name(NAME)
}

#[test]
fn an_aborted_future_finds_no_name_in_its_drop() {
    let answers = Answers::default();
    tracing().block_on(async {
        let asks = Asks(answers.clone());
        let small = named().spawn(async move {
            let _asks = asks;
            pending::<()>().await;
        });
        let asks = Asks(answers.clone());
        let boxed = named().spawn(async move {
            let (_asks, large) = (asks, [1u8; 10_000]);
            pending::<()>().await;
            black_box(large);
        });
        yield_now().await;
        for task in [small, boxed] {
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
    });
    assert_eq!(*answers.0.borrow(), [None, None]);
}

#[test]
fn a_future_that_is_done_finds_no_name_in_its_drop() {
    let answers = Answers::default();
    tracing().block_on(async {
        named().spawn(Quick(Asks(answers.clone()))).await.unwrap();
        // What it drops while it runs is dropped in time.
        let asks = Asks(answers.clone());
        named().spawn(async move { drop(asks) }).await.unwrap();
    });
    assert_eq!(*answers.0.borrow(), [None, Some(NAME.to_owned())]);
}

#[test]
fn a_detached_output_finds_no_name_in_its_drop() {
    let answers = Answers::default();
    tracing().block_on(async {
        let asks = Asks(answers.clone());
        drop(named().spawn(async move { asks }));
        while answers.0.borrow().is_empty() {
            yield_now().await;
        }
    });
    assert_eq!(*answers.0.borrow(), [None]);
}

#[test]
fn who_is_woken_by_an_end_finds_no_name() {
    #[derive(Default)]
    struct Woken(Mutex<Vec<Option<String>>>);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.lock().unwrap().push(try_name());
        }
    }
    let woken = Arc::new(Woken::default());
    tracing().block_on(async {
        // Its output takes the place of the future and of the name.
        let mut task = named().spawn(async { [usize::MAX; 16] });
        let waker = Waker::from(Arc::clone(&woken));
        let polled = Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        yield_now().await;
        assert_eq!(task.await.unwrap(), [usize::MAX; 16]);
        assert_eq!(try_id(), None);
    });
    assert_eq!(*woken.0.lock().unwrap(), [None]);
}
