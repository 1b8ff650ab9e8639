//! Awaits in macros.
//!
//! What is shown is where the macro is used, if it is one of another crate. Of macros of the same crate the compiler notes only
//! where they are written, unless it is told `-C collapse-macro-debuginfo=yes`; then that line is shown, and said to be one.

use std::future::{pending, ready};

use crate::common::{is_described, zoo};

async fn leaf() -> u64 {
    pending::<u64>().await // @leaf
}

async fn other(number: u64) -> u64 {
    number + leaf().await // @other
}

async fn fails() -> Result<u64, ()> {
    Ok(leaf().await) // @fails
}

macro_rules! wait_for {
    ($future:expr) => {
        $future.await // @in_the_macro
    };
}

async fn uses_a_macro() -> u64 {
    let number = wait_for!(ready(1));
    number + wait_for!(leaf())
}

zoo!(
    a_macro_that_awaits,
    uses_a_macro(),
    "uses_a_macro@in_the_macro?(leaf@leaf(Pending))"
);

async fn uses_it_often(which: usize) {
    for turn in 0..3 {
        match turn == which {
            true => drop(wait_for!(leaf())),
            false => ready(()).await,
        }
    }
    wait_for!(leaf());
}

zoo!(
    one_of_many_uses,
    uses_it_often(2),
    "uses_it_often@in_the_macro?(leaf@leaf(Pending))"
);
zoo!(
    the_last_of_many_uses,
    uses_it_often(7),
    "uses_it_often@in_the_macro?(leaf@leaf(Pending))"
);

macro_rules! makes_a_function {
    ($name:ident) => {
        async fn $name() -> u64 {
            leaf().await // @made
        }
    };
}

makes_a_function!(made_by_a_macro);

#[test]
fn a_function_that_a_macro_wrote() {
    if !is_described() {
        return;
    }
    let text = crate::common::show(1, made_by_a_macro());
    // The line of the use or that of the definition: both are true.
    assert!(text.starts_with("made_by_a_macro@"), "{text}");
    assert!(text.ends_with("(leaf@leaf(Pending))"), "{text}");
}

async fn futures_join() {
    futures::join!(leaf(), other(1)); // @futures_join
}

zoo!(
    join_of_futures,
    futures_join(),
    "futures_join@futures_join(PollFn(leaf@leaf(Pending), other@other(leaf@leaf(Pending))))"
);

async fn futures_join_half() {
    futures::join!(ready(1), leaf()); // @half
}

zoo!(
    join_with_a_branch_that_is_done,
    futures_join_half(),
    "futures_join_half@half(PollFn(MaybeDone::Done, leaf@leaf(Pending)))"
);

async fn futures_try_join() -> Result<(), ()> {
    futures::try_join!(fails(), fails())?; // @futures_try_join
    Ok(())
}

zoo!(
    try_join_of_futures,
    futures_try_join(),
    "futures_try_join@futures_try_join(PollFn(fails@fails(leaf@leaf(Pending)), fails@fails(leaf@leaf(Pending))))"
);

async fn futures_select() {
    use futures::FutureExt as _;
    let mut one = std::pin::pin!(leaf().fuse());
    let mut two = std::pin::pin!(other(2).fuse());
    futures::select! { // @futures_select
        _ = one => {}
        _ = two => {}
    }
}

#[test]
fn select_of_futures() {
    if !is_described() {
        return;
    }
    let text = crate::common::show(1, futures_select());
    let (one, two) = (
        "~Fuse(leaf@leaf(Pending))",
        "~Fuse(other@other(leaf@leaf(Pending)))",
    );
    // Which branch comes first is left to chance by that macro.
    let expected = [[one, two], [two, one]]
        .map(|both| format!("futures_select@futures_select(PollFn({}))", both.join(", ")));
    assert!(expected.contains(&text), "{text}");
}

async fn tokio_join() {
    tokio::join!(leaf(), other(1)); // @tokio_join
}

zoo!(
    join_of_tokio,
    tokio_join(),
    "tokio_join@tokio_join(PollFn(leaf@leaf(Pending), other@other(leaf@leaf(Pending))))"
);

async fn tokio_try_join() -> Result<(), ()> {
    tokio::try_join!(fails(), fails())?; // @tokio_try_join
    Ok(())
}

zoo!(
    try_join_of_tokio,
    tokio_try_join(),
    "tokio_try_join@tokio_try_join(PollFn(fails@fails(leaf@leaf(Pending)), fails@fails(leaf@leaf(Pending))))"
);

async fn tokio_select() {
    tokio::select! { // @tokio_select
        _ = leaf() => {}
        number = other(3) => assert!(number > 3),
    }
}

zoo!(
    select_of_tokio,
    tokio_select(),
    "tokio_select@tokio_select(PollFn(leaf@leaf(Pending), other@other(leaf@leaf(Pending))))"
);

async fn select_in_a_loop() {
    let mut kept = std::pin::pin!(other(4));
    for _ in 0..3 {
        tokio::select! { // @select_in_a_loop
            _ = &mut kept => {}
            _ = tokio::task::yield_now() => {}
        }
    }
    kept.await; // @after_the_loop
}

#[test]
fn select_of_references() {
    if !is_described() {
        return;
    }
    let text = crate::common::show(1, select_in_a_loop());
    let kept = "other@other(leaf@leaf(Pending))";
    assert!(
        text.starts_with("select_in_a_loop@select_in_a_loop(PollFn("),
        "{text}"
    );
    assert!(text.contains(kept), "{text}");
}

async fn two_selects(which: bool) {
    if which {
        tokio::select! { // @select_one
            _ = leaf() => {}
            _ = pending::<()>() => {}
        }
    } else {
        tokio::select! { // @select_two
            _ = leaf() => {}
            _ = pending::<()>() => {}
        }
    }
}

zoo!(
    the_first_of_two_selects,
    two_selects(true),
    "two_selects@select_one(PollFn(leaf@leaf(Pending), Pending))"
);
zoo!(
    the_second_of_two_selects,
    two_selects(false),
    "two_selects@select_two(PollFn(leaf@leaf(Pending), Pending))"
);

macro_rules! awaits_eight_times {
    ($wait:ident, $turn:ident, $name:ident) => {
        $wait(&mut $turn).await;
        $wait(&mut $turn).await;
        $wait(&mut $turn).await;
        $wait(&mut $turn).await;
        $wait(&mut $turn).await;
        $wait(&mut $turn).await;
        $wait(&mut $turn).await;
        $wait(&mut $turn).await;
    };
}

macro_rules! awaits_often {
    ($wait:ident, $turn:ident, $($name:ident)*) => {
        $(awaits_eight_times!($wait, $turn, $name);)*
    };
}

async fn wait_at(turn: &mut u32) {
    *turn += 1;
    match *turn > 288 {
        true => pending().await, // @wait_at
        false => ready(()).await,
    }
}

async fn has_many_states() {
    let mut turn = 0;
    awaits_often!(wait_at, turn, a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j);
    wait_at(&mut turn).await; // @more
    wait_at(&mut turn).await;
}

zoo!(
    a_tag_of_two_bytes,
    has_many_states(),
    "has_many_states@more(wait_at@wait_at(Pending))"
);
