//! The pool of stacks: used again, given back, counted; and what happens without lightweight guards.

#![cfg(feature = "stackful")]

mod common;
use common::*;

use std::future::pending;
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use camshaft::fiber::{self, Guard};
use camshaft::task::{JoinHandle, yield_now};
use camshaft::time::sleep;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Uses so much of its stack.
fn reach(bytes: usize) -> usize {
    let frame = black_box([1_u8; 1024]);
    match bytes.checked_sub(1024) {
        Some(rest) => reach(black_box(rest)) + usize::from(black_box(frame)[rest % 1024]),
        None => 0,
    }
}

#[test]
fn stacks_are_used_again() {
    isolated("stacks_are_used_again", || {
        runtime().block_on(async {
            for _ in 0..10_000 {
                fiber::spawn(|| reach(black_box(100)))
                    .await
                    .expect("no panic");
            }
        });
        let census = fiber::census();
        assert_eq!((census.live, census.peak), (0, 1));
        assert!(census.stacks <= 64, "{census:?}");
        assert!(census.resident <= 16 << 10, "{census:?}");
    });
}

#[test]
fn a_steady_spawn_allocates_nothing_and_names_do_not_leak() {
    let _alone = alone();
    runtime().block_on(async {
        for named in [false, true] {
            let mut before = (0, 0);
            for n in 0..200 {
                if n == 100 {
                    before = (allocations(), live_allocations());
                }
                let fiber = match named {
                    true => fiber::Builder::new()
                        .name("one of many")
                        .spawn(fiber::yield_now),
                    false => fiber::spawn(fiber::yield_now),
                };
                fiber.await.expect("no panic");
            }
            if !named {
                assert_eq!(allocations(), before.0);
            }
            assert_eq!(live_allocations(), before.1);
        }
    });
}

#[test]
fn the_census_knows_how_deep_stacks_were_used() {
    isolated("the_census_knows_how_deep_stacks_were_used", || {
        runtime().block_on(async {
            let shallow = fiber::spawn(|| reach(black_box(100)));
            shallow.await.expect("no panic");
            assert!(fiber::census().deepest <= 16 << 10);
            let deep = fiber::Builder::new().stack_size(1 << 20);
            deep.spawn(|| reach(black_box(100 << 10)))
                .await
                .expect("no panic");
        });
        let census = fiber::census();
        assert!(
            (100 << 10..=1 << 20).contains(&census.deepest),
            "{census:?}"
        );
        fiber::trim();
        let trimmed = fiber::census();
        assert_eq!((trimmed.resident, trimmed.deepest), (0, census.deepest));
        // And they are as good as new.
        runtime().block_on(async {
            let deep = fiber::Builder::new().stack_size(1 << 20);
            deep.spawn(|| reach(black_box(100 << 10)))
                .await
                .expect("no panic");
        });
    });
}

#[test]
fn after_a_spike_the_memory_goes_back_when_it_is_quiet() {
    isolated(
        "after_a_spike_the_memory_goes_back_when_it_is_quiet",
        || {
            let _alone = alone(); // it waits for what may never come
            runtime().block_on(async {
                let spike: Vec<_> = (0..5000)
                    .map(|_| fiber::spawn(|| fiber::wait(pending::<()>())))
                    .collect();
                yield_now().await;
                let full = fiber::census().resident;
                assert!(full >= 5000 * 4096, "{full}");
                for fiber in &spike {
                    fiber.abort();
                }
                for fiber in spike {
                    drop(fiber.await);
                }
                assert!(fiber::census().resident >= full / 2, "not at once");
                // While it has nothing else to do; how long is up to the machine.
                while fiber::census().resident > full / 20 {
                    sleep(Duration::from_millis(50)).await;
                }
                // What is in use, or is used all the time, stays.
                assert!(fiber::census().resident > 0);
            });
        },
    );
}

#[test]
fn a_thread_leaves_its_stacks_to_others() {
    isolated("a_thread_leaves_its_stacks_to_others", || {
        for _ in 0..20 {
            std::thread::spawn(|| {
                runtime().block_on(async {
                    let fibers: Vec<_> = (0..100).map(|_| fiber::spawn(fiber::yield_now)).collect();
                    for fiber in fibers {
                        fiber.await.expect("no panic");
                    }
                });
            })
            .join()
            .expect("no panic");
        }
        let census = fiber::census();
        assert!(census.stacks <= 200, "{census:?}");
        assert_eq!(census.resident, 0, "{census:?}");
    });
}

#[test]
fn without_lightweight_guards_pages_are_protected_and_there_is_a_ceiling() {
    isolated(
        "without_lightweight_guards_pages_are_protected_and_there_is_a_ceiling",
        || {
            filter::refuse(libc::SYS_madvise, libc::EINVAL);
            runtime().block_on(async {
                fiber::spawn(|| fiber::wait(yield_now()))
                    .await
                    .expect("no panic");
                assert_eq!(fiber::census().guard, Guard::Protected);
                let maps: usize = std::fs::read_to_string("/proc/sys/vm/max_map_count")
                    .ok()
                    .and_then(|text| text.trim().parse().ok())
                    .unwrap_or(65_530);
                if maps > 100_000 {
                    return; // too many to try
                }
                let mut fibers = Vec::new();
                let refused = loop {
                    fibers.extend((0..512).map(|_| fiber::spawn(|| fiber::wait(pending::<()>()))));
                    yield_now().await;
                    if let Some(first) = fibers.iter().position(JoinHandle::is_finished) {
                        break fibers.swap_remove(first).await;
                    }
                };
                let live = fiber::census().live;
                assert!(live > maps / 3 && live < maps, "{live} of {maps}");
                let message = refused.expect_err("there is no stack for it").to_string();
                assert!(message.contains("vm.max_map_count"), "{message}");
            });
        },
    );
}

#[test]
fn where_no_more_guards_can_be_marked_the_next_are_pages() {
    // As after `mlockall`: locked memory takes no marks.
    isolated(
        "where_no_more_guards_can_be_marked_the_next_are_pages",
        || {
            let park = || fiber::spawn(|| fiber::wait(pending::<()>()));
            runtime().block_on(async {
                let mut fibers = vec![park()];
                yield_now().await;
                filter::refuse(libc::SYS_madvise, libc::EINVAL);
                fibers.extend((0..200).map(|_| park()));
                yield_now().await;
                assert!(!fibers.iter().any(JoinHandle::is_finished));
                assert_eq!(fiber::census().guard, Guard::Protected);
            });
        },
    );
}

#[test]
fn an_overflow_is_reported_without_lightweight_guards_too() {
    const NAME: &str = "an_overflow_is_reported_without_lightweight_guards_too";
    if is_child() {
        filter::refuse(libc::SYS_madvise, libc::EINVAL);
        runtime().block_on(async {
            let digger = fiber::Builder::new().name("digger");
            drop(digger.spawn(|| reach(black_box(1 << 20))).await);
        });
        return;
    }
    let child = in_child(NAME, &[]);
    let said = String::from_utf8_lossy(&child.stderr);
    assert_eq!(child.status.signal(), Some(libc::SIGSEGV), "{said}");
    assert!(
        said.contains("the fiber 'digger', made at tests/fiber_stacks.rs:"),
        "{said}"
    );
}
