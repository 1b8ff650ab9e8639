//! Panics inside of fibers end in the handle of their task, whatever they pass on the way.
#![allow(missing_docs)]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use camshaft_executor::{block_on, spawn, yield_now};
use camshaft_stackful::{Builder, Fiber, Generator, census, wait};
use common::{Drops, in_child, is_child, message};

#[test]
fn a_panic_is_in_the_handle_and_the_runtime_goes_on() {
    let live = census().live;
    block_on(async {
        let fiber = spawn(Fiber::new(|| {
            wait(yield_now());
            panic!("of the fiber");
        }));
        let error = fiber.await.unwrap_err();
        assert!(error.is_panic());
        assert_eq!(message(&*error.into_panic()), "of the fiber");
        assert_eq!(spawn(Fiber::new(|| 5)).await.unwrap(), 5);
    });
    assert_eq!(census().live, live);
}

#[test]
fn a_panic_passes_through_nested_fibers() {
    let drops = Drops::default();
    let tokens = [drops.token(), drops.token(), drops.token()];
    block_on(async {
        let fiber = spawn(Fiber::new(move || {
            let [first, second, third] = tokens;
            let _first = first;
            wait(Fiber::new(move || {
                let _second = second;
                wait(Fiber::new(move || {
                    let _third = third;
                    wait(yield_now());
                    panic!("from below");
                }))
            }))
        }));
        let error = fiber.await.unwrap_err();
        assert_eq!(message(&*error.into_panic()), "from below");
    });
    assert_eq!(drops.count(), 3);
}

#[test]
fn a_panic_of_a_future_that_is_waited_for_can_be_caught() {
    let answer = block_on(Fiber::new(|| {
        let failed = catch_unwind(AssertUnwindSafe(|| {
            wait(async {
                yield_now().await;
                panic!("of the future");
            })
        }));
        assert_eq!(message(&*failed.unwrap_err()), "of the future");
        // And the fiber may wait again.
        wait(async {
            yield_now().await;
            6
        })
    }));
    assert_eq!(answer, 6);
}

#[test]
fn a_panic_in_a_generator_is_that_of_next_once() {
    let mut items = Generator::new(|out| {
        out.give(1);
        panic!("of the generator");
    });
    assert_eq!(items.next(), Some(1));
    let panic = catch_unwind(AssertUnwindSafe(|| items.next())).unwrap_err();
    assert_eq!(message(&*panic), "of the generator");
    assert_eq!(items.next(), None);
}

#[test]
fn a_backtrace_fits_on_the_smallest_stack_and_ends_at_its_root() {
    let child = in_child("panics_deeply");
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{:?}\n{said}", child.status);
    assert!(said.contains("panics_deeply"), "{said}");
}

#[test]
fn panics_deeply() {
    if !is_child() {
        return; // run by the test above
    }
    for size in [1, 64 << 10] {
        let fiber = Builder::new()
            .stack_size(size)
            .build(|| panic!("with a backtrace"));
        let panic = catch_unwind(AssertUnwindSafe(|| block_on::<Fiber<_, ()>>(fiber)));
        assert_eq!(message(&*panic.unwrap_err()), "with a backtrace");
    }
}
