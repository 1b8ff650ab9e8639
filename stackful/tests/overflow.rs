//! A stack that is too small: a message, and an end by signal. In child processes.
#![allow(missing_docs)]

mod common;

use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use camshaft_executor::{block_on, spawn, yield_now};
use camshaft_stackful::{Builder, Fiber, wait};
use common::{in_child, is_child};

fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    match black_box(depth) {
        u64::MAX => 0,
        _ => recurse(depth + 1) + frame[1],
    }
}

fn said(child: &Output) -> String {
    String::from_utf8_lossy(&child.stderr).into_owned()
}

#[track_caller]
fn assert_killed(child: &Output) -> String {
    let said = said(child);
    let signal = child.status.signal();
    assert_eq!(signal, Some(11), "{:?} {said}", child.status);
    said
}

#[test]
fn it_names_the_fiber_and_its_size_and_says_what_to_do() {
    let said = assert_killed(&in_child("overflows"));
    assert!(
        said.contains("the fiber 'digger', made at stackful/tests/overflow.rs:"),
        "{said}"
    );
    assert!(
        said.contains("has overflowed its stack of 64 KiB"),
        "{said}"
    );
    assert!(
        said.contains("fiber::Builder::new().stack_size(131072)"),
        "{said}"
    );
}

#[test]
fn overflows() {
    if !is_child() {
        return; // run by the test above
    }
    block_on(async {
        let bystander = spawn(Fiber::new(|| wait(yield_now())));
        let digger = Builder::new().name("digger").build(|| {
            wait(yield_now());
            recurse(0)
        });
        spawn(digger).await.unwrap();
        bystander.await.unwrap();
    });
}

#[test]
fn it_names_the_innermost_on_a_thread_of_any_kind() {
    let said = assert_killed(&in_child("overflows_below"));
    assert!(said.contains("the fiber without a name"), "{said}");
    assert!(said.contains("stack of 32 KiB"), "{said}");
}

#[test]
fn overflows_below() {
    if !is_child() {
        return; // run by the test above
    }
    let run = || {
        block_on(Fiber::new(|| {
            let mut small = Builder::new()
                .stack_size(1)
                .generator(|out| out.give(recurse(0)));
            small.next()
        }))
    };
    std::thread::spawn(run).join().unwrap();
}

#[test]
fn a_fault_of_another_kind_is_left_to_who_was_there_before() {
    let child = in_child("faults");
    let said = assert_killed(&child);
    assert!(!said.contains("overflowed"), "{said}");
    let child = in_child("overflows_a_thread");
    let said = self::said(&child);
    assert_eq!(
        child.status.signal(),
        Some(6),
        "Rust's own handler aborts: {said}"
    );
    assert!(said.contains("has overflowed its stack"), "{said}");
    assert!(!said.contains("camshaft"), "{said}");
}

#[test]
fn faults() {
    if !is_child() {
        return; // run by the test above
    }
    block_on(Fiber::new(|| {
        let nowhere = black_box(std::ptr::without_provenance::<u64>(8));
        // SAFETY: none: this is meant to fault.
        black_box(unsafe { nowhere.read_volatile() });
    }));
}

#[test]
fn overflows_a_thread() {
    if !is_child() {
        return; // run by the test above
    }
    block_on(Fiber::new(|| ()));
    black_box(recurse(0));
}
