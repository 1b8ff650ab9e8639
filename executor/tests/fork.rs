//! A fork: inherited executors refuse to run and drop quietly; new ones work.
#![allow(missing_docs)]

mod common;

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};

use camshaft_executor::{block_on, spawn, spawn_blocking};
use common::{Drops, threaded};

/// Runs `child` in a forked process and returns whether it was content.
fn in_child(child: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs only this test's code and leaves by `_exit`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let content = catch_unwind(AssertUnwindSafe(child)).unwrap_or(false);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(i32::from(!content)) };
    }
    let mut status = 0;
    // SAFETY: waits for the child just made.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

fn refusal(call: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(call)).expect_err("it must refuse");
    panic.downcast_ref::<String>().expect("a message").clone()
}

#[test]
fn forked_between_runs() {
    let executor =
        camshaft_executor::Executor::with_name(camshaft_executor::ThreadPark::new(), "worker");
    let drops = Drops::new();
    let token = drops.token();
    drop(executor.spawn(async move {
        let _token = token;
        pending::<()>().await;
    }));
    executor.block_on(async { spawn_blocking(|| ()).await.unwrap() });
    let mut executor = Some(executor);
    assert!(in_child(|| {
        let inherited = executor.take().unwrap();
        let run = refusal(|| inherited.block_on(async {}));
        let spawned = refusal(|| drop(inherited.spawn(async {})));
        drop(inherited);
        let fresh = block_on(async {
            spawn(async { spawn_blocking(|| 5).await.unwrap() })
                .await
                .unwrap()
        });
        run.contains("worker")
            && run.contains("fork")
            && spawned.contains("camshaft")
            && drops.count() == 0
            && fresh == 5
    }));
    assert_eq!(
        executor
            .as_ref()
            .unwrap()
            .block_on(async { spawn(async { 1 }).await.unwrap() }),
        1
    );
    drop(executor);
    assert_eq!(drops.count(), 1);
}

#[test]
fn forked_inside_of_a_task() {
    let executor = threaded();
    let content = executor.block_on(async {
        in_child(|| {
            let outside = catch_unwind(|| drop(spawn(async {}))).is_err();
            outside && block_on(async { spawn(async { 6 }).await.unwrap() }) == 6
        })
    });
    assert!(content);
    assert_eq!(
        executor.block_on(async { spawn(async { 2 }).await.unwrap() }),
        2
    );
}
