//! Futures that are made of futures.

use std::future::{pending, ready};

use futures::future::{self, Either, FutureExt as _, OptionFuture, TryFutureExt as _};

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

zoo!(
    join,
    async { future::join(leaf(), other(1)).await }, // @join
    "{async block}@join(Join(leaf@leaf(Pending), other@other(leaf@leaf(Pending))))"
);
zoo!(
    join_of_three,
    future::join3(leaf(), ready(1), leaf()),
    "Join3(leaf@leaf(Pending), MaybeDone::Done, leaf@leaf(Pending))"
);
zoo!(
    select,
    async { drop(future::select(Box::pin(leaf()), Box::pin(other(1))).await) }, // @select
    "{async block}@select(Select(leaf@leaf(Pending), other@other(leaf@leaf(Pending))))"
);
zoo!(
    select_of_many,
    future::select_all([leaf().boxed_local(), other(1).boxed_local()]),
    "SelectAll(leaf@leaf(Pending), other@other(leaf@leaf(Pending)))"
);
zoo!(
    join_all_of_few,
    future::join_all((0..3).map(other)),
    "JoinAll(other@other(leaf@leaf(Pending)), other@other(leaf@leaf(Pending)), other@other(leaf@leaf(Pending)))"
);

#[test]
fn join_all_of_many() {
    if !is_described() {
        return;
    }
    let text = crate::common::show(1, future::join_all((0..100).map(other)));
    assert!(text.starts_with("JoinAll("), "{text}");
    assert_eq!(
        text.matches("other@other(leaf@leaf(Pending))").count(),
        100,
        "{text}"
    );
}

zoo!(
    try_join_all,
    future::try_join_all([fails(), fails()]),
    "TryJoinAll(IntoFuture(fails@fails(leaf@leaf(Pending))), IntoFuture(fails@fails(leaf@leaf(Pending))))"
);
zoo!(
    map,
    leaf().map(|number| number + 1),
    "Map(Map::Incomplete(leaf@leaf(Pending)))"
);
/// A closure that has captured a future, of which it will not be asked to do anything before another has ended.
fn keeps() -> impl FnOnce(u64) -> future::Ready<u64> {
    let kept = other(1);
    move |number| {
        drop(kept);
        future::ready(number)
    }
}

zoo!(
    map_with_a_future_in_its_closure,
    leaf().map(keeps()),
    "Map(Map::Incomplete(leaf@leaf(Pending), ~other!new))"
);
zoo!(
    then_with_a_future_in_its_closure,
    leaf().then(keeps()),
    "Then(Flatten::First(Map(Map::Incomplete(leaf@leaf(Pending), ~other!new))))"
);
zoo!(
    poll_fn_with_a_future_in_its_closure,
    future::poll_fn({
        let mut kept = Box::pin(other(1));
        move |context| kept.as_mut().poll(context)
    }),
    "PollFn(~other@other(leaf@leaf(Pending)))"
);
zoo!(
    then_before,
    leaf().then(other),
    "Then(Flatten::First(Map(Map::Incomplete(leaf@leaf(Pending)))))"
);
zoo!(
    then_after,
    ready(1).then(other),
    "Then(Flatten::Second(other@other(leaf@leaf(Pending))))"
);
zoo!(
    and_then,
    fails().and_then(|number| async move { Ok(other(number).await) }),
    "AndThen(TryFlatten(TryFlatten::First(MapOk(Map(Map::Incomplete(IntoFuture(fails@fails(leaf@leaf(Pending)))))))))"
);
zoo!(fuse, leaf().fuse(), "Fuse(leaf@leaf(Pending))");
zoo!(
    either_left,
    Either::<_, future::Ready<u64>>::Left(other(1)),
    "Either::Left(other@other(leaf@leaf(Pending)))"
);
zoo!(
    either_right,
    Either::<future::Ready<u64>, _>::Right(leaf()),
    "Either::Right(leaf@leaf(Pending))"
);
zoo!(
    some_future,
    OptionFuture::from(Some(leaf())),
    "OptionFuture(leaf@leaf(Pending))"
);
zoo!(
    catch_unwind,
    std::panic::AssertUnwindSafe(leaf()).catch_unwind(),
    "CatchUnwind(leaf@leaf(Pending))"
);
zoo!(
    abortable,
    future::abortable(leaf()).0,
    "Abortable(leaf@leaf(Pending))"
);
zoo!(
    inspect,
    leaf().inspect(|_| {}),
    "Inspect(Map::Incomplete(leaf@leaf(Pending)))"
);
zoo!(
    flatten,
    ready(leaf()).flatten(),
    "Flatten(Flatten::Second(leaf@leaf(Pending)))"
);
zoo!(
    nested_joins,
    future::join(future::join(leaf(), leaf()), leaf()),
    "Join(Join(leaf@leaf(Pending), leaf@leaf(Pending)), leaf@leaf(Pending))"
);
