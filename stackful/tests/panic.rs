//! Panics inside of fibers end in the handle of their task, whatever they pass on the way.
#![allow(missing_docs)]

mod common;

use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use camshaft_executor::{block_on, spawn, yield_now};
use camshaft_stackful::{Builder, Fiber, Generator, census, wait};
use common::{Drops, OnDrop, in_child, is_child, message};

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
fn a_panic_passes_through_generators_and_may_be_caught_on_the_way() {
    let drops = Drops::default();
    let tokens = [drops.token(), drops.token(), drops.token()];
    let live = census().live;
    let answer = block_on(Fiber::new(move || {
        let [first, second, third] = tokens;
        let _first = first;
        let outer = Generator::new(move |out| {
            let _second = second;
            let inner = Generator::new(move |out| {
                let _third = third;
                wait(yield_now());
                out.give(1);
                wait(Fiber::new(|| {
                    wait(yield_now());
                    panic!("from a fiber below two generators")
                }));
            });
            inner.for_each(|item: u32| out.give(item));
        });
        let mut seen = 0;
        let failed = catch_unwind(AssertUnwindSafe(|| outer.for_each(|item| seen += item)));
        let failed = message(&*failed.unwrap_err()).to_owned();
        assert_eq!(drops.count(), 2);
        // Whoever has caught it may wait, and is unwound by nothing.
        wait(yield_now());
        (seen, failed, drops)
    }));
    let (seen, failed, drops) = answer;
    assert_eq!(
        (seen, &*failed, drops.count()),
        (1, "from a fiber below two generators", 3)
    );
    assert_eq!(census().live, live);
}

#[test]
fn a_panic_that_leaves_a_destructor_during_an_unwind_ends_the_process_with_the_reason() {
    let child = in_child("waits_in_a_destructor");
    let said = String::from_utf8_lossy(&child.stderr);
    assert_eq!(child.status.signal(), Some(6), "as of Rust's rule: {said}");
    assert!(said.contains("the first"), "{said}");
    assert!(
        said.contains("fiber::wait was called while the fiber unwinds"),
        "{said}"
    );
    assert!(said.contains("ask fiber::can_wait() first"), "{said}");
}

#[test]
fn waits_in_a_destructor() {
    if !is_child() {
        return; // run by the test above
    }
    block_on(async {
        let fiber = spawn(Fiber::new(|| {
            let _late = OnDrop(|| wait(yield_now()));
            panic!("the first");
        }));
        let _ = fiber.await;
    });
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
