//! Walks end where their limits are, and say so: by depth, by futures, and by what is looked at on the way.

use std::future::pending;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use camshaft_inspect::{
    Memory, Node, OwnMemory, Walker, layout_of_val, load_bias, tree_of, with_program,
};
use futures::future::join_all;

use crate::common::{is_described, poll};

fn chain(depth: u32) -> Pin<Box<dyn Future<Output = u32>>> {
    Box::pin(async move {
        match depth {
            0 => pending().await,
            _ => chain(depth - 1).await + 1,
        }
    })
}

/// How many nodes there are, how deep they are, and what is said not to be looked at.
fn count(root: &Node) -> (usize, usize, Vec<String>) {
    let (mut nodes, mut depth, mut limits) = (0, 0, Vec::new());
    let mut left = vec![(root, 1)];
    while let Some((node, level)) = left.pop() {
        nodes += 1;
        depth = depth.max(level);
        limits.extend(node.limit.as_deref().map(str::to_owned));
        left.extend(node.children.iter().map(|child| (child, level + 1)));
    }
    (nodes, depth, limits)
}

#[test]
fn the_depth_is_limited() {
    if !is_described() {
        return;
    }
    for (links, whole) in [(100, true), (2000, false)] {
        let mut future = chain(links);
        assert!(poll(future.as_mut()).is_none());
        let (nodes, depth, limits) = count(&tree_of(&future).root);
        assert_eq!(nodes, depth, "it is a chain");
        if whole {
            assert_eq!((depth, limits.len()), (102, 0), "{limits:?}");
        } else {
            assert!((200..=1000).contains(&depth), "{depth}");
            assert_eq!(limits, ["no more is looked at"]);
        }
    }
}

#[test]
fn the_number_of_futures_is_limited() {
    if !is_described() {
        return;
    }
    let mut future = Box::pin(join_all((0..30).map(|_| pending::<()>())));
    assert!(poll(future.as_mut()).is_none());
    assert!(count(&tree_of(&*future).root).2.is_empty());
    let mut future = Box::pin(join_all((0..30_000).map(async |_| pending::<()>().await)));
    assert!(poll(future.as_mut()).is_none());
    let (nodes, _, limits) = count(&tree_of(&*future).root);
    assert!((5_000..25_000).contains(&nodes), "{nodes}");
    assert!(!limits.is_empty() && limits.len() < 5, "{limits:?}");
}

/// Very many places for futures, and nothing in them.
struct Empty(Vec<Option<Pin<Box<dyn Future<Output = ()>>>>>);

impl Future for Empty {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        for slot in self.0.iter_mut().flatten() {
            let _ = slot.as_mut().poll(context);
        }
        Poll::Pending
    }
}

/// The memory of the process, and how often it was read.
struct Counted(AtomicU64);

impl Memory for Counted {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        OwnMemory.read(address, into)
    }
}

#[test]
fn what_is_looked_at_is_limited() {
    if !is_described() {
        return;
    }
    let mut future = Box::pin(Empty((0..100_000).map(|_| None).collect()));
    let _ = poll(future.as_mut());
    let address = std::ptr::from_ref(&*future).addr() as u64;
    let memory = Counted(AtomicU64::new(0));
    let node = with_program(|catalog| {
        let key = catalog.coroutines().into_iter().find_map(|key| {
            let states = catalog.states(key)?;
            let state = states.iter().find(|state| state.value == 3)?;
            let of = catalog.get(state.of)?.member("__awaitee")?.of;
            catalog
                .get(of)?
                .name
                .ends_with("limits::Empty")
                .then_some(of)
        });
        let key = key.expect("it is awaited below");
        Walker::new(catalog, &memory, load_bias())
            .most(100)
            .walk(key, address)
    });
    let node = node.expect("the program can be read");
    let site = node.site.as_ref().expect("its poll is described");
    assert!(site.file.ends_with("limits.rs"), "{site}");
    let (_, _, limits) = count(&node);
    assert!(matches!(limits.len(), 1 | 2), "{limits:?}");
    let reads = memory.0.load(Ordering::Relaxed);
    assert!((100..5000).contains(&reads), "{reads}");
    assert!(layout_of_val(&awaits(*Pin::into_inner(future))).is_ok());
}

async fn awaits(future: Empty) {
    future.await;
}
