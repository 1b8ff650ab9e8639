//! Values from the middle of a recursion.

use std::hint::black_box;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use camshaft::fiber::Generator;

use super::slot::{Slot, Values};
use crate::experiment::{Outcome, Setting};
use crate::measure::repeat;
use crate::models::stacks::Stacks;
use crate::models::switch::bare::Bare;

/// Values between two looks at the clock, at least.
const VALUES: u64 = 1000;

/// A call of a recursion that has a value between two further calls.
pub(super) trait Step: Copy + Send + 'static {
    /// The outermost call, of so many levels.
    fn first(levels: u64) -> Self;
    fn before(self) -> Option<Self>;
    fn value(self) -> u32;
    fn after(self) -> Option<Self>;
}

/// A walk through a sorted tree, whose nodes lie as in a heap: those below `n` are `2n + 1` and `2n + 2`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree {
    node: u32,
    nodes: u32,
}

impl Tree {
    fn at(self, node: u32) -> Option<Self> {
        (node < self.nodes).then_some(Self { node, ..self })
    }
}

impl Step for Tree {
    fn first(levels: u64) -> Self {
        let nodes = (1 << levels) - 1;
        Self { node: 0, nodes }
    }

    fn before(self) -> Option<Self> {
        self.at(2 * self.node + 1)
    }

    fn value(self) -> u32 {
        self.node
    }

    fn after(self) -> Option<Self> {
        self.at(2 * self.node + 2)
    }
}

/// The moves that bring so many disks from one place to another by way of the third.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hanoi {
    disks: u8,
    from: u8,
    to: u8,
}

impl Hanoi {
    fn by(self) -> u8 {
        3 - self.from - self.to
    }
}

impl Step for Hanoi {
    fn first(levels: u64) -> Self {
        Self {
            disks: u8::try_from(levels).expect("no end of moves"),
            from: 0,
            to: 2,
        }
    }

    fn before(self) -> Option<Self> {
        (self.disks > 1).then_some(Self {
            disks: self.disks - 1,
            from: self.from,
            to: self.by(),
        })
    }

    fn value(self) -> u32 {
        u32::from(self.from) << 8 | u32::from(self.to)
    }

    fn after(self) -> Option<Self> {
        (self.disks > 1).then_some(Self {
            disks: self.disks - 1,
            from: self.by(),
            to: self.to,
        })
    }
}

/// The recursion, as one would write it if it only had to print.
fn walk<S: Step>(step: S, out: &mut impl FnMut(u32)) {
    if let Some(before) = step.before() {
        walk(before, out);
    }
    out(step.value());
    if let Some(after) = step.after() {
        walk(after, out);
    }
}

/// The same as futures. Only what is called is boxed.
fn walk_boxed<S: Step>(step: S, out: Rc<Slot<u32>>) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(walk_async(step, out))
}

async fn walk_async<S: Step>(step: S, out: Rc<Slot<u32>>) {
    if let Some(before) = step.before() {
        walk_boxed(before, out.clone()).await;
    }
    out.give(step.value()).await;
    if let Some(after) = step.after() {
        walk_boxed(after, out).await;
    }
}

/// The same as an iterator that keeps the path itself.
struct ByHand<S> {
    path: Vec<S>,
    next: Option<S>,
}

impl<S: Step> Iterator for ByHand<S> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while let Some(step) = self.next {
            self.path.push(step);
            self.next = step.before();
        }
        let step = self.path.pop()?;
        self.next = step.after();
        Some(step.value())
    }
}

/// Takes all values of one generator after the other.
fn drain<I: Iterator<Item = u32>>(
    setting: Setting,
    make: impl Fn() -> I,
) -> anyhow::Result<Outcome> {
    let sample = repeat(setting, || {
        let mut count = 0;
        while count < VALUES {
            let all = make().inspect(|value| {
                black_box(value);
            });
            count += all.count() as u64;
        }
        count
    });
    Ok(sample.into())
}

pub(super) fn callback<S: Step>(setting: Setting) -> anyhow::Result<Outcome> {
    let sample = repeat(setting, || {
        let mut count = 0;
        while count < VALUES {
            walk(S::first(black_box(setting.at)), &mut |value| {
                count += 1;
                black_box(value);
            });
        }
        count
    });
    Ok(sample.into())
}

pub(super) fn by_hand<S: Step>(setting: Setting) -> anyhow::Result<Outcome> {
    drain(setting, || ByHand {
        path: Vec::new(),
        next: Some(S::first(setting.at)),
    })
}

pub(super) fn boxed<S: Step>(setting: Setting) -> anyhow::Result<Outcome> {
    drain(setting, || {
        Values::new(|out| walk_async(S::first(setting.at), out))
    })
}

pub(super) fn fiber<S: Step>(setting: Setting) -> anyhow::Result<Outcome> {
    drain(setting, || {
        Generator::new(move |out| walk(S::first(setting.at), &mut |value| out.give(value)))
    })
}

/// The values of a coroutine, whose stack goes back when there are no more.
struct Coroutine<'a> {
    bare: Option<Bare<u32>>,
    stacks: &'a std::cell::RefCell<Stacks>,
}

impl Iterator for Coroutine<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let value = self.bare.as_mut()?.next();
        if value.is_none()
            && let Some(bare) = self.bare.take()
        {
            bare.end(&mut self.stacks.borrow_mut());
        }
        value
    }
}

pub(super) fn bare<S: Step>(setting: Setting) -> anyhow::Result<Outcome> {
    let stacks = std::cell::RefCell::new(Stacks::new());
    drain(setting, || {
        let walk = move |out: &corosensei::Yielder<(), u32>| {
            walk(S::first(setting.at), &mut |value| out.suspend(value));
        };
        let bare = Bare::new(&mut stacks.borrow_mut(), walk);
        Coroutine {
            bare: Some(bare.expect("memory for a stack")),
            stacks: &stacks,
        }
    })
}

pub(super) fn thread<S: Step>(setting: Setting) -> anyhow::Result<Outcome> {
    drain(setting, || {
        let (sender, values) = mpsc::sync_channel(0);
        thread::spawn(move || {
            walk(S::first(setting.at), &mut |value| {
                sender.send(value).expect("all are wanted");
            });
        });
        values.into_iter()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_alike<S: Step>() -> Vec<u32> {
        let mut called = Vec::new();
        walk(S::first(5), &mut |value| called.push(value));
        let by_hand = ByHand {
            path: Vec::new(),
            next: Some(S::first(5)),
        };
        assert_eq!(by_hand.collect::<Vec<_>>(), called);
        let boxed = Values::new(|out| walk_async(S::first(5), out));
        assert_eq!(boxed.collect::<Vec<_>>(), called);
        called
    }

    #[test]
    fn a_tree_is_walked_in_order() {
        let walked = all_alike::<Tree>();
        assert_eq!(walked.len(), 31);
        assert_eq!(walked[..4], [15, 7, 16, 3]);
    }

    #[test]
    fn the_towers_are_moved() {
        let mut towers = [vec![5, 4, 3, 2, 1], vec![], vec![]];
        for step in all_alike::<Hanoi>() {
            let (from, to) = ((step >> 8) as usize, (step & 255) as usize);
            let disk = towers[from].pop().unwrap();
            assert!(towers[to].last().is_none_or(|below| *below > disk));
            towers[to].push(disk);
        }
        assert_eq!(towers[2].len(), 5);
    }
}
