//! Fibers in a dump: the calls on their stacks, with their lines, down to what they wait for.
//!
//! A line that ends in `// @here` is meant where a test says `@here`. Functions and lines are told wherever there are line
//! tables; without, the functions.

#![cfg(all(feature = "inspect", feature = "stackful"))]

mod common;
use common::*;

use std::cell::Cell;
use std::future::pending;
use std::hint::black_box;
use std::time::Duration;

use camshaft::fiber::{self, Fiber, Generator, Give};
use camshaft::inspect::{self, Dump, Node, Stage, Standing};
use camshaft::net::TcpStream;
use camshaft::task::{JoinHandle, yield_now};
use camshaft::time::sleep;

/// What a task's tree says, from its root down: `fiber@made > merge@merge > read@read > Op`. What has no line has no mark.
fn path(node: &Node) -> String {
    let mut text = String::new();
    let mut left = Some(node);
    while let Some(node) = left {
        if !text.is_empty() {
            text.push_str(" > ");
        }
        let name = node.name.split('<').find(|part| !part.is_empty());
        let name = name.unwrap_or_default();
        text.push_str(match name.rsplit("::").next() {
            Some("{closure}") => "closure",
            Some(name) => name,
            None => "",
        });
        let told = matches!(
            node.standing,
            Standing::Fiber(_) | Standing::Call(_) | Standing::Suspended
        );
        if let (true, Some(site)) = (told, &node.site) {
            text.push_str(&mark(site.line));
        }
        left = node.children.first();
    }
    text
}

/// The mark of a line of this file.
fn mark(line: u64) -> String {
    let line = usize::try_from(line).expect("the file is not that long");
    let source = include_str!("inspect_fibers.rs").lines().nth(line - 1);
    let mark = source.and_then(|line| line.rsplit_once("// @"));
    format!("@{}", mark.map_or("nowhere", |(_, mark)| mark))
}

fn root<'a, T>(dump: &'a Dump, handle: &JoinHandle<T>) -> &'a Node {
    let id = handle.id().to_string();
    let mut tasks = dump.tasks.iter();
    let found = tasks.find(|task| task.id.is_some_and(|found| found.to_string() == id));
    &found.expect("the task is alive").root
}

/// Compares what is told with what should be; without line tables, without the lines, and without types, without futures.
#[track_caller]
fn check(dump: &Dump, node: &Node, expected: &str) {
    let told = path(node);
    let has_lines = told.matches('@').count() > 1;
    let steps = |text: &str| -> Vec<String> {
        let steps = text
            .split(" > ")
            .take_while(|step| has_lines || *step != "…");
        let name = |step: &str| match has_lines {
            true => step.to_owned(),
            false => step.split('@').next().unwrap_or_default().to_owned(),
        };
        steps.map(name).collect()
    };
    let (told, expected) = (steps(&told), steps(expected));
    let untyped = !dump.missing.is_empty();
    let length = match untyped {
        // What follows the calls has no name that this test knows.
        true => expected
            .iter()
            .filter(|step| !step.starts_with('|'))
            .count(),
        false => expected.len(),
    };
    let expected = expected.iter().map(|step| step.trim_start_matches('|'));
    let expected: Vec<_> = expected.take(length).collect();
    let told: Vec<_> = told
        .iter()
        .map(String::as_str)
        .take(match untyped {
            true => length,
            false => usize::MAX,
        })
        .collect();
    assert_eq!(told, expected, "{dump}");
}

#[inline(never)]
fn merge(depth: u32, wait: &dyn Fn()) {
    if depth > 0 {
        merge(depth - 1, wait); // @again
    } else {
        wait(); // @merge
    }
    black_box(depth);
}

#[inline(never)]
fn pause() {
    fiber::wait(pending::<()>()); // @pause
    black_box(());
}

#[inline(never)]
fn sorts() {
    merge(2, &|| pause()); // @sorts
    black_box(());
}

#[test]
fn a_fiber_tells_its_calls() {
    let _alone = alone();
    runtime().block_on(async {
        let builder = fiber::Builder::new().name("sorter");
        let fiber = builder.spawn(sorts); // @made
        yield_now().await;
        let dump = inspect::dump();
        let node = root(&dump, &fiber);
        assert_eq!(node.standing, Standing::Fiber(Stage::Waiting));
        check(
            &dump,
            node,
            "fiber \"sorter\"@made > sorts@sorts > merge@again > merge@again > merge@merge \
             > closure@sorts > pause@pause > |Pending",
        );
        let text = dump.to_string();
        assert!(
            text.contains("\n  a fiber \"sorter\"  made at tests/inspect_fibers.rs:"),
            "{text}"
        );
        let json = dump.to_json();
        assert!(
            json.contains("\"standing\":\"fiber\",\"variant\":\"waiting\""),
            "{json}"
        );
        assert!(
            json.contains("\"standing\":\"call\",\"variant\":\"waiting\""),
            "{json}"
        );
        // The others have called the one that waits.
        let called = "\"standing\":\"call\",\"variant\":\"called\"";
        assert_eq!(json.matches(called).count(), 5, "{json}");
    });
}

/// Reads from a stream in the middle of calls.
#[inline(never)]
fn read(stream: &TcpStream) -> usize {
    let (read, _) = fiber::wait(stream.read(Vec::with_capacity(8))); // @read
    black_box(read.expect("the peer is there"))
}

#[test]
fn an_operation_follows_the_call_that_waits() {
    let _alone = alone();
    runtime().block_on(async {
        let (theirs, ours) = half_std();
        let fiber = fiber::spawn(move || read(&ours)); // @reader
        yield_now().await;
        let dump = inspect::dump();
        let node = root(&dump, &fiber);
        check(
            &dump,
            node,
            "fiber@reader > closure@reader > read@read > |Op",
        );
        if dump.missing.is_empty() {
            let text = dump.to_string();
            assert!(text.contains(", peer 127.0.0.1:"), "{text}");
        }
        drop(theirs);
        assert_eq!(fiber.await.expect("it does not panic"), 0);
    });
}

async fn patient() {
    sleep(Duration::from_secs(10)).await; // @patient
}

#[inline(never)]
fn blocks() {
    let future = async {
        patient().await; // @within
    };
    fiber::wait(future); // @blocks
}

#[test]
fn async_code_in_a_fiber_goes_on_as_a_tree() {
    let _alone = alone();
    paused().block_on(async {
        let fiber = fiber::spawn(blocks); // @async
        yield_now().await;
        let dump = inspect::dump();
        let node = root(&dump, &fiber);
        let expected =
            "fiber@async > blocks@blocks > |{async block}@within > |patient@patient > |Sleep";
        check(&dump, node, expected);
    });
}

#[inline(never)]
fn gives_way() {
    fiber::yield_now(); // @way
    black_box(());
}

#[test]
fn one_that_gives_way_tells_where() {
    let _alone = alone();
    runtime().block_on(async {
        let fiber = fiber::spawn(gives_way); // @giving
        let looker = camshaft::spawn(async { inspect::dump() });
        let dump = looker.await.expect("it does not panic");
        check(&dump, root(&dump, &fiber), "fiber@giving > gives_way@way");
    });
}

#[inline(never)]
fn produce(out: &Give<u32>) {
    out.give(1);
    pause(); // @produce
    out.give(2);
}

#[inline(never)]
fn consume() -> u32 {
    let sum = Generator::new(produce).sum(); // @consume
    black_box(sum)
}

#[test]
fn a_generator_that_waits_is_a_part_of_its_fiber() {
    let _alone = alone();
    runtime().block_on(async {
        let fiber = fiber::spawn(|| black_box(consume())); // @user
        yield_now().await;
        let dump = inspect::dump();
        let told = path(root(&dump, &fiber));
        let steps: Vec<_> = told.split(" > ").collect();
        let names = steps.iter().map(|step| step.split('@').next());
        let names: Vec<_> = names.flatten().collect();
        for (place, name) in [(0, "fiber"), (1, "closure"), (2, "consume"), (3, "sum")] {
            assert_eq!(names[place], name, "{dump}");
        }
        let last = names.iter().position(|name| *name == "pause");
        let last = last.expect("the generator waits there");
        assert_eq!(names[last - 1], "produce", "{dump}");
        if steps[1].contains('@') {
            assert_eq!(
                steps[..3],
                ["fiber@user", "closure@user", "consume@consume"]
            );
            assert_eq!(steps[last - 1..=last], ["produce@produce", "pause@pause"]);
        }
        assert!(!dump.to_string().contains("corosensei"), "{dump}");
    });
}

#[inline(never)]
fn outer() {
    let inner = Fiber::new(pause); // @inner
    fiber::wait(inner); // @out
}

#[test]
fn a_fiber_may_wait_for_a_fiber() {
    let _alone = alone();
    runtime().block_on(async {
        let fiber = fiber::spawn(outer); // @outer
        yield_now().await;
        let dump = inspect::dump();
        let expected = "fiber@outer > outer@out > fiber@inner > pause@pause > |Pending";
        check(&dump, root(&dump, &fiber), expected);
    });
}

#[inline(never)]
fn look() -> Dump {
    let dump = inspect::dump(); // @look
    black_box(dump)
}

#[inline(never)]
fn runs() -> Dump {
    fiber::yield_now();
    black_box(look()) // @looks
}

#[test]
fn one_that_runs_tells_what_it_is_doing() {
    let _alone = alone();
    runtime().block_on(async {
        let fiber = fiber::spawn(runs); // @runner
        let id = fiber.id().to_string();
        let dump = fiber.await.expect("it does not panic");
        let mut tasks = dump.tasks.iter();
        let task = tasks.find(|task| task.id.is_some_and(|found| found.to_string() == id));
        let node = &task.expect("it was alive").root;
        assert_eq!(node.standing, Standing::Fiber(Stage::Running));
        check(&dump, node, "fiber@runner > runs@looks > look@look");
        let text = dump.to_string();
        assert!(text.contains("a running fiber  made at"), "{text}");
    });
}

#[test]
fn one_that_has_not_started_tells_where_it_was_made() {
    let _alone = alone();
    runtime().block_on(async {
        let fiber = fiber::spawn(|| ()); // @unstarted
        let dump = inspect::dump();
        if dump.missing.is_empty() {
            let node = root(&dump, &fiber);
            assert_eq!(node.standing, Standing::Fiber(Stage::Unstarted));
            assert_eq!(path(node), "fiber@unstarted");
        }
    });
}

thread_local! {
    /// The comparison may go on: nothing can be unwound through it.
    static SORTED: Cell<bool> = const { Cell::new(false) };
}

extern "C" fn compare(_: *const libc::c_void, _: *const libc::c_void) -> i32 {
    while !SORTED.get() {
        fiber::yield_now(); // @compare
    }
    black_box(0)
}

#[inline(never)]
fn sort() {
    let mut numbers = [2u32, 1];
    // SAFETY: it sorts two numbers.
    unsafe { libc::qsort(numbers.as_mut_ptr().cast(), 2, 4, Some(compare)) }; // @sort
    black_box(numbers);
}

#[test]
fn calls_of_libraries_are_named_and_gone_through() {
    let _alone = alone();
    runtime().block_on(async {
        let fiber = fiber::Builder::new().stack_size(256 << 10).spawn(sort);
        yield_now().await;
        let dump = inspect::dump();
        let told = path(root(&dump, &fiber));
        assert!(
            told.contains(" > sort") && told.contains("compare"),
            "{dump}"
        );
        let text = dump.to_string();
        assert!(
            text.contains("(in libc.so.6, of which lines are not told)"),
            "{text}"
        );
        SORTED.set(true);
        fiber.await.expect("it does not panic");
    });
}

#[test]
fn those_that_stand_at_the_same_place_are_counted() {
    let _alone = alone();
    runtime().block_on(async {
        let fibers: Vec<_> = (0..1000).map(|_| fiber::spawn(pause)).collect();
        yield_now().await;
        let text = inspect::dump().to_string();
        assert!(text.contains("1,000 × tasks "), "{text}");
        assert_eq!(text.matches("pause").count(), 1, "{text}");
        drop(fibers);
    });
}
