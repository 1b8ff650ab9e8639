//! What is not certain is said not to be, and what only looks like something else is not taken for it.

use std::future::{pending, ready};
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use camshaft_inspect::{Node, Precision, tree_of};

use crate::common::{is_described, poll, zoo};

async fn leaf() -> u64 {
    pending::<u64>().await // @leaf
}

/// One that holds two and polls the first.
struct First<A, B>(A, B);

impl<A: Future + Unpin, B: Unpin> Future for First<A, B> {
    type Output = A::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<A::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

zoo!(
    what_is_held_need_not_be_polled,
    First(Box::pin(leaf()), Box::pin(leaf())),
    "First(~leaf@leaf(Pending), ~leaf!new)"
);

fn tree<F: Future>(future: F) -> Node {
    let mut future = Box::pin(future);
    let _ = poll(future.as_mut());
    tree_of(&*future).root
}

#[test]
fn what_is_held_is_labelled_in_text_and_json() {
    if !is_described() {
        return;
    }
    let mut future = First(Box::pin(leaf()), ready(1));
    let _ = poll(Pin::new(&mut future));
    let tree = tree_of(&future);
    let text = tree.to_string();
    assert!(text.contains("(held, perhaps not polled)"), "{text}");
    let json = tree.to_json();
    assert!(json.contains("\"held\":true"), "{json}");
    assert!(json.contains("\"precision\":\"exact\""), "{json}");
}

async fn with_a_branch_that_is_off(on: bool) {
    tokio::select! { // @off
        _ = leaf(), if on => {}
        _ = pending::<()>() => {}
    }
}

zoo!(
    a_branch_that_is_disabled_may_not_be_polled,
    with_a_branch_that_is_off(false),
    "with_a_branch_that_is_off@off(PollFn(~leaf!new, ~Pending))"
);
zoo!(
    branches_that_are_enabled_are_polled,
    with_a_branch_that_is_off(true),
    "with_a_branch_that_is_off@off(PollFn(leaf@leaf(Pending), Pending))"
);

/// Two of no size have one address.
struct Nowhere;

impl Future for Nowhere {
    type Output = ();

    // One that is inlined leaves no trace.
    #[inline(never)]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        black_box(Poll::Pending)
    }
}

async fn joins_boxes() {
    futures::join!(Box::pin(Nowhere), Box::pin(Nowhere), Box::pin(Nowhere)); // @boxes
}

zoo!(
    boxes_of_no_size_are_told_apart,
    joins_boxes(),
    "joins_boxes@boxes(PollFn(Nowhere, Nowhere, Nowhere))"
);

#[test]
fn only_a_method_is_the_poll_of_a_type() {
    if !is_described() {
        return;
    }
    // That is polled by a function of these tests that is called `poll`, too.
    let node = tree(Nowhere);
    let site = node.site.clone().expect("its poll is described");
    assert!(site.file.ends_with("labels.rs"), "{site}");
}

/// Called as the parts of slices and trait objects are, and none: what is in it must not be followed.
#[allow(dead_code, reason = "only its layout counts")]
struct Lookalike {
    data_ptr: *const Pin<Box<dyn Future<Output = u64>>>,
    length: usize,
}

#[allow(dead_code, reason = "only its layout counts")]
struct Object {
    pointer: usize,
    vtable: usize,
}

struct Holds<T>(T, Pin<Box<dyn Future<Output = u64>>>);

impl<T: Unpin> Future for Holds<T> {
    type Output = u64;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u64> {
        self.1.as_mut().poll(context)
    }
}

zoo!(
    what_looks_like_a_slice_is_none,
    Holds(
        Lookalike {
            data_ptr: std::ptr::without_provenance(8),
            length: 3
        },
        Box::pin(leaf())
    ),
    "Holds(~leaf@leaf(Pending))"
);

#[test]
fn what_looks_like_a_trait_object_is_none() {
    if !is_described() {
        return;
    }
    let object: *mut dyn Future<Output = u64> = Box::into_raw(Box::new(leaf()));
    // SAFETY: a wide pointer to a trait object is two words: the data, and the vtable.
    let [pointer, vtable]: [usize; 2] = unsafe { std::mem::transmute(object) };
    let object = Object { pointer, vtable };
    let text = crate::common::show(1, Holds(object, Box::pin(leaf())));
    assert_eq!(text, "Holds(~leaf@leaf(Pending))");
}

#[async_trait]
trait Serve {
    async fn serve(&self) -> u64;
}

struct Server;

#[async_trait]
impl Serve for Server {
    async fn serve(&self) -> u64 {
        leaf().await
    }
}

struct Joiner;

#[async_trait]
impl Serve for Joiner {
    async fn serve(&self) -> u64 {
        tokio::join!(leaf(), leaf()).0
    }
}

#[test]
fn a_macro_in_a_function_of_one_line_is_likely_where_it_is_used() {
    if !is_described() {
        return;
    }
    let node = tree(async { Joiner.serve().await });
    let node = &node.children[0];
    assert_eq!(node.precision, Precision::Likely, "{node}");
    let site = node.site.as_ref().expect("it has a line");
    assert!(site.file.ends_with("labels.rs"), "{node}");
}

async fn selects() {
    tokio::select! {
        _ = leaf() => {}
        _ = pending::<()>() => {}
    }
}

macro_rules! wraps {
    ($name:ident, $($body:tt)*) => {
        async fn $name() {
            ready(()).await;
            $($body)*
        }
    };
}

wraps!(
    wrapped,
    leaf().await;
);

/// The first node of a name.
fn precision_of(node: &Node, name: &str) -> Option<Precision> {
    let here = node.name.contains(name).then_some(node.precision);
    let mut children = node.children.iter();
    here.or_else(|| children.find_map(|child| precision_of(child, name)))
}

#[test]
fn lines_say_how_exact_they_are() {
    if !is_described() {
        return;
    }
    let exact = tree(leaf());
    assert_eq!(exact.precision, Precision::Exact);
    assert!(!exact.to_string().contains('('), "{exact}");
    // The attribute leaves no line of the end of the function.
    let node = tree(Server.serve());
    let found = precision_of(&node, "serve::{async block}");
    assert_eq!(found, Some(Precision::Likely), "{node:#?}");
    let likely = format!("{node:?}");
    assert!(likely.contains("Likely"), "{likely}");
    let node = tree(selects());
    assert_eq!(node.precision, Precision::MacroUse);
    assert!(node.to_string().contains("(in a macro)"), "{node}");
    // The function is as long as the macro, and the await is elsewhere.
    let node = tree(wrapped());
    assert_ne!(node.precision, Precision::Exact, "{node}");
}
