//! Streams, and collections of futures.

use std::future::{pending, ready};

use futures::stream::{self, FuturesOrdered, FuturesUnordered, StreamExt as _};

use crate::common::{is_described, show, zoo};

async fn leaf() -> u64 {
    pending::<u64>().await // @leaf
}

async fn other(number: u64) -> u64 {
    number + leaf().await // @other
}

const OTHER: &str = "other@other(leaf@leaf(Pending))";

async fn unordered() {
    let mut futures: FuturesUnordered<_> = (0..3).map(other).collect();
    futures.next().await; // @unordered
}

#[test]
fn futures_unordered() {
    if !is_described() {
        return;
    }
    let expected =
        format!("unordered@unordered(Next(FuturesUnordered({OTHER}, {OTHER}, {OTHER})))");
    assert_eq!(show(1, unordered()), expected);
}

#[test]
fn futures_unordered_of_objects() {
    if !is_described() {
        return;
    }
    let futures: FuturesUnordered<_> = FuturesUnordered::new();
    futures.push(Box::pin(leaf()) as std::pin::Pin<Box<dyn Future<Output = u64>>>);
    futures.push(Box::pin(other(1)));
    let text = show(1, futures.collect::<Vec<_>>());
    assert_eq!(
        text,
        format!("Collect(FuturesUnordered({OTHER}, leaf@leaf(Pending)))")
    );
}

async fn some_are_done() {
    let futures: FuturesUnordered<_> = FuturesUnordered::new();
    for number in 0..4u64 {
        futures.push(async move {
            match number % 2 {
                0 => number,
                _ => leaf().await, // @odd
            }
        });
    }
    let _: Vec<_> = futures.collect().await; // @some_are_done
}

#[test]
fn futures_unordered_of_which_some_are_done() {
    if !is_described() {
        return;
    }
    let odd = "{async block}@odd(leaf@leaf(Pending))";
    let expected = format!("some_are_done@some_are_done(Collect(FuturesUnordered({odd}, {odd})))");
    assert_eq!(show(1, some_are_done()), expected);
}

#[test]
fn futures_ordered() {
    if !is_described() {
        return;
    }
    let futures: FuturesOrdered<_> = (0..2).map(other).collect();
    let wrapped = format!("OrderWrapper({OTHER})");
    let expected = format!("Collect(FuturesOrdered(FuturesUnordered({wrapped}, {wrapped})))");
    assert_eq!(show(1, futures.collect::<Vec<_>>()), expected);
}

async fn buffers() {
    let stream = stream::iter(0..10).map(other).buffer_unordered(2);
    let mut stream = std::pin::pin!(stream);
    stream.next().await; // @buffers
}

#[test]
fn buffer_unordered() {
    if !is_described() {
        return;
    }
    let expected = format!(
        "buffers@buffers(Next(BufferUnordered(Fuse(Map(Iter)), FuturesUnordered({OTHER}, {OTHER}))))"
    );
    assert_eq!(show(1, buffers()), expected);
}

#[test]
fn buffered() {
    if !is_described() {
        return;
    }
    let stream = stream::iter(0..10).map(other).buffered(2);
    let text = show(1, stream.collect::<Vec<_>>());
    let wrapped = format!("OrderWrapper({OTHER})");
    let expected = format!(
        "Collect(Buffered(Fuse(Map(Iter)), FuturesOrdered(FuturesUnordered({wrapped}, {wrapped}))))"
    );
    assert_eq!(text, expected);
}

#[test]
fn for_each_concurrent() {
    if !is_described() {
        return;
    }
    let future = stream::iter(0..3).for_each_concurrent(2, async |number| _ = other(number).await); // @concurrent
    let one = format!("{{async closure}}@concurrent({OTHER})");
    assert_eq!(
        show(1, future),
        format!("ForEachConcurrent(~Iter, ~FuturesUnordered({one}, {one}))")
    );
}

async fn unfolds() {
    let stream = stream::unfold(0, |state| async move {
        let number = other(state).await; // @unfold
        Some((number, state + 1))
    });
    let mut stream = std::pin::pin!(stream);
    stream.next().await; // @unfolds
}

#[test]
fn unfold() {
    if !is_described() {
        return;
    }
    let text = show(1, unfolds());
    let inner = format!("{{async block}}@unfold({OTHER})");
    assert!(text.starts_with("unfolds@unfolds(Next(Unfold("), "{text}");
    assert!(text.contains(&inner), "{text}");
}

#[test]
fn stream_then() {
    if !is_described() {
        return;
    }
    let text = show(1, stream::iter(0..3).then(other).collect::<Vec<_>>());
    assert_eq!(text, format!("Collect(Then(~Iter, ~{OTHER}))"));
}

#[test]
fn stream_fold() {
    if !is_described() {
        return;
    }
    let text = show(
        1,
        stream::iter(0..3).fold(0, |sum, number| other(sum + number)),
    );
    assert_eq!(text, format!("Fold(~Iter, ~{OTHER})"));
}

async fn each(number: u64) {
    other(number).await; // @each
}

#[test]
fn stream_for_each() {
    if !is_described() {
        return;
    }
    let text = show(1, stream::iter(0..3).for_each(each));
    assert_eq!(text, format!("ForEach(~Iter, ~each@each({OTHER}))"));
}

#[test]
fn stream_filter() {
    if !is_described() {
        return;
    }
    let stream = stream::iter(0..3).filter(|number| {
        let number = *number;
        async move { other(number).await > 1 } // @filter
    });
    assert_eq!(
        show(1, stream.collect::<Vec<_>>()),
        format!("Collect(Filter(~Iter, ~{{async block}}@filter({OTHER})))")
    );
}

#[test]
fn stream_select() {
    if !is_described() {
        return;
    }
    let one = stream::once(leaf());
    let two = stream::once(other(1));
    let both = stream::select(Box::pin(one), Box::pin(two));
    let text = show(1, both.collect::<Vec<_>>());
    assert_eq!(
        text,
        format!("Collect(Select(SelectWithStrategy(~Once(~leaf@leaf(Pending)), ~Once(~{OTHER}))))")
    );
}

async fn waits_for_a_stream() {
    stream::pending::<u64>().next().await; // @stream_pending
}

#[test]
fn a_stream_that_is_pending() {
    if !is_described() {
        return;
    }
    let text = show(1, waits_for_a_stream());
    // The `poll_next` of that stream may be inlined without a trace; the future that calls it is awaited, and known.
    let expected =
        ["", "(Pending)"].map(|inner| format!("waits_for_a_stream@stream_pending(Next{inner})"));
    assert!(expected.contains(&text), "{text}");
}

async fn empties() {
    let mut futures: FuturesUnordered<std::future::Ready<u64>> = FuturesUnordered::new();
    while futures.next().await.is_some() {}
    futures.push(ready(1));
    leaf().await; // @empties
}

zoo!(
    a_collection_beside_what_is_awaited,
    empties(),
    "empties@empties(leaf@leaf(Pending))"
);
