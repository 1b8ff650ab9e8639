//! Skynet: a tree in which each node starts ten more and adds up what they return, down to a million leaves.
//!
//! Run it with `cargo run --release --features stackful --example skynet -- 1000000`; the argument says how many leaves. The tree
//! is grown of tasks and then of fibers. Each node waits for its children, so a ninth as many wait at once as there are leaves:
//!
//! ```text
//! tasks      499999500000 in 0.20 s,   182 ns a node
//! fibers     499999500000 in 0.48 s,   429 ns a node; 111112 stacks were in use at once
//! ```

use std::error::Error;
use std::future::Future;
use std::time::Instant;

use camshaft::fiber;
use camshaft::task::JoinError;

/// The numbers of the leaves below a node's ten children: of each the first, and how many there are.
fn children(first: u64, leaves: u64) -> impl Iterator<Item = (u64, u64)> {
    let each = leaves.div_ceil(10);
    (first..first + leaves)
        .step_by(usize::try_from(each).unwrap_or(usize::MAX))
        .map(move |start| (start, each.min(first + leaves - start)))
}

/// A node that is a task. What it waits for is the handles of its children, so the future needs no box to contain itself.
async fn of_tasks(first: u64, leaves: u64) -> Result<u64, JoinError> {
    if leaves == 1 {
        return Ok(first);
    }
    let below: Vec<_> = children(first, leaves)
        .map(|(first, leaves)| camshaft::spawn(of_tasks(first, leaves)))
        .collect();
    let mut sum = 0;
    for child in below {
        sum += child.await??;
    }
    Ok(sum)
}

/// The same as a fiber.
fn of_fibers(first: u64, leaves: u64) -> Result<u64, JoinError> {
    if leaves == 1 {
        return Ok(first);
    }
    let below: Vec<_> = children(first, leaves)
        .map(|(first, leaves)| fiber::spawn(move || of_fibers(first, leaves)))
        .collect();
    below.into_iter().map(|child| fiber::wait(child)?).sum()
}

fn nodes(leaves: u64) -> u64 {
    match leaves {
        1 => 1,
        _ => {
            1 + children(0, leaves)
                .map(|(_, leaves)| nodes(leaves))
                .sum::<u64>()
        }
    }
}

/// Grows a tree, and says what it came to and how long that took.
async fn show<T>(name: &str, leaves: u64, tree: T) -> Result<(), Box<dyn Error>>
where
    T: Future<Output = Result<u64, JoinError>>,
{
    let start = Instant::now();
    let sum = tree.await?;
    let seconds = start.elapsed().as_secs_f64();
    let each = seconds / nodes(leaves) as f64 * 1e9;
    if sum != leaves * (leaves - 1) / 2 {
        return Err(format!("{sum} is not the sum of the numbers below {leaves}").into());
    }
    print!("{name:<10} {sum} in {seconds:.2} s, {each:>5.0} ns a node");
    Ok(())
}

#[camshaft::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let leaves: u64 = std::env::args()
        .nth(1)
        .map_or(Ok(1_000_000), |n| n.parse())
        .unwrap_or(0);
    if !(1..=100_000_000).contains(&leaves) {
        return Err("the number of leaves is one from 1 to 100000000".into());
    }
    show("tasks", leaves, of_tasks(0, leaves)).await?;
    println!();
    show("fibers", leaves, async {
        fiber::spawn(move || of_fibers(0, leaves)).await?
    })
    .await?;
    println!("; {} stacks were in use at once", fiber::census().peak);
    Ok(())
}
