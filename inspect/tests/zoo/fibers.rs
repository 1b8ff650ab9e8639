//! Fibers: the calls on their stacks, whatever the optimizer has made of them, and stacks that were written over.

use std::collections::HashSet;
use std::future::pending;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use camshaft_inspect::{
    AwaitedSight, FiberActivity, FiberSight, Fibers, Memory as _, Node, OwnMemory, Registers,
    Snapshot, Standing, Tree, Walker, load_bias, monotonic, tree_at, tree_of, with_program,
};
use camshaft_stackful::{Fiber, Generator, Give, look, wait};

use crate::common::{is_described, poll};
use crate::corrupt::{Changed, Numbers, change, layout_of_pinned};

/// What the fibers of this thread tell of themselves.
fn sights() -> Vec<FiberSight> {
    let registers = |at: look::Registers| Registers {
        program_counter: at.program_counter as u64,
        stack_pointer: at.stack_pointer as u64,
        frame_pointer: at.frame_pointer as u64,
        link: 0,
    };
    let awaited = |future: look::Awaited| AwaitedSight {
        address: future.address,
        vtable: future.vtable,
        type_name: future.type_name,
    };
    let sight = |fiber: look::Started| FiberSight {
        owner: fiber.owner,
        block: fiber.block,
        name: fiber.name,
        origin: fiber.origin,
        stack: fiber.stack,
        activity: match fiber.activity {
            look::Activity::Running => FiberActivity::Running,
            look::Activity::Waiting(at, future) => {
                FiberActivity::Waiting(registers(at), future.map(awaited))
            }
            _ => FiberActivity::Idle,
        },
    };
    look::started().into_iter().map(sight).collect()
}

/// `fiber@made > closure@there > read@here > Pending`
pub(crate) fn path(node: &Node) -> String {
    let name = match node.name.starts_with('<') {
        true => &node.name,
        false => node.name.split('<').next().unwrap_or_default(),
    };
    let mut text = name.rsplit("::").next().unwrap_or_default().to_owned();
    let is_told = matches!(
        node.standing,
        Standing::Fiber(_) | Standing::Call(_) | Standing::Suspended
    );
    if let (true, Some(site)) = (is_told, &node.site) {
        let line = usize::try_from(site.line).expect("the file is not that long");
        let source = include_str!("fibers.rs").lines().nth(line - 1);
        let mark = source.and_then(|line| line.rsplit_once("// @"));
        let ours = site.file.ends_with("tests/zoo/fibers.rs");
        text.push('@');
        text.push_str(mark.filter(|_| ours).map_or("nowhere", |(_, mark)| mark));
    }
    for child in &node.children {
        text.push_str(" > ");
        text.push_str(&path(child));
    }
    text
}

/// Has a fiber run until it waits, and tells where it is.
fn show<F: FnOnce() + 'static>(fiber: Fiber<F, ()>) -> String {
    path(&tree_of_waiting(fiber).root)
}

pub(crate) fn tree_of_waiting<F: FnOnce() + 'static>(fiber: Fiber<F, ()>) -> Tree {
    let mut fiber = Box::pin(fiber);
    assert!(poll(fiber.as_mut()).is_none());
    tree_at(&*fiber, Some(Fibers::new(sights())), monotonic())
}

#[inline(never)]
fn pause(number: u32) -> u32 {
    wait(pending::<()>()); // @pause
    black_box(number)
}

#[inline(always)]
fn inlined(number: u32) -> u32 {
    pause(number) + 1 // @inlined
}

#[inline(never)]
fn deep(depth: u32) -> u32 {
    let room = black_box([depth; 20]);
    let found = match depth {
        0 => inlined(room[1]), // @bottom
        _ => deep(depth - 1),  // @deep
    };
    black_box(found + room[2])
}

fn starts() {
    black_box(deep(2)); // @starts
}

#[test]
fn calls_are_told_with_those_that_were_inlined() {
    if !is_described() {
        return;
    }
    let expected = "fiber@made > starts@starts > deep@deep > deep@deep > deep@bottom > inlined@inlined > pause@pause > Pending";
    assert_eq!(show(Fiber::new(starts)), expected); // @made
}

struct Droppy;

impl Drop for Droppy {
    fn drop(&mut self) {
        if camshaft_stackful::can_wait() {
            pause(1); // @destructor
        }
    }
}

#[inline(never)]
fn drops() {
    let droppy = black_box(Droppy);
    drop(droppy); // @drops
    black_box(());
}

#[test]
fn a_destructor_may_wait() {
    if !is_described() {
        return;
    }
    let told = show(Fiber::new(drops)); // @dropping
    let first = "fiber@dropping > drops@drops > ";
    assert!(told.starts_with(first), "{told}");
    let last = " > drop@destructor > pause@pause > Pending";
    assert!(told.ends_with(last), "{told}");
}

#[inline(never)]
fn produce(out: &Give<u32>) {
    out.give(1);
    out.give(pause(2)); // @produce
}

#[inline(never)]
fn consumes() {
    let mut items = Generator::new(produce);
    let first = items.next();
    let second = items.next(); // @second
    black_box((first, second));
}

#[test]
fn a_generator_that_waits_lies_between() {
    if !is_described() {
        return;
    }
    let told = show(Fiber::new(consumes)); // @consumer
    let expected = "fiber@consumer > consumes@second > produce@produce > pause@pause > Pending";
    let told = told.replace("next@nowhere > ", "");
    assert_eq!(told, expected);
}

async fn leaf() {
    pending::<()>().await; // @leaf
}

#[inline(never)]
fn nests() {
    wait(Fiber::new(|| wait(leaf()))); // @nests
}

#[test]
fn fibers_and_futures_lie_in_each_other() {
    if !is_described() {
        return;
    }
    let expected =
        "fiber@nester > nests@nests > fiber@nests > {closure}@nests > leaf@leaf > Pending";
    assert_eq!(show(Fiber::new(nests)), expected); // @nester
}

#[test]
fn a_fiber_that_was_moved_is_found() {
    if !is_described() {
        return;
    }
    let fibers: Vec<_> = (0..5)
        .map(|depth| {
            let starts = move || assert!(black_box(deep(depth)) > 0);
            let mut fiber = Fiber::new(starts); // @moved
            assert!(poll(std::pin::Pin::new(&mut fiber)).is_none());
            fiber
        })
        .collect();
    for (depth, fiber) in fibers.into_iter().enumerate() {
        let moved = Box::new(fiber);
        let told = path(&tree_at(&*moved, Some(Fibers::new(sights())), monotonic()).root);
        assert!(told.starts_with("fiber@moved > "), "{told}");
        assert_eq!(told.matches("deep@deep").count(), depth, "{told}");
    }
}

#[test]
fn whoever_knows_of_no_fibers_does_not_say_that_one_is_over() {
    if !is_described() {
        return;
    }
    let mut fiber = Box::pin(Fiber::new(starts));
    let is_over = |text: String| {
        let word = text.contains("is over");
        assert_ne!(word, text.contains("not shown"), "{text}");
        word
    };
    assert!(poll(fiber.as_mut()).is_none());
    assert!(!is_over(tree_of(&*fiber).to_string()));
    let mut ended = Box::pin(Fiber::new(|| ()));
    assert!(poll(ended.as_mut()).is_some());
    let told = tree_at(&*ended, Some(Fibers::new(sights())), monotonic());
    assert!(is_over(told.to_string()));
    // It is not among those that are known.
    let told = tree_at(&*fiber, Some(Fibers::default()), monotonic()).to_string();
    assert!(!told.contains("is over"), "{told}");
    assert!(told.contains("not among those of this thread"), "{told}");
}

#[inline(never)]
fn endless(depth: u32) -> u32 {
    match depth {
        0 => pause(depth),
        _ => black_box(endless(depth - 1)) + 1,
    }
}

#[test]
fn of_very_many_calls_the_last_ones_are_told() {
    if !is_described() {
        return;
    }
    let told = show(Fiber::new(|| {
        black_box(endless(300));
    }));
    assert!(told.contains("further calls > endless@nowhere"), "{told}");
    assert!(told.ends_with("pause@pause > Pending"), "{told}");
    assert_eq!(told.matches("endless").count(), 99, "{told}");
}

/// A stack with changed bytes, or other registers to begin with.
fn spoil(round: u32, sight: &mut FiberSight, bytes: &mut [u8], numbers: &mut Numbers) {
    let FiberActivity::Waiting(registers, _) = &mut sight.activity else {
        panic!("it waits: {sight:?}");
    };
    // What leads back into the stack is more dangerous than what leads nowhere.
    let word = match round % 3 {
        0 => numbers.next(),
        _ => registers.stack_pointer + numbers.next() % (bytes.len() as u64 + 64),
    };
    match round % 8 {
        0..4 => change(bytes, numbers),
        4 => registers.frame_pointer = word,
        5 => registers.stack_pointer = word,
        6 => registers.program_counter ^= numbers.next() % 4096,
        _ => {
            let at = numbers.below(bytes.len() / 8) * 8;
            bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
    }
}

#[test]
fn ten_thousand_changed_stacks_are_unwound() {
    if !is_described() {
        return;
    }
    let mut future = Box::pin(async { Fiber::new(starts).await });
    assert!(poll(future.as_mut()).is_none());
    let address = std::ptr::from_ref(&*future).addr() as u64;
    let key = layout_of_pinned(&future).key;
    let sights = sights();
    let [sight] = &sights[..] else {
        panic!("there is one: {sights:?}");
    };
    let FiberActivity::Waiting(registers, _) = sight.activity else {
        panic!("it waits: {sight:?}");
    };
    let start = registers.stack_pointer;
    let mut used = vec![0; sight.stack.end - usize::try_from(start).expect("it is an address")];
    assert!(OwnMemory.read(start, &mut used));
    let told = with_program(|catalog| {
        let mut numbers = Numbers(0x5eed);
        let mut told = HashSet::new();
        for round in 0..10_000 {
            let (mut bytes, mut sight) = (used.clone(), sight.clone());
            spoil(round, &mut sight, &mut bytes, &mut numbers);
            let mut snapshot = Snapshot::new();
            snapshot.insert(start, bytes);
            let memory = Changed(snapshot, AtomicU32::new(0));
            let fibers = Fibers::new(vec![sight]);
            let walker = Walker::new(catalog, &memory, load_bias()).fibers(&fibers);
            told.insert(path(&walker.most(100).walk(key, address)));
            let reads = memory.1.load(Ordering::Relaxed);
            assert!(reads < 1000, "{reads} reads");
        }
        told
    });
    let told = told.expect("the program can be read");
    assert!(told.len() > 20, "{told:#?}");
}
