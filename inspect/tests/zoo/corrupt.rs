//! Images of futures with bytes changed: whatever is told of them, nothing may crash or last.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};

use camshaft_inspect::{Memory, OwnMemory, Snapshot, Walker, layout_of, load_bias, with_program};
use futures::stream::{FuturesUnordered, StreamExt as _};

use crate::common::{is_described, poll};

async fn leaf(number: u64) -> u64 {
    std::future::pending::<u64>().await + number
}

async fn everything() {
    let futures: FuturesUnordered<_> = (0..3).map(leaf).collect();
    let objects: Vec<Pin<Box<dyn Future<Output = u64>>>> =
        vec![Box::pin(leaf(1)), Box::pin(leaf(2))];
    let text = String::from("text");
    futures::join!(
        futures.collect::<Vec<_>>(),
        futures::future::join_all(objects),
        Box::pin(leaf(text.len() as u64)),
    );
}

/// The memory of the process, but for one future.
pub(crate) struct Changed(pub(crate) Snapshot, pub(crate) AtomicU32);

impl Memory for Changed {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.read(address, into) || OwnMemory.read(address, into)
    }
}

/// A generator of numbers that look random (xorshift), the same in every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("it is below a usize")
    }
}

pub(crate) fn change(bytes: &mut [u8], numbers: &mut Numbers) {
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        match numbers.below(4) {
            0 => bytes[at] = numbers.next().to_le_bytes()[0],
            1 => bytes[at] ^= 1 << numbers.below(8),
            2 => bytes[at..].fill(0xff),
            _ => {
                // A pointer to elsewhere in the same future.
                let from = numbers.below(bytes.len());
                let (at, from) = (at & !7, from & !7);
                if at.max(from) + 8 <= bytes.len() {
                    bytes.copy_within(from..from + 8, at);
                }
            }
        }
    }
}

#[test]
fn ten_thousand_changed_futures_are_walked_through() {
    if !is_described() {
        return;
    }
    let mut future = Box::pin(everything());
    assert!(poll(future.as_mut()).is_none());
    let address = std::ptr::from_ref(&*future).addr() as u64;
    let key = layout_of_pinned(&future).key;
    let mut image = vec![0; size_of_val(&*future)];
    assert!(OwnMemory.read(address, &mut image));
    let trees = with_program(|catalog| {
        let mut numbers = Numbers(0x5eed);
        let mut trees = HashSet::new();
        for _ in 0..10_000 {
            let mut bytes = image.clone();
            change(&mut bytes, &mut numbers);
            let mut memory = Snapshot::new();
            memory.insert(address, bytes);
            let memory = Changed(memory, AtomicU32::new(0));
            let mut walker = Walker::new(catalog, &memory, load_bias()).most(100);
            let node = walker.walk(key, address);
            trees.insert(format!("{:?}", node.standing) + &node.to_string());
            assert!(
                memory.1.load(Ordering::Relaxed) < 100_000,
                "a walk must end"
            );
        }
        trees
    });
    let trees = trees.expect("the program can be read");
    // Otherwise the changes would change nothing.
    assert!(trees.len() > 3, "{trees:?}");
}

pub(crate) fn layout_of_pinned<F>(_: &Pin<Box<F>>) -> camshaft_inspect::Layout {
    layout_of::<F>().expect("tests are built with full debug information")
}

#[test]
fn nothing_to_read_is_said() {
    if !is_described() {
        return;
    }
    let mut future = Box::pin(everything());
    let _ = poll(future.as_mut());
    let key = layout_of_pinned(&future).key;
    let node = with_program(|catalog| Walker::new(catalog, &Snapshot::new(), 0).walk(key, 4096));
    let text = node.expect("the program can be read").to_string();
    assert!(text.contains("its memory cannot be read"), "{text}");
}
