//! Where stacks come from and go to: sizes, limits of memory, threads that end, huge pages.
#![allow(missing_docs)]

mod common;

use std::cell::RefCell;
use std::fs;
use std::future::pending;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::thread;

use camshaft_executor::{block_on, spawn, yield_now};
use camshaft_stackful::{Builder, Fiber, Generator, census, current, wait};
use common::{in_child, is_child, message};

/// Runs a test in a process of its own.
fn isolated(test: &str, body: impl FnOnce()) {
    if is_child() {
        return body();
    }
    let child = in_child(test);
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{:?}\n{said}", child.status);
}

#[test]
fn every_size_from_32_kib_to_1_gib_can_be_had_and_no_other() {
    for (asked, got) in [
        (0, 32 << 10),
        (32 << 10, 32 << 10),
        (40_000, 64 << 10),
        (1 << 30, 1 << 30),
    ] {
        let fiber = Builder::new().stack_size(asked);
        assert_eq!(block_on(fiber.build(|| current().stack_size())), got);
    }
    let refused = catch_unwind(|| Builder::new().stack_size((1 << 30) + 1)).expect_err("too large");
    assert!(message(&*refused).contains("1 GiB at most"));
}

#[test]
fn the_census_counts_stacks_in_use_and_free() {
    // Of this thread, so whatever other tests do.
    block_on(Fiber::new(|| ()));
    let before = census();
    assert!(before.live == 0 && before.free > 0);
    let mut items = Generator::new(|out| out.give(1));
    assert_eq!(items.next(), Some(1));
    let during = census();
    assert_eq!((during.live, during.free), (1, before.free - 1));
    drop(items);
    assert_eq!((census().live, census().free), (0, before.free));
}

type Parked = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    /// Destroyed after the pool of its thread, because it was used before.
    static LAST: RefCell<Option<Parked>> = const { RefCell::new(None) };
}

#[test]
fn a_stack_that_outlives_the_pool_of_its_thread_is_used_again() {
    isolated(
        "a_stack_that_outlives_the_pool_of_its_thread_is_used_again",
        || {
            for _ in 0..200 {
                let thread = thread::spawn(|| {
                    LAST.with_borrow_mut(|last| *last = None);
                    let mut fiber: Parked = Box::pin(Fiber::new(|| wait(pending())));
                    let polled = fiber.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    assert!(polled.is_pending());
                    LAST.set(Some(fiber));
                });
                thread.join().expect("no panic");
            }
            let census = census();
            assert!(census.stacks <= 64, "{census:?}");
        },
    );
}

#[test]
fn where_addresses_are_limited_most_of_them_are_used_and_the_rest_is_an_error() {
    isolated(
        "where_addresses_are_limited_most_of_them_are_used_and_the_rest_is_an_error",
        || {
            // What can be reserved at once is at most two thirds of that.
            limit_addresses(800 << 20);
            let refused = block_on(async {
                let mut fibers = Vec::new();
                loop {
                    let fiber = spawn(Fiber::new(|| wait(pending::<()>())));
                    yield_now().await;
                    if fiber.is_finished() {
                        break fiber.await.expect_err("there is no stack for it");
                    }
                    fibers.push(fiber);
                }
            });
            let reason = refused.into_panic();
            assert!(
                message(&*reason).contains("raise the memory limit"),
                "{}",
                message(&*reason)
            );
            let stacks = census().stacks;
            assert!((10_000..=12_300).contains(&stacks), "{stacks}");
        },
    );
}

/// Leaves so many bytes of addresses to this process.
fn limit_addresses(bytes: usize) {
    let statm = fs::read_to_string("/proc/self/statm").expect("procfs");
    let pages: usize = statm
        .split(' ')
        .next()
        .and_then(|it| it.parse().ok())
        .expect("a number");
    let limit = (pages * 4096 + bytes) as libc::rlim_t;
    let limits = libc::rlimit {
        rlim_cur: limit,
        rlim_max: limit,
    };
    // SAFETY: the kernel reads one `rlimit`.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limits) };
    assert_eq!(set, 0);
}

#[test]
fn no_huge_page_makes_many_stacks_resident_at_once() {
    if !fs::exists("/sys/kernel/mm/transparent_hugepage").expect("sysfs") {
        return; // there are none
    }
    let on_stack = block_on(Fiber::new(|| {
        let local = 0_u8;
        (&raw const local).addr()
    }));
    let maps = fs::read_to_string("/proc/self/smaps").expect("procfs");
    let mut here = false;
    for line in maps.lines() {
        let range = line
            .split(' ')
            .next()
            .and_then(|range| range.split_once('-'));
        let ends = range.map(|(start, end)| [start, end].map(|it| usize::from_str_radix(it, 16)));
        if let Some([Ok(start), Ok(end)]) = ends {
            here = (start..end).contains(&on_stack);
        } else if here && let Some(flags) = line.strip_prefix("VmFlags:") {
            return assert!(flags.split(' ').any(|flag| flag == "nh"), "{flags}");
        }
    }
    panic!("the stack is not mapped");
}
