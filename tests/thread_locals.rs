//! A program with large thread-locals, which lie on the stack of each thread: those that camshaft starts have room for them.

mod common;

use std::cell::RefCell;
use std::fs;
use std::process::Stdio;
use std::thread;

use camshaft::process::Command;
use camshaft::task::spawn_blocking;
use common::{alone, runtime};

const LEN: usize = 1 << 20;

thread_local! {
    static LARGE: RefCell<[u8; LEN]> = const { RefCell::new([0; LEN]) };
}

/// The names of the threads of this process.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("procfs");
    tasks
        .filter_map(|it| fs::read_to_string(it.ok()?.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}

#[test]
fn dropped_children_are_reaped_by_a_thread_of_their_own() {
    let _alone = alone();
    LARGE.with_borrow_mut(|it| it.fill(1));
    let mut command = Command::new("cat");
    let mut child = command.stdin(Stdio::piped()).spawn().expect("a child");
    let id = child.id().expect("it runs");
    let stdin = child.stdin.take();
    drop(child);
    // It gives itself its name.
    while !threads().iter().any(|name| name == "camshaft-reaper") {
        thread::yield_now();
    }
    drop(stdin);
    while fs::exists(format!("/proc/{id}")).expect("procfs") {
        thread::yield_now();
    }
}

#[test]
fn blocking_work_may_use_them() {
    let _alone = alone();
    let sum = runtime().block_on(async {
        let work = || {
            LARGE.with_borrow_mut(|it| it.fill(2));
            LARGE.with_borrow(|it| it.iter().map(|it| u32::from(*it)).sum::<u32>())
        };
        spawn_blocking(work).await
    });
    assert_eq!(sum.ok(), u32::try_from(2 * LEN).ok());
}
