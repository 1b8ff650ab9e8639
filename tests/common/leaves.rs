//! Leaves of single futures, which are polled once and looked at.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "as in `common`")]

use std::os::fd::{AsRawFd, RawFd};
use std::pin::{Pin, pin};

use camshaft::inspect::{self, Leaf, Node};
use camshaft::runtime::{Backend, Builder};

use super::{alone, poll_once};

/// The first leaf on the only way down a tree.
pub fn leaf_of(node: &Node) -> Option<&Leaf> {
    match (&node.leaf, &node.children[..]) {
        (Some(leaf), _) => Some(leaf),
        (None, [child]) => leaf_of(child),
        _ => None,
    }
}

/// Polls a future once, which is not to be ready, and tells what it waits for then.
pub async fn leaf<F: Future>(mut future: Pin<&mut F>) -> Leaf {
    assert!(poll_once(future.as_mut()).await.is_pending());
    let tree = inspect::tree_of(&*future);
    let Some(leaf) = leaf_of(&tree.root) else {
        panic!("no leaf: {tree}")
    };
    leaf.clone()
}

/// As [`leaf`], as text.
pub async fn told<F: Future>(future: Pin<&mut F>) -> String {
    leaf(future).await.to_string()
}

/// As [`leaf`], of a future that is made until one is not ready at once.
pub async fn caught<F: Future>(make: impl Fn() -> F) -> Leaf {
    loop {
        let mut future = pin!(make());
        if poll_once(future.as_mut()).await.is_pending() {
            let tree = inspect::tree_of(&*future);
            drop(future.await);
            return leaf_of(&tree.root).expect("it has a leaf").clone();
        }
    }
}

/// Whether this program can be looked into.
pub fn is_described() -> bool {
    crate::common::is_described()
}

/// Runs a test on each of the backends that there are; `CAMSHAFT_BACKEND` may leave one of them.
pub fn on_each(test: impl AsyncFn()) {
    let _alone = alone();
    if !is_described() {
        return;
    }
    for backend in [Backend::Auto, Backend::Epoll] {
        let runtime = Builder::new().backend(backend).build();
        runtime.expect("a runtime can be built").block_on(test());
    }
}

pub fn fd(of: &impl AsRawFd) -> RawFd {
    of.as_raw_fd()
}
