//! Functions and blocks, and what may stand in them.

use std::future::{pending, ready};

use crate::common::{is_described, zoo};

async fn leaf() -> u64 {
    pending::<u64>().await // @leaf
}

async fn one() -> u64 {
    leaf().await // @one
}

async fn two() -> u64 {
    one().await + 1 // @two
}

async fn three() -> u64 {
    let number = two().await; // @three
    number + 1
}

async fn four() -> u64 {
    three().await // @four
}

zoo!(a_future_of_one_level, leaf(), "leaf@leaf(Pending)");
zoo!(two_levels, one(), "one@one(leaf@leaf(Pending))");
zoo!(
    five_levels,
    four(),
    "four@four(three@three(two@two(one@one(leaf@leaf(Pending)))))"
);
zoo!(a_future_that_was_not_polled, 0, four(), "four!new");
zoo!(
    a_future_that_has_returned,
    async { ready(1).await },
    "{async block}!done"
);
zoo!(
    a_future_that_has_panicked,
    async {
        ready(1).await;
        panic!("as it should");
    },
    "{async block}!panicked"
);

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(move |_| match std::mem::replace(&mut yielded, true) {
        true => std::task::Poll::Ready(()),
        false => std::task::Poll::Pending,
    })
    .await; // @yield
}

async fn sequence() {
    yield_now().await; // @first
    yield_now().await; // @second
    leaf().await; // @third
}

zoo!(
    first_of_a_sequence,
    1,
    sequence(),
    "sequence@first(yield_now@yield(PollFn))"
);
zoo!(
    second_of_a_sequence,
    2,
    sequence(),
    "sequence@second(yield_now@yield(PollFn))"
);
zoo!(
    third_of_a_sequence,
    3,
    sequence(),
    "sequence@third(leaf@leaf(Pending))"
);

async fn turns() {
    for turn in 0..10 {
        if turn % 2 == 0 {
            yield_now().await; // @even
        } else {
            yield_now().await; // @odd
        }
    }
}

zoo!(
    a_loop_in_an_even_turn,
    3,
    turns(),
    "turns@even(yield_now@yield(PollFn))"
);
zoo!(
    a_loop_in_an_odd_turn,
    4,
    turns(),
    "turns@odd(yield_now@yield(PollFn))"
);

async fn count(limit: u32) -> Option<u32> {
    yield_now().await; // @count
    Some(limit).filter(|limit| *limit > 0)
}

async fn counts() {
    let mut left = 3;
    while let Some(more) = count(left).await {
        left = more - 1; // the await is on the line before; see `while_let`
    }
    leaf().await; // @counted
}

#[test]
fn while_let() {
    if !is_described() {
        return;
    }
    let text = crate::common::show(2, counts());
    assert!(text.starts_with("counts@plain.rs:"), "{text}");
    assert!(
        text.ends_with("(count@count(yield_now@yield(PollFn)))"),
        "{text}"
    );
    assert_eq!(
        crate::common::show(9, counts()),
        "counts@counted(leaf@leaf(Pending))"
    );
}

async fn arms(which: u8) -> u64 {
    match which {
        0 => leaf().await, // @arm0
        1 => one().await,  // @arm1
        _ => {
            let text = String::from("a");
            leaf().await + text.len() as u64 // @arm2
        }
    }
}

zoo!(first_arm, arms(0), "arms@arm0(leaf@leaf(Pending))");
zoo!(
    second_arm,
    arms(1),
    "arms@arm1(one@one(leaf@leaf(Pending)))"
);
zoo!(third_arm, arms(2), "arms@arm2(leaf@leaf(Pending))");

async fn fails() -> Result<u64, String> {
    yield_now().await; // @fails
    Err("as it should".to_owned())
}

async fn asks() -> Result<u64, String> {
    let number = fails().await?; // @asks
    Ok(number)
}

#[rustfmt::skip]
async fn answers() -> u64 {
    let Ok(number) = asks().await else { // @answers
        return leaf().await; // @else
    };
    number
}

zoo!(
    a_question_mark,
    asks(),
    "asks@asks(fails@fails(yield_now@yield(PollFn)))"
);
zoo!(
    let_else_before,
    answers(),
    "answers@answers(asks@asks(fails@fails(yield_now@yield(PollFn))))"
);
zoo!(
    let_else_after,
    2,
    answers(),
    "answers@else(leaf@leaf(Pending))"
);

async fn sum(first: u64, second: u64) -> u64 {
    pending::<()>().await; // @sum
    first + second
}

async fn arguments() -> u64 {
    sum(ready(1).await, leaf().await).await // @arguments
}

zoo!(
    an_await_in_an_argument,
    arguments(),
    "arguments@arguments(leaf@leaf(Pending))"
);

async fn blocks(text: String) -> usize {
    let outer = async {
        let inner = async move {
            leaf().await; // @inner
            text.len()
        };
        inner.await // @outer
    };
    outer.await // @blocks
}

zoo!(
    blocks_within_each_other,
    blocks("a".to_owned()),
    "blocks@blocks({async block}@outer({async block}@inner(leaf@leaf(Pending))))"
);

#[allow(
    clippy::unused_async,
    reason = "it waits for nothing, which is the point"
)]
async fn never() -> ! {
    loop {
        yield_now().await; // @never
    }
}

zoo!(
    a_function_that_never_returns,
    7,
    never(),
    "never@never(yield_now@yield(PollFn))"
);

async fn moved() {
    let other = leaf();
    let third = one();
    drop(other);
    yield_now().await; // @moved1
    let boxed = Box::pin(third);
    boxed.await; // @moved2
}

zoo!(
    a_local_that_was_dropped,
    1,
    moved(),
    "moved@moved1(yield_now@yield(PollFn))"
);
zoo!(
    a_local_that_was_moved,
    2,
    moved(),
    "moved@moved2(one@one(leaf@leaf(Pending)))"
);

async fn shadows() {
    let value = leaf();
    let value = async { value.await }; // @shadow1
    let value = async { value.await }; // @shadow2
    value.await; // @shadow3
}

zoo!(
    names_that_hide_others,
    shadows(),
    "shadows@shadow3({async block 1}@shadow2({async block}@shadow1(leaf@leaf(Pending))))"
);

async fn borrows(text: &str, numbers: &mut Vec<u64>) {
    numbers.push(text.len() as u64);
    leaf().await; // @borrows
    numbers.clear();
}

async fn lends() {
    let text = String::from("lent");
    let mut numbers = Vec::new();
    borrows(&text, &mut numbers).await; // @lends
}

zoo!(
    borrowed_arguments,
    lends(),
    "lends@lends(borrows@borrows(leaf@leaf(Pending)))"
);

async fn holds_much() -> u8 {
    let buffer = [7u8; 70_000];
    leaf().await; // @much
    buffer[buffer.len() / 2]
}

#[test]
fn a_future_that_is_large() {
    if !is_described() {
        return;
    }
    assert_eq!(
        crate::common::show(1, Box::pin(holds_much())),
        "holds_much@much(leaf@leaf(Pending))"
    );
}

struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {}
}

async fn guarded(choice: bool) {
    let guard = Guard;
    if choice {
        drop(guard);
        leaf().await; // @unguarded
    } else {
        leaf().await; // @guarded
    }
}

zoo!(
    a_drop_flag_that_is_down,
    guarded(true),
    "guarded@unguarded(leaf@leaf(Pending))"
);
zoo!(
    a_drop_flag_that_is_up,
    guarded(false),
    "guarded@guarded(leaf@leaf(Pending))"
);

fn returns_a_block(number: u64) -> impl Future<Output = u64> {
    async move { number + leaf().await } // @returned
}

zoo!(
    a_function_that_returns_a_block,
    returns_a_block(1),
    "{async block}@returned(leaf@leaf(Pending))"
);

async fn nothing() {}

async fn waits_for_nothing() {
    nothing().await;
    leaf().await; // @nothing
}

zoo!(
    a_future_without_size,
    waits_for_nothing(),
    "waits_for_nothing@nothing(leaf@leaf(Pending))"
);
