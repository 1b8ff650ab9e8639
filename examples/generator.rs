//! Generators: iterators made of functions that are suspended in the middle of calls.
//!
//! Run it with `cargo run --features stackful --example generator`. A tree is walked by plain recursion, the towers of Hanoi
//! are solved one move at a time, and a generator in a fiber waits between its values:
//!
//! ```text
//! a tree in order:            1 2 3 4 5 6 7
//! hanoi, the first of 1023:   a→b a→c b→c a→b c→a c→b a→b a→c …
//! one tick each 10 ms:        0 1 2 3 4
//! ```

use std::error::Error;

use camshaft::fiber::{self, Generator, Give};
use camshaft::time::{Duration, sleep};

/// A sorted tree.
enum Tree {
    Leaf,
    Node(Box<(Self, u32, Self)>),
}

impl Tree {
    fn of(numbers: std::ops::Range<u32>) -> Self {
        if numbers.is_empty() {
            return Self::Leaf;
        }
        let middle = numbers.start.midpoint(numbers.end);
        let (left, right) = (
            Self::of(numbers.start..middle),
            Self::of(middle + 1..numbers.end),
        );
        Self::Node(Box::new((left, middle, right)))
    }

    /// As one would write it if it only had to print.
    fn walk(&self, out: &Give<u32>) {
        if let Self::Node(node) = self {
            node.0.walk(out);
            out.give(node.1);
            node.2.walk(out);
        }
    }
}

fn hanoi(disks: u32, from: char, to: char, by: char, out: &Give<(char, char)>) {
    if disks > 0 {
        hanoi(disks - 1, from, by, to, out);
        out.give((from, to));
        hanoi(disks - 1, by, to, from, out);
    }
}

#[camshaft::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let tree = Tree::of(1..8);
    let numbers: Vec<String> = Generator::new(move |out| tree.walk(out))
        .map(|n| n.to_string())
        .collect();
    println!("a tree in order:            {}", numbers.join(" "));

    let mut moves = Generator::new(|out| hanoi(10, 'a', 'c', 'b', out));
    let first: Vec<String> = moves
        .by_ref()
        .take(8)
        .map(|(from, to)| format!("{from}→{to}"))
        .collect();
    let all = first.len() + moves.count();
    println!("hanoi, the first of {all}:   {} …", first.join(" "));

    // The fiber that uses the generator waits for it, and so does nobody else.
    let ticks = fiber::spawn(|| {
        let ticks = Generator::new(|out| {
            for n in 0..5 {
                fiber::wait(sleep(Duration::from_millis(10)));
                out.give(n.to_string());
            }
        });
        ticks.collect::<Vec<_>>().join(" ")
    });
    println!("one tick each 10 ms:        {}", ticks.await?);
    Ok(())
}
