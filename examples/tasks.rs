//! Tasks: spawning, joining, aborting, panics, blocking work, and values that belong to a task.
//!
//! Run it with `cargo run --example tasks`. The panic that it prints on the way is on purpose:
//!
//! ```text
//! a task shares with its parent: [1, 2, 3]
//! aborted: task 3 was cancelled
//! the first of three to end: 10 ms
//! caught: task 7 panicked: on purpose
//! 50005000 came from another thread
//! request 7 is served by task 9
//! ```

use std::cell::RefCell;
use std::error::Error;
use std::future::pending;
use std::rc::Rc;

use camshaft::task::{self, JoinSet};
use camshaft::time::{Duration, sleep};

camshaft::task_local! {
    static REQUEST: u32;
}

#[camshaft::main]
async fn main() -> Result<(), Box<dyn Error>> {
    sharing().await?;
    aborting().await?;
    joining().await?;
    panicking().await?;
    blocking().await?;
    task_locals().await?;
    Ok(())
}

/// Tasks stay on their thread, so they may share an `Rc`: no lock, no atomics.
async fn sharing() -> Result<(), Box<dyn Error>> {
    let list = Rc::new(RefCell::new(vec![1]));
    let shared = Rc::clone(&list);
    let child = camshaft::spawn(async move { shared.borrow_mut().extend([2, 3]) });
    child.await?;
    println!("a task shares with its parent: {:?}", list.borrow());
    Ok(())
}

/// Dropping a handle leaves the task running; `abort` ends it.
async fn aborting() -> Result<(), Box<dyn Error>> {
    let task = camshaft::spawn(pending::<()>());
    task.abort();
    match task.await {
        Ok(()) => Err("nothing wakes a pending future".into()),
        Err(error) => {
            println!("aborted: {error}");
            Ok(())
        }
    }
}

/// A set gives results in the order in which its tasks end, and aborts the rest when it is dropped.
async fn joining() -> Result<(), Box<dyn Error>> {
    let mut set = JoinSet::new();
    for wait_ms in [1000, 10, 2000] {
        set.spawn(async move {
            sleep(Duration::from_millis(wait_ms)).await;
            wait_ms
        });
    }
    let first = set.join_next().await.ok_or("the set is empty")??;
    println!("the first of three to end: {first} ms");
    Ok(())
}

/// A panic ends its task alone, and waits in the handle.
async fn panicking() -> Result<(), Box<dyn Error>> {
    let task = camshaft::spawn(async { panic!("on purpose") });
    match task.await {
        Ok(()) => Err("the panic is lost".into()),
        Err(error) if error.is_panic() => {
            println!("caught: {error}");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Work that would hold up the other tasks goes to a pool of threads.
async fn blocking() -> Result<(), Box<dyn Error>> {
    let sum = task::spawn_blocking(|| (1..=10_000_u64).sum::<u64>()).await?;
    println!("{sum} came from another thread");
    Ok(())
}

/// A task local is set for one future, wherever its task waits in between.
async fn task_locals() -> Result<(), Box<dyn Error>> {
    camshaft::spawn(REQUEST.scope(7, async {
        task::yield_now().await;
        REQUEST.with(|request| println!("request {request} is served by task {}", task::id()));
    }))
    .await?;
    Ok(())
}
