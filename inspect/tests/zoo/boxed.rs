//! Futures behind pointers, with their types or without.

use std::cell::RefCell;
use std::future::pending;
use std::pin::{Pin, pin};
use std::rc::Rc;

use futures::FutureExt as _;

use crate::common::{is_described, zoo};

async fn leaf() -> u64 {
    pending::<u64>().await // @leaf
}

async fn middle(number: u64) -> u64 {
    number + leaf().await // @middle
}

async fn pinned_box() {
    Box::pin(leaf()).await; // @pinned_box
}

async fn pinned_object() {
    let future: Pin<Box<dyn Future<Output = u64>>> = Box::pin(middle(1));
    future.await; // @pinned_object
}

async fn sent_object() {
    let future: Pin<Box<dyn Future<Output = u64> + Send>> = Box::pin(middle(1));
    future.await; // @sent_object
}

async fn unpinned_object() {
    let future: Box<dyn Future<Output = u64> + Unpin> = Box::new(Box::pin(middle(1)));
    future.await; // @unpinned_object
}

async fn on_the_stack() {
    let future = pin!(middle(1));
    future.await; // @on_the_stack
}

async fn by_reference() {
    let mut future = pin!(middle(1));
    (&mut future).await; // @by_reference
    future.await;
}

async fn object_by_reference() {
    let mut future = pin!(middle(1));
    let object: Pin<&mut dyn Future<Output = u64>> = future.as_mut();
    object.await; // @object_by_reference
}

zoo!(
    a_pinned_box,
    pinned_box(),
    "pinned_box@pinned_box(leaf@leaf(Pending))"
);
zoo!(
    a_pinned_object,
    pinned_object(),
    "pinned_object@pinned_object(middle@middle(leaf@leaf(Pending)))"
);
zoo!(
    an_object_to_send,
    sent_object(),
    "sent_object@sent_object(middle@middle(leaf@leaf(Pending)))"
);
zoo!(
    an_object_that_may_move,
    unpinned_object(),
    "unpinned_object@unpinned_object(middle@middle(leaf@leaf(Pending)))"
);
zoo!(
    a_future_on_the_stack,
    on_the_stack(),
    "on_the_stack@on_the_stack(middle@middle(leaf@leaf(Pending)))"
);
zoo!(
    a_reference,
    by_reference(),
    "by_reference@by_reference(middle@middle(leaf@leaf(Pending)))"
);
zoo!(
    a_reference_to_an_object,
    object_by_reference(),
    "object_by_reference@object_by_reference(middle@middle(leaf@leaf(Pending)))"
);
zoo!(a_root_that_is_a_box, Box::pin(leaf()), "leaf@leaf(Pending)");
zoo!(
    a_root_that_is_an_object,
    Box::pin(leaf()) as Pin<Box<dyn Future<Output = u64>>>,
    "leaf@leaf(Pending)"
);
zoo!(
    boxes_in_boxes,
    async { Box::pin(Box::pin(Box::pin(leaf()))).await }, // @boxes
    "{async block}@boxes(leaf@leaf(Pending))"
);

fn recursive(depth: u32) -> Pin<Box<dyn Future<Output = u64>>> {
    Box::pin(async move {
        match depth {
            0 => leaf().await,                   // @end
            _ => recursive(depth - 1).await + 1, // @again
        }
    })
}

zoo!(
    recursion_through_objects,
    recursive(2),
    "{async block}@again({async block}@again({async block}@end(leaf@leaf(Pending))))"
);

async fn descend(depth: u32) -> u64 {
    if depth == 0 {
        return leaf().await; // @bottom
    }
    Box::pin(descend(depth - 1)).await // @descend
}

zoo!(
    recursion_through_boxes,
    descend(2),
    "descend@descend(descend@descend(descend@bottom(leaf@leaf(Pending))))"
);

#[test]
fn recursion_that_is_deep() {
    if !is_described() {
        return;
    }
    let text = crate::common::show(1, descend(100));
    assert_eq!(text.matches("descend@descend").count(), 100);
    assert!(
        text.contains("descend@bottom(leaf@leaf(Pending))"),
        "{text}"
    );
}

#[test]
fn recursion_that_is_too_deep_to_be_shown() {
    if !is_described() {
        return;
    }
    let text = crate::common::show(1, descend(2000));
    assert!(text.matches("descend@descend").count() > 100, "{text}");
    assert!(text.contains("?)"), "{text}");
}

async fn boxed_by_method() {
    middle(1).boxed_local().await; // @boxed_by_method
}

zoo!(
    boxed_local,
    boxed_by_method(),
    "boxed_by_method@boxed_by_method(middle@middle(leaf@leaf(Pending)))"
);

async fn through_a_cell() {
    let cell = Rc::new(RefCell::new(Box::pin(leaf())));
    std::future::poll_fn(|context| cell.borrow_mut().as_mut().poll(context)).await; // @cell
}

zoo!(
    a_future_in_a_shared_cell,
    through_a_cell(),
    "through_a_cell@cell(PollFn(~leaf@leaf(Pending)))"
);

async fn shared() -> u64 {
    let one = middle(1).boxed_local().shared();
    let two = one.clone();
    drop(two);
    one.await // @shared
}

zoo!(
    a_shared_future,
    shared(),
    "shared@shared(Shared(middle@middle(leaf@leaf(Pending))))"
);
