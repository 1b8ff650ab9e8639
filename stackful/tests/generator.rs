//! Generators: iterators that are suspended in the middle of calls.
#![allow(missing_docs)]

mod common;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;
use std::task::Poll;

use camshaft_executor::{block_on, spawn, yield_now};
use camshaft_stackful::{Builder, Fiber, Generator, Give, can_wait, census, wait};
use common::{Drops, Gate, OnDrop, message};

fn hanoi(disks: u32, from: u8, to: u8, by: u8, out: &Give<(u8, u8)>) {
    if disks > 0 {
        hanoi(disks - 1, from, by, to, out);
        out.give((from, to));
        hanoi(disks - 1, by, to, from, out);
    }
}

#[test]
fn values_come_from_the_middle_of_calls() {
    let mut moves = Generator::new(|out| hanoi(10, 0, 2, 1, out));
    let mut pegs = [(0..10).rev().collect::<Vec<u32>>(), vec![], vec![]];
    for (from, to) in &mut moves {
        let disk = pegs[from as usize].pop().unwrap();
        assert!(pegs[to as usize].last().is_none_or(|top| *top > disk));
        pegs[to as usize].push(disk);
    }
    assert_eq!(pegs[2].len(), 10);
    assert_eq!(moves.next(), None);
}

#[test]
fn values_with_destructors_change_hands_once() {
    let drops = Drops::default();
    let given = drops.clone();
    let mut tokens = Generator::new(move |out| {
        loop {
            out.give(given.token());
        }
    });
    drop(tokens.next());
    assert_eq!(drops.count(), 1);
    let held = tokens.next();
    drop(tokens);
    assert_eq!(drops.count(), 1);
    drop(held);
    assert_eq!(drops.count(), 2);
}

#[test]
fn dropped_before_during_and_after() {
    let live = census().live;
    let drops = Drops::default();
    for taken in 0..4 {
        let token = drops.token();
        let began = Rc::new(Cell::new(false));
        let begins = began.clone();
        let mut items = Generator::new(move |out| {
            let _token = &token;
            begins.set(true);
            out.give(1);
            out.give(2);
        });
        assert_eq!(items.by_ref().take(taken).count(), taken.min(2));
        drop(items);
        assert_eq!((drops.count(), began.get()), (taken + 1, taken > 0));
    }
    assert_eq!(census().live, live);
}

#[test]
fn generators_nest() {
    fn up_to(n: u32) -> Generator<u32> {
        Generator::new(move |out| {
            if n > 0 {
                up_to(n - 1).for_each(|item| out.give(item));
                out.give(n);
            }
        })
    }
    assert!(up_to(30).eq(1..=30));
}

#[test]
fn a_generator_in_a_fiber_waits_and_moves_between_fibers() {
    let gate = Gate::default();
    let passed = gate.clone();
    block_on(async {
        let first = spawn(Fiber::new(move || {
            let mut items = Builder::new().name("items").generator(move |out| {
                out.give(wait(async {
                    yield_now().await;
                    1
                }));
                wait(passed.pass());
                out.give(2);
                // In the next fiber.
                out.give(wait(async {
                    yield_now().await;
                    3
                }));
            });
            (items.next(), items.next(), items)
        }));
        yield_now().await;
        yield_now().await;
        gate.open();
        let (one, two, mut items) = first.await.unwrap();
        assert_eq!((one, two), (Some(1), Some(2)));
        let third = spawn(Fiber::new(move || (items.next(), items.next())));
        assert_eq!(third.await.unwrap(), (Some(3), None));
    });
}

#[test]
fn waiting_is_refused_where_no_fiber_uses_it() {
    let mut items = Generator::new(|out| {
        out.give(can_wait());
        wait(yield_now());
    });
    assert_eq!(items.next(), Some(false));
    let refused = catch_unwind(AssertUnwindSafe(|| items.next())).unwrap_err();
    assert!(message(&*refused).contains("outside of a fiber"));
}

#[test]
fn giving_inside_of_a_poll_is_refused() {
    let said = block_on(Fiber::new(|| {
        let mut items = Generator::new(|out: &Give<u32>| {
            wait(std::future::poll_fn(|_| {
                out.give(1);
                Poll::Ready(())
            }));
        });
        let refused = catch_unwind(AssertUnwindSafe(|| items.next())).unwrap_err();
        message(&*refused).to_owned()
    }));
    assert!(said.contains("being polled"), "{said}");
}

#[test]
fn waiting_in_a_generator_that_a_future_uses_is_refused() {
    let said = block_on(Fiber::new(|| {
        let mut items = Generator::new(|out: &Give<u32>| {
            out.give(wait(async {
                yield_now().await;
                1
            }));
        });
        wait(async move {
            let refused = catch_unwind(AssertUnwindSafe(|| items.next())).unwrap_err();
            message(&*refused).to_owned()
        })
    }));
    assert!(said.contains("being polled"), "{said}");
}

#[test]
fn giving_from_another_stack_is_refused() {
    thread_local! {
        static OUTER: Cell<*const Give<u32>> = const { Cell::new(ptr::null()) };
    }
    let mut outer = Generator::new(|out: &Give<u32>| {
        // What a crate for scoped thread locals does: the borrow holds as long as this call.
        OUTER.set(out);
        let mut inner = Generator::new(|_: &Give<u32>| {
            // SAFETY: the outer generator's function is still running.
            unsafe { &*OUTER.get() }.give(1);
        });
        let refused = catch_unwind(AssertUnwindSafe(|| inner.next())).unwrap_err();
        assert!(message(&*refused).contains("outside of a fiber"));
        out.give(2);
    });
    assert_eq!(outer.next(), Some(2));
}

#[test]
fn a_panic_on_the_way_out_is_that_of_the_drop() {
    let mut items = Generator::new(|out| {
        let given = catch_unwind(AssertUnwindSafe(|| out.give(1)));
        assert!(given.is_ok(), "after the unwind was caught");
    });
    assert_eq!(items.next(), Some(1));
    let panic = catch_unwind(AssertUnwindSafe(|| drop(items))).unwrap_err();
    assert_eq!(message(&*panic), "after the unwind was caught");
}

#[test]
fn giving_while_it_unwinds_is_refused() {
    let drops = Drops::default();
    let seen = drops.clone();
    let mut items = Generator::new(move |out| {
        let _late = OnDrop(|| {
            let refused = catch_unwind(AssertUnwindSafe(|| out.give(2))).unwrap_err();
            assert!(message(&*refused).contains("while the fiber unwinds"));
            drop(seen.token());
        });
        out.give(1);
    });
    assert_eq!(items.next(), Some(1));
    drop(items);
    assert_eq!(drops.count(), 1);
}
